"""A folder of several files that appears whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from plaudit._util.paths import possible
from plaudit.errors import StoreError, UsageError
from plaudit.runs import disk
from plaudit.runs.partial import BUFFER

MANIFEST = ".plaudit-export.json"
"""Names what plaudit wrote into a folder. Hidden, so that no reader takes it for data."""


class _Manifest(msgspec.Struct):
    files: list[str]


def check_folder(out: str) -> None:
    """Check, before anything is read, that a folder can be written.

    Raises:
        UsageError: it cannot, or it holds what plaudit has not written.
    """
    if out == "-":
        raise UsageError("an export is a folder of files: give -o the name of one")
    path = possible(os.path.realpath(out), of=out)
    possible(path.with_name(f".{path.name}.lock"), of=out)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{out} is a file: give the name of a new folder")
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path):
        raise UsageError(
            f"{out} holds files that plaudit export has not written, which it would replace: give "
            "the name of a new folder"
        )
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist: make it with mkdir -p")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {path.parent} is not writable: give another output")


def _is_ours(path: Path) -> bool:
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, ValueError):
        return False
    known = {MANIFEST, *manifest.files}
    found = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    return found <= known


class OutputFolder:
    """The hidden folder `.NAME.new` beside OUT, which takes OUT's place at the end.

    A folder cannot take the place of another in one step: between two renames there is none. A kill
    just there is undone by the next one who writes OUT, who finds the old folder.
    """

    def __init__(self, out: str) -> None:
        """Make it.

        Raises:
            StoreError: another process is writing it, or it cannot be made.
        """
        self.out = Path(os.path.realpath(out))
        self._new = self.out.with_name(f".{self.out.name}.new")
        self._old = self.out.with_name(f".{self.out.name}.old")
        self._locked = self.out.with_name(f".{self.out.name}.lock")
        self._open: dict[str, BinaryIO] = {}
        try:
            self._lock = disk.lock(self._locked)
            if self._lock is None:
                raise StoreError(
                    f"{out} is being written by another plaudit: wait for it, or give another "
                    "output"
                )
            if self._old.exists() and not self.out.exists():
                self._old.rename(self.out)
            shutil.rmtree(self._new, ignore_errors=True)
            self._new.mkdir()
        except OSError as error:
            raise disk.output_error(out, error) from error

    def open(self, name: str) -> BinaryIO:
        """Open a file for writing; folders in its name are made."""
        path = self._new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open[name] = path.open("wb", buffering=BUFFER)
        return self._open[name]

    def commit(self, about: Mapping[str, object]) -> list[str]:
        """Put the folder in its place, with a manifest that tells `about`; return its files.

        Raises:
            OSError: it cannot be written; then `abort`.
        """
        names = list(self._open)
        with self.open(MANIFEST) as file:
            data = msgspec.json.encode({"files": names, **about})
            file.write(msgspec.json.format(data) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        for name in names:
            self._open[name].flush()
            os.fsync(self._open[name].fileno())
            self._open[name].close()
        shutil.rmtree(self._old, ignore_errors=True)
        if self.out.exists():
            self.out.rename(self._old)
        self._new.rename(self.out)
        shutil.rmtree(self._old, ignore_errors=True)
        self._release()
        return names

    def abort(self) -> None:
        """Drop it; OUT stays as it was. May be called more than once, and after `commit`."""
        if self._lock is None:
            return
        for file in self._open.values():
            with contextlib.suppress(OSError):  # Its buffer may not fit on a full disk.
                file.close()
        if self._old.exists() and not self.out.exists():
            self._old.rename(self.out)
        shutil.rmtree(self._new, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._locked.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
