"""Pairs, reports, exports and curricula of the examples."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit.preferences import (
    Curriculum,
    CurriculumOptions,
    PairOptions,
    Tally,
    bradley_terry,
    make_pairs,
    read_rewards,
)
from tests.golden.replies import EXAMPLES
from tests.golden.session import Session, check, shown

FORMATS = (
    "trl-dpo", "trl-kto", "trl-reward", "trl-sft", "nemo-customizer", "nemo-rl", "openrlhf",
    "llama-factory", "axolotl",
)  # fmt: skip
FOLDERS = (*FORMATS, "forty", "messages", "none")
PAIRS: dict[str, tuple[str, ...]] = {
    "all": (),
    "margin": ("--min-margin", "0.1", "--max-per-turn", "2"),
    "best-worst": ("--mode", "best-worst", "--dedupe"),
    "adjacent": ("--mode", "adjacent", "--reward", "chosen"),
    "random": ("--mode", "random-2", "--seed", "3", "--max-pairs", "20"),
    "balance": ("--balance", "length", "--contradictions", "keep"),
}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_pairs_are_the_same(session: Session) -> None:
    for name, options in PAIRS.items():
        report = ("--report", f"report-{name}") if name in ("all", "margin") else ()
        make = ("pairs", "examples/candidates.jsonl", "-o", f"{name}.jsonl", *options)
        session.run(*make, *report, "--json")
    session.run("pairs", "examples/candidates.jsonl")
    session.run("pairs", "examples/candidates.jsonl", "--mode", "worst")
    session.run("pairs", "examples/feedback.jsonl", "-o", "none.jsonl")
    session.show_files("*.jsonl", "report-all/*", "report-margin/*.json", most=400)
    check("pairs", session.record)


@pytest.mark.parametrize("kind", ["messages", "texts"])
def test_exports_are_the_same(session: Session, kind: str) -> None:
    source = _plain(session) if kind == "texts" else "examples/candidates.jsonl"
    session.run("pairs", source, "-o", "pairs.jsonl", "--json")
    for name in FORMATS:
        session.run("export", name, "pairs.jsonl", "-o", name)
    session.run("export", "trl-dpo", "pairs.jsonl", "-o", "trl-dpo", "--json")
    session.run(
        "export", "trl-dpo", "pairs.jsonl", "-o", "forty", "--val-fraction", "0.4", "--plain"
    )
    session.run("export", "trl-dpo", "pairs.jsonl", "-o", "messages", "--conversational")
    session.run(
        "export", "trl-sft", "pairs.jsonl", "-o", "none", "--val-fraction", "0", "--seed", "1"
    )
    session.run("export", "dpo", "pairs.jsonl", "-o", "wrong")
    session.show_files("*.rejected.jsonl", *(f"{name}/**/*.json*" for name in FOLDERS), most=200)
    check(f"export {kind}", session.record)


def _plain(session: Session) -> str:
    rows: list[dict[str, Any]] = []
    for n in range(40):
        for k in range(3):
            words = " ".join(["word"] * (3 + (7 * n + 5 * k) % 11))
            row = {"example_id": f"e{n}", "turn_id": 0, "candidate_index": k}
            score = (13 * n + 31 * k) % 17 / 20
            rows.append(row | {"prompt": f"Task {n}", "response": f"{words} {k}", "score": score})
    return session.write("candidates.jsonl", [*rows, {"example_id": "bad"}])


def test_a_curriculum_is_the_same(session: Session) -> None:
    session.run("curriculum", _plain(session), "-o", "stages", "--json")
    session.run("curriculum", "candidates.jsonl", "-o", "two", "--start", "0.5", "--widen", "0.5")
    session.show_files("stages/*", "two/curriculum.json", most=300)
    rewards = read_rewards(session.folder / session.write("good.jsonl", _good(session)))
    curriculum = Curriculum(rewards, CurriculumOptions(start=0.5, widen=0.5, interval=2))
    session.record["epochs"] = [[epoch, len(ids), *ids[:4]] for epoch, ids in curriculum.epochs()]
    check("curriculum", session.record)


def _good(session: Session) -> list[dict[str, Any]]:
    lines = (session.folder / "candidates.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:-1]]


def test_python_makes_the_same_pairs(session: Session) -> None:
    lines = (EXAMPLES / "candidates.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:24]]
    tally = Tally()
    made = [
        msgspec.json.encode(pair).decode()
        for pair in make_pairs(rows, PairOptions(min_margin=0.05), tally=tally)
    ]
    session.record["pairs"] = shown("\n".join(made))
    session.record["tally"] = json.loads(msgspec.json.encode(tally))
    contests = [(0, 1, 1.0), (0, 1, 0.5), (1, 0, 1.0), (1, 2, 1.0), (2, 0, 0.0)]
    session.record["strengths"] = bradley_terry(4, contests)
    check("python preferences", session.record)
