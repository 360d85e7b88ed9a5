"""Candidates from traces, as they are rolled out and scored."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.errors import InputError
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.formats.traces import Traces
from plaudit.preferences.types import Candidate
from tests.support.command import write_rows
from tests.support.judged import lines_of

TOOLS = '''
def search(query: str) -> str:
    """Search the documents.

    Args:
        query: words to look for.
    """
    return f"It was '{query}'."
'''
CALL = {"tool_calls": [{"name": "search", "arguments": {"query": "who"}}]}
REPLIES = [
    {"match": {"contains": "number 1?"}, "replies": [{"error": "timeout"}]},
    {"match": {"turn": "1"}, "replies": [{"text": "gold 0"}, {"text": "no idea"}]},
    {"match": {"turn": "0"}, "replies": [CALL]},
]
RULES = '[rewards.correctness]\nby = "rules"\n'


def run(*args: str | Path) -> None:
    done = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    assert done.exit_code in (0, 1), done.output


@pytest.fixture
def rolled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two rollouts of each of two questions; those of the second fail."""
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path / "home"))
    (tmp_path / "mytools.py").write_text(TOOLS)
    asked = [{"id": f"q{n}", "question": f"number {n}?", "answer": f"gold {n}"} for n in range(2)]
    script = write_rows(tmp_path / "script.jsonl", REPLIES)
    questions, out = write_rows(tmp_path / "questions.jsonl", asked), tmp_path / "traces.jsonl"
    tools = f"{tmp_path / 'mytools.py'}:search"
    run("rollout", questions, "-e", f"scripted:{script}", "-t", tools, "-o", out, "-n", "2")
    return out


def scored(traces: Path) -> Path:
    (rules := traces.with_name("rules.toml")).write_text(RULES)
    out = traces.with_name("scored.jsonl")
    run("score", traces, "-r", rules, "-o", out)
    return out


def read(lines: Sequence[bytes]) -> list[Candidate]:
    found = detect(lines[0], ReadOptions())
    return [one for n, line in enumerate(lines) for one in found.read(line, n)]


def plain(raw: Any) -> Any:
    return msgspec.json.decode(raw)


def test_rollouts_of_a_question_are_a_turn(rolled: Path) -> None:
    found = read(lines_of(scored(rolled)))
    assert [(one.example_id, one.turn_id, one.index) for one in found] == [
        ("q0", "q0", 0), ("q0", "q0", 1), ("q1", "q1", 0), ("q1", "q1", 1)
    ]  # fmt: skip
    assert [one.score for one in found] == [1.0, 0.0, None, None]


def test_D3_the_response_is_all_that_came_of_the_prompt(rolled: Path) -> None:
    one = read(lines_of(scored(rolled)))[0]
    prompt, response = plain(one.prompt), plain(one.response)
    assert [said["role"] for said in prompt] == ["system", "user"][-len(prompt) :]
    assert prompt[-1]["content"] == "number 0?"
    assert [said["role"] for said in response] == ["assistant", "tool", "assistant"]
    (call,) = response[0]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"query": "who"}
    assert response[1]["content"] == "It was 'who'."
    assert response[1]["tool_call_id"] == call["id"]


def test_traces_that_were_not_scored_have_no_score(rolled: Path) -> None:
    assert [one.score for one in read(lines_of(rolled))] == [None] * 4


TRACE = {
    "schema": 1,
    "question_id": "q",
    "group": "g",
    "draw": 3,
    "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
    "rewards": {"total": {"value": 0.5}},
}


def changed(**fields: Any) -> bytes:
    return json.dumps(TRACE | fields).encode()


def only(line: bytes) -> Candidate:
    (one,) = Traces().read(line, 0)
    return one


def test_a_table_may_hold_messages_and_rewards_as_text() -> None:
    texts = {name: json.dumps(TRACE[name]) for name in ("messages", "rewards")}
    assert only(changed(**texts)) == only(changed())


def test_groups_of_one_question_are_turns_of_one_example() -> None:
    one = only(changed())
    assert (one.example_id, one.turn_id, one.index, one.score) == ("q", "g", 3, 0.5)
    alone = only(changed(question_id=""))
    assert (alone.example_id, alone.turn_id) == ("g", "g")


def test_a_chat_that_names_no_question_is_grouped_by_its_prompt() -> None:
    nameless = {"question_id": "", "group": "", "draw": None}
    one, same = only(changed(**nameless)), only(changed(**nameless))
    other = only(changed(**nameless, messages=[{"role": "user", "content": "p"}]))
    assert one.turn_id == same.turn_id != other.turn_id
    assert one.index is None


def test_a_trace_without_an_answer_has_an_empty_response() -> None:
    one = only(changed(messages=[{"role": "user", "content": "q"}]))
    assert plain(one.response) == []


@pytest.mark.parametrize("rewards", [None, {}, {"other": {"value": 1}}, {"total": {"value": None}}])
def test_no_total_is_no_score(rewards: Any) -> None:
    assert only(changed(rewards=rewards)).score is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": "text"},
        {"messages": [{"content": "q"}]},
        {"messages": [1]},
        {"messages": None},
        {"rewards": {"total": 1}},
        {"rewards": {"total": {"value": "high"}}},
        {"rewards": [1]},
        {"draw": -1},
        {"draw": 0.5},
        {"question_id": 5},
    ],
)
def test_a_malformed_trace_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not a"):
        only(changed(**wrong))
