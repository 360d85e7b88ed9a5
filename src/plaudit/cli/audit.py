"""`plaudit audit`: how biased a judge is, and how easily misled."""

import functools
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, NamedTuple

import typer

from plaudit._util import loops
from plaudit.bench.audit.items import AUDITED, AuditBase
from plaudit.bench.audit.run import (
    AuditDone,
    AuditOptions,
    AuditRecord,
    load_base,
    plan_audit,
    run_audit,
)
from plaudit.bench.audit.thresholds import Thresholds, read_thresholds, with_breaches
from plaudit.bench.results import write_results
from plaudit.bench.run import results_folder
from plaudit.cli import display, display_audit
from plaudit.cli.judge import AskedOptions, DryRunOption, read_panel
from plaudit.cli.options import (
    Fields,
    JsonOption,
    PricesOption,
    StoreOption,
    Values,
    cache_policy,
    completer,
    option,
    with_fields,
)
from plaudit.cli.running import RunOptions, resumable, store_path
from plaudit.engines.base import Engine
from plaudit.engines.load import load_engine
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import make_config, task_type
from plaudit.judges.panel import PanelConfig
from plaudit.runs.cached import CachePolicy
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices


@with_fields
def audit(
    config: Annotated[Values, Fields(JudgeConfig)],
    asked: Annotated[Values, Fields(AskedOptions, "engine", "jury", "cascade")],
    tests: Annotated[Values, Fields(AuditOptions)],
    send: Annotated[Values, Fields(SendPolicy)],
    cache: Annotated[Values, Fields(CachePolicy)],
    labels: Annotated[
        str,
        typer.Argument(
            metavar="[LABELS]",
            help="Rows as for `judge`, with `label` (verify: with `reference`). Without them: 60 "
            "questions that ship, each with a right and a wrong answer.",
        ),
    ] = "",
    kind: Annotated[
        str,
        option(
            "--kind",
            metavar="JUDGE",
            help="`pairwise`, `pointwise`, `verify` or `feedback`; by default as the columns of "
            "LABELS say, and `pairwise` without LABELS.",
            panel="Input",
            autocompletion=completer(AUDITED),
        ),
    ] = "",
    store: StoreOption = None,
    fail_on: Annotated[
        str | None,
        option(
            "--fail-on",
            metavar="FILE",
            help="End with status 1 where a threshold of this TOML file is passed.",
            panel="Output",
        ),
    ] = None,
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
    prices: PricesOption = None,
) -> None:
    """Look for biases of a judge, ask it the same again, and attack it.

    Each bias is a mean change of what the judge says when an answer is changed and its content is
    not; it counts where its interval lies beyond 0.05. The chance that a fair judge is accused of
    anything is 0.05. The same command again costs no call.

    Exit status: 0 done; 1 done, but a threshold of --fail-on was passed, rows were rejected,
    samples failed, or no verdict was usable; 2 wrong usage or no usable input; 3 the engine cannot
    be used; 130 interrupted.
    """
    limits = None if fail_on is None else read_thresholds(fail_on)
    options = AuditOptions(labels=labels, seed=config["seed"] or 0, **tests)
    options.choice  # noqa: B018  # Refuses unknown names.
    base = load_base(options, kind)
    named = AskedOptions(**asked)
    record, engines = _judge(base.kind, config, options, named)
    how = RunOptions(
        SendPolicy(**send), cache_policy(cache), store_path(store), Prices.read(prices)
    )
    job = _Job(record, engines, base, how)
    if dry_run:
        display_audit.plan(*job.plan(), as_json)
        return
    read = [labels, named.engine, named.jury, named.cascade, fail_on]
    done = job.run(limits, [path for path in read if path])
    if as_json:
        display.json_line(done)
    else:
        display_audit.audit(done, options.out)
    raise typer.Exit(done.exit_status)


def _judge(
    kind: str,
    given: Values,
    options: AuditOptions,
    asked: AskedOptions,
) -> tuple[AuditRecord, Engine | Sequence[Engine]]:
    """Return the record of the audit, and the engine of its judge or those of a panel."""
    judge_type = task_type(kind)
    config = make_config(judge_type, given)
    uri = asked.engine or judge_type.default_engine
    make = functools.partial(AuditRecord, judge=config, engine=uri, options=options)
    if asked.jury is None and asked.cascade is None:
        return make(), load_engine(uri, DownloadProgress())
    panel: PanelConfig
    panel, engines = read_panel(asked, config, uri)
    return make(panel=panel), engines


class _Job(NamedTuple):
    """A command line, ready to run."""

    record: AuditRecord
    engine: Engine | Sequence[Engine]
    base: AuditBase
    how: RunOptions

    def plan(self) -> display_audit.Planned:
        with self.how.opened(Progress("audit", enabled=False)) as settings:
            return loops.run(plan_audit(settings, self.record, self.engine, self.base))

    def run(self, limits: Thresholds | None, read: list[str]) -> AuditDone:
        """Audit, and write the folder of results where one is named."""
        out = self.record.options.out
        with nullcontext() if out is None else results_folder(out, read) as folder:
            rows = self.how.store.with_name(f"{self.how.store.stem}-rows")
            with self.how.opened(Progress(f"audit {self.base.kind}")) as settings:
                work = run_audit(settings, self.record, self.engine, self.base, rows, folder)
                done = resumable(work)
            done = done if limits is None else with_breaches(done, limits)
            if folder is not None:
                write_results(done.results, folder.path)
        return done
