"""Rewards for groups of tinker-cookbook, as it is installed: scripts/contracts tinker.

Its own loop rolls out; a script stands in for the service that samples.
"""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip(
    "tinker_cookbook", reason="tinker-cookbook is not installed: scripts/contracts tinker has it"
)
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

import tinker  # noqa: E402
from tinker_cookbook.completers import TokensWithLogprobs  # noqa: E402
from tinker_cookbook.renderers.base import ParseTermination  # noqa: E402
from tinker_cookbook.rl.problem_env import ProblemEnv  # noqa: E402
from tinker_cookbook.rl.rollouts import do_group_rollout  # noqa: E402
from tinker_cookbook.rl.types import EnvGroupBuilder  # noqa: E402
from tinker_cookbook.tool_use.agent_tool_message_env import AgentToolMessageEnv  # noqa: E402

from plaudit.integrations.tinker import RewardedGroupBuilder, TinkerReward  # noqa: E402
from plaudit.rewarding.unscored import UnscoredError  # noqa: E402
from tests.support.equality.rows import UNSCORED, Row, without  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402

RULES = {"rewards": {"correctness": {"by": "rules"}}}


class Characters:
    """A renderer whose tokens are characters."""

    def get_stop_sequences(self) -> list[int]:
        return [0]

    def build_generation_prompt(self, chat: Sequence[Row]) -> Any:
        return tinker.ModelInput.from_ints([ord(one) for one in chat[-1]["content"]])

    def parse_response(self, tokens: Sequence[int]) -> tuple[Row, ParseTermination]:
        text = "".join(map(chr, tokens))
        return {"role": "assistant", "content": text}, ParseTermination.STOP_SEQUENCE


class Question(ProblemEnv):
    """One row, which says nothing of its own reward."""

    def __init__(self, row: Row) -> None:
        super().__init__(Characters(), format_coef=0.0)
        self.row = row

    def get_question(self) -> str:
        return self.row["prompt"]

    def get_reference_answer(self) -> str:
        return self.row["answer"]

    def check_answer(self, sample_str: str) -> bool:
        return False

    def check_format(self, sample_str: str) -> bool:
        return True


@dataclass(frozen=True)
class Questions(EnvGroupBuilder):
    rows: Sequence[Row]

    async def make_envs(self) -> Sequence[Question]:
        return [Question(row) for row in self.rows]

    def logging_tags(self) -> list[str]:
        return ["sums"]


@dataclass
class Scripted:
    """Samples what the rows have, in their order of being asked."""

    texts: Iterator[str]

    async def __call__(self, model_input: Any, stop: Any, **limits: Any) -> TokensWithLogprobs:
        tokens = [ord(one) for one in next(self.texts)]
        return TokensWithLogprobs(tokens=tokens, maybe_logprobs=[0.0] * len(tokens))


async def roll_out(reward: TinkerReward, rows: Sequence[Row]) -> Any:
    builder = pickle.loads(pickle.dumps(RewardedGroupBuilder(Questions(rows), reward)))
    assert builder.logging_tags() == ["sums"]
    return await do_group_rollout(builder, Scripted(iter([row["completion"] for row in rows])))


def answered(*texts: str, answer: str | None = "4") -> list[Row]:
    return [{"prompt": "What is 2 + 2?", "completion": text, "answer": answer} for text in texts]


async def test_real_rollouts_have_the_values_of_plaudit_score(runs: dict[str, Run]) -> None:
    run = runs["graded"]
    group = await roll_out(TinkerReward(run.spec, when_unscored=UNSCORED), run.rows)
    assert run.differences([without(value) for value in group.get_total_rewards()]) == []


async def test_metrics_count_and_a_mean_or_an_error_can_stand_in() -> None:
    rows = [*answered("4", "5"), *answered("4", answer=None)]
    group = await roll_out(TinkerReward(RULES, name="sums", when_unscored="group-mean"), rows)
    assert group.get_total_rewards() == [1, 0, 0.5]
    assert [one["sums/unscored"] for one in group.metrics_G] == [0, 0, 1]
    with pytest.raises(UnscoredError):
        await roll_out(TinkerReward(RULES, when_unscored="error"), rows)


async def test_a_finished_history_of_an_agent_is_scored() -> None:
    reward = TinkerReward(RULES, name="sums", when_unscored="error")
    asked = [{"role": "user", "content": "What is 2 + 2?"}]
    env = AgentToolMessageEnv(
        tools=[], initial_messages=asked, max_turns=2, reward_fn=reward.for_history(answer="4")
    )
    await env.initial_observation()
    step = await env.step({"role": "assistant", "content": "It is 4."})
    assert step.episode_done
    assert step.reward == 1
    assert step.metrics["sums/correctness"] == 1
