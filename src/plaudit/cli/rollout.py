"""`plaudit rollout`: agents answer questions with tools."""

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, cast, get_args

import msgspec
import typer

from plaudit._util import loops
from plaudit.cli import display, display_rollouts
from plaudit.cli.judge import collect_seldom
from plaudit.cli.options import (
    AttemptsOption,
    ConcurrencyOption,
    GenerationOption,
    OutageOption,
    StoreOption,
    StrictOption,
    TimeoutOption,
    WriterOption,
    parse_generation,
)
from plaudit.corpus.questions import Split
from plaudit.engines.base import Engine
from plaudit.engines.load import load_engine
from plaudit.errors import InterruptedRunError, UsageError
from plaudit.io.places import check_not_read
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.rollout import GRADED
from plaudit.rollouts import telemetry
from plaudit.rollouts.config import RolloutConfig, TokensWanted, ToolsAs
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
from plaudit.store.store import Store, default_store_path


def rollout(  # one parameter an option: that is how Typer reads them
    source: Annotated[
        str,
        typer.Argument(
            metavar="QUESTIONS",
            help="Rows with `question`, and where known `id`, `answer`, `split`; in any form of "
            "input, or - .",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="OUT", help="Write traces here: JSON Lines, or - ."),
    ] = None,
    engine: WriterOption = "local",
    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools",
            "-t",
            metavar="TOOL",
            help="`search:INDEX` (`search:INDEX?k=3`), `module:function`, `FILE.py:function`, "
            "`mcp:COMMAND` or `mcp:URL`; may be repeated.",
        ),
    ] = None,
    tools_as: Annotated[
        str,
        typer.Option(
            metavar="FORM",
            help="How the model calls tools: `native` by its API, or as text in a form: `json`, "
            "`hermes`, `llama`, `qwen`, `mistral`, `glm`, `harmony`, `gemma`, `deepseek`, `kimi`, "
            "`lfm2` or `minimax`; `auto`: native where there is that.",
        ),
    ] = "auto",
    samples: Annotated[
        int,
        typer.Option(
            "--samples-per-question", "-n", min=1, metavar="N", help="Rollouts of each question."
        ),
    ] = 1,
    split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="Only questions of `train` or of `test`.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The first N questions only.")
    ] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Most replies of the model.")] = 5,
    max_new_tokens: Annotated[
        int,
        typer.Option(min=1, help="Most tokens that the model writes, over all its turns."),
    ] = 4096,
    max_tool_calls: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Most tool calls.")
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="S", help="Most seconds of a rollout, queues included."),
    ] = None,
    tool_timeout: Annotated[
        float, typer.Option(min=0.001, metavar="S", help="Most seconds of a tool call.")
    ] = 30.0,
    max_result_chars: Annotated[
        int, typer.Option(min=1, metavar="N", help="Longer tool results are cut.")
    ] = 16_000,
    system: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A Jinja template of your own for the system prompt."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A Jinja template for the user's message; uses `question`."
        ),
    ] = None,
    date: Annotated[
        str,
        typer.Option(
            metavar="YYYY-MM-DD",
            help="What the prompts call today; by default the day on which the run first began.",
        ),
    ] = "",
    tokens: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Token ids of the traces: `auto` as exact as the engine allows; `exact` or an "
            "error; `off` none.",
        ),
    ] = "auto",
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A tokenizer.json with its chat template, or the folder that holds them.",
        ),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Cut the tokens of a trace to N.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Of the sampling; by default 0, for several samples 1."),
    ] = None,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="Nucleus of the sampling.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the first sample; the next has the next.")] = 0,
    generation: GenerationOption = None,
    rewards: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Score each rollout by this specification of rewards, or by `default`.",
        ),
    ] = None,
    verifier: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Grade the answers, and ask this engine about what is undecided (`none:`: ask no "
            "model); without --rewards nothing else is scored.",
        ),
    ] = None,
    qa_log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write question, reference, answer and what the verifier says of it, a line each.",
        ),
    ] = None,
    timeout: TimeoutOption = 300.0,
    concurrency: ConcurrencyOption = 100,
    attempts: AttemptsOption = 6,
    outage: OutageOption = 300.0,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor keep replies and rollouts.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do everything again, and keep the new replies.")
    ] = False,
    store: StoreOption = None,
    prices: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Prices of your own, by model (TOML or JSON)."),
    ] = None,
    strict: StrictOption = False,
    otel: Annotated[
        bool,
        typer.Option(
            "--otel", help="Export OpenTelemetry spans, to where OTEL_EXPORTER_OTLP_ENDPOINT says."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show each conversation.")
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
    config = RolloutConfig(
        samples_per_question=samples,
        max_turns=max_turns,
        max_new_tokens=max_new_tokens,
        max_tool_calls=max_tool_calls,
        deadline=deadline,
        tools_as=cast("ToolsAs", _chosen("--tools-as", tools_as, get_args(ToolsAs))),
        system=system,
        prompt=prompt,
        date=date,
        tokens=cast("TokensWanted", _chosen("--tokens", tokens, get_args(TokensWanted))),
        tokenizer=tokenizer,
        max_length=max_length,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        generation=parse_generation(generation or []),
    )
    options = RolloutOptions(
        source=source,
        out=out,
        qa_log=qa_log,
        split=None if split is None else cast("Split", _chosen("--split", split, get_args(Split))),
        limit=limit,
        strict=strict,
    )
    for written in (out, qa_log):
        check_not_read(written or "-", [rewards, verifier, prompt, system])
    # Replies of agents are long: to begin with few requests would cost minutes.
    start = max(10, concurrency // 4)
    send = SendPolicy(
        concurrency=concurrency, start=start, timeout=timeout, attempts=attempts, outage=outage
    )
    cache = CachePolicy(read=not (no_cache or fresh), write=not no_cache)
    path = Path(store) if store else default_store_path()
    scored = _scoring(rewards, verifier, send, False if no_cache else str(path))
    if qa_log is not None and scored is None:
        raise UsageError("--qa-log tells how answers were graded: add --verifier URI or --rewards")
    record = RolloutRecord(
        engine=engine,
        tools=tuple(map(recorded, tools or ())),
        config=config,
        options=options,
        rewards=None if scored is None else scored.fingerprint,
    )
    toolset = load_tools(tools or (), timeout=tool_timeout, max_result_chars=max_result_chars)
    job = _Job(
        record,
        load_engine(engine, DownloadProgress()),
        toolset,
        send,
        cache,
        path,
        scored,
        Prices.read(prices),
    )
    with telemetry.exporting() if otel else nullcontext():
        summary = job.run(show=out is None and not as_json, verbose=verbose)
    if as_json:
        display.json_line(summary, out == "-")
    else:
        display_rollouts.summary(summary, to_stderr=out == "-")
    raise typer.Exit(summary.exit_status)


def _chosen(option: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise UsageError(f"{option} {value!r}: there are {', '.join(allowed)}")
    return value


def _scoring(
    rewards: str | None, verifier: str | None, send: SendPolicy, cache: bool | str
) -> Composite | None:
    """Return what rollouts are scored by; None where that is not asked for."""
    if rewards is None and verifier is None:
        return None
    grader = Grader(engine=verifier, cache=cache, send=send)
    if rewards is None:
        return load_rewards(GRADED, grader)
    return load_rewards(rewards, grader)


class _Job:
    """A command line, ready to run."""

    def __init__(
        self,
        record: RolloutRecord,
        engine: Engine,
        tools: ToolSet,
        send: SendPolicy,
        cache: CachePolicy,
        store: Path,
        rewards: Composite | None,
        prices: Prices,
    ) -> None:
        self.record = record
        self.engine = engine
        self.tools = tools
        self.send = send
        self.cache = cache
        self.store = store
        self.rewards = rewards
        self.prices = prices

    def run(self, *, show: bool, verbose: bool) -> RolloutSummary:
        if not show:
            return self._run(None, verbose)
        with tempfile.TemporaryDirectory(prefix="plaudit-") as folder:
            out = str(Path(folder) / "traces.jsonl")
            summary = self._run(out, verbose)
            display_rollouts.traces(out)
        return msgspec.structs.replace(summary, out=None)

    def _run(self, out: str | None, verbose: bool) -> RolloutSummary:
        record = self.record
        asked = count_questions(record.options.source, record.options.split)
        if asked is not None:
            asked = min(asked, record.options.limit or asked) * record.config.samples_per_question
        with Store(self.store) as store, Progress("rollout", total_rows=asked) as bar:
            collect_seldom()
            settings = RunSettings(
                store=store, progress=bar, send=self.send, cache=self.cache, prices=self.prices
            )
            try:
                return loops.run(self._in_loop(settings, out, verbose))
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    "interrupted; give the same command again to go on where it stopped"
                ) from None

    async def _in_loop(
        self, settings: RunSettings, out: str | None, verbose: bool
    ) -> RolloutSummary:
        watch = display_rollouts.conversation if verbose else None
        try:
            return await run_rollouts(
                settings, self.record, self.engine, self.tools, out,
                rewards=self.rewards, watch=watch,
            )  # fmt: skip
        finally:
            if self.rewards is not None:
                await self.rewards.close()
