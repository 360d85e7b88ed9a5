"""`plaudit rollout`: agents answer questions with tools."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, NamedTuple

import msgspec
import typer

from plaudit._util.options import Help
from plaudit.cli import display_rollouts
from plaudit.cli.options import (
    RARE,
    Fields,
    JsonOption,
    PricesOption,
    StoreOption,
    Values,
    WriterOption,
    cache_policy,
    option,
    with_fields,
)
from plaudit.cli.running import RunDisplay, RunOptions, resumable, run_to_end, store_path
from plaudit.engines.base import Engine
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.places import check_not_read
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.rollout import GRADED
from plaudit.rollouts import telemetry
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.run import (
    RolloutOptions,
    RolloutRecord,
    RolloutSummary,
    count_questions,
    run_rollouts,
)
from plaudit.rollouts.tools import ToolSet, load_tools
from plaudit.rollouts.tools.load import recorded
from plaudit.rollouts.tools.toolset import ToolLimits
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import RunSettings
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices

_SENT = ("concurrency", "timeout", "attempts", "outage")


class ScoringOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What rollouts are scored by."""

    rewards: Annotated[
        str | None,
        Help(
            "Score each rollout by this specification of rewards, or by `default`.",
            "Rewards",
            "SPEC",
        ),
    ] = None
    verifier: Annotated[
        str | None,
        Help(
            "Grade the answers, and ask this engine about what is undecided; `none:` asks no "
            "model. Without --rewards nothing else is scored.",
            "Rewards",
            "URI",
        ),
    ] = None

    def load(self, run: RunOptions) -> Composite | None:
        """Return the rewards; None where none is asked for."""
        if self.rewards is None and self.verifier is None:
            return None
        cache = str(run.store) if run.cache.write else False
        grader = Grader(engine=self.verifier, cache=cache, send=run.send)
        return load_rewards(GRADED if self.rewards is None else self.rewards, grader)


QuestionsArgument = Annotated[
    str,
    typer.Argument(
        metavar="QUESTIONS",
        help="Rows with `question`, and where known `id`, `answer`, `split`; in any form of "
        "input, or - .",
    ),
]
ToolsOption = Annotated[
    list[str] | None,
    option(
        "--tools",
        "-t",
        metavar="TOOL",
        help="`search:INDEX` (`search:INDEX?k=3`), `module:function`, `FILE.py:function`, "
        "`mcp:COMMAND` or `mcp:URL`; may be repeated.",
        panel="Agent",
    ),
]
VerboseOption = Annotated[
    bool, option("--verbose", "-v", help="Show each conversation.", panel="Output")
]
TelemetryOption = Annotated[
    bool,
    option(
        "--otel",
        help="Export OpenTelemetry spans, to where OTEL_EXPORTER_OTLP_ENDPOINT says.",
        panel="Output",
    ),
    RARE,
]


@with_fields
def rollout(
    source: QuestionsArgument,
    *,
    engine: WriterOption = "local",
    tools: ToolsOption = None,
    limits: Annotated[Values, Fields(ToolLimits)],
    config: Annotated[Values, Fields(RolloutConfig)],
    scoring: Annotated[Values, Fields(ScoringOptions)],
    reads: Annotated[Values, Fields(RolloutOptions)],
    send: Annotated[Values, Fields(SendPolicy, *_SENT, timeout=300.0)],
    store: StoreOption = None,
    cache: Annotated[Values, Fields(CachePolicy, "read", "write")],
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    prices: PricesOption = None,
    otel: TelemetryOption = False,
) -> None:
    """Let a model answer QUESTIONS with tools, and write what it did, token by token.

    The model sees a question and its tools, never the answer. A rollout that an engine, a filter
    or the deadline broke off is no wrong answer, nor is one in which a tool failed: it is counted
    apart, and the same command tries it again. What is finished costs no request a second time.

    Exit status: 0 done; 1 done, but rows were rejected, or rollouts were broken off, had a tool
    that failed, or could not be scored; 2 wrong usage or no usable input; 3 the engine cannot be
    used; 130 interrupted.
    """
    run = RunOptions(_policy(send), cache_policy(cache), store_path(store), Prices.read(prices))
    wanted, options = ScoringOptions(**scoring), RolloutOptions(source=source, **reads)
    record, rewards = _prepared(engine, tools or (), RolloutConfig(**config), options, wanted, run)
    toolset = load_tools(tools or (), **limits)
    job = _Job(record, load_engine(engine, DownloadProgress()), toolset, run, rewards, verbose)
    shown = RunDisplay(display_rollouts.traces, "traces.jsonl", display_rollouts.summary)
    with telemetry.exporting() if otel else nullcontext():
        run_to_end(job.run, options.out, as_json, shown)


def _policy(send: Values) -> SendPolicy:
    """Begin with many requests: replies of agents are long, so a slow start would cost minutes."""
    return SendPolicy(start=max(10, send["concurrency"] // 4), **send)


def _prepared(
    engine: str,
    tools: Sequence[str],
    config: RolloutConfig,
    options: RolloutOptions,
    scoring: ScoringOptions,
    run: RunOptions,
) -> tuple[RolloutRecord, Composite | None]:
    """Return what the command asks for, and its rewards.

    Raises:
        UsageError: an output would replace what is read, or a log of grades has no grades.
    """
    for written in (options.out, options.qa_log):
        read = [scoring.rewards, scoring.verifier, config.prompt, config.system]
        check_not_read(written or "-", read)
    rewards = scoring.load(run)
    if options.qa_log is not None and rewards is None:
        raise UsageError("--qa-log writes how answers were graded: add --verifier URI or --rewards")
    record = RolloutRecord(
        engine=engine,
        tools=tuple(map(recorded, tools)),
        config=config,
        options=options,
        rewards=None if rewards is None else rewards.fingerprint,
    )
    return record, rewards


class _Job(NamedTuple):
    """A command line, ready to run."""

    record: RolloutRecord
    engine: Engine
    tools: ToolSet
    options: RunOptions
    rewards: Composite | None
    verbose: bool

    def run(self, out: str | None) -> RolloutSummary:
        """Roll out; `out` stands in place of the record's own."""
        with self.options.opened(Progress("rollout", total_rows=self._total())) as settings:
            return resumable(self._in_loop(settings, out))

    def _total(self) -> int | None:
        options = self.record.options
        asked = count_questions(options.source, options.split)
        if asked is None:
            return None
        return min(asked, options.limit or asked) * self.record.config.samples_per_question

    async def _in_loop(self, settings: RunSettings, out: str | None) -> RolloutSummary:
        watch = display_rollouts.conversation if self.verbose else None
        try:
            return await run_rollouts(
                settings, self.record, self.engine, self.tools, out,
                rewards=self.rewards, watch=watch,
            )  # fmt: skip
        finally:
            if self.rewards is not None:
                await self.rewards.close()
