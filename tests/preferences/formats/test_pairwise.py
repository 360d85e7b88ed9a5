"""Candidates from pairwise verdicts, as preferences and as strengths."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from plaudit.errors import InputError
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.formats.pairwise import Comparisons
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.rows import preferences
from plaudit.preferences.types import Candidate, PairOptions, Tally
from tests.support.judged import JudgeSession, compared

DIRECT = ReadOptions()
STRENGTHS = ReadOptions(scores="bradley-terry")


def turns(lines: Sequence[bytes], options: ReadOptions = DIRECT) -> list[list[Candidate]]:
    found = detect(lines[0], options)
    assert isinstance(found, Comparisons)
    gathered: dict[Any, list[Candidate]] = {}
    for number, line in enumerate(lines):
        for one in found.read(line, number):
            gathered.setdefault((one.example_id, one.turn_id), []).append(one)
    return [found.competing(turn) for turn in gathered.values()]


def pair(id: str, a: str, b: str, prompt: Any = "p", **columns: Any) -> dict[str, Any]:
    return {"id": id, "prompt": prompt, "response_a": a, "response_b": b} | columns


def said(candidate: Candidate) -> Any:
    return msgspec.json.decode(candidate.response)


def verdict(number: int, a: str, b: str, p_a: float | None, **fields: Any) -> bytes:
    row = {
        "id": f"v{number}",
        "status": "invalid" if p_a is None else "ok",
        "judge": "pairwise/0",
        "reward": None if p_a is None else 2 * p_a - 1,
        "fields": {} if p_a is None else {"p_a": p_a},
        "input": {"prompt": "p", "response_a": a, "response_b": b},
    }
    return json.dumps(row | fields).encode()


def test_each_verdict_is_a_turn_of_two(judge: JudgeSession) -> None:
    rows = [pair("a", "x", "y"), pair("b", "x", "z", source="s")]
    found = turns(judge("pairwise", rows, {"a": compared("A+"), "b": compared("B+")}, "--no-swap"))
    assert [[(said(c), c.index, c.score) for c in turn] for turn in found] == [
        [("x", 0, 0.75), ("y", 1, 0.25)],
        [("x", 0, 0.25), ("z", 1, 0.75)],
    ]
    assert found[0][0].example_id == found[1][0].example_id
    assert found[1][0].metadata is not None
    assert msgspec.json.decode(found[1][0].metadata) == {"source": "s"}


def test_a_verdict_that_is_not_ok_and_a_draw_are_no_preference(judge: JudgeSession) -> None:
    rows = [pair("a", "x", "y"), pair("b", "x", "z"), pair("c", "y", "z")]
    replies = {"a": compared("A=B"), "b": "junk", "c": {"error": "timeout"}}
    tally = Tally()
    made = [
        pair_turn(turn, PairOptions(), tally)
        for turn in turns(judge("pairwise", rows, replies, "--no-swap"))
    ]
    assert all(turn is None or not turn.picks for turn in made)
    assert (tally.dropped, tally.dropped_pairs) == ({"no_score": 4}, {"tie": 1})
    assert tally.adds_up


def test_orders_that_contradict_each_other_are_no_preference(judge: JudgeSession) -> None:
    ((a, b),) = turns(judge("pairwise", [pair("a", "x", "y")], {"a": compared("A+")}))
    assert (a.score, b.score) == (None, None)


@pytest.mark.parametrize("options", [DIRECT, STRENGTHS])
def test_different_prompts_stay_two_so_that_they_are_no_preference(
    judge: JudgeSession, options: ReadOptions
) -> None:
    def talk(asked: str, answer: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]

    rows = [{"id": "a", "conversation_A": talk("p", "x"), "conversation_B": talk("q", "y")}]
    (turn,) = turns(judge("pairwise", rows, {"a": compared("A+")}, "--no-swap"), options)
    assert [msgspec.json.decode(one.prompt)[0]["content"] for one in turn] == ["p", "q"]
    assert [msgspec.json.decode(one.response)["content"] for one in turn] == ["x", "y"]
    tally = Tally()
    assert pair_turn(turn, PairOptions(), tally) is None
    assert tally.dropped["prompt_mismatch"] == 1


def test_tables_give_what_json_lines_give(judge: JudgeSession) -> None:
    rows, replies = [pair("a", "x", "y", example_id="e")], {"a": compared("A+")}
    lines = judge("pairwise", rows, replies, "--no-swap")
    assert turns(judge("pairwise", rows, replies, "--no-swap", out="v.parquet")) == turns(lines)


def test_strengths_order_all_responses_to_a_prompt(judge: JudgeSession) -> None:
    rows = [pair("a", "x", "y"), pair("b", "y", "z"), pair("c", "w", "v", prompt="q")]
    replies = {"a": compared("A+"), "b": compared("A++"), "c": compared("B++")}
    found = turns(judge("pairwise", rows, replies, "--no-swap"), STRENGTHS)
    strengths = [{said(one): one.score for one in turn} for turn in found]
    assert strengths[0]["x"] > strengths[0]["y"] > strengths[0]["z"]
    assert strengths[1]["v"] > strengths[1]["w"]
    made = pair_turn(found[0], PairOptions(), Tally())
    assert made is not None
    first, *others = preferences(made, PairOptions())
    assert (msgspec.json.decode(first.chosen), msgspec.json.decode(first.rejected)) == ("x", "z")
    assert len(others) == 2


def test_a_response_that_nothing_was_said_of_has_no_strength() -> None:
    lines = [verdict(0, "x", "y", 0.9), verdict(1, "x", "z", None)]
    (turn,) = turns(lines, STRENGTHS)
    assert [(said(one), one.score is None) for one in turn] == [
        ("x", False), ("y", False), ("z", True)
    ]  # fmt: skip


def test_a_response_against_itself_says_nothing() -> None:
    (turn,) = turns([verdict(0, "x", " x ", 0.9)], STRENGTHS)
    assert [one.score for one in turn] == [None]


def test_a_responses_confidence_is_the_mean_of_its_verdicts() -> None:
    lines = [verdict(0, "x", "y", 0.9, confidence=0.5), verdict(1, "z", "x", 0.9, confidence=1.0)]
    (turn,) = turns(lines, STRENGTHS)
    assert [one.confidence for one in turn] == [0.75, 0.5, 1.0]


def test_strengths_do_not_depend_on_which_response_was_called_a() -> None:
    lines = [verdict(0, "x", "y", 0.9), verdict(1, "y", "z", 0.6), verdict(2, "x", "z", 0.7)]
    other = [verdict(0, "y", "x", 0.1), verdict(1, "z", "y", 0.4), verdict(2, "z", "x", 0.3)]
    (ones,), (others,) = turns(lines, STRENGTHS), turns(other, STRENGTHS)
    scores = {said(one): one.score for one in others}
    assert {said(one): one.score for one in ones} == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fields": {}}, "p_a is None"),
        ({"fields": {"p_a": 1.5}}, "p_a is 1.5"),
        ({"fields": {"p_a": "high"}}, "not a verdict"),
        ({"input": {"prompt": "p", "response_a": "x"}}, "does not hold two responses"),
        ({"input": None}, "--no-input"),
        ({"judge": "pointwise/0"}, "among those of the pairwise judge"),
    ],
)
def test_a_malformed_verdict_is_an_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Comparisons("direct").read(verdict(0, "x", "y", 0.9, **wrong), 0)


def test_defect_33_strengths_of_a_tie_make_no_pair() -> None:
    shares = [0.7, 0.1, 0.35]
    lines = [
        line
        for n, share in enumerate(shares)
        for line in (
            verdict(2 * n, "a", f"z{n}", share),
            verdict(2 * n + 1, f"z{n}", "b", 1 - share),
        )
    ]
    (turn,) = turns(lines, STRENGTHS)
    tally = Tally()
    made = pair_turn(turn, PairOptions(), tally)
    assert made is not None
    both = {said(one): one.score for one in turn}
    assert both["a"] == both["b"]
    assert tally.dropped_pairs == {"tie": 1}
    (even,) = turns([verdict(0, "a", "b", (0.1 + 0.7 - 0.3))])
    tally = Tally()
    assert pair_turn(even, PairOptions(), tally) is not None
    assert tally.dropped_pairs == {"tie": 1}
