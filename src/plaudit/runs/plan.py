"""A dry run: what a run would ask, counted without asking."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import cast

import msgspec
from msgspec import UNSET, UnsetType

from plaudit.engines.base import Completion, Engine, Request, TokenLogprob
from plaudit.engines.batch.load import batch_client
from plaudit.errors import Cause, ReplyError, UsageError
from plaudit.io.sources import Intake, RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.cached import CachePolicy, RequestKeys
from plaudit.runs.record import JudgeRecord
from plaudit.runs.runner import bind_record, bind_settled
from plaudit.sending.prices import Price, Prices, cost
from plaudit.store.store import Store
from plaudit.types import Sample, Usage

BYTES_A_TOKEN = 4
"""Rough size of a token, for an estimate before any tokenizer is known."""


class Load(msgspec.Struct, kw_only=True):
    """What one judge would be asked."""

    votes: int = 1
    """Most votes a sample."""
    least_votes: int = 1
    """Votes a sample that calls and tokens are counted with: what it takes where all are alike."""
    calls: int = 0
    """Requests that would be sent, those for the prior among them: repairs and retries come on
    top."""
    prior_calls: int = 0
    """Those of them that measure the judge's prior, once a run."""
    continuation_calls_limit: int = 0
    """Most further requests, which score options as continuations where replies hide some."""
    stored: int = 0
    """Requests that the store answers."""
    input_tokens_estimated: int = 0
    """Of the requests that would be sent, at 4 bytes a token."""
    output_tokens_limit: int = 0
    """Most tokens that the replies can have."""
    cost_usd_limit: float | None = 0.0
    """What these tokens would cost; None: unknown, where a price is."""


class MemberLoad(Load, kw_only=True):
    """What a member of a panel would be asked; of a cascade, if every sample reached it."""

    name: str
    judge: str


class Plan(Load, kw_only=True):
    """What a run would do; of a cascade, if every sample reached every step."""

    judge: str = ""
    readout: str = ""
    mode: str = ""
    samples: int = 0
    rejected: int = 0
    members: list[MemberLoad] | UnsetType = UNSET
    """Of a panel: what each member would be asked."""
    cost_usd_batch: float | UnsetType | None = UNSET
    """What these tokens would cost in batches; only there with `--batch`."""


class _Counter:
    """Stands in for an engine: counts a request, and answers from the store where it can."""

    def __init__(
        self,
        load: Load,
        task: BaseJudge,
        engine: Engine,
        store: Store,
        policy: CachePolicy,
        price: Price | None,
    ) -> None:
        self.load = load
        self._task = task
        self._key = RequestKeys(task.identity).key
        self._store = store
        self._read = policy.read
        self._price = price
        self._seen: set[bytes] = set()
        scored = task.readout == "logprob" and task.mode in engine.capabilities.continuations
        self._continuations = len(task.options) if scored else 0
        self._unknown = Usage()
        """Most tokens of the continuations that may be asked for."""
        load.votes, load.least_votes = task.config.votes, task.least_votes

    async def prepare(self) -> None:
        """Count what is asked before the first verdict."""
        before = self.load.calls
        with suppress(UsageError):  # No prior comes of replies that are not there.
            await self._task.prepare(self._answer)
        self.load.prior_calls = self.load.calls - before

    async def count(self, sample: Sample) -> None:
        requests = self._task.first_requests(sample)
        known = [self._count(request) for request in requests]
        if self._continuations and known and None not in known:
            replies = {id(one): reply for one, reply in zip(requests, known, strict=True)}

            async def ask(request: Request) -> Completion:
                return replies.get(id(request)) or await self._answer(request)

            await self._task.decide(sample, ask, requests)

    async def _answer(self, request: Request) -> Completion:
        """Answer from the store; of a continuation, make an answer up."""
        stored = self._count(request)
        if stored is None and request.continuation:
            word = request.continuation
            return Completion(text=word, logprobs=(TokenLogprob(word, -1.0),))
        if stored is None:
            raise ReplyError(Cause.UNPARSEABLE, "nothing is asked")
        return stored

    def _count(self, request: Request) -> Completion | None:
        """Count a request, and return its reply where the store has it."""
        load, key = self.load, self._key(request)
        stored = self._store.get_reply(key) if self._read else None
        if stored is not None:
            load.stored += 1
        elif key not in self._seen:
            self._seen.add(key)
            load.calls += 1
            tokens = len(msgspec.json.encode(request.prompt)) // BYTES_A_TOKEN
            load.input_tokens_estimated += tokens
            load.output_tokens_limit += request.sampling.max_tokens
            if not request.continuation:
                load.continuation_calls_limit += self._continuations
                self._unknown += Usage(tokens * self._continuations, self._continuations)
        return stored

    def finish(self) -> None:
        usage = Usage(self.load.input_tokens_estimated, self.load.output_tokens_limit)
        self.load.cost_usd_limit = cost(self._price, usage + self._unknown)


async def plan_file(
    record: JudgeRecord,
    engine: Engine | Sequence[Engine],
    store: Store,
    cache: CachePolicy,
    prices: Prices | None = None,
) -> Plan:
    """Count what judging a file would take.

    Args:
        record: judge, input and options.
        engine: the engine; for a panel, one a member.
        store: what is answered already.
        cache: how it would be used.
        prices: what tokens cost.

    Raises:
        UsageError: input, judge or engine do not go together.
    """
    prices = prices or Prices()
    if cache.read:
        task = await bind_settled(record, engine, store)
    else:
        task = await bind_record(record, engine)
    plan, counters = _counters(task, engine, store, cache, prices)
    await _count_all(record, task, plan, counters)
    return _finished(plan, counters)


async def plan_samples(
    samples: Iterable[Sample],
    task: BaseJudge | PanelJudge,
    engine: Engine | Sequence[Engine],
    store: Store,
    cache: CachePolicy,
    prices: Prices,
) -> Plan:
    """Count what judging samples would take; see `plan_file`."""
    plan, counters = _counters(task, engine, store, cache, prices)
    for sample in samples:
        await _count(sample, plan, counters)
    return _finished(plan, counters)


def _counters(
    task: BaseJudge | PanelJudge,
    engine: Engine | Sequence[Engine],
    store: Store,
    cache: CachePolicy,
    prices: Prices,
) -> tuple[Plan, list[_Counter]]:
    """Return an empty plan, with a counter for the judge or for each member."""
    plan = Plan(judge=task.judge_name, readout=task.readout, mode=task.mode)
    if not isinstance(task, PanelJudge):
        engine = cast("Engine", engine)
        price = prices.of(engine, task.identity)
        return plan, [_Counter(plan, task, engine, store, cache, price)]
    plan.members = []
    members = zip(task.config.members, task.tasks, cast("Sequence[Engine]", engine), strict=True)
    return plan, [
        _Counter(
            MemberLoad(name=member.name, judge=own.judge_name),
            own, one, store, cache, prices.of(one, own.identity),
        )
        for member, own, one in members
    ]  # fmt: skip


def _finished(plan: Plan, counters: Sequence[_Counter]) -> Plan:
    for counter in counters:
        counter.finish()
    if plan.members is not UNSET:
        _sum_up(plan, [counter.load for counter in counters])
    return plan


async def _count_all(
    record: JudgeRecord, task: BaseJudge | PanelJudge, plan: Plan, counters: Sequence[_Counter]
) -> None:
    options = record.options
    with RowReader(options.source, strict=options.strict) as rows:
        intake = Intake(rows, task.read_row, limit=options.limit)
        for sample in intake.items():
            await _count(sample, plan, counters)
    plan.rejected = intake.rejected


async def _count(sample: Sample, plan: Plan, counters: Sequence[_Counter]) -> None:
    for counter in counters:
        if not plan.samples:
            await counter.prepare()
        await counter.count(sample)
    plan.samples += 1


_SUMMED = [
    "calls",
    "prior_calls",
    "continuation_calls_limit",
    "stored",
    "input_tokens_estimated",
    "output_tokens_limit",
]


def _sum_up(plan: Plan, loads: Sequence[Load]) -> None:
    plan.members = [load for load in loads if isinstance(load, MemberLoad)]
    for name in _SUMMED:
        setattr(plan, name, sum(getattr(load, name) for load in loads))
    costs = [load.cost_usd_limit for load in loads]
    known = [cost for cost in costs if cost is not None]
    plan.cost_usd_limit = round(sum(known), 9) if len(known) == len(costs) else None


def add_batch_cost(plan: Plan, engines: Sequence[Engine]) -> None:
    """Put what a plan would cost in batches into it."""
    loads: Sequence[Load] = [plan] if isinstance(plan.members, UnsetType) else plan.members
    costs: list[float] = []
    plan.cost_usd_batch = None
    for load, engine in zip(loads, engines, strict=True):
        if load.cost_usd_limit is None:
            return
        client = batch_client(engine)
        costs.append(load.cost_usd_limit * (1.0 if client is None else client.share()))
    plan.cost_usd_batch = round(sum(costs), 9)
