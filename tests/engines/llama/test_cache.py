"""Small findings about model files, kept in the cache folder."""

import hashlib
import os
from pathlib import Path

import pytest

from plaudit.engines.llama.cache import file_identity
from plaudit.errors import EngineUnusableError


def test_a_hash_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path
    monkeypatch.setenv("PLAUDIT_CACHE", str(place / "cache"))
    path = place / "a.gguf"
    path.write_bytes(b"one")
    assert file_identity(path) == hashlib.sha256(b"one").hexdigest()
    notes = place / "cache" / "models" / "sha256.json"
    assert str(path.resolve()) in notes.read_text()
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file_identity(path) == hashlib.sha256(b"two").hexdigest()
    notes.write_text("{broken")
    assert file_identity(path) == hashlib.sha256(b"two").hexdigest()
    with pytest.raises(EngineUnusableError, match="No such file"):
        file_identity(place / "nothing")
