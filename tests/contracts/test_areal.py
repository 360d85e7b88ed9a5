"""The installed AReaL calls a reward function in its pool: `scripts/contracts areal`.

Its package needs a GPU's libraries, so that `reward_api.py` is loaded by its path.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plaudit.integrations.areal import as_areal_reward
from plaudit.rewarding.unscored import UnscoredError
from plaudit.rollouts.trace import Trace
from tests.support.equality import rl_trainers
from tests.support.equality.runs import Run
from tests.support.rl_peers import ASKED, CHAT

pytestmark = [pytest.mark.filterwarnings("default")]

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ROW: dict[str, Any] = {"messages": [ASKED], "answer": "4"}


async def hangs(trace: Trace) -> float:
    await asyncio.sleep(600)
    return 1.0


def load(name: str, path: str) -> ModuleType:
    found = next(one for one in files("areal") or () if str(one) == path)
    spec = importlib.util.spec_from_file_location(name, str(found.locate()))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wrapper() -> Iterator[Any]:
    try:
        files("areal")
    except PackageNotFoundError:
        pytest.skip("scripts/contracts areal has it")
    before = dict(sys.modules)
    for name in ("areal", "areal.utils"):
        sys.modules[name] = ModuleType(name)
    utils: Any = sys.modules["areal.utils"]
    utils.logging = load("areal.utils.logging", "areal/utils/logging.py")
    made = load("areal.api.reward_api", "areal/api/reward_api.py").AsyncRewardWrapper
    yield made
    made._atexit_shutdown_all()
    for name in [name for name in sys.modules if name.split(".")[0] == "areal"]:
        if name not in before:
            del sys.modules[name]


async def called(wrapper: Any, reward: Any, said: str, **row: Any) -> float:
    """Call as `RLVRWorkflow` does."""
    return await wrapper(reward, max_workers=2)(CHAT, said, [1], [2], **row)


async def test_values_come_out_of_the_pool(wrapper: Any, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[rewards.correctness]\nby = "rules"\n', encoding="utf-8")
    reward = as_areal_reward(path, when_unscored="error")
    assert await called(wrapper, reward, "4<|im_end|>", **ROW) == 1.0
    assert await called(wrapper, reward, "5<|im_end|>", **ROW) == 0.0


async def test_an_error_is_raised_after_its_tries_and_breaks_no_pool(wrapper: Any) -> None:
    reward = as_areal_reward(RULES, when_unscored="error")
    with pytest.raises(UnscoredError, match="no_reference"):
        await called(wrapper, reward, "4", messages=[ASKED])
    assert await called(wrapper, reward, "4", **ROW) == 1.0


async def test_what_hangs_is_no_zero(wrapper: Any) -> None:
    numbered = as_areal_reward(hangs, deadline=0.2, when_unscored=-1)
    assert await called(wrapper, numbered, "4", **ROW) == -1
    erring = as_areal_reward(hangs, deadline=0.2, when_unscored="error")
    with pytest.raises(UnscoredError, match="deadline"):
        await called(wrapper, erring, "4", **ROW)


async def test_completions_have_the_values_of_plaudit_score(
    wrapper: Any, runs: dict[str, Run]
) -> None:
    async def call(reward: Any, *args: Any, **row: Any) -> float:
        return await wrapper(reward, timeout_seconds=300, max_workers=2)(*args, **row)

    run = runs["graded"]
    assert run.differences(await rl_trainers.areal(run.spec, run.rows, call)) == []
