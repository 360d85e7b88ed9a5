"""`plaudit rollout`: agents answer questions with tools."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from plaudit.cli import display, display_rollouts
from plaudit.cli.options import (
    RARE,
    Fields,
    JsonOption,
    PricesOption,
    StoreOption,
    Values,
    WriterOption,
    build,
    cache_policy,
    option,
    with_fields,
)
from plaudit.cli.running import collect_seldom, resumable, run_and_show, store_path
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
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import RunSettings
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store

_SENT = ("concurrency", "timeout", "attempts", "outage")


@with_fields
def rollout(
    source: Annotated[
        str,
        typer.Argument(
            metavar="QUESTIONS",
            help="Rows with `question`, and where known `id`, `answer`, `split`; in any form of "
            "input, or - .",
        ),
    ],
    config: Annotated[Values, Fields(RolloutConfig)],
    reads: Annotated[Values, Fields(RolloutOptions)],
    send: Annotated[Values, Fields(SendPolicy, *_SENT, timeout=300.0)],
    cache: Annotated[Values, Fields(CachePolicy, "read", "write")],
    engine: WriterOption = "local",
    tools: Annotated[
        list[str] | None,
        option(
            "--tools",
            "-t",
            metavar="TOOL",
            help="`search:INDEX` (`search:INDEX?k=3`), `module:function`, `FILE.py:function`, "
            "`mcp:COMMAND` or `mcp:URL`; may be repeated.",
            panel="Agent",
        ),
    ] = None,
    tool_timeout: Annotated[
        float,
        option(
            "--tool-timeout",
            min=0.001,
            metavar="S",
            help="Most seconds of a tool call.",
            panel="Agent",
        ),
        RARE,
    ] = 30.0,
    max_result_chars: Annotated[
        int,
        option(
            "--max-result-chars",
            min=1,
            metavar="N",
            help="Longer tool results are cut.",
            panel="Agent",
        ),
        RARE,
    ] = 16_000,
    rewards: Annotated[
        str | None,
        option(
            "--rewards",
            metavar="SPEC",
            help="Score each rollout by this specification of rewards, or by `default`.",
            panel="Rewards",
        ),
    ] = None,
    verifier: Annotated[
        str | None,
        option(
            "--verifier",
            metavar="URI",
            help="Grade the answers, and ask this engine about what is undecided; `none:` asks "
            "no model. Without --rewards nothing else is scored.",
            panel="Rewards",
        ),
    ] = None,
    store: StoreOption = None,
    out: Annotated[
        str | None,
        option(
            "--out",
            "-o",
            metavar="OUT",
            help="Write traces here: JSON Lines, or - .",
            panel="Output",
        ),
    ] = None,
    as_json: JsonOption = False,
    verbose: Annotated[
        bool, option("--verbose", "-v", help="Show each conversation.", panel="Output")
    ] = False,
    prices: PricesOption = None,
    otel: Annotated[
        bool,
        option(
            "--otel",
            help="Export OpenTelemetry spans, to where OTEL_EXPORTER_OTLP_ENDPOINT says.",
            panel="Output",
        ),
        RARE,
    ] = False,
) -> None:
    """Let a model answer QUESTIONS with tools, and write what it did, token by token.

    The model sees a question and its tools, never the answer. A rollout that an engine, a filter
    or the deadline broke off is no wrong answer, nor is one in which a tool failed: it is counted
    apart, and the same command tries it again. What is finished costs no request a second time.

    Exit status: 0 done; 1 done, but rows were rejected, or rollouts were broken off, had a tool
    that failed, or could not be scored; 2 wrong usage or no usable input; 3 the engine cannot be
    used; 130 interrupted.
    """
    settings = build(RolloutConfig, config)
    options = build(RolloutOptions, reads, source=source, out=out)
    for written in (out, options.qa_log):
        check_not_read(written or "-", [rewards, verifier, settings.prompt, settings.system])
    # Replies of agents are long: to begin with few requests would cost minutes.
    policy = SendPolicy(start=max(10, send["concurrency"] // 4), **send)
    replies, path = cache_policy(cache), store_path(store)
    scored = _scoring(rewards, verifier, policy, str(path) if replies.write else False)
    if options.qa_log is not None and scored is None:
        raise UsageError("--qa-log writes how answers were graded: add --verifier URI or --rewards")
    record = RolloutRecord(
        engine=engine,
        tools=tuple(map(recorded, tools or ())),
        config=settings,
        options=options,
        rewards=None if scored is None else scored.fingerprint,
    )
    toolset = load_tools(tools or (), timeout=tool_timeout, max_result_chars=max_result_chars)
    asked, costs = load_engine(engine, DownloadProgress()), Prices.read(prices)
    job = _Job(record, asked, toolset, policy, replies, path, scored, costs, verbose)
    shown = out is None and not as_json
    with telemetry.exporting() if otel else nullcontext():
        summary = (
            run_and_show(job.run, display_rollouts.traces, "traces.jsonl") if shown else job.run()
        )
    if as_json:
        display.json_line(summary, out == "-")
    else:
        display_rollouts.summary(summary, to_stderr=out == "-")
    raise typer.Exit(summary.exit_status)


def _scoring(
    rewards: str | None, verifier: str | None, send: SendPolicy, cache: bool | str
) -> Composite | None:
    """Return what rollouts are scored by; None where that is not asked for."""
    if rewards is None and verifier is None:
        return None
    grader = Grader(engine=verifier, cache=cache, send=send)
    return load_rewards(GRADED if rewards is None else rewards, grader)


class _Job(NamedTuple):
    """A command line, ready to run."""

    record: RolloutRecord
    engine: Engine
    tools: ToolSet
    send: SendPolicy
    cache: CachePolicy
    store: Path
    rewards: Composite | None
    prices: Prices
    verbose: bool

    def run(self, out: str | None = None) -> RolloutSummary:
        """Roll out; `out` stands in place of the record's own."""
        with Store(self.store) as store, Progress("rollout", total_rows=self._total()) as bar:
            collect_seldom()
            settings = RunSettings(
                store=store, progress=bar, send=self.send, cache=self.cache, prices=self.prices
            )
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
