"""Pairs of rows in memory, without a file."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from plaudit.errors import InputError
from plaudit.preferences.formats import ReadOptions, detect
from plaudit.preferences.formats.base import of_run, renamed, run_in
from plaudit.preferences.gather import CandidateGroups
from plaudit.preferences.rows import preferences
from plaudit.preferences.types import PairOptions, Preference, Tally


def make_pairs(
    rows: Iterable[Mapping[str, Any]],
    options: PairOptions | None = None,
    *,
    read: ReadOptions | None = None,
    tally: Tally | None = None,
) -> Iterator[Preference]:
    """Make pairs of candidates, pairs, verdicts, traces or steps, as `plaudit pairs` does of files.

    Memory does not grow with the rows; the first pair comes when all have been read.

    Args:
        rows: plain dicts of one format.
        options: which pairs. `max_pairs`, and repeats and contradictions in other turns, are left
            to files.
        read: how rows are read that leave a choice.
        tally: the counts of candidates and pairs are added to it.

    Yields:
        The pairs, by turn as read, then margin, then indices.

    Raises:
        InputError: a row holds no candidate; the message has its number, from 1.
    """
    options, tally, read = options or PairOptions(), tally or Tally(), read or ReadOptions()
    encoded = (renamed(msgspec.json.encode(row), read.columns) for row in rows)
    first = next(encoded, None)
    if first is None:
        return
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
        turn = format_.pair(candidates, options, tally)
        if turn is not None:
            yield from preferences(turn, options)
