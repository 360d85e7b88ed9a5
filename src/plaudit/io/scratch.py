"""Files without a name: they are gone with the process, whatever ends it."""

import contextlib
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from plaudit.errors import StoreError

_BUFFER = 2**18


def open_scratch(folder: Path | None = None, buffer: int = _BUFFER) -> BinaryIO:
    """Open a file to write and to read.

    Args:
        folder: where there is room for it; None: the system's place for temporary files.
        buffer: bytes that are gathered before a write.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        opened = tempfile.TemporaryFile("w+b", buffering=buffer, dir=folder)  # noqa: SIM115
    except OSError as error:
        raise scratch_error(error, folder) from error
    return cast(BinaryIO, opened)


def close_scratch(file: BinaryIO) -> None:
    """Drop a file, even one whose last bytes there was no room for."""
    with contextlib.suppress(OSError):
        file.close()


def scratch_error(error: Exception, folder: Path | None = None) -> StoreError:
    """Return what to tell a person of a file that could not be written."""
    reason = getattr(error, "strerror", None) or error
    reported = f"temporary files in {folder or tempfile.gettempdir()} cannot be written ({reason})"
    if folder is not None:
        return StoreError(f"{reported}: free some space there, or give an output elsewhere")
    return StoreError(f"{reported}: free some space there, or name another place in TMPDIR")
