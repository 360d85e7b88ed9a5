"""Rewards as rLLM's evaluators and reward functions, with the fields of its published source."""

from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.rllm import as_rllm_evaluator, row_of_episode
from plaudit.rewarding.unscored import UnscoredError
from tests.support import peers

RULES = {"rewards": {"correctness": {"by": "rules"}}}
TASK = SimpleNamespace(instruction="What is 2 + 2?", metadata={"ground_truth": "4"})
ASKED = {"role": "user", "content": "What is 2 + 2?"}


def evaluate(task: Any, episode: Any, **options: Any) -> Any:
    options = {"when_unscored": "error", "name": "sums", **options}
    with peers.standing_in():
        return as_rllm_evaluator(RULES, **options).evaluate(task, episode)


def test_an_episode_becomes_reward_correctness_and_signals() -> None:
    found = evaluate(TASK, peers.rllm_episode(answer="It is 4."))
    assert (found.reward, found.is_correct) == (1, True)
    signals = {one.name: one.value for one in found.signals}
    assert signals == {"sums": 1, "sums/correctness": 1, "sums/unscored": 0}
    assert found.metadata["status"] == "ok"
    assert not evaluate(TASK, peers.rllm_episode(answer="It is 5.")).is_correct


def test_what_has_no_value_is_never_correct() -> None:
    task = {"question": "What is 2 + 2?"}
    with pytest.raises(UnscoredError):
        evaluate(task, peers.rllm_episode(answer="4"))
    found = evaluate(task, peers.rllm_episode(answer="4"), when_unscored=1.0)
    assert (found.reward, found.is_correct) == (1, False)
    assert found.metadata["cause"] == "no_reference"
    with pytest.raises(UsageError, match="rLLM"):
        as_rllm_evaluator(RULES)


def test_older_reward_functions_call_it_with_a_text() -> None:
    with peers.standing_in():
        reward = as_rllm_evaluator(RULES, when_unscored="error", name="sums")
        task = {"question": "What is 2 + 2?", "ground_truth": "4"}
        found = reward(task, SimpleNamespace(action="4"))
    assert (found.reward, found.is_correct, found.metadata["sums/unscored"]) == (1, True, 0)


def test_the_text_is_that_of_rllms_own_evaluators() -> None:
    episode = peers.rllm_episode()
    assert "completion" not in row_of_episode(TASK, episode)
    trajectory = episode.trajectories[0]
    trajectory.steps = [SimpleNamespace(output="first"), SimpleNamespace(output="step")]
    assert row_of_episode(TASK, episode)["completion"] == "step"
    trajectory.output = "trajectory"
    assert row_of_episode(TASK, episode)["completion"] == "trajectory"
    episode.artifacts["answer"] = "artifact"
    assert row_of_episode(TASK, episode)["completion"] == "artifact"


def test_chats_of_steps_are_one_rollout_or_the_last_where_they_were_cut() -> None:
    first = [ASKED, {"role": "assistant", "content": "one"}]
    whole = [*first, {"role": "user", "content": "Go on."}, {"role": "assistant", "content": "4"}]
    row = row_of_episode(TASK, peers.rllm_episode([first, whole]))
    assert [one["content"] for one in row["completion"]] == ["one", "Go on.", "4"]
    cut = [{"role": "user", "content": "A summary."}, {"role": "assistant", "content": "4"}]
    row = row_of_episode(TASK, peers.rllm_episode([first, cut]))
    assert (row["prompt"], row["completion"]) == (cut[:1], cut[1:])
    assert row["answer"] == "4"
