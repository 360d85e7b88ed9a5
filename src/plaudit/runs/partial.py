"""Output that is not there yet: hidden beside its place while it is written, renamed at the end."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

import msgspec

from plaudit.errors import StoreError
from plaudit.runs import disk

BUFFER = 2**18
"""Bytes that are gathered before a write."""


class PartialFile:
    """The hidden file `.NAME.partial` beside OUT, locked while it is written."""

    def __init__(self, out: Path) -> None:
        """Open it; what a killed process left is overwritten.

        Raises:
            StoreError: another process is writing it.
            OSError: it cannot be made.
        """
        # A link is followed, so that it stays a link and the file is renamed within its folder.
        self.out = Path(os.path.realpath(out))
        self.path = self.out.with_name(f".{self.out.name}.partial")
        descriptor = disk.lock(self.path)
        if descriptor is None:
            raise StoreError(
                f"{out} is being written by another plaudit: wait for it, or give another output"
            )
        if os.fstat(descriptor).st_size:  # Else ext4 writes a truncated file out when it is closed.
            os.ftruncate(descriptor, 0)
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
    data = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    try:
        partial = PartialFile(Path(out))
        try:
            partial.file.write(data)
            partial.commit()
        finally:
            partial.abort()
    except OSError as error:
        raise disk.output_error(Path(out), error) from error


class PartialFolder(PartialFile):
    """The data file of a folder, hidden beside OUT; the folder is made at the end.

    A folder cannot take the place of another in one step: between two renames there is none. A kill
    just there is undone by the next one who opens OUT, who finds the old folder.
    """

    def __init__(self, out: Path, data: str) -> None:
        """Open it; `data` will be the file's name in the folder. See `PartialFile`."""
        super().__init__(out)
        self._new = self.out.with_name(f".{self.out.name}.new")
        self._old = self.out.with_name(f".{self.out.name}.old")
        if self._old.exists() and not self.out.exists():
            self._old.rename(self.out)
        self._data = data
        self.files: dict[str, bytes] = {}
        """What is put beside the data, by name."""

    def commit(self, durable: bool = True) -> None:
        """Make the folder and put it in its place. `OSError` where it cannot be; then `abort`."""
        del durable  # What is written slowly always is.
        for folder in (self._new, self._old):
            shutil.rmtree(folder, ignore_errors=True)
        self._new.mkdir()
        for name, content in self.files.items():
            with (self._new / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.path, self._new / self._data)
        _sync_folder(self._new)
        if self.out.exists():
            self.out.rename(self._old)
        self._new.rename(self.out)
        self._done = True
        self.file.close()
        _sync_folder(self.out.parent)
        shutil.rmtree(self._old, ignore_errors=True)

    def abort(self) -> None:
        """Drop it; the old folder stays. May be called more than once."""
        if not self._done:
            if self._old.exists() and not self.out.exists():
                self._old.rename(self.out)
            shutil.rmtree(self._new, ignore_errors=True)
        super().abort()
