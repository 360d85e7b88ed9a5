"""Candidates from candidate rows."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.preferences.formats import ReadOptions, detect
from plaudit.preferences.formats.base import renamed
from plaudit.preferences.formats.rows import (
    CANDIDATE_ROWS,
    CandidateRows,
    PairRows,
    ResponseLists,
    candidate,
)
from plaudit.preferences.rows import pair_lines, preferences
from plaudit.preferences.types import Candidate, PairOptions, Tally

ROW = {
    "example_id": "e",
    "turn_id": "t",
    "candidate_index": 2,
    "prompt": "p",
    "response": "r",
    "score": 0.5,
    "confidence": 0.9,
    "metadata": {"a": 1},
}


def read(line: bytes) -> Candidate:
    (one,) = CandidateRows().read(line, 0)
    return one


def row(**fields: Any) -> bytes:
    return json.dumps(ROW | fields).encode()


def without(*names: str) -> bytes:
    return json.dumps({k: v for k, v in ROW.items() if k not in names}).encode()


def test_a_row_is_read_as_it_is() -> None:
    one = read(row())
    assert (one.example_id, one.turn_id, one.index) == ("e", "t", 2)
    assert (one.score, one.confidence) == (0.5, 0.9)
    assert (bytes(one.prompt), bytes(one.response)) == (b'"p"', b'"r"')
    assert one.metadata is not None
    assert json.loads(bytes(one.metadata)) == {"a": 1}


def test_many_rows_are_decoded_at_once_to_the_same() -> None:
    lines = [row(), row(turn_id=None), without("score", "metadata")]
    at_once = [candidate(one) for one in CANDIDATE_ROWS.decode_lines(b"\n".join(lines))]
    assert at_once == [read(line) for line in lines]


@pytest.mark.parametrize("missing", [without("example_id", "turn_id"), row(turn_id=None)])
def test_rows_without_ids_are_grouped_by_what_their_prompt_says(missing: bytes) -> None:
    spaced = missing.replace(b'"p"', b'" p "')
    other = missing.replace(b'"p"', b'"q"')
    assert read(missing).turn_id == read(spaced).turn_id
    assert read(missing).turn_id != read(other).turn_id
    assert isinstance(read(missing).turn_id, str)


def test_the_number_1_and_the_text_1_are_two_ids() -> None:
    assert read(row(turn_id=1)).turn_id == 1
    assert read(row(turn_id="1")).turn_id == "1"
    assert read(row(example_id=10**30)).example_id == 10**30


@pytest.mark.parametrize("score", ["null", "true", "false", "1e999", "-1e999", "1" + "0" * 400])
def test_a_score_that_is_no_finite_number_is_none(score: str) -> None:
    line = row(metadata={"score": 0.25}).replace(b'"score": 0.5', f'"score": {score}'.encode())
    one = read(line)
    assert one.score is None
    assert one.metadata is not None
    assert bytes(one.metadata) == b'{"score": 0.25}'


def test_an_infinity_in_a_row_changes_nothing_else_of_it() -> None:
    line = (
        b'{"prompt": [{"role": "user",  "content": 1.0e2}], "score": 1e999, "turn_id": 7,'
        b' "response": "\\u00e9", "candidate_index": 3}'
    )
    one = read(line)
    assert bytes(one.prompt) == b'[{"role": "user",  "content": 1.0e2}]'
    assert (bytes(one.response), one.turn_id, one.index) == (b'"\\u00e9"', 7, 3)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_score_is_read_exactly(score: float) -> None:
    assert read(row(score=score)).score == score


@given(st.integers(min_value=-(2**1000), max_value=2**1000))
def test_every_whole_score_is_read(score: int) -> None:
    assert read(row(score=score)).score == pytest.approx(float(score))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"score": "0.9"}, "the score is a text, '0.9'"),
        ({"score": [1]}, r"\$.score"),
        ({"score": {}}, r"\$.score"),
        ({"candidate_index": -1}, "candidate_index -1 is negative"),
        ({"candidate_index": True}, "candidate_index"),
        ({"candidate_index": 1.5}, "candidate_index"),
        ({"candidate_index": "1"}, "candidate_index"),
        ({"example_id": 1.5}, "example_id"),
        ({"example_id": ["a"]}, "example_id"),
        ({"turn_id": {"a": 1}}, "turn_id"),
        ({"turn_id": True}, "turn_id"),
        ({"confidence": 1.5}, "confidence 1.5"),
        ({"confidence": "sure"}, "confidence"),
        ({"response": 3}, "response must be a text or messages, not a number"),
        ({"response": True}, "response must be a text or messages, not true"),
        ({"prompt": None}, "prompt must be a text or messages, not null"),
        ({"prompt": {"role": "user"}}, "prompt must be a text or messages, not an object"),
        ({"metadata": [1]}, "metadata must be an object"),
        ({"metadata": "no JSON"}, "not a JSON text"),
    ],
)
def test_a_malformed_row_is_an_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(row(**wrong))


@pytest.mark.parametrize("name", ["prompt", "response"])
def test_a_row_without_prompt_or_response_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match=name):
        read(without(name))


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b'{"prompt": "\\ud800"}', b"[" * 100_000])
def test_what_is_no_row_is_an_error(line: bytes) -> None:
    with pytest.raises(InputError, match="not a candidate"):
        read(line)


def test_an_empty_or_missing_response_is_a_candidate_that_is_counted_later() -> None:
    assert bytes(read(row(response=None)).response) == b"null"
    assert bytes(read(row(response="")).response) == b'""'


@pytest.mark.parametrize("nothing", [{}, None, "{}"])
def test_metadata_that_says_nothing_is_none(nothing: Any) -> None:
    assert read(row(metadata=nothing)).metadata is None


def test_metadata_that_a_table_holds_as_text_is_read() -> None:
    metadata = read(row(metadata='{"a": 1.0}')).metadata
    assert metadata is not None
    assert bytes(metadata) == b'{"a": 1.0}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
def test_whatever_a_field_holds_a_row_is_read_or_refused(value: Any) -> None:
    for name in ROW:
        try:
            line = msgspec.json.encode(ROW | {name: value})
        except (OverflowError, UnicodeEncodeError):
            continue
        try:
            one = read(line)
        except InputError:
            continue
        assert one.score is None or math.isfinite(one.score)
        assert isinstance(one.turn_id, (str, int))
        assert one.index is None or one.index >= 0


# Lists of responses


def lists(row: dict[str, Any], **columns: str) -> list[Candidate]:
    line = renamed(msgspec.json.encode(row), columns)
    found = detect(line, ReadOptions(columns=columns))
    assert found.name == "lists"
    return list(found.read(line, 0))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "generations": ["a", "b", "c"], "ratings": [5, None, 2.5]},
        {"instruction": "p", "responses": ["a", "b", "c"], "scores": [5.0, None, 2.5]},
        {
            "instruction": "p",
            "completions": [
                {"response": "a", "overall_score": 5, "model": "m"},
                {"response": "b", "fine-grained_score": None},
                {"text": "c", "rating": 2.5},
            ],
        },
    ],
)
def test_lists_of_responses_are_candidates_of_one_turn(row: dict[str, Any]) -> None:
    found = lists(row)
    assert [bytes(one.response) for one in found] == [b'"a"', b'"b"', b'"c"']
    assert [one.score for one in found] == [5.0, None, 2.5]
    assert [one.index for one in found] == [0, 1, 2]
    assert len({(one.example_id, one.turn_id) for one in found}) == 1


def test_columns_of_lists_have_other_names_by_option() -> None:
    row = {"q": "p", "answers": [{"answer": "a", "good": 1, "score": 9}], "id": 7}
    columns = {"prompt": "q", "responses": "answers", "response": "answer", "score": "good"}
    (found,) = lists(row, example_id="id", **columns)
    assert (found.example_id, bytes(found.response), found.score) == (7, b'"a"', 1.0)


def test_a_score_beyond_the_range_of_numbers_is_none() -> None:
    line = b'{"prompt":"p","completions":[{"response":"a","score":1e999},{"response":"b"}]}'
    assert [one.score for one in ResponseLists().read(line, 0)] == [None, None]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "p", "generations": ["a", "b"], "ratings": [1]}, "2 responses and 1 scores"),
        ({"prompt": "p", "generations": [3], "ratings": [1]}, "response must be a text"),
        ({"prompt": "p", "generations": ["a"], "ratings": ["N/A"]}, "the score is a text"),
        ({"prompt": "p", "generations": [{"answer": "a"}]}, "its fields are answer"),
        ({"prompt": "p", "generations": "many"}, "not a JSON text"),
        ({"prompt": "p", "generations": {"a": 1}}, "not a row of responses"),
    ],
)
def test_lists_that_cannot_be_read_are_named(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        lists(row)


# Pairs


def pair_of(row: dict[str, Any]) -> list[Candidate]:
    line = msgspec.json.encode(row)
    found = detect(line, ReadOptions())
    assert found.name == "pairs"
    return list(found.read(line, 3))


def test_a_pair_without_scores_is_unscored() -> None:
    chosen, rejected = pair_of({"prompt": "p", "chosen": "a", "rejected": "b"})
    assert chosen.score is rejected.score is None
    assert (chosen.turn_id, bytes(rejected.response)) == (3, b'"b"')
    tally = Tally()
    turn = PairRows().pair([chosen, rejected], PairOptions(), tally)
    assert turn is not None
    (made,) = preferences(turn, PairOptions())
    assert (made.margin, made.reward, made.chosen_score) == (None, None, None)
    assert msgspec.json.encode(made) + b"\n" == b"".join(pair_lines(turn, PairOptions()))
    assert tally.adds_up


def test_the_prompt_of_a_conversation_is_cut_off_from_both_responses() -> None:
    def chat(answer: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]

    row = {"prompt": "?", "chosen": chat("a"), "rejected": chat("b")}
    for one in (row, {name: row[name] for name in ("chosen", "rejected")}):
        chosen, rejected = pair_of(one)
        assert msgspec.json.decode(chosen.prompt) == chat("")[:1]
        assert msgspec.json.decode(rejected.response) == chat("b")[1:]


@pytest.mark.parametrize(
    ("scores", "dropped"),
    [
        ({"score_chosen": 3, "score_rejected": 1}, {}),
        ({"score_chosen": 3}, {"below_margin": 1}),
        ({"chosen_score": 1.5, "rejected_score": 1}, {"below_margin": 1}),
        ({"chosen_score": 1, "rejected_score": 1}, {"tie": 1}),
        ({"chosen_score": 1, "rejected_score": 2}, {"below_margin": 1}),
    ],
)
def test_a_least_margin_needs_scores(scores: dict[str, float], dropped: dict[str, int]) -> None:
    tally = Tally()
    candidates = pair_of({"prompt": "p", "chosen": "a", "rejected": "b"} | scores)
    PairRows().pair(candidates, PairOptions(min_margin=1), tally)
    assert tally.dropped_pairs == dropped
    assert tally.adds_up


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "p", "chosen": " ", "rejected": "b"}, "a response is empty"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "prompt must be a text"),
        ({"chosen": [{"role": "assistant", "content": "a"}], "rejected": "b"}, "needs a prompt"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "chosen_score": "x"}, "not a pair"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "metadata": [1]}, "metadata"),
    ],
)
def test_pairs_that_cannot_be_read_are_named(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        pair_of(row)
