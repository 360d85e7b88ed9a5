"""Candidates of files in any of the formats."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from plaudit.errors import InputError
from plaudit.io.blocks import BlockReader, LineBlock
from plaudit.io.output import RejectWriter
from plaudit.io.rows import Row, refused, rejected
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import CandidateFormat, ReadOptions, of_run, renamed, run_in
from plaudit.preferences.types import Candidate, Id

_NO_OBJECT = "not a JSON object"
MOST_UNREAD = 10_000
"""A source that begins with so many rows that cannot be read is refused."""
_Found = tuple[Sequence[Candidate], int]


class CandidateReader:
    """Reads the candidates of one source or several, and sets aside rows that are none."""

    def __init__(
        self,
        sources: Sequence[str],
        rejects: RejectWriter,
        options: ReadOptions,
        *,
        strict: bool = False,
        most_unread: int = MOST_UNREAD,
    ) -> None:
        """Open the first source.

        Args:
            sources: files, or `-`.
            rejects: takes the rejected rows.
            options: how rows are read that leave a choice.
            strict: raise at the first rejected row.
            most_unread: rejected rows at the beginning of a source that end the reading.

        Raises:
            InputError: the first source cannot be read.
        """
        self._names = sources
        self._blocks = BlockReader(sources[0])
        self._rejects = rejects
        self._options = options
        self._strict = strict
        self._most_unread = most_unread
        self._number = 0
        self._ended = 0
        """Bytes of the sources before this one."""
        self._format: CandidateFormat | None = None
        """The kind of the rows of this source, by the first that can be read; None before it."""
        self._unread = 0
        """Rows of this source that were rejected."""
        self._run: Id | None = None
        self.format: CandidateFormat | None = None
        """The kind of the rows of all sources; None before the first that can be read."""
        self.taken = 0
        """Candidates so far."""

    def close(self) -> None:
        """Close the source."""
        self._blocks.close()

    @property
    def bytes_read(self) -> int:
        """How much of the sources has been read."""
        return self._ended + self._blocks.bytes_read

    def batches(self) -> Iterator[_Found]:
        """Yield some candidates at a time, in order, and about how many bytes they take.

        Raises:
            InputError: a source cannot be read, none of its first `most_unread` rows can be, its
                rows are of another kind than those of the first, or (strict) a row cannot be read.
        """
        for place, name in enumerate(self._names):
            if place:
                self._ended = self.bytes_read
                self._blocks.close()
                self._blocks = BlockReader(name)
            self._format, self._unread = None, 0
            several = len(self._names) > 1 and self._options.run_column is None
            self._run = name if several else None
            yield from self._batches()

    def _batches(self) -> Iterator[_Found]:
        for block in self._blocks:
            if isinstance(block, Row):
                self._reject(block)
            else:
                found = self._read(block)
                self.taken += len(found)
                yield found, len(block.data)
        if self._format is not None:
            yield of_run(self._format.end(), self._run), 0

    def _read(self, block: LineBlock) -> Sequence[Candidate]:
        by_row = self._options.run_column is not None or self._options.columns
        if self._format is not None and not by_row and is_text(block.data):
            # What is wrong with one of its rows is found below.
            with contextlib.suppress(msgspec.MsgspecError, InputError, RecursionError):
                found = self._format.read_many(block.data)
                if found is not None:
                    self._number += len(found)
                    return of_run(found, self._run)
        return list(itertools.chain.from_iterable(self._one_by_one(block)))

    def _one_by_one(self, block: LineBlock) -> Iterator[Sequence[Candidate]]:
        column = self._options.run_column
        for where, line in block.rows():
            number = self._number
            self._number += 1
            try:
                line.decode()
                row = renamed(line, self._options.columns)
                format_ = self._format or detect(row, self._options)
                found = format_.read(row, number)
                run = self._run if column is None else run_in(line, column)
            except InputError as error:
                self._reject(_reported(number, where, line, str(error)))
            except (ValueError, RecursionError) as error:
                self._reject(rejected(number, where, line, error))
            else:
                self._keep(format_, where)
                yield of_run(found, run)

    def _keep(self, format_: CandidateFormat, where: str) -> None:
        """Take the format of a row that could be read for that of its source."""
        self._format = format_
        self.format = self.format or format_
        if self.format.name != format_.name:
            raise InputError(
                f"{where}: {format_.name} after {self.format.name}: files that are read together "
                "must hold rows of one kind"
            )

    def _reject(self, row: Row) -> None:
        if self._strict:
            raise InputError(f"{row.where}: {row.error}")
        self._rejects.write(row)
        self._unread += 1
        if self._format is None and self._unread >= self._most_unread:
            raise InputError(
                f"none of the first {self._most_unread:,} rows can be read, the first: "
                f"{self._rejects.first}"
            )


def _reported(number: int, where: str, line: bytes, problem: str) -> Row:
    """Return a rejected row; one that is no JSON object gets that error."""
    try:
        found = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        return rejected(number, where, line, error)
    return refused(number, where, line, problem if isinstance(found, dict) else _NO_OBJECT)


def is_text(data: bytes) -> bool:
    """Whether it is UTF-8, which what is copied without being decoded must be."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
