"""The store: every reply that was paid for, the runs, and their verdicts, in one SQLite file.

Resuming a run *is* the reply cache, so the store has one duty above all: a reply that was put and
committed is there after a kill, a full disk or a fork. Puts are queued, and a thread commits them;
reads look at the queue first.
"""

import atexit
import functools
import logging
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from plaudit._util.forks import around_forks
from plaudit._util.paths import possible
from plaudit.engines.base import Completion
from plaudit.errors import StoreError
from plaudit.store.base import LIMITS, Limits
from plaudit.store.runs import RunLog
from plaudit.store.schema import unseal
from plaudit.store.session import Session, open_sessions

_logger = logging.getLogger(__name__)

# Cast, because a flipped bit can turn the type of a value.
_GET_REPLY = "SELECT CAST(completion AS BLOB) FROM reply WHERE key = ?"
_GET_TRACE = "SELECT CAST(body AS BLOB) FROM trace WHERE key = ?"
_KEYS_A_STATEMENT = 500


@functools.cache
def _get_replies(count: int) -> str:
    columns = "key, CAST(completion AS BLOB)"
    return f"SELECT {columns} FROM reply WHERE key IN ({', '.join('?' * count)})"


def default_store_path() -> Path:
    """Return `store.sqlite` in `$PLAUDIT_HOME`, else in the platform's data folder."""
    home = os.environ.get("PLAUDIT_HOME")
    folder = Path(home) if home else Path(platformdirs.user_data_dir("plaudit", appauthor=False))
    return folder / "store.sqlite"


def _file(path: str | Path) -> Path:
    """Return the path of a store.

    Raises:
        StoreError: it is one of a folder alone, such as / or an empty one.
        UsageError: the system takes no such path.
    """
    found = possible(path)
    if not found.name:
        raise StoreError(f"the store {found} is a folder: give the path of a file with cache=PATH")
    return found


class Store(RunLog):
    """Replies, finished traces, runs and verdicts in one SQLite file.

    Opened on first use, and again when used after `close`. Every method may be called from any
    thread and sees everything that was put before. After a fork the child opens its own
    connections, and what the parent had queued is the parent's. A pickled store is its path. Two
    processes may use one file.

    Every method raises `StoreError` when the file cannot be read or written.
    """

    def __init__(
        self, path: str | Path, *, read_only: bool = False, limits: Limits = LIMITS
    ) -> None:
        """Name a store; nothing is opened.

        Args:
            path: its file.
            read_only: whether nothing is written, not even that a run was interrupted.
            limits: times and sizes within which it works.
        """
        self.path = _file(path)
        self._read_only = read_only
        self._limits = limits
        self.session: Session | None = None
        """The open file; None while it is closed."""
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._warned = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Completion).decode

    def __reduce__(self) -> Any:
        return _reopened, (self.path, self._read_only, self._limits)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open(self) -> Session:
        """Open the file now, rather than on first use."""
        return self.session or self._open()

    def _open(self) -> Session:
        with _opening:
            if self.session is None:
                session = Session(self.path, self._limits, read_only=self._read_only)
                self.session = session
                self._finalizer = weakref.finalize(self, session.close_later)
                self._finalizer.atexit = False
                _stores.add(self)
            return self.session

    def flush(self) -> None:
        """Wait until everything put so far is committed."""
        if self.session is not None:
            self.session.queue.flush()

    def close(self) -> None:
        """Commit everything and close the file; runs that were not ended become interrupted."""
        with _opening:
            session, self.session = self.session, None
            if session is not None and self._finalizer is not None:
                self._finalizer.detach()
                session.close()

    def close_later(self) -> None:
        """Do what `close` does without waiting for it, where nobody can use the store any more."""
        session, self.session = self.session, None
        if session is not None and self._finalizer is not None:
            self._finalizer.detach()
            session.close_later()

    def forget_after_fork(self) -> None:
        """Forget, in a forked child, what belongs to the parent."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self.session = None

    # Replies

    def get_reply(self, key: bytes) -> Completion | None:
        """Return the reply of a request key, or None.

        A reply that is not what was put counts as none, so it is asked again and replaced.
        """
        session = self.session or self._open()
        queue = session.queue
        found = queue.queued.replies.get(key) or queue.committing.replies.get(key)
        if found:
            return found[0]
        encoded = session.row(_GET_REPLY, key)
        return None if encoded is None else self._read_reply(key, encoded)

    def get_replies(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        """Return the replies of those keys that have one, at a tenth of the cost of one by one."""
        session = self.session or self._open()
        found: dict[bytes, Completion] = {}
        queue = session.queue
        queued, committing = queue.queued.replies, queue.committing.replies
        if queued or committing:
            for key in keys:
                entry = queued.get(key) or committing.get(key)
                if entry:
                    found[key] = entry[0]
            keys = [key for key in keys if key not in found]
        for start in range(0, len(keys), _KEYS_A_STATEMENT):
            some = keys[start : start + _KEYS_A_STATEMENT]
            for key, encoded in session.rows(_get_replies(len(some)), some):
                completion = self._read_reply(key, encoded)
                if completion is not None:
                    found[key] = completion
        return found

    def _read_reply(self, key: bytes, stored: bytes) -> Completion | None:
        body = unseal(stored, key)
        try:
            if body is not None:
                return self._decode(body)
        except msgspec.DecodeError:
            pass
        if not self._warned:
            self._warned = True
            _logger.warning(
                "a reply in the store %s is damaged and is asked again, as will be any other such; "
                "the disk or the memory may be failing",
                self.path,
            )
        return None

    def put_reply(self, key: bytes, completion: Completion) -> None:
        """Store the reply of a request key, in place of any earlier one."""
        encoded = self._encode(completion)
        session = self.session or self._open()
        session.queue.put("replies", {key: (completion, encoded)}, len(encoded))

    # Results

    def get_result(self, key: bytes) -> bytes | None:
        """Return the result under a key, or None; a damaged one counts as none."""
        session = self.open()
        queue = session.queue
        for batch in (queue.queued, queue.committing):  # Entries move from one to the other.
            if key in batch.traces:
                return batch.traces[key]
        sealed = session.row(_GET_TRACE, key)
        return None if sealed is None else unseal(sealed, key)

    def put_result(self, key: bytes, result: bytes) -> None:
        """Store a result, in place of any earlier one."""
        self.open().queue.put("traces", {key: result}, len(result))


def _close_at_exit() -> None:
    """Close what is still open when the interpreter ends."""
    for session in list(open_sessions):
        session.close()


atexit.register(_close_at_exit)

_opening = threading.Lock()
_stores: "weakref.WeakSet[Store]" = weakref.WeakSet()
_forking: list[Session] = []


def _reopened(path: Path, read_only: bool, limits: Limits) -> Store:
    return Store(path, read_only=read_only, limits=limits)


def _before_fork() -> None:
    _opening.acquire()
    _forking.extend(open_sessions)  # A store that was collected is not among the stores.
    for session in _forking:
        session.before_fork()


def _after_fork_in_parent() -> None:
    for session in _forking:
        session.after_fork_in_parent()
    _forking.clear()
    _opening.release()


def _after_fork_in_child() -> None:
    global _opening
    _opening = threading.Lock()
    for session in _forking:
        session.after_fork_in_child()
    _forking.clear()
    for store in list(_stores):
        store.forget_after_fork()


around_forks(_before_fork, _after_fork_in_parent, _after_fork_in_child)
