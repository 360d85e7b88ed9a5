"""Candidates gathered by turn, in memory that does not grow with their number.

They are kept in memory up to a budget. Beyond it they go to files by a hash of their turn, each of
which fits into memory; its turns are written in the order in which they began, and those files are
merged by it. The files have no name, so that none is left behind, whatever ends the process.
"""

import heapq
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Raw

from plaudit.io.partial import close_scratch, open_scratch, scratch_error
from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.pairing import MOST_CANDIDATES, too_many

BUDGET = 64 * 2**20
"""Bytes of rows that are kept in memory."""

_FILES = 128
_BUFFER = 2**16
_SIZE = struct.Struct("<I")

TurnKey = tuple[Id, Id, Id | None]
"""Example, turn and run."""

ByTurn = dict[TurnKey, list[Candidate]]
"""Candidates by turn, in the order in which turns began."""

_Stored = tuple[
    int, Id, Id, Id | None, int | None, bytes, bytes, float | None, float | None, bytes | None
]
"""The candidate's number among those stored, and its fields."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode
_decode_turn = msgspec.msgpack.Decoder(list[_Stored]).decode


class CandidateGroups:
    """Takes candidates in any order, and gives them back by turn."""

    def __init__(self, folder: Path | None = None, budget: int = BUDGET) -> None:
        """Begin.

        Args:
            folder: where files go that are needed beyond the budget; None: the system's place.
            budget: bytes of rows that are kept in memory.
        """
        self._folder = folder
        self._budget = budget
        self._size = 0
        self._turns: ByTurn = {}
        self._spill: _Spill | None = None

    def add(self, candidates: Sequence[Candidate], size: int) -> None:
        """Add candidates that take about `size` bytes.

        Raises:
            InputError: a turn has more candidates than can be.
            StoreError: there is no room for the files.
        """
        if self._spill is not None:
            self._spill.add(candidates)
            return
        add_to_turns(candidates, self._turns)
        self._size += size
        if self._size > self._budget:
            self._spill = _Spill(self._folder)
            for turn in self._turns.values():
                self._spill.add(turn)
            self._turns.clear()

    def __iter__(self) -> Iterator[list[Candidate]]:
        """Yield the candidates of each turn, in the order in which turns began. To be used once."""
        if self._spill is not None:
            return self._spill.turns()
        return _taken(self._turns)


def turn_key(candidate: Candidate) -> TurnKey:
    """Return what identifies the turn of a candidate."""
    return candidate.example_id, candidate.turn_id, candidate.run


def add_to_turns(candidates: Sequence[Candidate], turns: ByTurn) -> None:
    """Add candidates to the turns that they belong to.

    Raises:
        InputError: a turn has more candidates than can be.
    """
    key, turn = None, list[Candidate]()
    for candidate in candidates:
        ids = (candidate.example_id, candidate.turn_id, candidate.run)  # A call takes its time.
        if ids != key:
            key, turn = ids, turns.setdefault(ids, [])
        elif len(turn) > MOST_CANDIDATES:
            raise too_many(candidate)
        turn.append(candidate)


def _taken(turns: ByTurn) -> Iterator[list[Candidate]]:
    for key in list(turns):
        yield turns.pop(key)


class _Spill:
    """Candidates in files, by a hash of their turn."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files = [self._open() for _ in range(_FILES)]
        self._count = 0

    def add(self, candidates: Sequence[Candidate]) -> None:
        files, count = self._files, self._count
        try:
            for one in candidates:
                file = files[hash(turn_key(one)) % _FILES]
                _write(file, _stored(count, one))
                count += 1
        except OSError as error:
            raise scratch_error(error, self._folder) from error
        self._count = count

    def turns(self) -> Iterator[list[Candidate]]:
        try:
            for place, file in enumerate(self._files):
                self._files[place] = self._in_order(file)
            for _, turn in heapq.merge(*map(_read_turns, self._files)):
                yield [_candidate(one) for one in turn]
        except OSError as error:
            raise scratch_error(error, self._folder) from error
        finally:
            for file in self._files:
                close_scratch(file)

    def _in_order(self, file: BinaryIO) -> BinaryIO:
        """Return a file of turns, in the order in which they began."""
        turns: dict[TurnKey, list[_Stored]] = {}
        with file:
            for data in _read(file):
                one = _decode(data)
                turn = turns.setdefault((one[1], one[2], one[3]), [])
                turn.append(one)
                if len(turn) > MOST_CANDIDATES:
                    raise too_many(_candidate(one))
        ordered = self._open()
        for turn in turns.values():
            _write(ordered, turn)
        return ordered

    def _open(self) -> BinaryIO:
        return open_scratch(self._folder, _BUFFER)


def _write(file: BinaryIO, value: object) -> None:
    data = _encode(value)
    file.write(_SIZE.pack(len(data)))
    file.write(data)


def _read(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0, os.SEEK_SET)
    while head := file.read(_SIZE.size):
        yield file.read(_SIZE.unpack(head)[0])


def _read_turns(file: BinaryIO) -> Iterator[tuple[int, list[_Stored]]]:
    for data in _read(file):
        turn = _decode_turn(data)
        yield turn[0][0], turn


def _stored(number: int, one: Candidate) -> _Stored:
    metadata = None if one.metadata is None else bytes(one.metadata)
    return (
        number,
        one.example_id,
        one.turn_id,
        one.run,
        one.index,
        bytes(one.prompt),
        bytes(one.response),
        one.score,
        one.confidence,
        metadata,
    )


def _candidate(stored: _Stored) -> Candidate:
    _, example_id, turn_id, run, index, prompt, response, score, confidence, metadata = stored
    return Candidate(
        example_id=example_id,
        turn_id=turn_id,
        run=run,
        index=index,
        prompt=Raw(prompt),
        response=Raw(response),
        score=score,
        confidence=confidence,
        metadata=None if metadata is None else Raw(metadata),
    )
