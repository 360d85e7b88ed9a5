"""The same rows through every adapter and every dialect: the numbers of `plaudit score`."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from plaudit.integrations import __file__ as INTEGRATIONS
from plaudit.server.dialects.table import DIALECTS
from tests.support.command import REPOSITORY
from tests.support.equality.over_http import Served
from tests.support.equality.rows import UNSCORED, Values
from tests.support.equality.runs import Run, score_all
from tests.support.equality.table import WAYS, Way
from tests.support.serving import Client, serving

PAGE = REPOSITORY / "docs" / "guides" / "one-reward.md"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return score_all(tmp_path_factory.mktemp("equality"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(runs: dict[str, Run]) -> AsyncIterator[Client]:
    """Of one server, of all rewards in all dialects."""
    spec = runs["graded"].spec.with_name("serve.toml")
    rewards = [f'[serve.{run.name}]\nrewards = "{run.spec.name}"\n' for run in runs.values()]
    spec.write_text("".join(rewards), encoding="utf-8")
    async with serving(spec, *DIALECTS, when_unscored=str(UNSCORED)) as client:
        yield client


async def values_of(way: Way, run: Run, client: Client) -> Values:
    return await way.score(Served(client, run.name) if way.dialect else run.spec, run.rows)


@pytest.mark.parametrize("name", WAYS)
async def test_single_turns_have_the_same_values(
    name: str, runs: dict[str, Run], client: Client
) -> None:
    way = WAYS[name]
    run = runs["graded" if way.reference else "ungraded"]
    found = await values_of(way, run, client)
    assert run.differences(found) == []
    unscored = sum(value is None for value in found)
    assert f"| {name} | {len(found)} | {len(found)} | {unscored} |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.chats])
async def test_chats_with_tools_have_the_same_values(
    name: str, runs: dict[str, Run], client: Client
) -> None:
    run = runs["chats"]
    assert run.differences(await values_of(WAYS[name], run, client)) == []


async def test_the_rows_have_every_outcome_often(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert None in run.values
        assert len(set(run.values)) > 5
    turns = runs["graded"].values
    assert sum(value is None for value in turns) > 40
    assert sum(value is not None and value > 0.5 for value in turns) > 40
    assert sum(value is not None and value < 0.5 for value in turns) > 40


async def test_every_adapter_and_every_dialect_is_in_the_table() -> None:
    assert set(DIALECTS) <= {way.dialect for way in WAYS.values()}
    inside = {path.stem.split("_")[0] for path in Path(INTEGRATIONS).parent.glob("[a-z]*.py")}
    named = {name.replace(",", "").split()[0].lower() for name in WAYS}
    assert inside <= named


async def test_the_page_has_the_rows_of_the_table_alone() -> None:
    shown = re.findall(r"^\| (.+?) \| \d+ \| \d+ \| \d+ \|$", PAGE.read_text("utf-8"), re.M)
    assert shown == list(WAYS)
