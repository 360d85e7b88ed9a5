"""The same rows through every adapter and every dialect: the numbers of `plaudit score`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plaudit.integrations import __file__ as INTEGRATIONS
from plaudit.server.dialects.table import DIALECTS
from tests.support.command import REPOSITORY, Here, rows_of, write_rows
from tests.support.equality import (
    UNSCORED,
    WAYS,
    Values,
    Way,
    asked,
    single_turns,
    tool_chats,
    wrote,
)
from tests.support.serving import serving

GRADED = """
[rewards.correctness]
by = "rules"
[rewards.length]
weight = 0.1
free = 10
full = 400
"""
UNGRADED = """
[rewards.answer_support]
[rewards.length]
weight = 0.5
free = 10
full = 400
"""
"""For peers that hand over no reference."""
PAGE = REPOSITORY / "docs" / "reference" / "other-trainers.md"


class Run(NamedTuple):
    """What `plaudit score` made of rows."""

    spec: Path
    rows: Sequence[dict[str, Any]]
    values: Values


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("equality")
    turns, chats = single_turns(), tool_chats()
    bare = [row | {"answer": None} for row in turns]
    return {
        "graded": scored(folder / "graded", GRADED, turns),
        "ungraded": scored(folder / "ungraded", UNGRADED, bare),
        "chats": scored(folder / "chats", GRADED + "[rewards.search_effort]\n", chats),
    }


def scored(folder: Path, spec: str, rows: Sequence[dict[str, Any]]) -> Run:
    """Run `plaudit score` on rows, as chats."""
    folder.mkdir()
    path, out = folder / "rewards.toml", folder / "out.jsonl"
    path.write_text(spec, encoding="utf-8")
    chats = [{"messages": [*asked(row), *wrote(row)], "answer": row["answer"]} for row in rows]
    source = write_rows(folder / "in.jsonl", chats)
    done = Here(folder / "home")("score", source, "--rewards", path, "-o", out)
    assert done.status == 0, done.stderr
    return Run(path, rows, [row["rewards"]["total"]["value"] for row in rows_of(out)])


async def values_of(way: Way, run: Run) -> Values:
    if way.dialect is None:
        return await way.score(run.spec, run.rows)
    choice = None if way.dialect == "native" else str(UNSCORED)
    async with serving(run.spec, way.dialect, when_unscored=choice) as client:
        return await way.score(client, run.rows)


def differences(run: Run, found: Values) -> list[tuple[Any, ...]]:
    assert len(found) == len(run.rows)
    pairs = zip(run.rows, run.values, found, strict=True)
    return [(row, expected, value) for row, expected, value in pairs if expected != value]


@pytest.mark.parametrize("name", WAYS)
async def test_single_turns_are_worth_the_same(name: str, runs: dict[str, Run]) -> None:
    way = WAYS[name]
    run = runs["graded" if way.reference else "ungraded"]
    found = await values_of(way, run)
    assert differences(run, found) == []
    unscored = sum(value is None for value in found)
    assert f"| {name} | {len(found)} | {len(found)} | {unscored} |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.chats])
async def test_traces_with_tools_are_worth_the_same(name: str, runs: dict[str, Run]) -> None:
    run = runs["chats"]
    assert differences(run, await values_of(WAYS[name], run)) == []


def test_the_rows_are_worth_comparing(runs: dict[str, Run]) -> None:
    """Every outcome is among them, often, and values differ."""
    for run in runs.values():
        assert None in run.values
        assert len(set(run.values)) > 5
    turns = runs["graded"].values
    assert sum(value is None for value in turns) > 40
    assert sum(value is not None and value > 0.5 for value in turns) > 40
    assert sum(value is not None and value < 0.5 for value in turns) > 40


def test_every_adapter_and_every_dialect_is_in_the_table() -> None:
    dialects = {way.dialect for way in WAYS.values()}
    assert set(DIALECTS) <= dialects
    inside = {path.stem.split("_")[0] for path in Path(INTEGRATIONS).parent.glob("[a-z]*.py")}
    named = {name.replace(",", "").split()[0].lower() for name in WAYS}
    assert inside <= named
