"""A run: rows in, one verdict a sample out, in order, whatever happens on the way."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, islice
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from plaudit._util.aio import for_each
from plaudit._util.options import Option
from plaudit._util.ranges import WHOLE_64, Range
from plaudit.engines.base import Engine
from plaudit.engines.http.errors import shorten
from plaudit.errors import InputError
from plaudit.io.output import Intake, Output
from plaudit.io.places import check_output, rejected_path
from plaudit.io.progress import Progress
from plaudit.io.sources import RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind
from plaudit.judges.panel import PanelConfig, PanelJudge, bind_panel
from plaudit.runs.cached import CachedClient, CachePolicy
from plaudit.runs.judging import AnyJudging, Asked, JudgeSession
from plaudit.runs.panel import Cascade, Jury, PanelSummary, panel_judging, pools_of
from plaudit.sending.pool import Attempt, Pool, PoolShare, SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from plaudit.types import Failure, Sample, Verdict


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads and writes. Plain data; with judge and engine it identifies the run."""

    source: str
    """Path of the input, or `-`."""
    out: str | None = None
    """Path of the verdicts, `-` for standard output, or None: they are only stored."""
    limit: Annotated[
        int | None, Range(1, WHOLE_64), Option("Judge the first N samples only.", "Input")
    ] = None
    strict: Annotated[bool, Option("Stop at the first malformed row.", "Input")] = False
    raw: Annotated[bool, Option("Put the raw replies in the output.", "Output")] = False
    input: Annotated[bool, Option("Leave the input out of the output.", "Output")] = True


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is needed to do a run again, or to show it."""

    judge: JudgeConfig
    engine: str
    options: RunOptions
    panel: PanelConfig | None = None
    """The judges of a jury or a cascade; `judge` and `engine` then are what it is based on."""
    without_logprobs: tuple[str, ...] = ()
    """URIs of engines that were found to send no log-probabilities, so that `auto` is json there.
    Found out once, and no part of what identifies the run."""


class StoredVerdict(msgspec.Struct, frozen=True, array_like=True):
    """A verdict in the store: without what input and replies hold, with the keys of the replies.

    The replies themselves are part of it only where they are not kept by their keys.
    """

    verdict: Verdict
    keys: Sequence[bytes]
    attempts: Sequence[Attempt] = ()
    """Requests that were sent in vain; not every reply that came."""


class Summary(msgspec.Struct, kw_only=True):
    """What a run did. Counts are of samples."""

    run: str = ""
    judge: str = ""
    readout: str = ""
    mode: str = ""
    """How the judge asked and read, as it was settled for this engine."""
    samples: int = 0
    ok: int = 0
    abstained: int = 0
    invalid: int = 0
    failed: int = 0
    rejected: int = 0
    """Rows of the input that no sample could be taken from."""
    cached: int = 0
    """Samples answered from the store alone."""
    engine_calls: int = 0
    """Requests sent, retries and the prior's included."""
    input_tokens: int = 0
    """Tokens of the replies asked for in this run."""
    output_tokens: int = 0
    cost_usd: float | None = None
    """What those tokens cost; None: unknown, where a price is."""
    seconds: float = 0.0
    mean_reward: float | None = None
    """Over the `ok` samples; None where there are none."""
    values: dict[str, dict[str, int]] = {}
    """Counts by value and status; a verdict without a value counts under `-`, a raw score under the
    nearest whole number, as `~3`."""
    causes: dict[str, int] = {}
    """Counts by cause of what is not `ok`."""
    examples: dict[str, str] | UnsetType = UNSET
    """By cause, what the first sample says that failed or is invalid; only there where one is."""
    labelled: int = 0
    """`ok` samples whose row has a `label`; without those whose value is a raw score."""
    agree: int = 0
    """Those whose value equals it."""
    decided_by: dict[str, int] | UnsetType = UNSET
    """verify: how many answers were decided by what; what nothing decided is among the causes."""
    mean_votes: float | msgspec.UnsetType = msgspec.UNSET
    """Votes a sample, over the samples that were voted on; only there with votes."""
    out: str | None = None
    rejects: str | None = None
    notes: list[str] = []
    """What was given up, and which shots were withheld."""
    panel: PanelSummary | UnsetType = UNSET
    """What each member of a jury or a cascade did; not there for a single judge."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected or samples failed or are invalid."""
        return 1 if self.rejected or self.failed or self.invalid else 0


_REWARD_UNIT = 2**40
"""Rewards are summed as whole multiples of its inverse, so that order cannot change the sum."""


class _Tally:
    """Counts as verdicts come in; the same for every order of arrival."""

    def __init__(self) -> None:
        self.values: Counter[tuple[str, str]] = Counter()
        self.causes: Counter[str] = Counter()
        self.examples: dict[str, tuple[int, str]] = {}
        self.rewards = 0
        self.cached = self.labelled = self.agree = 0
        self.votes = self.voted = 0
        self.deciders: Counter[str] = Counter()

    def add(self, verdict: Verdict, asked: Asked) -> None:
        value = verdict.value
        if not isinstance(value, str):
            value = _counted_as(value)
        self.values[value, verdict.status] += 1
        self.cached += asked.from_store
        if "votes" in verdict.fields:
            self.votes += verdict.fields["votes"]
            self.voted += 1
        if "decided_by" in verdict.fields:
            self.deciders[verdict.fields["decided_by"]] += 1
        if verdict.error is not None:
            self._add_cause(verdict, verdict.error)
        if verdict.reward is not None:
            self.rewards += round(verdict.reward * _REWARD_UNIT)
        label = verdict.metadata.get("label")
        comparable = label is not None and not isinstance(verdict.value, float)
        if verdict.status == "ok" and comparable:
            self.labelled += 1
            self.agree += str(label) == value

    def _add_cause(self, verdict: Verdict, error: Failure) -> None:
        self.causes[error.cause] += 1
        if verdict.status in ("failed", "invalid"):
            known = self.examples.get(error.cause)
            if known is None or verdict.index < known[0]:
                message = " ".join(error.message.split())
                self.examples[error.cause] = verdict.index, shorten(message)

    def fill(self, summary: Summary) -> None:
        for (value, status), count in sorted(self.values.items()):
            summary.values.setdefault(value, {})[status] = count
            setattr(summary, status, getattr(summary, status) + count)
        if summary.ok:
            summary.mean_reward = round(self.rewards / _REWARD_UNIT / summary.ok, 9)
        if self.voted:
            summary.mean_votes = round(self.votes / self.voted, 3)
        if self.deciders:
            summary.decided_by = dict(sorted(self.deciders.items()))
        summary.causes = dict(sorted(self.causes.items()))
        if self.examples:
            summary.examples = {c: text for c, (_, text) in sorted(self.examples.items())}
        summary.samples = self.values.total()
        summary.cached, summary.labelled, summary.agree = self.cached, self.labelled, self.agree


def _counted_as(value: int | float | None) -> str:
    """Return what a value is counted as that is no text; raw scores by the nearest whole number."""
    if isinstance(value, float):
        return f"~{round(value)}"
    return "-" if value is None else str(value)


class _Settled(msgspec.Struct):
    """What a run takes over from the record of an earlier one."""

    without_logprobs: tuple[str, ...] = ()


def known_without_logprobs(store: Store, identity: bytes) -> tuple[str, ...]:
    """Return the engines that an earlier run of the same command found to send none."""
    earlier = store.last_run(identity)
    if earlier is None:
        return ()
    return msgspec.json.decode(earlier.config, type=_Settled).without_logprobs


async def bind_record(
    record: RunRecord,
    engine: Engine | Sequence[Engine],
    without_logprobs: Collection[str] = (),
) -> BaseJudge | PanelJudge:
    """Make the task of a run.

    Args:
        record: its judge, or its panel.
        engine: the engine; for a panel, one a member.
        without_logprobs: URIs of engines whose open readouts are json.

    Raises:
        UsageError: an engine cannot do what is asked for.
        EngineUnusableError: a model cannot be found out.
    """

    def settled(config: JudgeConfig, one: Engine) -> JudgeConfig:
        open_ = config.readout == "auto" and one.uri in without_logprobs
        return replace(config, readout="json") if open_ else config

    if not isinstance(engine, Sequence):
        return await bind(settled(record.judge, engine), engine)
    assert record.panel is not None
    members = tuple(
        replace(member, judge=settled(member.judge, one))
        for member, one in zip(record.panel.members, engine, strict=True)
    )
    return await bind_panel(replace(record.panel, members=members), engine)


def run_identity(record: RunRecord, fingerprint: str) -> bytes:
    """Return the 16 bytes by which the same command finds its unfinished run."""
    data = msgspec.json.encode([record, fingerprint])
    return hashlib.blake2b(data, digest_size=16).digest()


Watch = Callable[[Verdict, Asked], None]
"""Told of every verdict and of what was asked for it, in order of arrival."""


class Runner:
    """Runs judges over files, with one store and one way of sending."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        policy: SendPolicy,
        cache: CachePolicy,
        watch: Watch | None = None,
        prices: Prices | None = None,
    ) -> None:
        """Put a runner together; nothing is read, asked or written yet."""
        self.store = store
        self.progress = progress
        self.policy = policy
        self.cache = cache
        self.watch = watch
        self.prices = prices or Prices()

    async def run(
        self, record: RunRecord, engine: Engine | Sequence[Engine], out: str | None = None
    ) -> Summary:
        """Judge a file. What can be refused is refused before the engine is contacted.

        Args:
            record: judge, engine URI, input and output; identifies the run.
            engine: the engine of that URI; for a panel, one a member.
            out: where verdicts go when the record names no output.

        Raises:
            UsageError: input, output, judge or engine do not go together.
            EngineUnusableError: the engine can answer nothing; the output is untouched.
            StoreError: store or output cannot be written; the output is untouched.
        """
        options = record.options
        out = options.out if options.out is not None else out
        if out is not None:
            named = (options.source, record.engine, record.judge, record.panel)
            check_output(out, map(msgspec.to_builtins, named))
        with RowReader(options.source, strict=options.strict) as rows:
            judging = await self._begin(record, engine)
            return await _Run(self, judging, record).execute(rows, out)

    async def _begin(self, record: RunRecord, engine: Engine | Sequence[Engine]) -> AnyJudging:
        task = await bind_record(record, engine)
        if isinstance(engine, Sequence):
            assert isinstance(task, PanelJudge)
            return panel_judging(task, pools_of(engine, self.policy), self._asker)
        assert isinstance(task, BaseJudge)
        return JudgeSession(task, self._asker(Pool(engine, self.policy), task))

    def _asker(self, pool: Pool | PoolShare, task: BaseJudge) -> CachedClient:
        keep = self.cache.write and pool.engine.capabilities.cacheable
        return CachedClient(pool, task.identity, self.store if keep else None, self.cache)


class _Run:
    """One run on its way."""

    def __init__(self, runner: Runner, judging: AnyJudging, record: RunRecord) -> None:
        self._runner = runner
        self._judging = judging
        self._task = judging.task
        self._record = record
        self._encoder = msgspec.json.Encoder()
        self._packer = msgspec.msgpack.Encoder()
        self._tally = _Tally()
        self._intake: Intake[Sample] | None = None
        self._number = 0
        self._keeps_replies = judging.keeps_replies
        options = record.options
        self._left_out = {
            name: UNSET
            for name, shown in (("raw", options.raw), ("input", options.input))
            if not shown
        }
        """What of a verdict is not written to the output."""

    async def execute(self, rows: RowReader, out: str | None) -> Summary:
        started = time.monotonic()
        runner = self._runner
        identity = run_identity(self._record, self._task.fingerprint)
        await self._settle(identity)
        info = runner.store.begin_run(identity, self._task.kind, self._encoder.encode(self._record))
        self._number = info.number
        summary = Summary(run=info.name, out=out)
        state = "interrupted"
        try:
            await self._judge_all(rows, out)
            state = "finished"
        finally:
            self._note_readouts()
            self._fill(summary)
            summary.seconds = round(time.monotonic() - started, 3)
            runner.store.end_run(info.number, state, self._encoder.encode(summary))
            await self._judging.close()
        return summary

    async def _settle(self, identity: bytes) -> None:
        """Take over what an earlier run of the same command found out about log-probabilities."""
        if self._runner.cache.read:
            known = known_without_logprobs(self._runner.store, identity)
            await self._judging.settle(known)
            self._record = replace(self._record, without_logprobs=known)

    def _note_readouts(self) -> None:
        """Keep which engines send no log-probabilities, for those who give the command again."""
        known = self._record.without_logprobs
        found = tuple(dict.fromkeys([*known, *self._judging.without_logprobs]))
        if found != known:
            self._record = replace(self._record, without_logprobs=found)
            self._runner.store.note_run(self._number, self._encoder.encode(self._record))

    def _fill(self, summary: Summary) -> None:
        judging, prices = self._judging, self._runner.prices
        task, bill = judging.task, judging.bill(prices)
        summary.judge, summary.readout, summary.mode = task.judge_name, task.readout, task.mode
        summary.notes = bill.notes + [
            f"{uri} sends no log-probabilities: the json readout was used"
            for uri in self._record.without_logprobs
        ]
        summary.engine_calls = bill.engine_calls
        summary.input_tokens = bill.usage.input_tokens
        summary.output_tokens = bill.usage.output_tokens
        summary.cost_usd = bill.cost_usd
        if isinstance(judging, Jury | Cascade):
            summary.panel = judging.summary(prices)
        summary.rejected = self._intake.rejected if self._intake else 0
        rejects = rejected_path(self._record.options.out) if summary.rejected else None
        summary.rejects = str(rejects) if rejects else None
        self._tally.fill(summary)

    async def _judge_all(self, rows: RowReader, out: str | None) -> None:
        judging, options, runner = self._judging, self._record.options, self._runner
        runner.progress.watch(judging)
        with Output(out, options.out, runner.store, self._number) as output:
            self._intake = Intake(
                rows, self._task.read_row, output.rejects, runner.progress,
                limit=options.limit, strict=options.strict,
            )  # fmt: skip

            wanted = output.wanted

            def finish(verdict: Verdict, asked: Asked) -> None:
                self._keep(verdict, asked)
                if wanted:
                    output.write(verdict.index, self._line(verdict))

            def at_hand(question: Any) -> bool:
                known = judging.at_hand(question)
                if known is not None:
                    finish(*known)
                return known is not None

            async def judge(question: Any) -> None:
                finish(*await judging.judge(question))

            questions = judging.questions(output.while_read(self._samples(self._intake)))
            first = list(islice(questions, 1))
            if first:  # Before the window opens: all of it would wait, and be late for the output.
                await judging.prepare()
            await for_each(judge, chain(first, questions), judging.window, at_hand)

    def _keep(self, verdict: Verdict, asked: Asked) -> None:
        if not self._tally.values:  # The first verdict: all that it depends on is settled.
            self._note_readouts()
        self._tally.add(verdict, asked)
        self._runner.progress.advance(verdict.status, verdict.usage)
        if self._runner.watch is not None:
            self._runner.watch(verdict, asked)
        raw = UNSET if self._keeps_replies else verdict.raw
        lean = replace(verdict, input=UNSET, raw=raw, metadata={})
        payload = self._packer.encode(StoredVerdict(lean, asked.keys, asked.failed))
        self._runner.store.put_verdict(self._number, verdict.index, verdict.status, payload)

    def _line(self, verdict: Verdict) -> bytes:
        if self._left_out:
            verdict = replace(verdict, **self._left_out)
        return self._encoder.encode(verdict)

    def _samples(self, intake: Intake[Sample]) -> Iterator[Sample]:
        yield from intake.items()
        if not intake.taken:
            raise InputError(
                f"{self._record.options.source}: no row can be judged by the {self._task.kind} "
                f"judge; {intake.rejected} rejected, the first: {intake.rejects.first}"
            )
