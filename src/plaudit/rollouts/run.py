"""A run: questions in, one trace a rollout out, in order, whatever happens on the way."""

import datetime
import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from plaudit._util.aio import for_each
from plaudit._util.options import Option
from plaudit._util.ranges import WHOLE_64, Range
from plaudit.corpus.question import Question, Split
from plaudit.engines.base import Engine
from plaudit.errors import InputError
from plaudit.io.output import Intake, Output, beside
from plaudit.io.places import check_output, rejected_path
from plaudit.io.progress import Progress
from plaudit.io.sources import RowReader
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.evaluation import Evaluation, Evaluator
from plaudit.rollouts.questions import Ids, read_question
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.scoring import with_rewards
from plaudit.rollouts.rolling import Rolled, RolloutSession
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Trace, Unscored
from plaudit.rollouts.traces import encode_trace
from plaudit.runs.cached import CachePolicy
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import RunInfo, Store
from plaudit.types import Json

KIND: Literal["rollout"] = "rollout"
"""What runs of this kind are called in the store."""


class RolloutOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads and writes. Plain data."""

    source: str
    """Path of the questions, or `-`."""
    out: str | None = None
    """Path of the traces, `-` for standard output, or None."""
    qa_log: Annotated[
        str | None,
        Option(
            "Write question, reference, answer and the verifier's verdict, a line each.",
            "Rewards",
            "FILE",
            rare=True,
        ),
    ] = None
    split: Annotated[
        Split | None, Option("Only questions of `train` or of `test`.", "Input", "SPLIT")
    ] = None
    limit: Annotated[
        int | None, Range(1, WHOLE_64), Option("The first N questions only.", "Input")
    ] = None
    strict: Annotated[bool, Option("Stop at the first malformed row.", "Input")] = False


class RolloutRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to do a run again, or to show it."""

    engine: str
    tools: tuple[str, ...] = ()
    config: RolloutConfig
    options: RolloutOptions
    rewards: str | None = None
    """What the rollouts are scored by: the fingerprint of its specification."""


class RolloutSummary(Evaluation, kw_only=True):
    """What a run did. Counts are of rollouts, unless they say otherwise."""

    run: str = ""
    engine: str = ""
    """The model's identity."""
    tools_as: str = ""
    tokens: str = ""
    """`exact`, `approximate` or `none`: what token ids there are."""
    date: str = ""
    """What the prompts called today."""
    temperature: float = 0.0
    rejected: int = 0
    """Rows of the input that are no question."""
    cached: int = 0
    """Rollouts for which no request was sent."""
    engine_calls: int = 0
    """Requests sent, retries included."""
    spent_input_tokens: int = 0
    """Tokens of the replies asked for in this run."""
    spent_output_tokens: int = 0
    cost_usd: float | None = None
    """What those tokens cost; None: unknown."""
    seconds: float = 0.0
    out: str | None = None
    rejects: str | None = None
    qa_log: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected, rollouts are unfinished, or could not be scored."""
        unscored = any(Unscored(c).broken for r in self.rewards.values() for c in r.unscored)
        return 1 if self.rejected or self.broken_off or self.tool_failed or unscored else 0


class _Task(msgspec.Struct, frozen=True):
    """One rollout of a run."""

    index: int
    question: Question
    number: int
    """Of the question in the run."""
    draw: int


class RolloutRunner:
    """Rolls out files of questions, with one store and one way of sending."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        send: SendPolicy,
        cache: CachePolicy,
        *,
        rewards: Composite | None = None,
        prices: Prices | None = None,
        watch: Callable[[Trace], None] | None = None,
    ) -> None:
        """Put a runner together; nothing is read, asked or written yet.

        Args:
            store: where replies, finished rollouts and the run are kept.
            progress: told of each rollout.
            send: how requests are sent.
            cache: how stored replies are used.
            rewards: scores each rollout; the caller closes it.
            prices: what tokens cost.
            watch: told of each rollout, in order of arrival.
        """
        self.store = store
        self.progress = progress
        self.send = send
        self.cache = cache
        self.rewards = rewards
        self.prices = prices or Prices()
        self.watch = watch

    async def run(
        self, record: RolloutRecord, engine: Engine, tools: ToolSet, out: str | None = None
    ) -> RolloutSummary:
        """Roll out a file of questions. What can be refused is refused before anything is asked.

        Args:
            record: identifies the run.
            engine: the engine of its URI.
            tools: the tools that it names; opened and closed here.
            out: where traces go when the record names no output.

        Raises:
            UsageError: input, output, engine and tools do not go together.
            EngineUnusableError: the engine can answer nothing; the outputs are untouched.
            StoreError: store or outputs cannot be written; they are untouched.
        """
        options = record.options
        out = options.out if options.out is not None else out
        named = [options.source, record.engine, *record.tools]
        for path in (out, options.qa_log):
            if path is not None:
                check_output(path, named)
                named.append(path)
        with RowReader(options.source, strict=options.strict) as rows:
            async with tools:
                return await self._begun(record, engine, tools, rows, out)

    async def _begun(
        self,
        record: RolloutRecord,
        engine: Engine,
        tools: ToolSet,
        rows: RowReader,
        out: str | None,
    ) -> RolloutSummary:
        identity = run_identity(record, await engine.identify(), tools.identity)
        before = self.store.last_run(identity) if self.cache.read else None
        record = _dated(record, before)
        rolling = await RolloutSession.begin(
            engine, tools, record.config, send=self.send, cache=self.cache, store=self.store
        )
        try:
            return await _Run(self, rolling, record, identity).execute(rows, out)
        finally:
            await rolling.close()


def run_identity(record: RolloutRecord, model: str, tools: str) -> bytes:
    """Return the 16 bytes by which the same command finds its run; the date is no part of it."""
    undated = msgspec.structs.replace(record.config, date="")
    data = msgspec.json.encode([msgspec.structs.replace(record, config=undated), model, tools])
    return hashlib.blake2b(data, digest_size=16).digest()


def _dated(record: RolloutRecord, before: RunInfo | None) -> RolloutRecord:
    """Fix the date: that of the same command's last run, else today, unless one is given.

    Prompts with another date would be other requests, and a run that was stopped before midnight
    could not go on after it.
    """
    config = record.config
    if config.date:
        return record
    date = datetime.date.today().isoformat()
    if before is not None:
        date = msgspec.json.decode(before.config)["config"]["date"]
    return msgspec.structs.replace(record, config=msgspec.structs.replace(config, date=date))


class _Run:
    """One run on its way."""

    def __init__(
        self, runner: RolloutRunner, rolling: RolloutSession, record: RolloutRecord, identity: bytes
    ) -> None:
        self._runner = runner
        self._rolling = rolling
        self._record = record
        self._identity = identity
        self._samples = record.config.samples_per_question
        self._evaluator = Evaluator(self._samples, runner.rewards)
        self._cached = self._passed_over = 0
        self._faults: dict[str, str] = {}
        self._ids = Ids()
        self._intake: Intake[_Task] | None = None

    async def execute(self, rows: RowReader, out: str | None) -> RolloutSummary:
        started, runner = time.monotonic(), self._runner
        info = runner.store.begin_run(self._identity, KIND, msgspec.json.encode(self._record))
        state, summary = "interrupted", RolloutSummary(run=info.name, out=out)
        try:
            await self._roll_all(rows, out, info.number)
            state = "finished"
        finally:
            summary = self._filled(summary, round(time.monotonic() - started, 3))
            runner.store.end_run(info.number, state, msgspec.json.encode(summary))
        return summary

    async def _roll_all(self, rows: RowReader, out: str | None, run: int) -> None:
        options, runner = self._record.options, self._runner
        limit = None if options.limit is None else options.limit * self._samples
        traces = Output(out, options.out, runner.store, run)
        log = Output(options.qa_log, None, beside(runner.store), run)
        with traces, log:
            intake = self._intake = Intake(
                rows, self._tasks, traces.rejects, runner.progress,
                limit=limit, strict=options.strict,
            )  # fmt: skip

            async def roll(task: _Task) -> None:
                rolled = await self._rolling.roll(task.question, task.draw)
                trace = await self._scored(rolled.trace)
                self._count(task, rolled, trace)
                if traces.wanted:
                    traces.write(task.index, encode_trace(trace))
                if log.wanted:
                    log.write(
                        task.index, msgspec.json.encode(qa_row(trace, self._evaluator.graded_by))
                    )

            tasks = traces.while_read(self._items(intake))
            await for_each(roll, tasks, self._rolling.window)

    def _tasks(self, row: Mapping[str, Json], taken: int) -> Sequence[_Task]:
        question = read_question(row)
        assert self._intake is not None
        self._ids.take(question.id, self._intake.where)
        split = self._record.options.split
        if split is not None and question.split != split:
            self._passed_over += 1
            return ()
        number = taken // self._samples
        return [_Task(taken + draw, question, number, draw) for draw in range(self._samples)]

    def _items(self, intake: Intake[_Task]) -> Iterator[_Task]:
        yield from intake.items()
        if not intake.taken:
            options, first = self._record.options, intake.rejects.first
            split = f" of the split {options.split}" if options.split else ""
            raise InputError(
                f"{options.source}: there is no question{split}; {self._passed_over} of another "
                f"split, {intake.rejected} rows rejected" + (f", the first: {first}" * bool(first))
            )

    async def _scored(self, trace: Trace) -> Trace:
        rewards = self._runner.rewards
        return trace if rewards is None else await with_rewards(trace, rewards)

    def _count(self, task: _Task, rolled: Rolled, trace: Trace) -> None:
        self._cached += rolled.from_store
        self._evaluator.add(task.number, trace)
        self._note_faults(trace)
        self._runner.progress.advance("failed" if trace.unfinished else "ok", trace.usage)
        if self._runner.watch is not None:
            self._runner.watch(trace)

    def _note_faults(self, trace: Trace) -> None:
        """Keep one message of each tool that failed, for the summary."""
        for call in trace.tool_calls:
            if call.tool_failed and call.name not in self._faults:
                texts = (m.text for m in trace.messages if m.tool_call_id == call.id)
                self._faults[call.name] = next(texts, call.status)

    def _filled(self, summary: RolloutSummary, seconds: float) -> RolloutSummary:
        evaluated = self._evaluator.result()
        policy, bill = self._rolling.agent.policy, self._rolling.bill(self._runner.prices)
        rejected = self._intake.rejected if self._intake else 0
        rejects = rejected_path(self._record.options.out) if rejected else None
        faults = sorted(self._faults.items())
        found: dict[str, Any] = {
            "engine": policy.identity,
            "tools_as": policy.form.name,
            "tokens": _had(evaluated),
            "date": self._record.config.date,
            "temperature": self._record.config.sampling_temperature,
            "rejected": rejected,
            "rejects": str(rejects) if rejects else None,
            "cached": self._cached,
            "engine_calls": bill.engine_calls,
            "spent_input_tokens": bill.usage.input_tokens,
            "spent_output_tokens": bill.usage.output_tokens,
            "cost_usd": bill.cost_usd,
            "notes": (*bill.notes, *(f"the tool {n} failed: {t}" for n, t in faults)),
            "seconds": seconds,
            "qa_log": self._record.options.qa_log,
        }
        fields = {name: getattr(evaluated, name) for name in Evaluation.__struct_fields__}
        return msgspec.structs.replace(summary, **fields, **found)


def _had(evaluated: Evaluation) -> str:
    return "exact" if evaluated.exact else "approximate" if evaluated.approximate else "none"


def qa_row(trace: Trace, graded_by: str | None) -> dict[str, Json]:
    """Return one line of the log of questions and answers, graded by the reward of that name."""
    question = trace.question
    score = (trace.rewards or {}).get(graded_by or "")
    return {
        "id": trace.id,
        "question": None if question is None else question.question,
        "reference": None if question is None else question.answer,
        "answer": trace.final_answer,
        "stop_reason": trace.stop_reason,
        "correct": None if score is None else score.value,
        "verifier": None if score is None else score.reason,
    }


def count_questions(source: str, split: Split | None) -> int | None:
    """Return how many questions a file has, for a display; None where it cannot be read twice."""
    if not os.path.isfile(source) and not os.path.isdir(source):  # A pipe is read once.
        return None
    return sum(1 for _ in _readable(source, split))


def _readable(source: str, split: Split | None) -> Generator[Question]:
    with RowReader(source) as rows:
        for row in rows:
            try:
                question = None if row.data is None else read_question(row.data)
            except InputError:
                continue
            if question is not None and split in (None, question.split):
                yield question
