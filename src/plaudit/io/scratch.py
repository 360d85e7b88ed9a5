"""Files without a name, which end with the process."""

import contextlib
import tempfile
from typing import BinaryIO, cast

from plaudit.errors import StoreError

_BUFFER = 2**18


def open_scratch() -> BinaryIO:
    """Open a file to write and to read, in the system's place for temporary files.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        opened = tempfile.TemporaryFile("w+b", buffering=_BUFFER)  # noqa: SIM115
    except OSError as error:
        raise scratch_error(error) from error
    return cast(BinaryIO, opened)


def close_scratch(file: BinaryIO) -> None:
    """Drop a file, even one whose last bytes there was no room for."""
    with contextlib.suppress(OSError):
        file.close()


def scratch_error(error: Exception) -> StoreError:
    """Return the error for temporary files that could not be written."""
    reason = getattr(error, "strerror", None) or error
    return StoreError(
        f"temporary files in {tempfile.gettempdir()} cannot be written ({reason}): free some space "
        "there, or name another place in TMPDIR"
    )
