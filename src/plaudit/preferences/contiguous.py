"""Turns whose candidates lie together in a file, given out while it is read."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.pairing import MOST_CANDIDATES, too_many

Turns = dict[tuple[Id, Id], list[Candidate]]


class TurnsApartError(Exception):
    """A turn that was given out goes on: candidates of turns do not lie together."""


def contiguous_turns(batches: Iterable[Sequence[Candidate]]) -> Iterator[list[Candidate]]:
    """Yield the candidates of each turn, in the order in which turns began.

    Within a batch they may lie in any order.

    Args:
        batches: candidates in the order read.

    Raises:
        TurnsApartError: a candidate's turn was given out already, or it cannot be known.
        InputError: a turn has more candidates than can be.
    """
    with closing(GivenTurns()) as given:
        turns: Turns = {}
        for candidates in batches:
            if candidates:
                add_to_turns(candidates, turns)
                begun = list(turns)
                last = candidates[-1].example_id, candidates[-1].turn_id
                ended = begun[: begun.index(last)]  # No later one, so that the order is kept.
                given.add(map(hash, ended))
                for ids in ended:
                    yield turns.pop(ids)
        given.add(map(hash, turns))
        yield from turns.values()


def add_to_turns(candidates: Sequence[Candidate], turns: Turns) -> None:
    """Add candidates to the turns that they belong to.

    Raises:
        InputError: a turn has more candidates than can be.
    """
    key, turn = None, list[Candidate]()
    for candidate in candidates:
        ids = (candidate.example_id, candidate.turn_id)
        if ids != key:
            key, turn = ids, turns.setdefault(ids, [])
        elif len(turn) > MOST_CANDIDATES:
            raise too_many(candidate)
        turn.append(candidate)


class GivenTurns:
    """Hashes of the turns that were given out, in memory that does not grow with their number.

    In a table of SQLite's own temporary files, which lie on disk beyond some megabytes and have no
    name. Two turns of one hash, one chance in a million for five million turns, look apart.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._hashes = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._hashes.execute("PRAGMA journal_mode = OFF")
        self._hashes.execute("CREATE TABLE turn (hash INTEGER PRIMARY KEY)")
        self._hashes.execute("BEGIN")

    def add(self, hashes: Iterable[int]) -> None:
        """Add the hashes of turns that are given out.

        Raises:
            TurnsApartError: one was given out already, or it cannot be known.
        """
        try:
            self._hashes.executemany("INSERT INTO turn VALUES (?)", ((each,) for each in hashes))
        except sqlite3.Error as error:
            raise TurnsApartError from error

    def close(self) -> None:
        """Forget them."""
        self._hashes.close()
