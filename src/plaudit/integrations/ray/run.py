"""A run on a cluster, whatever its work is: blocks in, parts out, and what is left of it."""

import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE_32, Range
from plaudit.errors import ArgumentError, InputError, UsageError
from plaudit.integrations.ray.actors import connected, reports
from plaudit.integrations.ray.blocks import BLOCK_ROWS, RayBlock
from plaudit.integrations.ray.parts import REJECTED, OutputPart, PartsFolder
from plaudit.integrations.ray.work import BlockWork
from plaudit.io.places import check_folder_output, check_output
from plaudit.io.progress import Progress


class ClusterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a command runs on Ray."""

    ray: Annotated[
        str | None,
        Help(
            "Run on Ray: `local`, or the address of a cluster. OUT is then a folder of Parquet.",
            "Load",
            "ADDRESS",
        ),
    ] = None
    actors: Annotated[
        int, Range(1, WHOLE_32), Help("--ray: actors that work, a CPU each.", "Load")
    ] = 2
    block_rows: Annotated[
        int,
        Range(1, WHOLE_32),
        Help("--ray: rows that an actor takes at a time.", "Load", rare=True),
    ] = BLOCK_ROWS
    merge: Annotated[
        str | None,
        Help("--ray: also write all parts as one Parquet file.", "Output", "FILE", rare=True),
    ] = None


def check_run(
    on: ClusterOptions, source: str, out: str | None, limit: int | None, concurrency: int
) -> str:
    """Check what a command asks for; return the path of the folder of the output.

    Raises:
        UsageError: input, output and options do not go together.
    """
    if out is None or out == "-" or out.endswith((".jsonl", ".parquet")):
        raise ArgumentError("out", "must name a folder: on Ray the output is parts")
    if limit is not None:
        raise ArgumentError("limit", "must be left out on Ray: cut the input")
    if source == "-":
        raise UsageError("on Ray the input is a file that all nodes see, not standard input")
    check_folder_output(out)
    if on.merge is not None:
        check_output(on.merge, [source], replaces=True)
    if on.actors > concurrency:
        raise ArgumentError("actors", f"must be at most {concurrency}, the concurrency")
    return os.path.abspath(out)


class ClusterRun:
    """What is done, and what is left."""

    def __init__(
        self,
        on: ClusterOptions,
        folder: PartsFolder,
        blocks: Sequence[RayBlock],
        progress: Progress,
    ) -> None:
        """Find what is finished.

        Raises:
            UsageError: the folder holds something else, or parts of another run.
            StoreError: the folder cannot be made or read.
        """
        self._on, self._folder, self._progress = on, folder, progress
        known = folder.open(blocks)
        self._parts = {number: part for number, part in known.items() if not part.failed}
        self.earlier = frozenset(self._parts)
        """Numbers of the blocks that were finished before."""
        self.left = [block for block in blocks if block.number not in self._parts]
        """Blocks that are not finished."""
        for part in self._parts.values():
            self._show(part)

    def work(self, work: BlockWork, take: Callable[[Any], object], gpus: int | None = None) -> None:
        """Have the actors of a cluster work on what is left.

        Args:
            work: what they do.
            take: gets the report of each block, in order of arrival.
            gpus: of the servers that each actor starts; None: it starts none.

        Raises:
            UsageError: no cluster answers.
            PlauditError: what ended the work of an actor.
        """
        address = self._on.ray
        if not self.left or address is None:
            return
        actors = self._on.actors
        with connected(address, actors, gpus is not None) as ray:
            for report in reports(ray, work, self.left, actors, gpus or 0):
                take(report)
                part = report.part
                if part.block.number not in self._parts:
                    self._parts[part.block.number] = part
                    self._show(part)

    def _show(self, part: OutputPart) -> None:
        for status, number in part.statuses.items():
            self._progress.counts[status] += number
            self._progress.done += number

    def finish(self, source: str) -> list[OutputPart]:
        """Write what stands beside the parts; return them in order.

        Raises:
            InputError: no row could be used.
            StoreError: a file cannot be written.
        """
        parts = [self._parts[number] for number in sorted(self._parts)]
        rejected = self._folder.put_rejected(parts)
        if not any(part.rows for part in parts):
            first = next((bytes(line).decode() for part in parts for line in part.rejected), "")
            raise InputError(f"{source}: no row can be used; {rejected} rejected, such as {first}")
        if self._on.merge is not None:
            self._folder.merge(parts, self._on.merge)
        return parts

    def rejects(self, parts: Sequence[OutputPart]) -> tuple[int, str | None]:
        """Return how many rows could not be used, and the file that has them."""
        rejected = sum(len(part.rejected) for part in parts)
        return rejected, str(self._folder.path / REJECTED) if rejected else None
