"""A dry run: what a run would ask, counted without asking."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from plaudit.engines.base import Engine, Request
from plaudit.engines.prices import Price, Prices, cost
from plaudit.errors import InputError
from plaudit.judges.base import Task
from plaudit.judges.load import bind
from plaudit.judges.panels import PanelTask, bind_panel
from plaudit.runs.asking import CachePolicy, RequestKeys
from plaudit.runs.runner import RunRecord
from plaudit.runs.sources import RowReader
from plaudit.runs.store import Store
from plaudit.types import Sample, Usage

BYTES_A_TOKEN = 4
"""Rough size of a token, for an estimate before any tokenizer is at hand."""


class Load(msgspec.Struct, kw_only=True):
    """What one judge would be asked."""

    votes: int = 1
    """Most votes a sample."""
    least_votes: int = 1
    """Votes a sample that calls and tokens are counted with: what it takes where all are alike."""
    calls: int = 0
    """Requests that would be sent: repairs and retries come on top, and the prior once."""
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


class _Counter:
    """Stands in for an engine: counts a request, and answers from the store where it can."""

    def __init__(
        self, load: Load, task: Task, store: Store, policy: CachePolicy, price: Price | None
    ) -> None:
        self.load = load
        self._task = task
        self._key = RequestKeys(task.identity).key
        self._store = store
        self._read = policy.read
        self._price = price
        self._seen: set[bytes] = set()
        load.votes, load.least_votes = task.config.votes, task.least_votes

    def count(self, sample: Sample) -> None:
        for request in self._task.first_requests(sample):
            self._count(request)

    def _count(self, request: Request) -> None:
        load, key = self.load, self._key(request)
        stored = self._store.get_reply(key) if self._read else None
        if stored is not None:
            load.stored += 1
        elif key not in self._seen:
            self._seen.add(key)
            load.calls += 1
            size = len(msgspec.json.encode(request.prompt))
            load.input_tokens_estimated += size // BYTES_A_TOKEN
            load.output_tokens_limit += request.sampling.max_tokens

    def finish(self) -> None:
        usage = Usage(self.load.input_tokens_estimated, self.load.output_tokens_limit)
        self.load.cost_usd_limit = cost(self._price, usage)


async def plan_file(
    record: RunRecord,
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
    if isinstance(engine, Sequence):
        assert record.panel is not None
        task: Task | PanelTask = await bind_panel(record.panel, engine)
        plan = Plan(judge=task.judge_name, readout=task.readout, mode=task.mode, members=[])
        counters = [
            _Counter(
                MemberLoad(name=member.name, judge=own.judge_name),
                own, store, cache, prices.of(one, own.identity),
            )
            for member, own, one in zip(record.panel.members, task.tasks, engine, strict=True)
        ]  # fmt: skip
    else:
        task = await bind(record.judge, engine)
        plan = Plan(judge=task.judge_name, readout=task.readout, mode=task.mode)
        counters = [_Counter(plan, task, store, cache, prices.of(engine, task.identity))]
    _count_all(record, task, plan, counters)
    for counter in counters:
        counter.finish()
    if isinstance(engine, Sequence):
        _sum_up(plan, [counter.load for counter in counters])
    return plan


def _count_all(
    record: RunRecord, task: Task | PanelTask, plan: Plan, counters: Sequence[_Counter]
) -> None:
    for row in RowReader(record.options.source, strict=record.options.strict):
        try:
            samples = task.read_row(row.data, plan.samples) if row.data is not None else []
        except InputError:
            samples = []
        plan.rejected += not samples
        for sample in samples:
            if plan.samples == record.options.limit:
                return
            plan.samples += 1
            for counter in counters:
                counter.count(sample)


def _sum_up(plan: Plan, loads: Sequence[Load]) -> None:
    plan.members = [load for load in loads if isinstance(load, MemberLoad)]
    for load in loads:
        plan.calls += load.calls
        plan.stored += load.stored
        plan.input_tokens_estimated += load.input_tokens_estimated
        plan.output_tokens_limit += load.output_tokens_limit
    costs = [load.cost_usd_limit for load in loads]
    known = [cost for cost in costs if cost is not None]
    plan.cost_usd_limit = round(sum(known), 9) if len(known) == len(costs) else None
