"""Turns whose candidates lie together in a file, given out while it is read."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.pairing import MOST_CANDIDATES, too_many

_Turns = dict[tuple[Id, Id], list[Candidate]]


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
    with closing(_Given()) as given:
        turns: _Turns = {}
        for candidates in batches:
            if candidates:
                last = _add(candidates, turns)
                begun = list(turns)
                ended = begun[: begun.index(last)]  # No later one, so that the order is kept.
                given.add(ended)
                for ids in ended:
                    yield turns.pop(ids)
        given.add(turns)
        yield from turns.values()


def _add(candidates: Sequence[Candidate], turns: _Turns) -> tuple[Id, Id]:
    """Add candidates to their turns; return the turn of the last one."""
    key, turn = None, list[Candidate]()
    for candidate in candidates:
        ids = (candidate.example_id, candidate.turn_id)
        if ids != key:
            key, turn = ids, turns.setdefault(ids, [])
        elif len(turn) > MOST_CANDIDATES:
            raise too_many(candidate)
        turn.append(candidate)
    assert key is not None
    return key


class _Given:
    """Hashes of the turns that were given out, in memory that does not grow with their number.

    In a table of SQLite's own temporary files, which lie on disk beyond some megabytes and have no
    name. Two turns of one hash, one chance in a million for five million turns, look apart.
    """

    def __init__(self) -> None:
        self._hashes = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._hashes.execute("PRAGMA journal_mode = OFF")
        self._hashes.execute("CREATE TABLE turn (hash INTEGER PRIMARY KEY)")
        self._hashes.execute("BEGIN")

    def add(self, turns: Iterable[tuple[Id, Id]]) -> None:
        hashes = [(hash(ids),) for ids in turns]
        try:
            self._hashes.executemany("INSERT INTO turn VALUES (?)", hashes)
        except sqlite3.Error as error:
            raise TurnsApartError from error

    def close(self) -> None:
        self._hashes.close()
