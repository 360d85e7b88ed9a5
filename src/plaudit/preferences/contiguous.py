"""Turns whose candidates lie together in a file, given out while it is read."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing

from plaudit.preferences.candidate import Candidate
from plaudit.preferences.grouping import ByTurn, add_to_turns, turn_key
from plaudit.preferences.seen import Seen


class TurnsApartError(Exception):
    """A turn that was given out goes on: candidates of turns do not lie together."""


def contiguous_turns(batches: Iterable[Sequence[Candidate]]) -> Iterator[list[Candidate]]:
    """Yield the candidates of each turn, in the order in which turns began.

    Within a batch they may lie in any order.

    Args:
        batches: candidates in the order read.

    Raises:
        TurnsApartError: a candidate's turn was given out already.
        InputError: a turn has more candidates than can be.
        StoreError: there is no room to remember which turns were given out.
    """
    with closing(Seen()) as given:
        turns: ByTurn = {}
        for candidates in batches:
            if candidates:
                add_to_turns(candidates, turns)
                begun = list(turns)
                last = turn_key(candidates[-1])
                ended = begun[: begun.index(last)]  # No later one, so that the order is kept.
                check_new(list(map(hash, ended)), given)
                for ids in ended:
                    yield turns.pop(ids)
        check_new(list(map(hash, turns)), given)
        yield from turns.values()


def check_new(hashes: Collection[int], given: Seen) -> None:
    """Remember turns that are given out by their hashes.

    Two turns of one hash, one chance in a million among five million turns, look like one.

    Raises:
        TurnsApartError: one was given out before.
    """
    if not given.are_new(hashes):
        raise TurnsApartError
