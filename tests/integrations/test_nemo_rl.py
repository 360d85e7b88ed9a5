"""An environment of NeMo RL, called as `calculate_rewards` of its rollouts calls it."""

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.nemo_rl import as_nemo_rl_env
from plaudit.rewarding.unscored import UnscoredError
from tests.support.rl_peers import ASKED, TOOL_TURNS, EnvironmentInterface, standing_in

RULES = {"rewards": {"correctness": {"by": "rules"}}}


@pytest.fixture(autouse=True)
def peers():
    with standing_in():
        yield


def log(said: str) -> list[dict[str, str]]:
    return [ASKED, {"role": "assistant", "content": said}]


def test_a_step_scores_what_was_written_last() -> None:
    env_class = as_nemo_rl_env(RULES, name="sums", when_unscored=-1)
    assert issubclass(env_class, EnvironmentInterface)
    env = env_class({"num_workers": 1})
    shown = [ASKED, {"role": "assistant", "content": "4"}, *log("5")]  # The prompt has a shot.
    logs = [log("4"), shown, log("4"), [ASKED], [ASKED, *TOOL_TURNS]]
    infos = [{"ground_truth": "4"}, {"expected_answer": "4"}, None, {"answer": "4"}, {}]
    observations, metadata, stops, rewards, terminateds, answers = env.step(logs, infos)
    assert rewards.tolist() == [1, 0, -1, -1, -1]
    assert terminateds.tolist() == [True] * 5
    assert (metadata, stops) == (infos, [None] * 5)
    assert {one["role"] for one in observations} == {"environment"}
    assert answers[:2] == ["4", "5"]
    batch = {"rewards": rewards}
    assert env.global_post_process_and_metrics(batch) == (batch, {"sums/unscored": 0.6})
    assert env.global_post_process_and_metrics(batch)[1] == {"sums/unscored": 0.0}


def test_an_error_ends_the_step() -> None:
    env = as_nemo_rl_env(RULES, when_unscored="error")()
    with pytest.raises(UnscoredError, match="1 of 2 rows have no value: no_reference"):
        env.step([log("4"), log("4")], [{"answer": "4"}, {}])


@pytest.mark.parametrize("given", [None, "null", "drop", "group-mean"])
def test_a_choice_is_required(given: Any) -> None:
    with pytest.raises(UsageError, match="NeMo RL"):
        as_nemo_rl_env(RULES, when_unscored=given)
