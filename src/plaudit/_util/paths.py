"""Paths that a user gave."""

import os
from pathlib import Path

from plaudit.errors import UsageError

_SHOWN = 60


def possible(path: str | Path, of: str | Path | None = None) -> Path:
    """Return a path that the system can look at, whether or not something is there.

    Args:
        path: of a file or a folder.
        of: what the user gave, where the path lies beside it.

    Raises:
        UsageError: it cannot, because a name in it is too long or holds a NUL.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        text = str(path if of is None else of)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{shown!r} cannot be a path: {reason} ({len(os.fsencode(text))} bytes); most systems "
            "take names of up to 255 bytes, and plaudit adds up to 25 to that of an output"
        ) from error
    return Path(path)
