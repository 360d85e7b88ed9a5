"""Files as the judges write them, with scripted replies."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.io.sources import RowReader
from tests.support.command import write_rows

Reply = str | dict[str, Any]


class JudgeSession:
    """Runs `plaudit judge` in this process; gives the rows of its output, each as JSON."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAUDIT_HOME", str(folder / "home"))
        monkeypatch.chdir(folder)
        self._folder = folder

    def __call__(
        self,
        kind: str,
        rows: Sequence[Mapping[str, Any]],
        replies: Mapping[str, Reply],
        *options: str,
        out: str = "verdicts.jsonl",
    ) -> list[bytes]:
        """Judge rows; `replies` are by the sample's id, texts or `{"error": ...}`."""
        source = write_rows(self._folder / "in.jsonl", list(rows))
        script = write_rows(self._folder / "script.jsonl", [_scripted(*r) for r in replies.items()])
        command = ["judge", kind, source, "-e", f"scripted:{script}", "-o", out, *options]
        done = CliRunner().invoke(app, [*map(str, command), "--fresh"], catch_exceptions=False)
        assert done.exit_code in (0, 1), done.output
        return lines_of(self._folder / out)


def lines_of(path: Path) -> list[bytes]:
    """Return the rows of any file as JSON."""
    with RowReader(path) as reader:
        return [msgspec.json.encode(row.data) for row in reader]


def _scripted(sample: str, reply: Reply) -> dict[str, Any]:
    given = {"text": reply} if isinstance(reply, str) else reply
    return {"match": {"sample_id": sample}, "replies": [given]}


def scored(score: int) -> str:
    """Return a reply of the pointwise judge."""
    fields = {"intent": "i", "checklist": ["c"], "strengths": ["s"], "weaknesses": ["w"]}
    return json.dumps(fields | {"score": score})


def labelled(label: str, confidence: float = 0.9) -> str:
    """Return a reply of the feedback judge."""
    return json.dumps({"rationale": "r", "label": label, "confidence": confidence})


def compared(choice: str) -> str:
    """Return a reply of the pairwise judge."""
    texts = ("analysis of A", "analysis of B", "reason of A=B", "reason of A>B", "reason of B>A")
    return json.dumps(dict.fromkeys(texts, "t") | {"choice": choice})
