"""Files that the viewer looks at, and a cache folder of their own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

Write = Callable[..., Path]


def verdict(index: int, **changes: Any) -> dict[str, Any]:
    """A verdict of the judge of user reactions as a line holds it."""
    return {
        "index": index,
        "id": f"s-{index}",
        "status": "ok",
        "value": "praise",
        "reward": 0.5,
        "confidence": 0.9,
        "judge": "feedback/0123456789ab",
        "error": None,
        "metadata": {},
        "input": {"query": "Which one?", "answer": "The blue one.", "follow_up": f"Text {index}"},
    } | changes


def not_ok(index: int, status: str, cause: str, **changes: Any) -> dict[str, Any]:
    error = {"cause": cause, "message": f"it is {cause}", "attempts": 1}
    none = {"status": status, "value": None, "reward": None, "confidence": None}
    return verdict(index, **none, error=error) | changes


def lines(rows: list[Mapping[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("PLAUDIT_CACHE", str(folder))
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*rows: Mapping[str, Any], name: str = "out.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(lines(list(rows)))
        return path

    return write
