"""A run: questions in, one trace a rollout out, in order, whatever happens on the way."""

import datetime
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import msgspec

from plaudit._util.aio import for_each
from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE_64, Range
from plaudit.corpus.questions import Question, QuestionIds, Split, read_question
from plaudit.engines.base import Engine
from plaudit.errors import InputError
from plaudit.io.output import Output, beside
from plaudit.io.places import check_output
from plaudit.io.sources import Intake, RowReader
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.evaluation import Evaluation, Evaluator
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.scoring import with_rewards
from plaudit.rollouts.rolling import Rolled, RolloutSession
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Trace, Unscored
from plaudit.rollouts.traces import encode_trace
from plaudit.runs.record import Bill, Record, Run, RunSettings, Summary
from plaudit.store.base import RunInfo
from plaudit.types import Json

KIND: Literal["rollout"] = "rollout"
"""What runs of this kind are called in the store."""


class RolloutOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads and writes. Plain data."""

    source: str
    """Path of the questions, or `-`."""
    out: Annotated[
        str | None,
        Help("Write traces here: JSON Lines, or - .", "Output", "OUT", flags=("--out", "-o")),
    ] = None
    qa_log: Annotated[
        str | None,
        Help(
            "Write question, reference, answer and the verifier's verdict, a line each.",
            "Rewards",
            "FILE",
            rare=True,
        ),
    ] = None
    split: Annotated[
        Split | None, Help("Only questions of `train` or of `test`.", "Input", "SPLIT")
    ] = None
    limit: Annotated[
        int | None, Range(1, WHOLE_64), Help("The first N questions only.", "Input")
    ] = None
    strict: Annotated[bool, Help("Stop at the first malformed row.", "Input")] = False

    def __post_init__(self) -> None:
        """Check the choice.

        Raises:
            ArgumentError: `split` is none of its choices.
        """
        check_choices(self)


class RolloutRecord(Record, frozen=True, kw_only=True):
    """A run of rollouts."""

    engine: str
    tools: tuple[str, ...] = ()
    config: RolloutConfig
    options: RolloutOptions
    rewards: str | None = None
    """What the rollouts are scored by: the fingerprint of its specification."""

    def same(self) -> Self:
        """Return the record without the date."""
        undated = msgspec.structs.replace(self.config, date="")
        return msgspec.structs.replace(self, config=undated)


class RolloutSummary(Evaluation, Summary, kw_only=True):
    """What a run of rollouts did. Counts are of rollouts, unless they say otherwise."""

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
    notes: list[str] = msgspec.field(default_factory=list)

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


async def run_rollouts(
    settings: RunSettings,
    record: RolloutRecord,
    engine: Engine,
    tools: ToolSet,
    out: str | None = None,
    *,
    rewards: Composite | None = None,
    watch: Callable[[Trace], None] | None = None,
) -> RolloutSummary:
    """Roll out a file of questions. What can be refused is refused before anything is asked.

    Args:
        settings: what the run works with.
        record: identifies the run.
        engine: the engine of its URI.
        tools: the tools that it names; opened and closed here.
        out: where traces go when the record names no output.
        rewards: scores each rollout; the caller closes it.
        watch: called with each rollout, in order of arrival.

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
            identity = record.identity(await engine.identify(), tools.identity)
            before = settings.store.last_run(identity) if settings.cache.read else None
            record = _dated(record, before)
            session = await RolloutSession.begin(
                engine, tools, record.config,
                send=settings.send, cache=settings.cache, store=settings.store,
            )  # fmt: skip
            try:
                run = _RolloutRun(settings, record, session, rewards, watch)
                return await run.execute(rows, identity, out)
            finally:
                await session.close()


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


class _RolloutRun(Run[RolloutRecord, RolloutSummary]):
    """One run on its way."""

    kind = KIND

    def __init__(
        self,
        settings: RunSettings,
        record: RolloutRecord,
        session: RolloutSession,
        rewards: Composite | None,
        watch: Callable[[Trace], None] | None,
    ) -> None:
        super().__init__(settings, record, record.options.out)
        self._session = session
        self._rewards = rewards
        self._watch = watch
        self._samples = record.config.samples_per_question
        self._evaluator = Evaluator(self._samples, rewards)
        self._cached = self._passed_over = 0
        self._faults: dict[str, str] = {}
        self._ids = QuestionIds()

    async def work(self, rows: RowReader, out: str | None) -> None:
        options, settings = self.record.options, self.settings
        limit = None if options.limit is None else options.limit * self._samples
        traces = Output(out, options.out, settings.store, self.number)
        log = Output(options.qa_log, None, beside(settings.store), self.number)
        with traces, log:
            intake = self.intake = Intake(
                rows, self._tasks, traces.rejects, settings.progress,
                limit=limit, strict=options.strict,
            )  # fmt: skip

            async def roll(task: _Task) -> None:
                rolled = await self._session.roll(task.question, task.draw)
                trace = await self._scored(rolled.trace)
                self._count(task, rolled, trace)
                if traces.write is not None:
                    traces.write(task.index, encode_trace(trace))
                if log.write is not None:
                    log.write(
                        task.index, msgspec.json.encode(qa_row(trace, self._evaluator.graded_by))
                    )

            tasks = traces.while_read(self._items(intake))
            await for_each(roll, tasks, self._session.window)

    def _tasks(self, row: Mapping[str, Json], taken: int) -> Sequence[_Task]:
        question = read_question(row)
        assert self.intake is not None
        self._ids.take(question.id, self.intake.where)
        split = self.record.options.split
        if split is not None and question.split != split:
            self._passed_over += 1
            return ()
        number = taken // self._samples
        return [_Task(taken + draw, question, number, draw) for draw in range(self._samples)]

    def _items(self, intake: Intake[_Task]) -> Iterator[_Task]:
        yield from intake.items()
        if not intake.taken:
            options, first = self.record.options, intake.rejects.first
            split = f" of the split {options.split}" if options.split else ""
            raise InputError(
                f"{options.source}: there is no question{split}; {self._passed_over} of another "
                f"split, {intake.rejected} rows rejected" + (f", the first: {first}" * bool(first))
            )

    async def _scored(self, trace: Trace) -> Trace:
        rewards = self._rewards
        return trace if rewards is None else await with_rewards(trace, rewards)

    def _count(self, task: _Task, rolled: Rolled, trace: Trace) -> None:
        self._cached += rolled.from_store
        self._evaluator.add(task.number, trace)
        self._note_faults(trace)
        self.settings.progress.advance("failed" if trace.unfinished else "ok", trace.usage)
        if self._watch is not None:
            self._watch(trace)

    def _note_faults(self, trace: Trace) -> None:
        """Keep one message of each tool that failed, for the summary."""
        for call in trace.tool_calls:
            if call.tool_failed and call.name not in self._faults:
                texts = (m.text for m in trace.messages if m.tool_call_id == call.id)
                self._faults[call.name] = next(texts, call.status)

    def bill(self) -> Bill:
        return self._session.bill(self.settings.prices)

    def summary(self, bill: Bill, found: dict[str, Any]) -> RolloutSummary:
        evaluated, config = self._evaluator.result(), self.record.config
        policy = self._session.agent.policy
        counted = self.counted(bill)
        counted["notes"] += [f"the tool {n} failed: {t}" for n, t in sorted(self._faults.items())]
        return RolloutSummary(
            **{name: getattr(evaluated, name) for name in Evaluation.__struct_fields__},
            engine=policy.identity,
            tools_as=policy.form.name,
            tokens=_exactness(evaluated),
            date=config.date,
            temperature=config.sampling_temperature,
            cached=self._cached,
            spent_input_tokens=bill.usage.input_tokens,
            spent_output_tokens=bill.usage.output_tokens,
            qa_log=self.record.options.qa_log,
            **found,
            **counted,
        )


def _exactness(evaluated: Evaluation) -> str:
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
