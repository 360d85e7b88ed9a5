"""What the store and the outputs need to know of the disk: file systems, locks, failed writes."""

import contextlib
import errno
import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Protocol

from plaudit.errors import StoreError

_NETWORK = re.compile(
    r"9p|acfs|afp(fs)?|afs|beegfs|ceph|cifs|coda|davfs|fhgfs|glusterfs|gpfs|lustre|ncpfs|nfs\d?"
    r"|orangefs|panfs|pvfs2|smb\d?|smbfs|webdav|wekafs"
    r"|fuse\.(afp|blobfuse2?|cephfs|davfs2?|gcsfuse|geesefs|glusterfs|goofys|juicefs|mfs|moosefs"
    r"|mount[_-]s3|rclone|s3fs|seaweedfs|smbnetfs|sshfs|weka)"
)
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

_NO_LOCKS = frozenset((errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS))
_NO_FILE = frozenset((errno.ENOENT, errno.ELOOP, errno.EMLINK, errno.ENXIO))
"""No file is there any more, or it is a link that is not followed, or a device without a driver."""
_NO_EXCHANGE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))
_HERE, _EXCHANGE = -100, 2
"""`AT_FDCWD` and `RENAME_EXCHANGE` of Linux; macOS's `RENAME_SWAP` is 2, too."""

_AGAIN = "Free some space and give the same command again"


class Partition(Protocol):
    """One mounted file system, as `psutil.disk_partitions` gives it."""

    @property
    def mountpoint(self) -> str:
        """Folder that it is mounted on."""
        ...

    @property
    def fstype(self) -> str:
        """Name of its type, such as `ext4` or `nfs4`."""
        ...


def network_file_system(path: Path, partitions: Iterable[Partition]) -> str | None:
    """Return the type of the network file system that `path` lies on, or None.

    Args:
        path: a file or folder, which need not exist.
        partitions: what is mounted, in mount order; of two on one folder the later one counts.
    """
    real = Path(os.path.realpath(path))
    mounted = [p for p in partitions if real.is_relative_to(p.mountpoint)]
    if not mounted:
        return None
    longest = max(len(Path(p.mountpoint).parts) for p in mounted)
    kind = [p.fstype for p in mounted if len(Path(p.mountpoint).parts) == longest][-1].lower()
    # gVisor shows its own root folder, which is local to the sandbox, as 9p.
    local = kind == "9p" and longest == 1
    return kind if _NETWORK.fullmatch(kind) and not local else None


def lock(path: Path) -> int | None:
    """Take the exclusive lock that the file `path` stands for, which is made where missing.

    The kernel frees the lock when its holder dies, however it dies; that is why no process id and
    no heartbeat is recorded. Two locks of one process exclude each other too.

    Returns:
        The descriptor that holds the lock until it is closed, or None if another holds it. Where
        the file system has no locks (some network file systems), nobody is excluded.

    Raises:
        OSError: the file cannot be made.
    """
    return _take(path, fcntl.LOCK_EX, wait=None)


def lock_anew(path: Path) -> int | None:
    """Make the file `path` anew and lock it, for what is written there and renamed at the end.

    What was there before is removed, unless another process holds its lock: what a killed process
    left, or a link, a pipe or a file that somebody else put there. No link is followed.

    Returns:
        The descriptor of the empty file, or None if another process holds the lock.

    Raises:
        OSError: the file cannot be made.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            with _closed_on_error(made):
                if _hold(made) and _is_same_file(made, path):
                    return made
            os.close(made)  # Another took it for a left one before it was locked.
        if not _remove_left(path):
            return None


def _remove_left(path: Path) -> bool:
    """Remove what nobody holds; False where another process holds its lock."""
    try:
        left = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        path.unlink(missing_ok=True)
        return True
    try:
        free = _hold(left)
        if free and _is_same_file(left, path):
            path.unlink()
        return free
    finally:
        os.close(left)


@contextlib.contextmanager
def _closed_on_error(descriptor: int) -> Generator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise


def _hold(descriptor: int) -> bool:
    """Take the lock of an open file; False where another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def exchange(one: Path, other: Path) -> bool:
    """Let two files or folders change places in one step.

    Returns:
        False, with nothing done, where the system or the file system cannot.

    Raises:
        OSError: one of them is missing, or its folder is not writable.
    """
    import ctypes  # Rarely needed, and a millisecond of each start.

    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    if hasattr(libc, "renameat2"):  # Linux
        failed = libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    elif hasattr(libc, "renamex_np"):  # macOS
        failed = libc.renamex_np(*names, _EXCHANGE)
    else:
        return False
    code = ctypes.get_errno()
    if failed and code not in _NO_EXCHANGE:
        raise OSError(code, os.strerror(code), str(one), None, str(other))
    return not failed


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def share(path: Path, wait: float) -> int | None:
    """Take the shared lock that the file `path` stands for, which is made where missing.

    Args:
        path: the lock file.
        wait: seconds to wait while another has it exclusively.

    Returns:
        The descriptor that holds the lock until it is closed, or None where another kept it.

    Raises:
        OSError: the file cannot be made.
    """
    return _take(path, fcntl.LOCK_SH, wait)


def _take(path: Path, kind: int, wait: float | None) -> int | None:
    """Take a lock; None where another holds it, still after `wait` seconds if there is a wait."""
    give_up = None if wait is None else time.monotonic() + wait
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if _is_same_file(descriptor, path):
                return descriptor
        except BlockingIOError:
            if give_up is None or time.monotonic() > give_up:
                os.close(descriptor)
                return None
            time.sleep(0.01)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor
            os.close(descriptor)
            raise
        os.close(descriptor)  # The holder removed the file just before: lock the new one.


def lock_path(path: Path) -> Path:
    """Return the file on which every user of a store holds a shared lock."""
    return path.with_name(f"{path.name}.lock")


def damage_note(path: Path) -> Path:
    """Return the file that says that a store was found to be damaged, and how."""
    return path.with_name(f"{path.name}.damaged")


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of space: disk, quota or file size limit."""
    return error.errno in _FULL


def output_error(path: str | Path, error: OSError) -> StoreError:
    """Say for a person why the output could not be written."""
    if is_full(error):
        return StoreError(
            f"{path} could not be written: {error.strerror}. Nothing that was judged is lost: the "
            f"replies are in the store. {_AGAIN}"
        )
    return StoreError(f"{path} could not be written: {error.strerror or error}")


class DamagedError(StoreError):
    """The file of a store is damaged.

    Attributes:
        reason: what SQLite says of it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the store {path} is damaged ({reason}): the next command sets it aside and begins a "
            "new one; `plaudit store recover` brings back the replies that are whole"
        )
        self.reason = reason


@contextlib.contextmanager
def closed_on_error(connection: sqlite3.Connection, path: Path) -> Generator[None]:
    """Close a connection whose preparation fails, and say for a person why."""
    try:
        yield
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise database_error(path, error) from error
        raise


def database_error(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    """Say for a person why the store could not be used; damage is noted for the next command."""
    if isinstance(error, OSError):
        code = sqlite3.SQLITE_FULL if is_full(error) else sqlite3.SQLITE_CANTOPEN
    else:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    text = getattr(error, "strerror", None) or str(error)
    if code in _DAMAGE:
        _note_damage(path, text)
        return DamagedError(path, text)
    template = _DATABASE_ERRORS.get(code, "the store {path} cannot be used: {text}")
    return StoreError(template.format(path=path, text=text, again=_AGAIN))


def _note_damage(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # Without a note, the damage is met again.
        if lock_path(path).stat().st_size:  # It was a store before.
            damage_note(path).write_text(f"{text}\n", encoding="utf-8")


_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))

_UNWRITABLE = (
    "the store {path} cannot be opened for writing ({text}): make the file and its folder "
    "writable, or give another place with cache=PATH or $PLAUDIT_HOME"
)
_DISK_FULL = (
    "the store {path} could not be written: {text}. Nothing that was already committed is lost. "
    "{again}"
)
_DISK_FAILED = (
    "the store {path} could not be written: {text} (a full disk, a quota, a file size limit or a "
    "failing disk). Nothing that was already committed is lost. {again}"
)
_LOCKED = (
    "the store {path} stayed locked by another process ({text}): wait for it, or give another "
    "store with cache=PATH"
)
_DATABASE_ERRORS = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_FULL: _DISK_FULL,
    sqlite3.SQLITE_IOERR: _DISK_FAILED,
}
