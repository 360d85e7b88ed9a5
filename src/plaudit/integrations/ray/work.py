"""What actors do with blocks: the contract of a kind of work, and what comes of a block."""

from typing import Protocol

import msgspec

from plaudit.errors import InputError
from plaudit.integrations.ray.blocks import RayBlock
from plaudit.integrations.ray.limits import Share
from plaudit.integrations.ray.parts import OutputPart
from plaudit.io.output import reject_line
from plaudit.io.rows import Row
from plaudit.sending.pool import SendPolicy


class BlockReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one block."""

    part: OutputPart


class BlockWorker(Protocol):
    """Works on blocks: opened once in an actor, and used by all its threads."""

    async def work(self, block: RayBlock) -> BlockReport:
        """Work on a block and write its part, unless that was finished before.

        Raises:
            PlauditError: no block can be worked on.
        """
        ...


class BlockWork(Protocol):
    """What all actors of a run are given; it is pickled."""

    @property
    def send(self) -> SendPolicy:
        """How requests are sent; its limits hold for all actors together."""
        ...

    def begin(self, share: Share) -> BlockWorker:
        """Return what works in one actor; nothing is opened."""
        ...


class Rejects:
    """The rows of a block that cannot be used."""

    def __init__(self, strict: bool) -> None:
        """Begin with none; strict: the first one raises."""
        self._strict = strict
        self._lines: dict[int, msgspec.Raw] = {}

    def add(self, row: Row, error: str) -> None:
        """Set a row aside.

        Raises:
            InputError: the work is strict.
        """
        if self._strict:
            raise InputError(f"{row.where}: {error}")
        self._lines[row.number] = msgspec.Raw(reject_line(row, error))

    @property
    def lines(self) -> list[msgspec.Raw]:
        """The rows as JSON, in their order."""
        return [self._lines[number] for number in sorted(self._lines)]
