"""Pairs of a large file by several processes, each of which makes those of a section at a time.

A section begins where a turn does, so that it needs nothing of its neighbours. The processes are
forks: each finds its sections, pairs them and writes the lines to where they belong in the output;
what they tell one another is numbers. Where that cannot be done, or anything is amiss with a row,
nothing of it is kept. The file is then read in one piece, which finds the same or tells what it is.
"""

import contextlib
import gc
import itertools
import os
import signal
import socket
import sys
import threading
from array import array
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, NoReturn

import msgspec

from plaudit.errors import InputError
from plaudit.io.blocks import PlainLines, find_plain_lines
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.contiguous import check_new
from plaudit.preferences.contradictions import RepeatedError, Watch, prompt_hashes
from plaudit.preferences.formats.base import Format, ReadOptions
from plaudit.preferences.formats.detect import detect
from plaudit.preferences.grouping import ByTurn, add_to_turns, turn_key
from plaudit.preferences.lines import pair_lines
from plaudit.preferences.options import PairOptions
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.reading import is_text
from plaudit.preferences.seen import Seen
from plaudit.preferences.tally import Tally

SECTION = 2**20
"""About so many bytes of the input."""

_MOST_HELPERS = 8
_MOST_TURN = 16 * 2**20
"""A longer turn is left to who reads the file in one piece."""
_PIECES = 50_000
"""Pieces of lines that a helper keeps before it writes them: a few megabytes."""


class SectionsError(Exception):
    """The file cannot be paired by sections; what was written is to be dropped."""


class _Made(msgspec.Struct, array_like=True):
    """What a helper tells of a section, or of a part of it."""

    length: int
    """Bytes that it wants to write."""
    tally: Tally | None = None
    """With the section's last part."""
    turns: bytes = b""
    """The hashes of all turns of the section; with its last part."""
    prompts: bytes = b""
    """The hashes of the prompts of those that have pairs; likewise."""


class SectionPairs:
    """The pairs of a file, made by helpers that are forks of this process.

    To be made while no other thread runs, and closed, which ends the helpers.
    """

    def __init__(
        self, lines: PlainLines, format_: Format, options: PairOptions, output: BinaryIO | None
    ) -> None:
        """Start the helpers; `output` is a file in which they may write anywhere."""
        self.format = format_
        self.bytes_read = 0
        """How much of the source has been paired; for a display."""
        self.taken = 0
        """Candidates in it."""
        self._count = -(-(lines.end - lines.start) // SECTION)
        self._helpers: dict[Connection, int] = {}
        """The process behind each; helper K of N makes sections K, K + N, K + 2 N, ..."""
        maker = _SectionMaker(lines, format_, options, output)
        helpers = min(_processors(), self._count, _MOST_HELPERS)
        try:
            for helper in range(helpers):
                self._fork(maker, range(helper, self._count, helpers))
        except OSError:
            self.close()
            raise

    def _fork(self, maker: "_SectionMaker", sections: range) -> None:
        here, there = (Connection(one.detach()) for one in socket.socketpair())
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            pid = os.fork()
            if pid == 0:
                self._help(maker, sections, here, there)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)  # Helpers leave Ctrl-C to us.
        there.close()
        self._helpers[here] = pid

    def _help(
        self, maker: "_SectionMaker", sections: range, here: Connection, there: Connection
    ) -> NoReturn:
        """Be a helper, and nothing else ever again."""
        status = 1
        try:
            for connection in (here, *self._helpers):
                connection.close()  # Or it would not be told when the process that asks ends.
            maker.serve(sections, there)
            status = 0
        finally:
            os._exit(status)

    def close(self) -> None:
        """End the helpers, whatever they do."""
        for connection, pid in self._helpers.items():
            connection.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._helpers = {}

    def run(self) -> Iterator[Tally]:
        """Yield what became of each section, in order, until all is written.

        Raises:
            TurnsApartError: the candidates of a turn do not lie together.
            RepeatedError: pairs of two turns can contradict each other.
            SectionsError: a row is malformed, or a helper ended.
        """
        offset, in_turn = 0, itertools.cycle(self._helpers)
        with contextlib.closing(Seen()) as given, contextlib.closing(Watch(prompt_hashes)) as watch:
            for connection in itertools.islice(in_turn, self._count):
                made = _Made(0)
                while made.tally is None:
                    made = self._received(connection)
                    self._send(connection, offset)
                    offset += made.length
                check_new(array("q", made.turns), given)
                watch.look(array("q", made.prompts))
                if watch.found:
                    raise RepeatedError
                self.taken += made.tally.candidates
                self.bytes_read += SECTION
                yield made.tally
            for connection in self._helpers:
                self._received(connection)  # It has written all.

    def _received(self, connection: Connection) -> _Made:
        try:
            return msgspec.msgpack.decode(connection.recv_bytes(), type=_Made)
        except (EOFError, OSError) as error:
            raise SectionsError from error

    def _send(self, connection: Connection, offset: int) -> None:
        """Tell a helper where to write what it made."""
        try:
            connection.send_bytes(msgspec.msgpack.encode(offset))
        except OSError as error:
            raise SectionsError from error


def start_sections(
    source: str, read: ReadOptions, options: PairOptions, output: BinaryIO | None
) -> SectionPairs | None:
    """Start to pair a file by sections; None where that is of no use or cannot be done.

    It is of use for files of two sections or more on two processors or more, and can be done while
    no other thread runs, for JSON Lines in which each row stands for itself.

    Args:
        source: a file.
        read: how rows are read that leave a choice.
        options: which pairs; none that look at more than a turn.
        output: where the lines go; None: pairs are counted only.

    Raises:
        InputError: the source cannot be read.
    """
    if not _can_fork() or _processors() < 2:
        return None
    lines = find_plain_lines(source)
    if lines is None or lines.end - lines.start < 2 * SECTION:
        return None
    try:
        format_ = detect(lines.first, read)
        if format_.read_many(lines.first) is None:
            return None
        return SectionPairs(lines, format_, options, output)
    except (msgspec.MsgspecError, InputError, RecursionError, OSError):
        return None


def _can_fork() -> bool:
    """Whether a fork is sure to find no lock that a thread holds, which is not in it."""
    return sys.platform == "linux" and threading.active_count() == 1


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


class _SectionMaker:
    """What a helper does."""

    def __init__(
        self, lines: PlainLines, format_: Format, options: PairOptions, output: BinaryIO | None
    ) -> None:
        self._lines = lines
        self._format = format_
        self._options = options
        self._output = output

    def serve(self, sections: range, connection: Connection) -> None:
        """Make sections; any error ends the process."""
        gc.disable()  # Nothing made here refers to itself; a tenth of the time is saved.
        with Path(self._lines.path).open("rb", buffering=2**16) as file:
            for section in sections:
                self._make(file, section, connection)
        self._tell(connection, _Made(0))

    def _tell(self, connection: Connection, made: _Made) -> None:
        connection.send_bytes(msgspec.msgpack.encode(made))

    def _make(self, file: BinaryIO, section: int, connection: Connection) -> None:
        """Make the pairs of a section, and write them."""
        start, end = self._border(file, section), self._border(file, section + 1)
        file.seek(start)
        turns: ByTurn = {}
        add_to_turns(self._read(file.read(end - start)), turns)
        tally, pieces, prompts = Tally(), list[bytes](), array("q")
        drops = self._options.contradictions == "drop"
        for candidates in turns.values():
            turn = pair_turn(self._format.group(candidates), self._options, tally)
            if turn is not None and drops:
                prompts.extend(prompt_hashes(turn))
            if turn is not None and self._output is not None:
                pieces += pair_lines(turn, self._options)
                if len(pieces) > _PIECES:
                    self._write(pieces, _Made(0), connection)
                    pieces.clear()
        hashes = array("q", map(hash, turns)).tobytes()
        self._write(pieces, _Made(0, tally, hashes, prompts.tobytes()), connection)

    def _write(self, pieces: list[bytes], made: _Made, connection: Connection) -> None:
        """Write lines where there is room for them."""
        data = memoryview(b"".join(pieces))
        made.length = len(data)
        self._tell(connection, made)
        offset = msgspec.msgpack.decode(connection.recv_bytes(), type=int)
        while data and self._output is not None:
            written = os.pwrite(self._output.fileno(), data, offset)
            data, offset = data[written:], offset + written

    def _read(self, lines: bytes) -> Sequence[Candidate]:
        if not is_text(lines):
            raise SectionsError
        candidates = self._format.read_many(lines)
        assert candidates is not None
        return candidates

    def _border(self, file: BinaryIO, section: int) -> int:
        """Return where a section begins: at the first turn that begins after its place."""
        place = self._lines.start + section * SECTION
        if section == 0 or place >= self._lines.end:
            return min(place, self._lines.end)
        file.seek(place)
        file.readline(_MOST_TURN)
        previous = None
        while line := file.readline(_MOST_TURN):
            if file.tell() > place + _MOST_TURN:
                raise SectionsError
            for one in self._read(line):  # None in a blank line.
                ids = turn_key(one)
                if previous not in (None, ids):
                    return min(file.tell() - len(line), self._lines.end)  # It may have grown.
                previous = ids
        return self._lines.end
