"""How trainers call their adapters in their own process: a specification and rows in, values out.

What a trainer hands over is made by stand-ins; tests/contracts passes the installed peer's own.
"""

import asyncio
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plaudit.integrations.art import as_art_reward
from plaudit.integrations.rllm import as_rllm_evaluator
from plaudit.integrations.skyrl import as_skyrl_env
from plaudit.integrations.tinker import RewardedGroupBuilder, TinkerReward
from plaudit.integrations.trl import as_trl_reward
from plaudit.integrations.verifiers import as_verifiers_reward
from plaudit.rewarding.unscored import UnscoredError
from tests.support import peers
from tests.support.equality.rows import UNSCORED, Row, Values, asked, without, wrote


async def trl(spec: Path | str, rows: Sequence[Row]) -> Values:
    columns = {name: [row[name] for row in rows] for name in ("prompt", "completion", "answer")}
    prompts, completions = columns.pop("prompt"), columns.pop("completion")
    return await as_trl_reward(spec)(prompts=prompts, completions=completions, **columns)


async def trl_chats(spec: Path | str, rows: Sequence[Row]) -> Values:
    chats = [{**row, "prompt": asked(row), "completion": wrote(row)} for row in rows]
    return await trl(spec, chats)


async def verifiers(
    spec: Path, rows: Sequence[Row], trace_of: Callable[..., Any] = peers.verifiers_trace
) -> Values:
    reward = as_verifiers_reward(spec)

    async def one(row: Row) -> float | None:
        trace = trace_of(asked(row), wrote(row), answer=row["answer"])
        try:
            return await reward(trace=trace)
        except UnscoredError:
            return None

    return await asyncio.gather(*map(one, rows))


async def art(
    spec: Path,
    rows: Sequence[Row],
    trajectory_of: Callable[..., Any] = peers.art_trajectory,
    group_of: Callable[..., Any] = peers.art_group,
) -> Values:
    made = [trajectory_of(asked(row), wrote(row), answer=row["answer"]) for row in rows]
    for number, one in enumerate(made):
        one.metrics["number"] = number
    group = await as_art_reward(spec, minimum=0)(group_of(made))
    found = {one.metrics["number"]: one.reward for one in group.trajectories}
    return [found.get(number) for number in range(len(rows))]


async def skyrl(spec: Path, rows: Sequence[Row]) -> Values:
    with peers.standing_in():
        env_class = as_skyrl_env(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        extras = {"reward_spec": {"ground_truth": row["answer"]}, "max_turns": 1}
        env = env_class(env_config=None, extras=extras)
        env.init(asked(row))
        return without(env.step(row["completion"])["reward"])

    return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def rllm(spec: Path, rows: Sequence[Row]) -> Values:
    evaluator = as_rllm_evaluator(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        task = {"question": asked(row)[-1]["content"], "ground_truth": row["answer"]}
        chat = [*asked(row), *wrote(row)]
        steps = [chat[: n + 1] for n, one in enumerate(chat) if one["role"] == "assistant"]
        if chat[-1]["role"] == "tool":  # The last step read a result, and wrote nothing.
            steps.append([*chat, {"role": "assistant", "content": ""}])
        return without(evaluator.evaluate(task, peers.rllm_episode(steps)).reward)

    with peers.standing_in():
        return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def rllm_function(spec: Path, rows: Sequence[Row]) -> Values:
    reward = as_rllm_evaluator(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        task = {"question": row["prompt"], "ground_truth": row["answer"]}
        return without(reward(task_info=task, action=row["completion"]).reward)

    with peers.standing_in():
        return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def tinker(spec: Path, rows: Sequence[Row]) -> Values:
    envs = tuple(peers.ProblemEnv(row["prompt"], row["answer"]) for row in rows)
    reward = TinkerReward(spec, when_unscored=UNSCORED)
    builder = RewardedGroupBuilder(peers.GroupBuilder(envs), reward)
    builder = pickle.loads(pickle.dumps(builder))
    made = [peers.tinker_trajectory(row["completion"]) for row in rows]
    found = await builder.compute_group_rewards(made, await builder.make_envs())
    return [without(value) for value, _ in found]


async def tinker_history(spec: Path, rows: Sequence[Row]) -> Values:
    reward = TinkerReward(spec, when_unscored=UNSCORED)

    async def one(row: Row) -> float | None:
        value, _ = await reward.for_history(answer=row["answer"])([*asked(row), *wrote(row)])
        return without(value)

    return await asyncio.gather(*map(one, rows))
