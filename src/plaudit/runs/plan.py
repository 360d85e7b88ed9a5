"""A dry run: what a run would ask, counted without asking."""

import msgspec

from plaudit.engines.base import Engine, Request
from plaudit.errors import InputError
from plaudit.judges.base import Task
from plaudit.judges.load import bind
from plaudit.runs.asking import CachePolicy, RequestKeys
from plaudit.runs.runner import RunRecord
from plaudit.runs.sources import RowReader
from plaudit.runs.store import Store

BYTES_A_TOKEN = 4
"""Rough size of a token, for an estimate before any tokenizer is at hand."""


class Plan(msgspec.Struct, kw_only=True):
    """What a run would do."""

    judge: str = ""
    readout: str = ""
    mode: str = ""
    votes: int = 1
    """Most votes a sample."""
    least_votes: int = 1
    """Votes a sample that calls and tokens are counted with: what it takes where all are alike."""
    samples: int = 0
    rejected: int = 0
    calls: int = 0
    """Requests that would be sent: repairs and retries come on top, and the prior once."""
    stored: int = 0
    """Requests that the store answers."""
    input_tokens_estimated: int = 0
    """Of the requests that would be sent, at 4 bytes a token."""
    output_tokens_limit: int = 0
    """Most tokens that the replies can have."""


class _Counter:
    """Stands in for the engine: counts a request, and answers from the store where it can."""

    def __init__(self, plan: Plan, task: Task, store: Store, policy: CachePolicy) -> None:
        self._plan = plan
        self._key = RequestKeys(task.identity).key
        self._store = store
        self._read = policy.read
        self._seen: set[bytes] = set()

    def count(self, request: Request) -> None:
        key = self._key(request)
        stored = self._store.get_reply(key) if self._read else None
        if stored is not None:
            self._plan.stored += 1
        elif key not in self._seen:
            self._seen.add(key)
            self._plan.calls += 1
            size = len(msgspec.json.encode(request.prompt))
            self._plan.input_tokens_estimated += size // BYTES_A_TOKEN
            self._plan.output_tokens_limit += request.sampling.max_tokens


async def plan_file(record: RunRecord, engine: Engine, store: Store, cache: CachePolicy) -> Plan:
    """Count what judging a file would take.

    Raises:
        UsageError: input, judge or engine do not go together.
    """
    task = await bind(record.judge, engine)
    plan = Plan(
        judge=task.judge_name,
        readout=task.readout,
        mode=task.mode,
        votes=task.config.votes,
        least_votes=task.least_votes,
    )
    counter = _Counter(plan, task, store, cache)
    for row in RowReader(record.options.source, strict=record.options.strict):
        try:
            samples = task.read_row(row.data, plan.samples) if row.data is not None else []
        except InputError:
            samples = []
        plan.rejected += not samples
        for sample in samples:
            if plan.samples == record.options.limit:
                return plan
            plan.samples += 1
            for request in task.first_requests(sample):
                counter.count(request)
    return plan
