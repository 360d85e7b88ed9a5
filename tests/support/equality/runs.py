"""What `plaudit score` makes of the rows, and where others differ from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.command import Here, rows_of, write_rows
from tests.support.equality.rows import Row, Values, asked, single_turns, tool_chats, wrote

GRADED = """
[rewards.correctness]
by = "rules"
[rewards.length]
weight = 0.1
free = 10
full = 400
"""
UNGRADED = """
[rewards.digits]
function = "digits.py:share"
[rewards.length]
weight = 0.1
free = 10
full = 400
"""
"""For trainers that hand over no reference."""
DIGITS = """
async def share(trace):
    text = trace.final_answer or ""
    digits = sum(map(str.isdigit, text))
    return digits / len(text) if digits else None
"""
SEARCHED = GRADED + "[rewards.search_effort]\n"


class Run(NamedTuple):
    """A specification, rows, and the values that `plaudit score` gives them."""

    name: str
    spec: Path
    rows: Sequence[Row]
    values: Values

    def differences(self, found: Values) -> list[tuple[Any, ...]]:
        """Rows with another value than that of `plaudit score`, with both."""
        pairs = zip(self.rows, self.values, found, strict=True)
        return [(row, expected, value) for row, expected, value in pairs if expected != value]


def score_all(folder: Path) -> dict[str, Run]:
    """Run `plaudit score` over single turns with and without references, and chats with tools."""
    (folder / "digits.py").write_text(DIGITS, encoding="utf-8")
    turns = single_turns()
    bare = [row | {"answer": None} for row in turns]
    return {
        "graded": score(folder, "graded", GRADED, turns),
        "ungraded": score(folder, "ungraded", UNGRADED, bare),
        "chats": score(folder, "chats", SEARCHED, tool_chats()),
    }


def score(folder: Path, name: str, spec: str, rows: Sequence[Row]) -> Run:
    """Run `plaudit score` on rows, as chats."""
    path, out = folder / f"{name}.toml", folder / f"{name}.out.jsonl"
    path.write_text(spec, encoding="utf-8")
    chats = [{"messages": [*asked(row), *wrote(row)], "answer": row["answer"]} for row in rows]
    source = write_rows(folder / f"{name}.jsonl", chats)
    done = Here(folder / "home")("score", source, "--rewards", path, "-o", out)
    assert done.status == 0, done.stderr
    return Run(name, path, rows, [row["rewards"]["total"]["value"] for row in rows_of(out)])
