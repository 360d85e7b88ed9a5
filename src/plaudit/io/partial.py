"""Output that is not there yet: hidden beside its place while it is written, renamed at the end."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from plaudit._util import disk
from plaudit.errors import StoreError

BUFFER = 2**18
"""Bytes that are gathered before a write."""


class PartialFile:
    """The hidden file `.NAME.partial` beside OUT, locked while it is written."""

    def __init__(self, out: Path) -> None:
        """Open it; what a killed process left is removed.

        Raises:
            StoreError: another process is writing it, or OUT is a folder or a device.
            OSError: it cannot be made.
        """
        # A link is followed, so that it stays a link and the file is renamed within its folder.
        self.out = Path(os.path.realpath(out))
        if self.out.exists() and not self.out.is_file():
            raise StoreError(
                f"{out} is no regular file, so no file can take its place: give another"
            )
        self.path = self.out.with_name(f".{self.out.name}.partial")
        descriptor = disk.lock_anew(self.path)
        if descriptor is None:
            raise _being_written(out)
        self.file = os.fdopen(descriptor, "wb", buffering=BUFFER)
        self._done = False

    def commit(self, durable: bool = True) -> None:
        """Put it in its place. `OSError` where it cannot be; then `abort`.

        Args:
            durable: wait until it would survive a power cut; for what cannot be made again in no
                time.
        """
        self.file.flush()
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(self.file.fileno(), stat.S_IMODE(self.out.stat().st_mode))
        if durable:
            os.fsync(self.file.fileno())
        os.replace(self.path, self.out)
        self._done = True
        self.file.close()
        if durable:
            _sync_folder(self.out.parent)

    def abort(self) -> None:
        """Drop it. May be called more than once."""
        if self._done:
            return
        self._done = True
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Its buffer may not fit on a full disk.
            self.file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # Some file systems cannot, and need not.
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(out: str | Path, value: object) -> None:
    """Write one value as indented JSON: the whole file, or none.

    Raises:
        StoreError: it cannot be written.
    """
    write_whole(out, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def write_whole(out: str | Path, data: bytes) -> None:
    """Write a file: the whole of it, or none.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        partial = PartialFile(Path(out))
        try:
            partial.file.write(data)
            partial.commit()
        finally:
            partial.abort()
    except OSError as error:
        raise disk.output_error(Path(out), error) from error


class PartialFolder:
    """The hidden folder `.NAME.new` beside OUT, locked while it is written.

    At the end it takes OUT's place. A reader sees the old folder or the new one: the two are
    exchanged in one step. A file system that cannot exchange them (some network file systems) takes
    two steps. A kill between these two leaves the old folder as `.NAME.old`, and the next writer
    puts it back.
    """

    def __init__(self, out: str | Path) -> None:
        """Make it; what a killed process left is removed.

        Raises:
            StoreError: another process is writing it.
            OSError: it cannot be made.
        """
        # A link is followed, so that it stays a link and the folder is renamed within its own.
        self.out = Path(os.path.realpath(out))
        self.path = self.out.with_name(f".{self.out.name}.new")
        """The hidden folder."""
        self._old = self.out.with_name(f".{self.out.name}.old")
        self._lock_path = self.out.with_name(f".{self.out.name}.lock")
        self._open: dict[str, BinaryIO] = {}
        self._lock = disk.lock_anew(self._lock_path)
        if self._lock is None:
            raise _being_written(out)
        try:
            self._bring_back()
            _remove(self.path)
            self.path.mkdir()
        except OSError:
            self._release()
            raise

    @property
    def names(self) -> list[str]:
        """The files that were opened, in that order."""
        return list(self._open)

    def open(self, name: str) -> BinaryIO:
        """Open a file of the folder for writing; folders in its name are made."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open[name] = path.open("wb", buffering=BUFFER)
        return self._open[name]

    def take_over(self, replaced: Callable[[str], bool]) -> None:
        """Take over what OUT holds, but for the names in it that are `replaced`."""
        if self.out.is_dir():
            shutil.copytree(
                self.out,
                self.path,
                symlinks=True,
                ignore=lambda place, names: [
                    name for name in names if Path(place) == self.out and replaced(name)
                ],
                copy_function=_link,
                dirs_exist_ok=True,
            )

    def commit(self) -> None:
        """Put the folder in its place. `OSError` where it cannot be; then `abort`."""
        for file in self._open.values():
            if not file.closed:  # A writer of tables may have closed it.
                file.flush()
                os.fsync(file.fileno())
                file.close()
        for place, _, _ in os.walk(self.path):
            _sync_folder(Path(place))
        if not self.out.exists():
            self.path.rename(self.out)
        elif not disk.exchange(self.path, self.out):
            _remove(self._old)
            self.out.rename(self._old)
            self.path.rename(self.out)
        _sync_folder(self.out.parent)
        for outdated in (self.path, self._old):
            _remove(outdated)
        self._release()

    def abort(self) -> None:
        """Drop it; OUT stays as it was. May be called more than once, and after `commit`."""
        if self._lock is None:
            return
        for file in self._open.values():
            with contextlib.suppress(OSError):  # Its buffer may not fit on a full disk.
                file.close()
        with contextlib.suppress(OSError):
            self._bring_back()
            _remove(self.path)
        self._release()

    def _bring_back(self) -> None:
        """Put back the old folder, where two steps were needed and only one was made."""
        if not os.path.lexists(self.out) and self._old.is_dir() and not self._old.is_symlink():
            self._old.rename(self.out)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def _link(source: str, target: str) -> None:
    """Give a file a second name; where the file system cannot, copy it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _being_written(out: str | Path) -> StoreError:
    return StoreError(
        f"{out} is being written by another plaudit: wait for it, or give another output"
    )


def _remove(path: Path) -> None:
    """Remove a folder, or what somebody put in its place; a link is removed, not followed."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
