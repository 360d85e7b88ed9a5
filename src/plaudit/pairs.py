"""Pairs of rows that are at hand, without a file."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from plaudit.errors import InputError
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.formats.detect import detect
from plaudit.preferences.formats.runs import of_run, run_in
from plaudit.preferences.grouping import CandidateGroups
from plaudit.preferences.options import PairOptions
from plaudit.preferences.pairing import pair_turn, preferences
from plaudit.preferences.preference import Preference
from plaudit.preferences.tally import Tally

_ROWS = 1_000


def make_pairs(
    rows: Iterable[Mapping[str, Any]],
    options: PairOptions | None = None,
    *,
    read: ReadOptions | None = None,
    tally: Tally | None = None,
) -> Iterator[Preference]:
    """Make pairs of candidates, verdicts, traces or steps, as `plaudit pairs` does of a file.

    Memory does not grow with the rows; the first pair comes when all have been read.

    Args:
        rows: plain dicts of one format.
        options: which pairs. `max_pairs`, and repeats and contradictions in other turns, are left
            to files.
        read: how rows are read that leave a choice.
        tally: what became of all candidates and pairs is added to it.

    Yields:
        The pairs, by turn as read, then margin, then indices.

    Raises:
        InputError: a row holds no candidate; the message has its number, from 1.
    """
    options, tally = options or PairOptions(), tally or Tally()
    encoded = (msgspec.json.encode(row) for row in rows)
    first = next(encoded, None)
    if first is None:
        return
    read = read or ReadOptions()
    format_, column = detect(first, read), read.run_column
    turns = CandidateGroups()
    for number, line in enumerate(itertools.chain((first,), encoded)):
        try:
            run = None if column is None else run_in(line, column)
            turns.add(of_run(format_.read(line, number), run), len(line))
        except InputError as error:
            raise InputError(f"row {number + 1}: {error}") from None
    turns.add(format_.end(), 0)
    for candidates in turns:
        turn = pair_turn(format_.group(candidates), options, tally)
        if turn is not None:
            yield from preferences(turn, options)
