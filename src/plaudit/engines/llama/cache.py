"""The cache folder of models, and small findings about files that are kept there."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import platformdirs

from plaudit.errors import EngineUnusableError

_MOST_REMEMBERED = 256


def cache_folder() -> Path:
    """Return `$PLAUDIT_CACHE/models`, or `models` in the platform's cache folder for plaudit."""
    root = os.environ.get("PLAUDIT_CACHE") or platformdirs.user_cache_dir(
        "plaudit", appauthor=False
    )
    return Path(root) / "models"


def file_identity(path: Path | str) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Reading a file costs some 0.1 s for 100 MB, so the result is remembered in the cache folder
    until the file's size or times change.

    Raises:
        EngineUnusableError: the file cannot be read.
    """
    path = Path(path)
    try:
        known = recall("sha256", str(path.resolve()))
        if known is not None and known[:-1] == stamp(path):
            return str(known[-1])
        before = stamp(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if stamp(path) == before:
            note("sha256", str(path.resolve()), [*before, digest])
        return digest
    except OSError as error:
        raise EngineUnusableError(f"cannot read the model file {path}: {error.strerror}") from error


def stamp(path: Path) -> list[int]:
    """Return numbers that change when a file does: size, times and inode."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def recall(kind: str, key: str) -> list[int | str] | None:
    """Return what `note` wrote under this key, or None."""
    return _notes(kind).get(key)


def note(kind: str, key: str, value: Sequence[int | str]) -> None:
    """Keep a small finding in `KIND.json` in the cache folder; best effort."""
    folder = cache_folder()
    with contextlib.suppress(OSError):
        kept = {k: v for k, v in _notes(kind).items() if k != key}
        kept = dict(list(kept.items())[-(_MOST_REMEMBERED - 1) :])
        kept[key] = list(value)
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{kind}-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(kept))
        os.replace(name, folder / f"{kind}.json")


def _notes(kind: str) -> dict[str, list[int | str]]:
    """What is kept, oldest first; empty where it cannot be read."""
    try:
        content = (cache_folder() / f"{kind}.json").read_bytes()
        return msgspec.json.decode(content, type=dict[str, list[int | str]])
    except (OSError, msgspec.DecodeError):
        return {}
