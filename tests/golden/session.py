"""What plaudit does, written down: commands in a folder of their own, and golden files to compare.

`WRITE_GOLDEN=1 pytest tests/golden` writes the files anew. Only the command line, the public Python
API and the tables of the store are used here, so modules may move without an edit.
"""

import difflib
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import REPOSITORY, Here

FILES = Path(__file__).parent / "files"
WRITE = bool(os.environ.get("WRITE_GOLDEN"))

_LONG = 900
"""Characters from which on a digest stands for what a command prints."""
_LONG_FILE = 2600
"""Characters from which on a digest stands for a file."""
_SHOWN = 100
"""Characters of a line that are shown beside a digest."""
_VOLATILE = (
    (re.compile(r"[\d.]+ s, [\d.]+ (samples|rollouts|turns)/s"), "TIME"),
    (re.compile(r'"(seconds|engine_seconds|tool_seconds)": ?[\d.e-]+'), r'"\1":0'),
    (re.compile(r'"timing":\{[^}]*\}'), '"timing":{}'),
    (re.compile(r"(20\d\d-)?\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?"), "DAY"),
)

_DIGITS = re.compile(r"-?\d+\.\d{13,}(?:e-?\d+)?")
"""Numbers whose last digits depend on the order in which things end."""


class Session:
    """A folder with a store, where commands are run and written down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "home" / "store.sqlite"
        self._plaudit = Here(folder / "home", folder=folder)
        (folder / "examples").symlink_to(REPOSITORY / "examples")
        self.record: dict[str, Any] = {"commands": []}

    def write(self, name: str, content: str | Iterable[Any]) -> str:
        """Write a text, or rows as JSON Lines; return the name."""
        if not isinstance(content, str):
            content = "".join(json.dumps(row) + "\n" for row in content)
        (self.folder / name).write_text(content, encoding="utf-8")
        return name

    def run(self, *arguments: str, log: bool = True) -> str:
        """Run a command; write down its status and what it printed, and return that."""
        done = self._plaudit(*arguments)
        entry: dict[str, Any] = {"command": " ".join(arguments), "status": done.status}
        for name, printed in (("stdout", done.stdout), ("stderr", done.stderr)):
            if printed.strip():
                entry[name] = self._shown(printed)
        if log:
            self.record["commands"].append(entry)
        return done.stdout

    def show_files(self, *patterns: str, most: int = _LONG_FILE) -> None:
        """Write down the files of these patterns; of longer ones than `most` the beginning."""
        found = self.record.setdefault("files", {})
        for path in sorted(path for pattern in patterns for path in self.folder.glob(pattern)):
            if path.is_file():
                name = path.relative_to(self.folder).as_posix()
                found[name] = self._shown(path.read_text(encoding="utf-8"), most)

    def show_store(self) -> None:
        """Write down the keys of replies and finished traces, and what identifies each run."""
        assert self.store.exists(), self.record["commands"][-1]
        with closing(sqlite3.connect(self.store)) as connection:
            found = "SELECT lower(hex(key)) FROM reply UNION SELECT lower(hex(key)) FROM trace"
            keys = connection.execute(f"{found} ORDER BY 1").fetchall()
            runs = connection.execute("SELECT name, lower(hex(identity)) FROM run ORDER BY number")
            self.record["request keys"] = [key[:12] for (key,) in keys]
            self.record["runs"] = dict(runs.fetchall())

    def dump_store(self, path: Path) -> None:
        """Write the store as SQL."""
        with closing(sqlite3.connect(self.store)) as connection:
            lines = list(connection.iterdump())
            for name in ("user_version", "application_id"):
                (value,) = connection.execute(f"PRAGMA {name}").fetchone()
                lines.append(f"PRAGMA {name} = {value};")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def load_store(self, path: Path) -> None:
        """Make the store of what `dump_store` wrote."""
        self.store.parent.mkdir()
        with closing(sqlite3.connect(self.store)) as connection:
            connection.executescript(path.read_text(encoding="utf-8"))

    def _shown(self, text: str, most: int = _LONG) -> Any:
        return shown(text.replace(str(self.folder), "FOLDER"), most)


def shown(text: str, most: int = _LONG) -> Any:
    """Return a text as lines; where it is long, as a digest with its first and last lines."""
    for pattern, instead in _VOLATILE:
        text = pattern.sub(instead, text)
    text = _DIGITS.sub(lambda number: f"{float(number[0]):.12g}", text)
    lines = [line.rstrip() for line in text.splitlines()]
    if len(text) <= most:
        return lines
    first = [line[:_SHOWN] for line in lines[: max(1, most // 300)]]
    found = {"lines": len(lines), "blake2b": digest("\n".join(lines)), "first": first}
    ended = len(lines) > len(first) and not lines[-1].startswith("{")
    return found | ({"last": lines[-1][:_SHOWN]} if ended else {})


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def check(name: str, found: Any) -> None:
    """Compare with a golden file, or write it."""
    path = FILES / f"{name}.json"
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if WRITE:
        path.write_text(text, encoding="utf-8")
        return
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    if golden != text:
        pytest.fail(_difference(golden.splitlines(), text.splitlines(), path), pytrace=False)


def _difference(golden: Sequence[str], found: Sequence[str], path: Path) -> str:
    lines = list(difflib.unified_diff(golden, found, "golden", "found", n=2, lineterm=""))
    cut = [f"... and {len(lines) - 80} more lines"] if len(lines) > 80 else []
    return "\n".join([f"{path.name} differs (WRITE_GOLDEN=1 writes it anew)", *lines[:80], *cut])
