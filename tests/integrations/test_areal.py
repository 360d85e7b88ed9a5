"""AReaL's reward function, pickled and called as its pool does it."""

import asyncio
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.areal import as_areal_reward
from plaudit.rewarding.unscored import UnscoredError
from plaudit.rollouts.trace import Trace
from tests.support.rl_peers import ASKED, CHAT

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ROW: dict[str, Any] = {"messages": [ASKED], "answer": "4"}


async def hangs(trace: Trace) -> float:
    await asyncio.sleep(600)
    return 1.0


def pooled(reward: Any, said: str, **row: Any) -> float:
    """Call as a process of the pool: what is called was pickled with its arguments."""
    return pickle.loads(pickle.dumps(partial(reward, CHAT, said, [1], [2], **row)))()


def test_a_process_gets_the_values(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[rewards.correctness]\nby = "rules"\n', encoding="utf-8")
    reward = as_areal_reward(path, when_unscored="error")
    assert reward.__name__ == "rules"
    assert pooled(reward, "4<|im_end|>", **ROW) == 1.0
    assert pooled(reward, "5", **ROW) == 0.0
    assert pooled(reward, "4", answer="4") == 1.0  # Of a workflow that keeps no messages.


def test_a_process_holds_a_reward_once() -> None:
    reward = as_areal_reward(RULES, when_unscored=-1)
    pickled = pickle.dumps(reward)
    assert pickle.loads(pickled) is pickle.loads(pickled)
    other = pickle.dumps(as_areal_reward(RULES, when_unscored=-2))
    assert pickle.loads(pickled) is not pickle.loads(other)


def test_an_error_reaches_the_trainer() -> None:
    reward = as_areal_reward(RULES, when_unscored="error")
    with pytest.raises(UnscoredError) as raised:
        pooled(reward, "4", messages=[ASKED])
    error = pickle.loads(pickle.dumps(raised.value))
    assert str(error) == "1 of 1 rows have no value: no_reference"
    assert error.rows[0].value is None


def test_what_hangs_is_answered_before_areal_makes_a_zero_of_it() -> None:
    assert pooled(as_areal_reward(hangs, deadline=0.05, when_unscored=-1), "4", **ROW) == -1
    with pytest.raises(UnscoredError, match="deadline"):
        pooled(as_areal_reward(hangs, deadline=0.05, when_unscored="error"), "4", **ROW)


def test_what_does_not_pickle_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"does not pickle: .*lambda"):
        as_areal_reward(lambda trace: 1.0, when_unscored="error")


@pytest.mark.parametrize("given", [None, "null", "drop", "group-mean"])
def test_a_choice_is_required(given: Any) -> None:
    with pytest.raises(UsageError, match="AReaL"):
        as_areal_reward(RULES, when_unscored=given)
