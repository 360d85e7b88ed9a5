"""Rewards as an environment of SkyRL gym; tests/contracts has the installed one."""

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.skyrl import as_skyrl_env
from plaudit.rewarding.unscored import UnscoredError
from tests.support import peers

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def started(truth: Any, when_unscored: Any = "error", **extras: Any) -> Any:
    with peers.standing_in():
        made = as_skyrl_env(RULES, name="sums", when_unscored=when_unscored)
    env = made(env_config=None, extras={"reward_spec": {"ground_truth": truth}, **extras})
    assert env.init(ASKED) == (ASKED, {})
    return env


def test_one_turn_is_an_episode() -> None:
    env = started("4")
    assert env.get_metrics() == {}
    step = env.step("4")
    assert (step["reward"], step["done"], step["observations"]) == (1.0, True, [])
    assert env.get_metrics() == {"sums": 1, "sums/correctness": 1, "sums/unscored": 0}


def test_references_have_the_forms_of_skyrls_data_sets() -> None:
    assert started({"target": ["4", "four"]}).step("4")["reward"] == 1
    assert started(None, answer="4").step("4")["reward"] == 1


def test_no_value_is_what_was_chosen_and_something_must_be() -> None:
    with pytest.raises(UnscoredError):
        started(None).step("4")
    step = started(None, when_unscored=-1).step("4")
    assert (step["reward"], step["metadata"]["cause"]) == (-1, "no_reference")
    with pytest.raises(UsageError, match="when_unscored=HOW, where HOW is error, a number"):
        started(None, when_unscored=None)


def test_without_skyrl_its_name_is_in_the_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="skyrl_gym"):
        as_skyrl_env(RULES, when_unscored="error")
