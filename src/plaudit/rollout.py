"""The Python API: rollouts and evaluations of an engine, or of a trainer's own function."""

import datetime
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit._util.aio import for_each
from plaudit._util.choices import convert
from plaudit._util.loops import synchronous
from plaudit.corpus.questions import Question, QuestionIds, Split, read_question
from plaudit.engines.base import Engine
from plaudit.engines.callable import CallableEngine
from plaudit.engines.load import load_engine
from plaudit.errors import InputError, UsageError
from plaudit.io.progress import Progress
from plaudit.io.sources import RowReader
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.evaluation import Evaluation, Evaluator
from plaudit.rollouts.result import Rollouts
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.scoring import with_rewards
from plaudit.rollouts.rewards.spec import Spec, load_rewards
from plaudit.rollouts.rolling import RolloutSession
from plaudit.rollouts.tools import ToolSet, load_tools
from plaudit.rollouts.tools.toolset import Offered
from plaudit.rollouts.trace import Trace
from plaudit.runs.cached import CachePolicy
from plaudit.sending.pool import SendPolicy
from plaudit.store.store import Store, default_store_path
from plaudit.types import Json

AnyPolicy = str | Engine | Callable[..., Any]
"""An engine URI, an engine, or a function from a list of chats to a list of replies."""

Questions = str | Path | Iterable[str | Question | Mapping[str, Json]]
"""The path of a file, or texts, questions or rows with a `question`."""

Tools = ToolSet | Iterable[str | Offered]
"""A tool set, or functions, tools and texts such as `search:INDEX`."""

GRADED: Mapping[str, Json] = {"rewards": {"correctness": {}}}
"""The rewards of rollouts that are only graded."""


async def arollout(
    policy: AnyPolicy,
    questions: Questions,
    tools: Tools = (),
    *,
    samples_per_question: int = 1,
    rewards: Spec | Composite | None = None,
    judge: str | Engine | None = None,
    split: Split | None = None,
    limit: int | None = None,
    cache: bool | str | Path = True,
    send: SendPolicy | None = None,
    progress: bool | Callable[[Trace], object] = False,
    **config: Any,
) -> Rollouts:
    """Let a policy answer questions with tools.

    ::

        rollouts = rollout("vllm:my-model", "questions.jsonl", ["search:INDEX"],
                           samples_per_question=8, tokenizer="my-model/")  # or await arollout(...)
        rollouts.completion_ids, rollouts.masks, rollouts.logprobs

    The sync form also works inside a running event loop. Of a question the policy sees its text
    alone.

    Args:
        policy: an engine URI, an engine, or a trainer's own function, which is given a list of
            chats and returns a list of texts or of outputs like vLLM's `RequestOutput`; a function
            that takes texts or token ids is a `CallableEngine`.
        questions: a file, or texts, rows or `Question`s.
        tools: typed, documented functions, tools, or texts such as `search:INDEX`.
        samples_per_question: rollouts of each question, at temperature 1 unless it is given.
        rewards: what each rollout is scored by: a specification or its path; None: nothing.
        judge: the engine that rewards ask about what is undecided; None: no model is asked.
        split: only questions of this split.
        limit: most questions.
        cache: whether replies and finished rollouts are kept in the store, or the path of another
            store. Without effect for functions, whose weights may change.
        send: concurrency, time-out and retries.
        progress: True shows a line on standard error; a function is called with each trace.
        config: fields of `RolloutConfig`, such as `max_turns=3` or `temperature=0.7`.

    Returns:
        The traces, those of one question beside each other, in the order of the questions.

    Raises:
        UsageError: policy, tools and options do not go together.
        InputError: a question is malformed.
        EngineUnusableError: the engine can answer nothing.
    """
    asked = list(take_questions(questions, split, limit))
    settings = _config(samples_per_question, config)
    composite = _composite(rewards, judge, cache)
    found: dict[int, Trace] = {}
    async with _rolling(policy, tools, settings, cache, send) as rolling:
        await _roll_all(rolling, asked, composite, progress, found.__setitem__)
    return Rollouts([found[place] for place in sorted(found)], samples_per_question, composite)


rollout = synchronous(arollout, "rollout")
"""Let a policy answer questions with tools: the sync form of `arollout`."""


async def aevaluate(
    policy: AnyPolicy,
    questions: Questions,
    tools: Tools = (),
    *,
    verifier: str | Engine | None = None,
    samples_per_question: int = 1,
    rewards: Spec | Composite | None = None,
    split: Split | None = None,
    limit: int | None = None,
    cache: bool | str | Path = True,
    send: SendPolicy | None = None,
    progress: bool | Callable[[Trace], object] = False,
    **config: Any,
) -> Evaluation:
    """Measure how well a policy answers questions whose answers are known.

    ::

        found = evaluate("vllm:my-model", "questions.jsonl", ["search:INDEX"], split="test",
                         verifier="openai:gpt-5")
        print(found.accuracy.value, found.accuracy.low, found.accuracy.high)

    Answers are graded by the verify judge: types of answers, guards and head, and the verifier
    where one is named. A rollout that was broken off, and one whose answer nobody could decide, is
    in no average.

    Args:
        policy: see `arollout`.
        questions: see `arollout`; those without an answer are not graded.
        tools: see `arollout`.
        verifier: the engine that the verify judge asks about what is undecided; None: no model is
            asked.
        samples_per_question: rollouts of each question; from two on, pass@k is reported.
        rewards: what rollouts are scored by besides or instead; None: whether they are right.
        split: only questions of this split.
        limit: most questions.
        cache: see `arollout`.
        send: see `arollout`.
        progress: see `arollout`.
        config: see `arollout`.

    Raises:
        UsageError: policy, tools and options do not go together.
        InputError: a question is malformed.
        EngineUnusableError: an engine can answer nothing.
    """
    settings = _config(samples_per_question, config)
    composite = _composite(GRADED if rewards is None else rewards, verifier, cache)
    evaluator = Evaluator(samples_per_question, composite)

    def add(place: int, trace: Trace) -> None:
        evaluator.add(place // samples_per_question, trace)

    async with _rolling(policy, tools, settings, cache, send) as rolling:
        await _roll_all(rolling, take_questions(questions, split, limit), composite, progress, add)
    return evaluator.result()


evaluate = synchronous(aevaluate, "evaluate")
"""Measure how well a policy answers questions: the sync form of `aevaluate`."""


def take_questions(
    questions: Questions, split: Split | None = None, limit: int | None = None
) -> Iterator[Question]:
    """Take questions from a file or from rows, one after the other.

    Ids of questions keep rollouts apart. In a file no id may stand twice. Of rows a
    question that comes again is asked again, as `ID#2` and so on: a group of its own.

    Args:
        questions: a file, or texts, rows or `Question`s.
        split: only those of this split.
        limit: most questions.

    Raises:
        InputError: one is malformed, or two have one id; the message says which.
    """
    taken = 0
    ids = QuestionIds()
    for where, question in _questions(questions):
        try:
            ids.take(question.id, where)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        if split in (None, question.split):
            if taken == limit:
                return
            taken += 1
            yield question


def _questions(questions: Questions) -> Iterator[tuple[str, Question]]:
    """Yield questions with their places."""
    if isinstance(questions, str | Path):
        with RowReader(questions, strict=True) as rows:
            for row in rows:
                yield row.where, _question(row.data or {}, row.where)
        return
    first: dict[str, Question] = {}
    times: Counter[str] = Counter()
    for number, given in enumerate(questions):
        where = f"question {number}"
        question = given if isinstance(given, Question) else _question(given, where)
        id = question.id
        times[id] += 1
        if times[id] > 1 and first[id] == question:
            question = msgspec.structs.replace(question, id=f"{id}#{times[id]}")
        first.setdefault(id, question)
        yield where, question


def _question(given: str | Mapping[str, Json], where: str) -> Question:
    row = {"question": given} if isinstance(given, str) else given
    if not isinstance(cast("Any", row), Mapping):
        raise InputError(f"{where}: not a text, a row or a Question, but {type(row).__name__}")
    try:
        return read_question(row)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _config(samples: int, fields: Mapping[str, Any]) -> RolloutConfig:
    """Check the configuration.

    Raises:
        UsageError: a field is unknown or of the wrong type.
    """
    unknown = sorted(fields.keys() - set(RolloutConfig.__struct_fields__))
    if unknown:
        known = ", ".join(RolloutConfig.__struct_fields__)
        raise UsageError(f"a rollout has no option {unknown[0]!r}; it has {known}")
    given = {"date": datetime.date.today().isoformat(), **fields, "samples_per_question": samples}
    try:
        return convert(given, RolloutConfig)
    except UsageError as error:
        raise UsageError(f"rollout options: {error}") from None


def _composite(
    rewards: Spec | Composite | None, judge: str | Engine | None, cache: bool | str | Path
) -> Composite | None:
    if rewards is None or isinstance(rewards, Composite):
        return rewards
    kept = cache if isinstance(cache, bool) else str(cache)
    return load_rewards(rewards, Grader(engine=judge, cache=kept))


def _engine(policy: AnyPolicy) -> Engine:
    if isinstance(policy, str):
        return load_engine(policy)
    if hasattr(policy, "complete"):
        return cast("Engine", policy)
    if not callable(policy):
        raise UsageError(
            f"a {type(policy).__name__} is no policy: give an engine URI, an engine or a function"
        )
    # One that asks for the requests would have to heed ids in them, which it does not know.
    asks = "requests" in inspect.signature(policy).parameters
    return CallableEngine(policy, mode="chat", token_ids=not asks)


@asynccontextmanager
async def _rolling(
    policy: AnyPolicy,
    tools: Tools,
    config: RolloutConfig,
    cache: bool | str | Path,
    send: SendPolicy | None,
) -> AsyncGenerator[RolloutSession]:
    """Make an agent ready. An engine that was made here is closed at the end."""
    engine = _engine(policy)
    store = None
    if cache is not False and engine.capabilities.cacheable:
        store = Store(default_store_path() if cache is True else Path(cache))
    toolset = tools if isinstance(tools, ToolSet) else load_tools(tools)
    try:
        async with toolset:
            yield await RolloutSession.begin(
                engine, toolset, config,
                send=send or SendPolicy(), cache=CachePolicy(), store=store,
            )  # fmt: skip
    finally:
        if isinstance(policy, str):
            await engine.close()
        if store is not None:
            store.close()


async def _roll_all(
    rolling: RolloutSession,
    questions: Iterable[Question],
    rewards: Composite | None,
    progress: bool | Callable[[Trace], object],
    take: Callable[[int, Trace], object],
) -> None:
    """Roll out questions and hand each trace over with its place, in order of arrival."""
    samples = rolling.agent.config.samples_per_question
    total = len(questions) * samples if isinstance(questions, list) else None

    async def roll(task: tuple[int, Question, int]) -> None:
        place, question, draw = task
        trace = (await rolling.roll(question, draw)).trace
        if rewards is not None:
            trace = await with_rewards(trace, rewards)
        bar.advance("failed" if trace.unfinished else "ok", trace.usage)
        if callable(progress):
            progress(trace)
        take(place, trace)

    tasks = (
        (number * samples + draw, question, draw)
        for number, question in enumerate(questions)
        for draw in range(samples)
    )
    with Progress("rollout", total_rows=total, enabled=progress is True) as bar:
        try:
            await for_each(roll, tasks, rolling.window)
        finally:
            if rewards is not None:
                await rewards.close()
