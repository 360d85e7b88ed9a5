"""How verl, OpenRLHF, slime, AReaL and NeMo call adapters: a specification and rows in, values out.

What calls them is a stand-in; tests/contracts passes the installed peer's own.
"""

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from plaudit.integrations.areal import ARealReward, as_areal_reward
from plaudit.integrations.nemo_gym import as_gym_server
from plaudit.integrations.nemo_rl import as_nemo_rl_env
from plaudit.integrations.openrlhf import as_openrlhf_reward
from plaudit.integrations.slime import as_slime_reward
from plaudit.integrations.verl import MASK, as_verl_manager, as_verl_reward
from plaudit.rollouts.calls.forms import write_call
from tests.support import verl_peer
from tests.support.equality.over_http import gym_request
from tests.support.equality.rows import UNSCORED, Row, Values, asked, without, wrote
from tests.support.rl_peers import Body, Sample, slime_args, standing_in

VerlScore = Callable[[verl_peer.Rollout, Row], Awaitable[Row]]
GymPost = Callable[[Row], Awaitable[Row]]


async def verl(spec: Path, rows: Sequence[Row]) -> Values:
    compute_score = as_verl_reward(spec, when_unscored=UNSCORED)

    async def one(row: Row) -> float | None:
        info = {"question": row["prompt"], "num_turns": 2}
        found = await compute_score("rows", row["completion"], row["answer"], info)
        return _of_verl(found)

    return await asyncio.gather(*map(one, rows))


def verl_manager_of(spec: Path) -> tuple[Any, VerlScore]:
    """A tokenizer, and what scores rollouts of its ids."""
    with verl_peer.standing_in():
        manager_class = as_verl_manager(spec, when_unscored=UNSCORED)
    tokenizer = verl_peer.Characters()
    manager = manager_class({}, tokenizer, None)

    async def score(made: verl_peer.Rollout, beside: Row) -> Row:
        found = await manager.run_single(verl_peer.data(made, beside))
        return found["reward_extra_info"]

    return tokenizer, score


async def verl_manager(
    spec: Path,
    rows: Sequence[Row],
    make: Callable[[Path], tuple[Any, VerlScore]] = verl_manager_of,
    *,
    masked: bool = False,
) -> Values:
    tokenizer, score = make(spec)

    async def one(row: Row) -> float | None:
        made = verl_peer.rollout(tokenizer, asked(row), _sampled(wrote(row)))
        extra = {MASK: made.mask} if masked else {}
        beside = verl_peer.fields(made, row["answer"], tool_extra_fields=extra)
        return _of_verl(await score(made, beside))

    return await asyncio.gather(*map(one, rows))


async def verl_manager_masked(spec: Path, rows: Sequence[Row]) -> Values:
    return await verl_manager(spec, rows, masked=True)


def _of_verl(found: Row) -> float | None:
    value = without(found["score"])
    assert found["abstained"] == (value is None)
    return value


def _sampled(chat: Sequence[Row]) -> list[Row]:
    """A chat as the model samples it: calls as text; after a result it writes at least its end."""
    found = [
        message | {"content": message["content"] + "".join(map(_call, message["tool_calls"]))}
        if message.get("tool_calls")
        else message
        for message in chat
    ]
    end = [{"role": "assistant", "content": ""}]
    return found + end if found[-1]["role"] == "tool" else found


def _call(call: Row) -> str:
    function = call["function"]
    return write_call("hermes", function["name"], json.loads(function["arguments"]))


async def openrlhf(spec: Path, rows: Sequence[Row]) -> Values:
    reward_func = as_openrlhf_reward(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        query = row["prompt"] + row["completion"] + "<|im_end|>"
        found = reward_func([query], [row["prompt"]], [row["answer"]])
        (value,), (lost,) = found["rewards"].tolist(), found["extra_logs"]["unscored"].tolist()
        assert lost == (value == UNSCORED)
        return without(value)

    with standing_in():
        return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def slime(spec: Path, rows: Sequence[Row]) -> Values:
    reward = as_slime_reward(spec, when_unscored=UNSCORED)
    samples = [
        Sample(prompt=row["prompt"], response=row["completion"], label=row["answer"])
        for row in rows
    ]
    found = await asyncio.gather(*(reward(slime_args(), sample) for sample in samples))
    return [without(value) for value in found]


async def slime_groups(spec: Path, rows: Sequence[Row]) -> Values:
    """Groups of eight, whose messages the function that generates has kept."""
    reward = as_slime_reward(spec, when_unscored="drop")
    samples = [
        Sample(prompt=asked(row), response="?", label=row["answer"], loss_mask=[1, 0])
        for row in rows
    ]
    for sample, row in zip(samples, rows, strict=True):
        sample.metadata["completion"] = wrote(row)
    groups = [samples[start : start + 8] for start in range(0, len(samples), 8)]
    args = slime_args(group_rm=True)
    found = await asyncio.gather(*(reward(args, group) for group in groups))
    values = [value for group in found for value in group]
    return [
        None if sample.remove_sample else value
        for sample, value in zip(samples, values, strict=True)
    ]


async def in_a_process(reward: ARealReward, *args: Any, **row: Any) -> float:
    """Call what was pickled with its arguments."""
    called = pickle.loads(pickle.dumps(partial(reward, *args, **row)))
    return await asyncio.to_thread(called)


async def areal(
    spec: Path, rows: Sequence[Row], call: Callable[..., Awaitable[float]] = in_a_process
) -> Values:
    reward = as_areal_reward(spec, when_unscored=UNSCORED, deadline=300)

    async def one(row: Row) -> float | None:
        columns = {"messages": asked(row), "answer": row["answer"]}
        said = row["completion"] + "<|im_end|>"
        return without(await call(reward, row["prompt"], said, [1], [2], **columns))

    return await asyncio.gather(*map(one, rows))


def gym_server(spec: Path) -> GymPost:
    with standing_in():
        server = as_gym_server(spec, when_unscored="drop")()

    async def post(body: Row) -> Row:
        return vars(await server.verify(Body(**body)))

    return post


async def nemo_gym(
    spec: Path, rows: Sequence[Row], serve: Callable[[Path], GymPost] = gym_server
) -> Values:
    post = serve(spec)
    found = await asyncio.gather(*(post(gym_request(row)) for row in rows))
    return [_of_gym(one) for one in found]


def _of_gym(found: Row) -> float | None:
    marked = found.get("mask_sample", False)
    assert found["unscored"] == float(marked)
    return None if marked else found["reward"]


async def nemo_rl(spec: Path, rows: Sequence[Row]) -> Values:
    with standing_in():
        env = as_nemo_rl_env(spec, when_unscored=UNSCORED)()
        logs = [[*asked(row), *wrote(row)] for row in rows]
        found = env.step(logs, [{"ground_truth": row["answer"]} for row in rows])
    return [without(value) for value in found.rewards.tolist()]
