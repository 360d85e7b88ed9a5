"""Pairs on disk until it is known which of them are kept."""

import os
import struct
from collections.abc import Iterator
from hashlib import blake2b
from heapq import heappush, heapreplace
from pathlib import Path
from typing import NamedTuple

from plaudit.io.partial import close_scratch, open_scratch, scratch_error
from plaudit.preferences.contradictions import MARK, NO_MARK, Mark

_HEAD = struct.Struct(f"<QIII?{MARK}s")


class Staged(NamedTuple):
    """A pair that waits."""

    priority: int
    """Drawn by the seed, 64 bits; the lowest are kept first."""
    chosen_length: int
    """In characters."""
    rejected_length: int
    line: bytes
    mark: Mark


class Stage:
    """Pairs in a file without a name, read as often as is needed."""

    def __init__(self, folder: Path | None, seed: int) -> None:
        """Open the file in `folder`, or in the system's place.

        Raises:
            StoreError: it cannot be made.
        """
        self._folder = folder
        self._file = open_scratch(folder)
        self._seed = f"{seed}/".encode()
        self._count = 0

    def add(
        self, line: bytes, chosen_length: int, rejected_length: int, mark: Mark = NO_MARK
    ) -> None:
        """Add a pair.

        Raises:
            StoreError: there is no room for it.
        """
        drawn = blake2b(self._seed, digest_size=8)
        drawn.update(self._count.to_bytes(8, "little"))
        priority = int.from_bytes(drawn.digest(), "little")
        self.put(Staged(priority, chosen_length, rejected_length, line, mark))
        self._count += 1

    def put(self, staged: Staged) -> None:
        """Add a pair as another stage had it.

        Raises:
            StoreError: there is no room for it.
        """
        priority, chosen_length, rejected_length, line, (pair, side) = staged
        head = _HEAD.pack(priority, chosen_length, rejected_length, len(line), side, pair)
        try:
            self._file.write(head)
            self._file.write(line)
        except OSError as error:
            raise scratch_error(error, self._folder) from error

    def __iter__(self) -> Iterator[Staged]:
        """Yield the pairs in the order in which they were added.

        Raises:
            StoreError: there was no room for the last of them.
        """
        try:
            self._file.seek(0, os.SEEK_SET)
        except OSError as error:
            raise scratch_error(error, self._folder) from error
        while head := self._file.read(_HEAD.size):
            priority, chosen, rejected, size, side, pair = _HEAD.unpack(head)
            yield Staged(priority, chosen, rejected, self._file.read(size), Mark(pair, side))

    def close(self) -> None:
        """Drop the file."""
        close_scratch(self._file)


class Draw:
    """The `most` pairs of the lowest priorities, whatever the order in which they come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._highest_first: list[int] = []

    def add(self, priority: int) -> None:
        """Look at one."""
        if len(self._highest_first) < self._most:
            heappush(self._highest_first, -priority)
        elif -priority > self._highest_first[0]:
            heapreplace(self._highest_first, -priority)

    def keeps(self, priority: int) -> bool:
        """Whether one is kept, of all that were looked at."""
        return bool(self._highest_first) and -priority >= self._highest_first[0]
