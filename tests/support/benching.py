"""A small set in LLMBar's form, and scripts of judges of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plaudit.bench.datasets import load_dataset, place_sides
from tests.support.command import write_rows
from tests.support.judged import compared, labelled, scored

GOOD, BAD = "a zorgood reply", "a zorbad reply"
MIRRORED = {"A++": "B++", "B++": "A++", "A=B": "A=B"}


def write_llmbar(folder: Path, natural: int = 14, manual: int = 10) -> Path:
    """Write a file a subset; the better response is always the first."""
    folder.mkdir(exist_ok=True)
    for name, count in (("natural", natural), ("adversarial_manual", manual)):
        entries = [
            {
                "input": f"{name} {n}",
                "output_1": f"{GOOD} {n}",
                "output_2": f"{BAD} {n}",
                "label": 1,
            }
            for n in range(count)
        ]
        (folder / f"{name}.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def script(path: Path, *lines: dict[str, Any]) -> str:
    """Write a script; return the URI of its engine."""
    return f"scripted:{write_rows(path, list(lines))}"


def line(reply: str | dict[str, Any], **match: str) -> dict[str, Any]:
    """Return a line of a script."""
    given = {"text": reply} if isinstance(reply, str) else reply
    return {"match": match, "replies": [given]}


def always(reply: str | dict[str, Any], path: Path) -> str:
    """Return the engine that always says the same."""
    return script(path, line(reply))


def by_label(folder: Path, path: Path, says: Callable[[dict[str, Any]], str], seed: int = 0) -> str:
    """Return the engine of a judge of pairs that sees both orders alike.

    Args:
        folder: the set.
        path: of the script.
        says: of a placed row, the choice in its own order: `A++`, `B++` or `A=B`.
        seed: of the placement.
    """
    lines: list[dict[str, Any]] = []
    for row in place_sides(list(load_dataset("llmbar", folder)), seed):
        choice = says(row)
        lines.append(line(compared(choice), sample_id=row["id"], turn="main"))
        lines.append(line(compared(MIRRORED[choice]), sample_id=row["id"], turn="swapped"))
    return script(path, *lines)


def right(row: dict[str, Any]) -> str:
    """Say the better side."""
    return f"{row['label']}++"


def wrong(row: dict[str, Any]) -> str:
    """Say the worse side."""
    return MIRRORED[right(row)]


def scorer(path: Path, good: int = 9, bad: int = 3) -> str:
    """Return the engine that scores responses by a word in them."""
    return script(
        path, line(scored(good), contains="zorgood"), line(scored(bad), contains="zorbad")
    )


def reaction(label: str) -> str:
    """Return a reply of the feedback judge."""
    return labelled(label)
