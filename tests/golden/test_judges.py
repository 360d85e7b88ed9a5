"""What identifies a judge, what it asks and what it says, for every kind, readout and option."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit import Judge, SendPolicy, Verdict
from tests.golden import replies
from tests.golden.session import Session, check, digest, shown

KINDS = ("feedback", "pointwise", "pairwise", "verify")
READOUTS = ("json", "logprob")
MODES = ("chat", "completion")

TEMPLATE = """\
{% set delimiters = ["<<", ">>"] %}
{% block instructions %}
Read the text and say how the user reacts.
{% endblock %}
{% block sample %}
<<question>> {{ query }}
<<answer>> {{ answer }}
<<next>> {{ follow_up }}
<<reaction>>
{% endblock %}
"""
POOL = [
    dict(zip(("query", "answer", "follow_up", "label"), row, strict=True))
    for row in (
        ("Is 51 prime?", "Yes.", "No, 3 x 17.", "neg_correction"),
        ("A packing list for Oslo.", "A coat.", "Great, thanks!", "pos_praise"),
        ("Write a Python script.", "print(1)", "In 3.8, I said.", "neg_constraint_restate"),
        ("Shorten it.", "At noon.", "And now a title.", "pos_progress"),
    )
]
PAIRS = [
    dict(zip(("prompt", "response_a", "response_b", "label"), row, strict=True))
    for row in (
        ("Name a German river.", "The Elbe.", "The Po.", "A"),
        ("Spell the number 40.", "fourty", "forty", "B"),
        ("Is 7 prime?", "Yes.", "It is.", "A=B"),
    )
]
JSON = ("--readout", "json", "--mode", "chat")
LOGPROB = ("--readout", "logprob", "--mode", "completion")

VARIANTS: dict[str, tuple[str, ...]] = {
    "feedback auto": (),
    "feedback votes": (*JSON, "--votes", "9", "--vote-error", "0.2"),
    "feedback all votes": (*JSON, "--votes", "5", "--all-votes", "--vote-error", "0.2"),
    "feedback no shots": (*JSON, "--shots", "0"),
    "feedback two shots": (*LOGPROB, "--shots", "2"),
    "feedback pool": (*JSON, "--pool", "pool.jsonl", "--shots", "2", "--seed", "3"),
    "feedback similar": (*LOGPROB, "--pool", "pool.jsonl", "--shots", "2", "--select", "similar"),
    "feedback random": (*JSON, "--shots", "2", "--select", "random", "--seed", "7"),
    "feedback template": (*LOGPROB, "--template", "own.jinja"),
    "feedback template by mode": (*JSON, "--template", "chat=own.jinja", "--shots", "2"),
    "feedback shot templates": (
        *LOGPROB, "--shots", "2", "--shot-template", "shot.jinja",
        "--feedback-template", "completion=reply.jinja",
    ),
    "feedback sampling": (
        *JSON, "--temperature", "0.3", "--top-p", "0.9", "--seed", "11", "--max-tokens", "99",
    ),
    "feedback generation": (*JSON, "--generation", "top_k=5", "--generation", 'stop=["x"]'),
    "feedback gate": (*JSON, "--gate", "0.8", "--raw"),
    "feedback prior": (*LOGPROB, "--prior", "none"),
    "pointwise auto": (),
    "pointwise criteria json": (*JSON, "--criteria", "criteria.json"),
    "pointwise criteria logprob": (*LOGPROB, "--criteria", "criteria.json"),
    "pointwise shots": (*LOGPROB, "--shots", "3", "--select", "similar"),
    "pointwise votes": (*JSON, "--votes", "9", "--vote-error", "0.2", "--raw"),
    "pairwise auto": (),
    "pairwise criteria json": (*JSON, "--criteria", "criteria.json"),
    "pairwise no swap": (*JSON, "--no-swap"),
    "pairwise votes": (*JSON, "--votes", "9", "--vote-error", "0.2"),
    "pairwise pool": (
        *LOGPROB, "--pool", "pairs.jsonl", "--shots", "2", "--select", "random", "--seed", "5",
    ),
    "verify auto": (),
    "verify options": (
        *JSON, "--extract", "last_line", "--answer-type", "text", "--tolerance", "0.01",
        "--date-order", "day",
    ),
    "verify shots": (*LOGPROB, "--shots", "2", "--select", "random"),
    "verify votes": (*JSON, "--votes", "9", "--vote-error", "0.2", "--temperature", "0.9"),
}  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(tmp_path)
    for kind in KINDS:
        session.write(f"{kind}.script.jsonl", replies.script(kind))
        session.write(f"{kind}.jsonl", replies.rows(kind))
    session.write("open.jsonl", OPEN)
    session.write("own.jinja", TEMPLATE)
    session.write("shot.jinja", "{{ query }} / {{ answer }} / {{ follow_up }} => {{ reply }}\n")
    session.write("reply.jinja", "{{ word }}.")
    session.write("pool.jsonl", POOL)
    session.write("pairs.jsonl", PAIRS)
    session.write("criteria.json", json.dumps(replies.CRITERIA))
    return session


OPEN = [
    {
        "id": "ver-01",
        "question": "Why is the sea salt?",
        "answer": "Rivers bring minerals that stay when water evaporates.",
        "reference": "Dissolved minerals from rocks are carried there by rivers",
    },
    {
        "id": "ver-02",
        "question": "What does the mate think of the captain?",
        "answer": "He admires her courage and doubts her maps.",
        "reference": "That she is brave but navigates badly",
        "label": "correct",
    },
]
"""Answers that no rule decides, so that a model is asked."""


def judged(session: Session, kind: str, rows: int, *options: str) -> None:
    source = "open.jsonl" if kind == "verify" else f"{kind}.jsonl"
    engine = ("-e", f"scripted:{kind}.script.jsonl")
    pairs = [pair for pair in itertools.pairwise(options) if pair[0] in PROMPT_OPTIONS]
    asked = list(itertools.chain(*pairs))
    session.run("prompt", kind, source, *engine, "--limit", f"{rows}", *asked)
    out = ("-o", "out.jsonl", "--no-input", "--limit", f"{rows}", "--json")
    session.run("judge", kind, source, *engine, *options, *out)
    session.show_files("out.jsonl")
    session.show_store()


PROMPT_OPTIONS = {
    "--readout", "--mode", "--template", "--criteria", "--shot-template", "--feedback-template",
    "--shots", "--pool", "--select", "--seed",
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_judge_asks_and_says_the_same(
    session: Session, kind: str, readout: str, mode: str
) -> None:
    judged(session, kind, 3, "--readout", readout, "--mode", mode)
    check(f"judge {kind} {readout} {mode}", session.record)


@pytest.mark.parametrize("name", VARIANTS)
def test_an_option_makes_the_same_judge(session: Session, name: str) -> None:
    judged(session, name.split()[0], 2, *VARIANTS[name])
    check(f"judge {name}", session.record)


def test_a_judge_without_a_model_says_the_same(session: Session) -> None:
    session.run("judge", "verify", "examples/verify.jsonl", "-o", "out.jsonl", "--json")
    session.run("judge", "verify", "examples/verify.jsonl", "--tolerance", "0.1", "--json")
    session.show_files("out.jsonl")
    check("judge verify without a model", session.record)


JURY = """\
combine = "weighted"

[[members]]
name = "first"
engine = "scripted:feedback.script.jsonl"
weight = 2

[[members]]
name = "second"
engine = "scripted:mild.jsonl"
readout = "logprob"

[[members]]
name = "third"
engine = "scripted:feedback.script.jsonl"
gate = 0.8
shots = 2
"""
CASCADE = """\
[[steps]]
name = "small"
engine = "scripted:feedback.script.jsonl"
gate = 0.8

[[steps]]
name = "large"
engine = "scripted:mild.jsonl"
"""


def mild() -> list[dict[str, Any]]:
    lines = replies.script("feedback")
    return [{"match": {"contains": "cabin bag"}, "replies": [{"error": "timeout"}]}, *lines[1:]]


def test_panels_say_the_same(session: Session) -> None:
    session.write("mild.jsonl", mild())
    session.write("jury.toml", JURY)
    session.write("cascade.toml", CASCADE)
    judge = (
        "judge",
        "feedback",
        "feedback.jsonl",
        "--attempts",
        "1",
        "--json",
        "--readout",
        "json",
    )
    session.run(*judge, "--jury", "jury.toml", "-o", "jury.jsonl")
    session.run(*judge, "--cascade", "cascade.toml", "-o", "cascade.jsonl")
    votes = JURY.replace("feedback.script", "pairwise.script").replace("mild", "pairwise.script")
    session.write("pair.toml", votes.replace('"weighted"', '"median"').replace("weight = 2\n", ""))
    pair = ("--jury", "pair.toml")
    session.run("judge", "pairwise", "pairwise.jsonl", "--limit", "2", "--json", *pair)
    session.show_files("*y.jsonl", "cascade.jsonl")
    session.show_store()
    check("judge panels", session.record)


def test_a_calibration_is_fitted_and_applied_the_same(session: Session) -> None:
    rows = [
        {"id": f"r{n}", "query": f"q{n}", "answer": "a", "follow_up": "f", "label": LABELS[n % 2]}
        for n in range(200)
    ]
    said = [
        {
            "rationale": "r",
            "label": LABELS[(n + (n % 7 == 0)) % 2],
            "confidence": 0.6 + n % 5 / 12.5,
        }
        for n in range(200)
    ]
    lines = [
        {"match": {"sample_id": row["id"]}, "replies": [{"text": json.dumps(reply)}]}
        for row, reply in zip(rows, said, strict=True)
    ]
    session.write("rows.jsonl", rows)
    session.write("script.jsonl", lines)
    judge = ("judge", "feedback", "rows.jsonl", "-e", "scripted:script.jsonl", "--json")
    session.run(*judge, "-o", "verdicts.jsonl")
    session.run("calibrate", "verdicts.jsonl", "-o", "cal.json", "--plot", "plot.svg")
    session.run("calibrate", "verdicts.jsonl", "-o", "platt.json", "--target", "0.7", "--json")
    session.run(*judge, "-o", "out.jsonl", "--calibration", "cal.json")
    session.show_files("*.json", "verdicts.jsonl", "out.jsonl", "plot.svg")
    check("judge calibration", session.record)


LABELS = ("pos_praise", "neg_correction")


@pytest.mark.parametrize("kind", KINDS)
def test_python_asks_and_says_the_same(
    session: Session, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(session.folder)
    rows: list[Any] = [*(OPEN if kind == "verify" else replies.rows(kind)), {"id": "bad"}]
    found: dict[str, Any] = {}
    for name, options, call in PYTHON[kind]:
        judge = Judge(
            kind, engine=f"scripted:{kind}.script.jsonl", cache="home/store.sqlite",
            send=SendPolicy(concurrency=2), **options,
        )  # fmt: skip
        with judge:
            asked = [msgspec.json.encode(request).decode() for request in judge.render(rows[0])]
            rejected: list[str] = []
            verdicts = judge.judge_batch(
                rows, on_reject=lambda n, error, to=rejected: to.append(f"{n} {error}"), **call
            )
        found[name] = {
            "asked": shown("\n".join(asked), 100),
            "verdicts": [_short(verdict) for verdict in verdicts],
            "rejected": rejected,
        }
    session.record["python"] = found
    session.show_store()
    check(f"python {kind}", session.record)


def _short(verdict: Verdict) -> list[Any]:
    whole = msgspec.json.encode(verdict).decode()
    said = [verdict.id, verdict.status, verdict.value, verdict.reward, verdict.confidence]
    return [*said, verdict.judge, digest(whole)]


PYTHON: dict[str, list[tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "feedback": [
        ("plain", {}, {}),
        ("rewards", {"readout": "json", "reward_map": dict.fromkeys(
            ["neg_constraint_restate", "neg_correction", "neg_confusion", "neutral", "pos_progress",
             "pos_praise"], 0.5)}, {}),
        ("options of a call", {"readout": "json"}, {"temperature": 0.4, "seed": 3, "top_k": 4}),
        ("gate of a call", {"readout": "json"}, {"gate": 0.8}),
        ("shots", {"readout": "json", "mode": "chat", "shots": POOL[:2]}, {}),
        ("ready shots", {"readout": "logprob", "shots": "An example: next"}, {}),
        ("jury", {"jury": {"members": [{"name": "one"}, {"name": "two", "shots": 0}]}}, {}),
        ("cascade", {"cascade": {"steps": [{"name": "one", "gate": 0.8}, {"name": "two"}]}}, {}),
    ],
    "pointwise": [
        ("criteria", {"readout": "json", "criteria": replies.CRITERIA}, {}),
        ("seed none", {"seed": None, "max_tokens": 40}, {}),
    ],
    "pairwise": [("one order", {"swap": False}, {}), ("plain", {"generation": {"min_p": 0.1}}, {})],
    "verify": [
        ("plain", {}, {}),
        ("rewards", {"reward_map": {"correct": 2.0, "incorrect": -1.0}}, {}),
    ],
}  # fmt: skip


WRONG = (
    "judge feedback nothing.jsonl -e scripted:feedback.script.jsonl",
    "judge feedback feedback.jsonl -e scripted:nothing.jsonl",
    "judge feedback feedback.jsonl -e none:",
    "judge feedback feedback.jsonl -e what:model",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --readout words",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --criteria criteria.json",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --select similarly",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --tolerance 0.5",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --generation top_k",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --jury a --cascade b",
    "judge feedback pairwise.jsonl -e scripted:feedback.script.jsonl",
    "judge pairwise pairwise.jsonl -e scripted:pairwise.script.jsonl --readout logprob "
    "--criteria criteria.json",
    "judge verify verify.jsonl --extract end",
    "judge verify verify.jsonl --calibration criteria.json",
    "prompt verify verify.jsonl -e none: --limit 1",
    "show verify-0009",
    "calibrate verify.jsonl -o x.json",
    "judge feedback feedback.jsonl -e scripted:feedback.script.jsonl --votes 3 --readout json",
)


def test_wrong_usage_ends_and_says_the_same(session: Session) -> None:
    for command in WRONG:
        session.run(*command.split())
    check("wrong usage", session.record)


def test_what_is_shown_is_the_same(session: Session) -> None:
    judge = ("judge", "feedback", "feedback.jsonl", "-e", "scripted:feedback.script.jsonl")
    session.run(*judge, "--readout", "json", "--gate", "0.8")
    session.run(*judge, "--readout", "json", "--gate", "0.8", "-v")
    session.run(*judge, "--dry-run")
    session.run(*judge, "--dry-run", "--json", "--fresh")
    session.run("judge", "pairwise", "pairwise.jsonl", "-e", "scripted:pairwise.script.jsonl")
    session.run("judge", "verify", "examples/verify.jsonl", "--limit", "9")
    session.run("runs")
    session.run("show", "last", "--limit", "1")
    session.run("show", "feedback-0001")
    check("screens judge", session.record)
