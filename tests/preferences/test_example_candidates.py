"""`examples/candidates.jsonl`, from which the examples learn that shorter is better."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.rows import preferences
from plaudit.preferences.types import Candidate, PairOptions, Tally

FILE = Path(__file__).parents[2] / "examples" / "candidates.jsonl"
COLUMNS = ["example_id", "turn_id", "candidate_index", "prompt", "response", "score"]


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def turns() -> list[list[dict[str, Any]]]:
    by = groupby(rows(), key=lambda row: (row["example_id"], row["turn_id"]))
    return [list(turn) for _, turn in by]


def candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(
        example_id=row["example_id"],
        turn_id=row["turn_id"],
        index=row["candidate_index"],
        prompt=msgspec.Raw(msgspec.json.encode(row["prompt"])),
        response=msgspec.Raw(msgspec.json.encode(row["response"])),
        score=row["score"],
    )


def test_each_row_is_a_candidate_and_its_score_is_its_brevity() -> None:
    for row in rows():
        assert list(row) == COLUMNS
        assert row["prompt"][-1]["role"] == "user"
        assert row["score"] == round(1 - len(row["response"].split()) / 100, 2)


def test_no_turn_and_no_response_is_there_twice() -> None:
    found = turns()
    assert len(found) == len({(turn[0]["example_id"], turn[0]["turn_id"]) for turn in found}) == 48
    assert len({row["response"] for row in rows()}) == len(rows()) == 3 * len(found)
    assert len({json.dumps(turn[0]["prompt"]) for turn in found}) == len(found)


def test_where_a_candidate_stands_does_not_tell_how_good_it_is() -> None:
    best = [max(turn, key=lambda row: row["score"])["candidate_index"] for turn in turns()]
    assert all(best.count(place) >= len(best) // 5 for place in range(3))


def test_each_turn_makes_three_pairs_whose_chosen_response_is_shorter() -> None:
    for turn in turns():
        tally = Tally()
        made = pair_turn([candidate(row) for row in turn], PairOptions(), tally)
        assert made is not None
        assert tally.pairs == 3
        for pair in preferences(made, PairOptions()):
            assert words(pair.chosen) < words(pair.rejected)


def words(response: msgspec.Raw) -> int:
    return len(msgspec.json.decode(response, type=str).split())
