"""`plaudit models`."""

from pathlib import Path

import msgspec

from tests.support.command import Forked


def test_models_that_are_in_the_cache_are_listed_as_json(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "models" / "gemma3-270m.gguf"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"GGUF")
    plaudit = Forked(tmp_path / "home", {"PLAUDIT_CACHE": str(tmp_path / "cache")})
    listed = [msgspec.json.decode(line) for line in plaudit("models", "--json").stdout.splitlines()]
    found = {one["model"]["name"]: (one["path"], one["sha_ok"]) for one in listed}
    assert found["gemma3-270m"] == (str(cached), False)
