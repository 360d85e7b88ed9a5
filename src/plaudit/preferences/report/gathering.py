"""Pairs put together again to the turn that they are of."""

from msgspec import UNSET, Raw

from plaudit.preferences.candidate import Candidate
from plaudit.preferences.competing import Pick
from plaudit.preferences.pairing import CandidateGroup
from plaudit.preferences.preference import Preference

_Key = tuple[int, bytes, bytes | None]
"""A candidate's index, response and metadata."""


class GatheredTurn:
    """A turn's pairs that come one by one, so that what they share is looked at once."""

    def __init__(self, first: Preference | None = None) -> None:
        """Begin with the turn of a pair, which is not added yet; None: there is no turn."""
        self._first = first
        self._places: dict[_Key, int] = {}
        self._candidates: list[Candidate] = []
        self._picks: list[Pick] = []

    def takes(self, pair: Preference) -> bool:
        """Return whether a pair is of this turn."""
        first = self._first
        return (
            first is not None
            and pair.turn_id == first.turn_id
            and pair.example_id == first.example_id
            and pair.run == first.run
            and type(pair.turn_id) is type(first.turn_id)
            and type(pair.example_id) is type(first.example_id)
            and pair.prompt == first.prompt
        )

    def add(self, pair: Preference) -> None:
        """Add a pair that it takes."""
        metadata = pair.metadata
        chosen = self._place(
            pair, pair.chosen_index, pair.chosen, pair.chosen_score, metadata.get("chosen")
        )
        rejected = self._place(
            pair, pair.rejected_index, pair.rejected, pair.rejected_score, metadata.get("rejected")
        )
        self._picks.append((-pair.margin, pair.chosen_index, pair.rejected_index, chosen, rejected))

    def turn(self) -> CandidateGroup:
        """Return the turn."""
        return CandidateGroup(self._candidates, [key[0] for key in self._places], self._picks)

    def _place(
        self, pair: Preference, index: int, response: Raw, score: float, metadata: Raw | None
    ) -> int:
        key = index, bytes(response), None if metadata is None else bytes(metadata)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._candidates)
            self._candidates.append(
                Candidate(
                    example_id=pair.example_id,
                    turn_id=pair.turn_id,
                    run=None if pair.run is UNSET else pair.run,
                    index=index,
                    prompt=pair.prompt,
                    response=response,
                    score=score,
                    metadata=metadata,
                )
            )
        return place
