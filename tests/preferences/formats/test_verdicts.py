"""Candidates from verdicts on one response."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from plaudit.errors import InputError
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.formats.verdicts import VerdictFormat
from plaudit.preferences.types import Candidate
from tests.support.judged import JudgeSession, scored

CHAT = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]


def read(lines: Sequence[bytes]) -> list[Candidate]:
    found = detect(lines[0], ReadOptions())
    return [one for n, line in enumerate(lines) for one in found.read(line, n)]


def row(id: str, response: str, prompt: Any = "p", **columns: Any) -> dict[str, Any]:
    return {"id": id, "prompt": prompt, "response": response} | columns


def decoded(raw: Any) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


def test_verdicts_on_several_responses_to_a_prompt_are_a_turn(judge: JudgeSession) -> None:
    rows = [row("a", "good"), row("b", "bad"), row("c", "good", prompt="q")]
    found = read(judge("pointwise", rows, {"a": scored(10), "b": scored(1), "c": scored(4)}))
    assert [one.score for one in found] == pytest.approx([1.0, 0.0, 1 / 3])
    assert found[0].turn_id == found[1].turn_id != found[2].turn_id
    assert found[0].example_id == found[0].turn_id
    assert [one.index for one in found] == [None] * 3
    assert [decoded(one.response) for one in found] == ["good", "bad", "good"]
    assert [decoded(one.prompt) for one in found] == ["p", "p", "q"]


def test_ids_that_the_judged_rows_had_are_the_candidates(judge: JudgeSession) -> None:
    ids = {"example_id": 7, "turn_id": "1", "candidate_index": 3, "source": "s"}
    (one,) = read(judge("pointwise", [row("a", "r", **ids)], {"a": scored(8)}))
    assert (one.example_id, one.turn_id, one.index) == (7, "1", 3)
    assert decoded(one.metadata) == ids


def test_what_is_not_ok_has_no_score_and_is_not_lost(judge: JudgeSession) -> None:
    rows = [row(id, id) for id in "abcd"]
    replies = {
        "a": scored(8),
        "b": "I cannot say.",
        "c": {"error": "timeout"},
        "d": scored(11),
    }
    scores = [one.score for one in read(judge("pointwise", rows, replies))]
    assert scores == [pytest.approx(7 / 9), None, None, None]


def test_D3_conversations_keep_all_that_their_messages_hold(judge: JudgeSession) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "6 * 7?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "42", "tool_call_id": "c"},
    ]
    rows = [{"id": "a", "messages": [*messages, {"role": "assistant", "content": "it's 42"}]}]
    (one,) = read(judge("pointwise", rows, {"a": scored(5)}))
    assert decoded(one.prompt) == messages
    assert decoded(one.response) == "it's 42"


@pytest.mark.parametrize("out", ["verdicts.parquet", "verdicts/"])
def test_tables_give_what_json_lines_give(judge: JudgeSession, out: str) -> None:
    rows = [
        row("a", "r", prompt=CHAT, turn_id=1),
        row("b", '{"not": "unpacked"}', example_id="e"),
        row("c", "junk"),
    ]
    replies = {"a": scored(8), "b": scored(2), "c": "none"}
    assert read(judge("pointwise", rows, replies, out=out)) == read(
        judge("pointwise", rows, replies)
    )


def test_verdicts_without_their_input_are_refused_with_what_to_do(judge: JudgeSession) -> None:
    (line,) = judge("pointwise", [row("a", "r")], {"a": scored(8)}, "--no-input")
    with pytest.raises(InputError, match="--no-input"):
        detect(line, ReadOptions())
    with pytest.raises(InputError, match="--no-input"):
        VerdictFormat("pointwise").read(line, 0)


def test_answers_that_were_checked_are_right_or_wrong(judge: JudgeSession) -> None:
    asked = {"question": "2+2?", "reference": "4", "example_id": "e"}
    rows = [{"id": "a", "answer": "4", **asked}, {"id": "b", "answer": "5", **asked}]
    reply = json.dumps({"reasoning": "r", "verdict": "incorrect", "confidence": 0.9})
    found = read(judge("verify", rows, {"b": reply}))
    assert [one.score for one in found] == [1.0, 0.0]
    assert [decoded(one.prompt) for one in found] == ["2+2?"] * 2
    assert [decoded(one.response) for one in found] == ["4", "5"]
    assert found[0].turn_id == found[1].turn_id


VERDICT = {
    "id": "a",
    "status": "ok",
    "judge": "pointwise/0",
    "reward": 0.5,
    "input": {"conversation": [{"role": "user", "content": "q"}, {"role": "assistant"}]},
}


def changed(**fields: Any) -> bytes:
    return json.dumps(VERDICT | fields).encode()


def test_inputs_may_be_conversations() -> None:
    (one,) = VerdictFormat("pointwise").read(changed(), 0)
    assert decoded(one.prompt) == [{"role": "user", "content": "q"}]
    assert decoded(one.response) == {"role": "assistant"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reward": "0.5"}, "not a verdict"),
        ({"judge": "pairwise/0"}, "a verdict by 'pairwise/0' among those of the pointwise judge"),
        ({"input": None}, "--no-input"),
        ({"input": {}}, "no prompt with a response"),
        ({"input": []}, "not a verdict"),
        ({"input": "{"}, "not a JSON text"),
        ({"input": {"messages": [{"role": "user", "content": "q"}] * 2}}, "end with the assistant"),
        ({"input": {"messages": [{"role": "assistant"}]}}, "end with the assistant"),
        ({"input": {"messages": [1, 2]}}, "not a message"),
        ({"metadata": {"turn_id": 1.5}}, "turn_id"),
        ({"metadata": {"candidate_index": -1}}, "candidate_index -1"),
        ({"metadata": [1]}, "metadata must be an object"),
    ],
)
def test_a_malformed_verdict_is_an_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VerdictFormat("pointwise").read(changed(**wrong), 0)


@pytest.mark.parametrize("line", [b"[]", b"{}", b"{", b"[" * 100_000])
def test_what_is_no_verdict_is_an_error(line: bytes) -> None:
    with pytest.raises(InputError, match="not a verdict"):
        VerdictFormat("pointwise").read(line, 0)


def test_a_reward_without_an_ok_is_no_score() -> None:
    (one,) = VerdictFormat("pointwise").read(changed(status="abstained"), 0)
    assert one.score is None
