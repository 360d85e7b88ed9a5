"""OpenRLHF's reward function, called as its executor calls it."""

from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.openrlhf import as_openrlhf_reward
from plaudit.rewarding.unscored import UnscoredError
from tests.support.rl_peers import CHAT, openrlhf_function, standing_in

RULES = {"rewards": {"correctness": {"by": "rules"}}}


def numbers(found: dict[str, Any]) -> tuple[list[float], list[float], list[float]]:
    logs = found["extra_logs"]
    assert set(logs) == {"unscored"}
    return found["rewards"].tolist(), found["scores"].tolist(), logs["unscored"].tolist()


def test_a_file_holds_the_function(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    file.write_text(
        "from plaudit.integrations.openrlhf import as_openrlhf_reward\n\n"
        f'reward_func = as_openrlhf_reward({RULES}, when_unscored="error")\n'
    )
    reward_func = openrlhf_function(file)
    with standing_in():
        right = reward_func([CHAT + "4<|im_end|>"], [CHAT], ["4"])
        wrong = reward_func(["<s>" + CHAT + "5"], [CHAT], ["4"])
    assert numbers(right) == ([1.0], [1.0], [0.0])
    assert numbers(wrong) == ([0.0], [0.0], [0.0])


def test_a_number_is_counted_where_there_is_no_value() -> None:
    reward_func = as_openrlhf_reward(RULES, when_unscored=-1)
    queries = [CHAT + "4", "4", CHAT[5:] + "4", CHAT + "4", CHAT + "5"]
    labels = ["4", "4", "4", "", "4"]  # OpenRLHF has "" where there is no label.
    with standing_in():
        found = reward_func(queries, [CHAT] * 5, labels)
        short = reward_func(queries[:2], [CHAT], ["4", "4"])
        none = reward_func([], [], [])
    assert numbers(found) == ([1, -1, -1, -1, 0], [1, 0, 0, 0, 0], [0, 1, 1, 1, 0])
    assert numbers(short)[0] == [-1, -1]  # Nothing says whose prompt it is.
    assert numbers(none) == ([], [], [])


def test_an_error_names_the_causes() -> None:
    reward_func = as_openrlhf_reward(RULES, when_unscored="error")
    with pytest.raises(UnscoredError, match="1 of 2 rows have no value: no_prompt"):
        reward_func(["4", CHAT + "4"], [CHAT] * 2, ["4"] * 2)


@pytest.mark.parametrize("given", [None, "null", "drop", "group-mean"])
def test_a_choice_is_required(given: Any) -> None:
    with pytest.raises(UsageError, match="OpenRLHF"):
        as_openrlhf_reward(RULES, when_unscored=given)
