"""What a store offers: replies, results and runs. One file does, and several files can."""

from collections.abc import Generator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from plaudit.engines.base import Completion

RunState = Literal["running", "interrupted", "finished"]


class RunInfo(msgspec.Struct, frozen=True):
    """One run, as the store knows it."""

    number: int
    """Counts from 1 and is never used again."""
    name: str
    """Kind and number, such as `feedback-0007`."""
    kind: str
    config: bytes
    """The run's configuration as JSON, that of the latest attempt."""
    state: RunState
    """`interrupted` also when its process died without a word."""
    started: str
    """When it first began: ISO 8601, UTC."""
    finished: str | None = None
    summary: bytes | None = None
    """The summary as JSON; None while no attempt has ended."""


class ReplyStore(Protocol):
    """Where replies are kept, by request key."""

    def get_reply(self, key: bytes) -> Completion | None:
        """Return the reply under a key, or None."""
        ...

    def get_replies(self, keys: Sequence[bytes]) -> Mapping[bytes, Completion]:
        """Return the replies of those keys that have one."""
        ...

    def put_reply(self, key: bytes, completion: Completion) -> None:
        """Keep a reply, in place of an earlier one."""
        ...


class ResultStore(ReplyStore, Protocol):
    """Where results are kept too, each by a key of all that it depends on.

    A result is made of replies, or took long to compute: a finished trace, the outcome of a
    comparison of formulas.
    """

    def get_result(self, key: bytes) -> bytes | None:
        """Return the result under a key, or None."""
        ...

    def put_result(self, key: bytes, result: bytes) -> None:
        """Keep a result, in place of an earlier one."""
        ...


class HeldLines(Protocol):
    """Where output lines wait when they are too many for memory."""

    def hold(self, run: int, index: int, line: bytes) -> None:
        """Keep a line."""
        ...

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        """Yield and drop the lines `start`, `start + 1`, ... up to the first that is missing."""
        ...


class RunStore(ResultStore, HeldLines, Protocol):
    """Where whole runs are kept: their replies, verdicts and summaries."""

    def begin_run(self, identity: bytes, kind: str, config: bytes) -> RunInfo:
        """Continue the unfinished run of the same identity, or make a new one."""
        ...

    def note_run(self, number: int, config: bytes) -> None:
        """Keep a run's configuration as it was settled on the way, as JSON."""
        ...

    def end_run(self, number: int, state: RunState, summary: bytes) -> None:
        """Note how a run ended, with its summary as JSON; its verdicts are committed first."""
        ...

    def last_run(self, identity: bytes) -> RunInfo | None:
        """Return the newest run of an identity, in whatever state; None where there is none."""
        ...

    def put_verdicts(self, run: int, verdicts: Sequence[tuple[int, str, bytes]]) -> None:
        """Store verdicts in place of earlier ones: index of the sample, status, payload."""
        ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds and sizes within which a store file works; tests set them."""

    busy_s: float = 30.0
    """Longest wait for a lock of another process."""
    let_go_s: float = 3.0
    """Longest wait for other processes that find the same damage."""
    commit_after_s: float = 0.1
    """Longest time that a reply, which was paid for, waits for its commit."""
    commit_replies: int = 200
    """So many replies are committed at once."""
    commit_unpaid_after_s: float = 1.0
    """The same for what can be made again: each commit empties the page cache of all readers."""
    commit_entries: int = 5_000
    queue_entries: int = 10_000
    """Most entries that wait; further ones block."""
    queue_bytes: int = 32 * 2**20
    note_every_s: float = 600.0
    """How often the time of the newest reply is noted."""
    prune_s: float = 0.02
    """Time for pruning between two commits."""
    prune_again_s: float = 60.0
    """Pause after the size limit turned out to be out of reach."""
    count_rows: int = 20_000
    """Up to so many rowids, replies are counted; above, their number is estimated."""


LIMITS = Limits()
