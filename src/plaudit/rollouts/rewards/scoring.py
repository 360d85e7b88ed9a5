"""Scoring many traces: bounded, in order, sync and async."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing

import msgspec

from plaudit._util.aio import map_ordered
from plaudit._util.loops import run_sync
from plaudit.engines.base import Engine
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.spec import Spec, load_rewards
from plaudit.rollouts.trace import Trace
from plaudit.sending.pool import SendPolicy

WINDOW = 200
"""Traces that are scored at once, which is what a judge of an endpoint has under way."""


def score_traces(
    traces: Iterable[Trace],
    spec: Spec | None = None,
    *,
    engine: str | Engine | None = None,
    cache: bool | str = True,
    send: SendPolicy | None = None,
) -> list[Trace]:
    """Score traces; nothing is rolled out again.

    ::

        for trace in score_traces(traces, "rewards.toml", engine="vllm:my-model"):
            total = trace.rewards["total"]
            print(trace.id, total.value, total.reason)

    Args:
        traces: of any length; an empty one gives an empty list.
        spec: the path of a specification, or a dict of the same form; None: the default one.
        engine: asked by `correctness` about what is undecided, as a URI or an engine; None: no
            model is asked.
        cache: whether the judge's replies are kept in the store, or the path of another store.
        send: concurrency, time-out and retries.

    Returns:
        The traces in their order, with `rewards`: a score for each reward by name, and `total`.

    Raises:
        UsageError: the specification cannot be used.
        EngineUnusableError: a judge is asked, and its engine can answer nothing.
    """
    return run_sync(ascore_traces(traces, spec, engine=engine, cache=cache, send=send))


async def ascore_traces(
    traces: Iterable[Trace] | AsyncIterable[Trace],
    spec: Spec | None = None,
    *,
    engine: str | Engine | None = None,
    cache: bool | str = True,
    send: SendPolicy | None = None,
) -> list[Trace]:
    """Score traces, of an async iterable too; see `score_traces`."""
    rewards = load_rewards(spec, Grader(engine=engine, cache=cache, send=send))
    try:
        async with aclosing(scored(traces, rewards)) as stream:
            return [trace async for trace in stream]
    finally:
        await rewards.close()


async def scored(
    traces: Iterable[Trace] | AsyncIterable[Trace], rewards: Composite, window: int = WINDOW
) -> AsyncGenerator[Trace]:
    """Score traces as they come and yield them in their order, a window of them at a time.

    Args:
        traces: read only as fast as they are scored and taken.
        rewards: what they are scored by; the caller closes it.
        window: most traces under way.
    """

    async def score(trace: Trace) -> Trace:
        return await with_rewards(trace, rewards)

    stream = map_ordered(score, traces, window)
    async with aclosing(stream):
        async for trace in stream:
            yield trace


async def with_rewards(trace: Trace, rewards: Composite) -> Trace:
    """Return a trace with its scores, in place of those that it had."""
    total = await rewards.score(trace)
    own = msgspec.structs.replace(total, components={})
    return msgspec.structs.replace(trace, rewards={**total.components, TOTAL: own})


def grouped(traces: Iterable[Trace], name: str = TOTAL) -> dict[str, list[float | None]]:
    """Return the values of one reward by group, each group in the order of its traces.

    What could not be told is None and stays in its place; a trainer leaves it out of the group's
    baseline. A trace without a group is one of its own.

    Args:
        traces: scored ones.
        name: of a reward, or `total`.

    Raises:
        KeyError: a trace has no such score.
    """
    groups: dict[str, list[float | None]] = {}
    for trace in traces:
        score = (trace.rewards or {})[name]
        groups.setdefault(trace.group or trace.id, []).append(score.value)
    return groups
