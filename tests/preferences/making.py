"""Candidates for tests."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.rows import preferences
from plaudit.preferences.types import Candidate, PairOptions, Preference, Tally


def candidate(score: float | None = 0.0, response: Any = None, **fields: Any) -> Candidate:
    """A candidate whose response is its score's text unless it is given."""
    prompt = fields.pop("prompt", "Why?")
    metadata = fields.pop("metadata", None)
    given = {"example_id": "e", "turn_id": "t", "index": None} | fields
    return Candidate(
        prompt=Raw(json.dumps(prompt)),
        response=Raw(json.dumps(f"answer {score}" if response is None else response)),
        score=score,
        metadata=None if metadata is None else Raw(json.dumps(metadata)),
        **given,
    )


def pairs_of(
    candidates: Sequence[Candidate], tally: Tally | None = None, **options: Any
) -> list[Preference]:
    """The pairs of one turn; the counts must add up."""
    tally = tally or Tally()
    chosen = PairOptions(**options)
    turn = pair_turn(candidates, chosen, tally)
    assert tally.adds_up, tally
    return [] if turn is None else list(preferences(turn, chosen))
