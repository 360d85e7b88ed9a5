"""Candidates of a file, whatever format its rows have."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.formats.base import Format, ReadOptions
from plaudit.preferences.formats.detect import detect
from plaudit.runs.blocks import Block, BlockReader
from plaudit.runs.sinks import RejectWriter
from plaudit.runs.sources import Row, refused, rejected

_NO_OBJECT = "not a JSON object"
_MOST_UNREAD = 10_000
"""A source that begins with so many rows that cannot be read is refused."""
_Found = tuple[Sequence[Candidate], int]


class CandidateReader:
    """Reads candidates, and sets aside rows that are none."""

    def __init__(
        self,
        blocks: BlockReader,
        rejects: RejectWriter,
        options: ReadOptions,
        *,
        strict: bool = False,
    ) -> None:
        """Join a source and where its rejected rows go; `strict` raises at the first of them."""
        self._blocks = blocks
        self._rejects = rejects
        self._options = options
        self._strict = strict
        self._number = 0
        self.format: Format | None = None
        """What the rows are, by the first that can be read; None before it."""
        self.taken = 0
        """Candidates so far."""

    @property
    def bytes_read(self) -> int:
        """How much of the source has been read."""
        return self._blocks.bytes_read

    def batches(self) -> Iterator[_Found]:
        """Yield some candidates at a time, in order, and about how many bytes they take.

        Raises:
            InputError: none of the first `_MOST_UNREAD` rows can be read, or (strict) one cannot.
        """
        for block in self._blocks:
            if isinstance(block, Row):
                self._reject(block)
            else:
                found = self._read(block)
                self.taken += len(found)
                yield found, len(block.data)
        if self.format is not None:
            yield self.format.end(), 0

    def _read(self, block: Block) -> Sequence[Candidate]:
        if self.format is not None and is_text(block.data):
            # What is wrong with one of its rows is found below.
            with contextlib.suppress(msgspec.MsgspecError, InputError, RecursionError):
                found = self.format.read_many(block.data)
                if found is not None:
                    self._number += len(found)
                    return found
        return list(itertools.chain.from_iterable(self._one_by_one(block)))

    def _one_by_one(self, block: Block) -> Iterator[Sequence[Candidate]]:
        for where, line in block.rows():
            number = self._number
            self._number += 1
            try:
                line.decode()
                found = self.format or detect(line, self._options)
                candidates = found.read(line, number)
            except InputError as error:
                self._reject(_told(number, where, line, str(error)))
            except (ValueError, RecursionError) as error:
                self._reject(rejected(number, where, line, error))
            else:
                self.format = found
                yield candidates

    def _reject(self, row: Row) -> None:
        if self._strict:
            raise InputError(f"{row.where}: {row.error}")
        self._rejects.write(row)
        if self.format is None and self._rejects.count >= _MOST_UNREAD:
            raise InputError(
                f"none of the first {_MOST_UNREAD:,} rows can be read, the first: "
                f"{self._rejects.first}"
            )


def _told(number: int, where: str, line: bytes, problem: str) -> Row:
    """Return a rejected row, told as no JSON object if it is none."""
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
