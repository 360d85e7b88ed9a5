"""What the other commands print of the examples and of the pools that ship."""

import json
from pathlib import Path

import pytest

from tests.golden import replies
from tests.golden.session import Session, check


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_shots_are_the_same(session: Session) -> None:
    for kind in replies.WORDS:
        session.run("shots", "check", kind)
        session.run("shots", "show", kind, "--json")
        session.run("shots", "sample", kind, "-n", "3", "--seed", "2", "--json")
        nearest = ("-n", "2", "--select", "similar", "--for", f"examples/{kind}.jsonl")
        session.run("shots", "sample", kind, *nearest, "--json")
    session.run("shots", "show", "verify")
    check("shots", session.record)


def test_prompts_of_the_examples_are_the_same(session: Session) -> None:
    for kind in replies.WORDS:
        script = session.write(f"{kind}.script.jsonl", replies.script(kind))
        show = ("prompt", kind, f"examples/{kind}.jsonl", "-e", f"scripted:{script}")
        session.run(*show, "--limit", "1000")
        session.run(*show, "--limit", "3", "--json", "--readout", "json", "--mode", "chat")
    many = "examples/conversations.jsonl"
    session.run("prompt", "feedback", many, "-e", "scripted:feedback.script.jsonl", "--limit", "99")
    for source in ("individual", "comparison"):
        kind = "pointwise" if source == "individual" else "pairwise"
        file = f"examples/{source}.json"
        session.run("prompt", kind, file, "-e", f"scripted:{kind}.script.jsonl")
    check("prompts", session.record)


def test_a_rubric_is_learned_the_same(session: Session) -> None:
    proposal = {"criteria": [{"name": "is right", "description": "It says what is true."}]}
    good, bad, _ = replies.JSON["pointwise"]
    said = {
        "[[the other response]]": proposal,
        "It says what is true.": {**good, "scores": {"is right": 7}},
        "212 °F": bad,
        "": {**good, "scores": {"overall": 6}},
    }
    session.write("script.jsonl", [
        {"match": {"contains": text}, "replies": [{"text": json.dumps(reply)}]}
        for text, reply in said.items()
    ])  # fmt: skip
    learn = ("rubric", "learn", "examples/pairwise.jsonl", "-e", "scripted:script.jsonl")
    session.run(*learn, "-o", "criteria.json", "--readout", "json", "--json")
    session.show_files("criteria.json")
    session.show_store()
    check("rubric", session.record)


def test_the_weights_of_a_jury_are_learned_the_same(session: Session) -> None:
    for name in ("one", "two", "three"):
        lines = replies.script("feedback")
        session.write(f"{name}.jsonl", lines[1:] if name == "two" else lines)
    members = [
        {"name": name, "engine": f"scripted:{name}.jsonl"} for name in ("one", "two", "three")
    ]
    session.write("jury.json", json.dumps({"members": members}))
    judge = ("judge", "feedback", "examples/feedback.jsonl", "--readout", "json", "--json")
    session.run(*judge, "--jury", "jury.json", "-o", "verdicts.jsonl")
    session.run("jury-weights", "verdicts.jsonl", "-o", "weights.json")
    session.show_files("weights.json", "verdicts.jsonl")
    check("jury weights", session.record)
