"""What is learned from labels: `plaudit calibrate`, `jury-weights` and `rubric`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from plaudit._util import loops
from plaudit.bench.rubric import Rubric, labelled_pairs, learn_rubric
from plaudit.cli import display
from plaudit.cli.display import count, interval
from plaudit.cli.options import Fields, StoreOption, Values, WriterOption, option, with_fields
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.partial import write_json
from plaudit.io.places import check_output
from plaudit.io.progress import DownloadProgress
from plaudit.io.sources import RowReader
from plaudit.judges.config import JudgeConfig
from plaudit.judges.panel import LearnedWeight
from plaudit.runs.learning import fit_calibration, learn_from
from plaudit.scoring.calibration import Calibration
from plaudit.scoring.diagram import check_format, save_diagram
from plaudit.scoring.fitting import Promise
from plaudit.scoring.stats import Estimate

rubric_app = typer.Typer(help="Learn criteria from labelled pairs.", no_args_is_help=True)


VerdictsArgument = Annotated[
    str, typer.Argument(metavar="VERDICTS", help="What `plaudit judge -o` wrote, of one judge.")
]
CalibrationOption = Annotated[
    str, option("--out", "-o", metavar="CAL.json", help="Write the calibration here.")
]
LabelsOption = Annotated[
    str | None,
    option(
        "--labels",
        metavar="FILE",
        help="Rows with `label`, and `id` or `index`; without it, the `label` of the judged rows.",
    ),
]
PlotOption = Annotated[
    str | None,
    option("--plot", metavar="FILE", help="Draw the reliability diagram: .png or .svg."),
]


@with_fields
def calibrate(
    verdicts: VerdictsArgument,
    out: CalibrationOption,
    *,
    labels: LabelsOption = None,
    promise: Annotated[Values, Fields(Promise)],
    plot: PlotOption = None,
    as_json: Annotated[bool, option("--json", help="Print the calibration as JSON.")] = False,
) -> None:
    """Fit a map from a judge's raw confidence to its chance of being right, and find the gate.

    The gate is the lowest confidence at which the judge agrees with the labels as often as
    --target says, with probability 1 - delta. Where no gate can promise that, there is none.

    Apply it with `plaudit judge --calibration CAL.json`.
    """
    if out == "-":
        raise UsageError("a calibration is a file: give -o a name, or add --json to see it")
    check_output(out, [verdicts, labels], replaces=True)
    if plot is not None:
        check_format(plot)
        check_output(plot, [verdicts, labels, out], replaces=True)
    found = fit_calibration(verdicts, labels, **promise)
    found.save(out)
    if plot is not None:
        save_diagram(found, plot)
    if as_json:
        display.json_line(found)
    else:
        _calibration(found, out)


def _calibration(found: Calibration, out: str) -> None:
    """Print what a calibration is worth."""
    columns = ("before", "after", "change")
    table = display.table("held out", *columns, numbers=columns)
    for name, title in (("ece", "ECE"), ("brier", "Brier score"), ("log_loss", "log loss")):
        scores: list[Estimate] = [getattr(s, name) for s in (found.before, found.after)]
        change: Estimate = getattr(found.change, name)
        table.add_row(title, *map(interval, scores), interval(change, "+"))
    table.add_row("accuracy", interval(found.accuracy), "", "")
    if found.auroc is not None:
        table.add_row("AUROC", interval(found.auroc), "", "")
    console = display.stdout()
    console.print(table)
    for line in _calibration_lines(found, out):
        console.print(escape(line), soft_wrap=True)


def _calibration_lines(found: Calibration, out: str) -> Iterable[str]:
    losses = ", ".join(f"{name} {loss:.3f}" for name, loss in found.fold_log_loss.items())
    why = f"by cross-validated log loss ({losses})" if losses else "too few for a choice"
    yield f"map: {found.method}, {why}"
    if found.gate is None or found.kept is None:
        yield f"no gate: {found.reason}"
    else:
        yield f"gate {found.gate:.3f} keeps {found.kept.value:.1%}: {found.reason}"
    others = "".join(f", {number} {reason}" for reason, number in found.left_out.items())
    fitted = found.samples - found.held_out
    yield f"{found.judge}: {fitted} verdicts fitted on, {found.held_out} held out{others}"
    yield f"calibration in {out}"


def jury_weights(
    verdicts: Annotated[
        str,
        typer.Argument(
            metavar="VERDICTS", help="What `plaudit judge --jury` wrote about labelled rows."
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE", help="Write the weights here, as JSON.")
    ],
) -> None:
    """Learn how much each member of a jury should count, from rows that have a `label`.

    The file goes into the jury's specification: `combine = "weighted"` and `weights = "FILE"`.
    """
    check_output(out, [verdicts], replaces=True)
    weights = learn_from(verdicts)
    write_json(out, weights)
    _weights(weights)


def _weights(found: Mapping[str, LearnedWeight]) -> None:
    """Print learned weights."""
    table = display.table("member", "labelled", "right", "mean squared error", "weight")
    for name, one in found.items():
        accuracy = "" if one.accuracy is None else f"{one.accuracy:.3f}"
        error = "" if one.error is None else f"{one.error:.3f}"
        table.add_row(Text(name), str(one.samples), accuracy, error, f"{one.weight:.3f}")
    display.stdout().print(table)


@rubric_app.callback()
def rubric() -> None:
    """Keep `learn` a command of its own, for those that come beside it."""


@rubric_app.command()
@with_fields
def learn(
    labels: Annotated[
        str,
        typer.Argument(
            metavar="LABELS",
            help="Rows as for `judge pairwise`, with `label`: A, B or A=B. A few dozen.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="CRITERIA", help="Write the criteria here.")
    ],
    judge: Annotated[Values, Fields(JudgeConfig, "readout")],
    engine: WriterOption = "local",
    proposals: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most pairs that the model proposes from.")
    ] = 24,
    candidates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most proposals that are tried.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the intervals.")] = 0,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Propose criteria from labelled pairs, and keep those that raise agreement with the labels.

    The model proposes from a third of the pairs, criteria are chosen on another, and the last one
    says what the result is worth. OUT is what `plaudit judge pointwise --criteria` takes. The same
    command again costs no call.
    """
    if out == "-":
        raise UsageError("criteria are a file: give -o a name, or add --json to see them")
    check_output(out, [labels, engine], replaces=True)
    pairs, ties = labelled_pairs(_rows(labels))
    found = loops.run(
        learn_rubric(
            pairs,
            load_engine(engine, DownloadProgress()),
            ties=ties,
            proposals=proposals,
            candidates=candidates,
            seed=seed,
            **judge,
            cache=store or True,
            progress=True,
        )
    )
    write_json(out, found.criteria)
    if as_json:
        display.json_line(found)
    else:
        _rubric(found, out)


def _rows(labels: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with RowReader(labels, strict=True) as rows:
        for row in rows:
            if row.data is not None:
                yield row.where, row.data


def _rubric(found: Rubric, out: str) -> None:
    """Print what was learned, criterion by criterion."""
    table = display.table("criterion", "right", "added", "what it asks for")
    about = {criterion.name: criterion.description for criterion in found.criteria}
    for number, step in enumerate(found.steps):
        added = f"{step.gain:+.3f}" if number else ""
        table.add_row(escape(step.name), f"{step.accuracy:.3f}", added, escape(about[step.name]))
    console = display.stdout()
    console.print(table)
    unseen = found.unseen
    lines = [
        f"on {count(unseen.pairs, 'pair')} that nothing was chosen on: {interval(unseen.rubric)} "
        f"right, {interval(unseen.overall)} by {found.steps[0].name!r} alone, gain "
        f"{interval(unseen.gain)}",
        f"{count(len(found.dropped), 'proposal')} that added nothing: "
        + (", ".join(found.dropped) or "none"),
        f"{count(found.pairs, 'labelled pair')}, {count(found.ties, 'tie')} left out, "
        f"{found.unusable} of {found.asked} replies held no criterion, {found.unscored} scores "
        "are unknown and count as not right",
        f"criteria in {out}",
    ]
    for line in lines:
        console.print(escape(line), soft_wrap=True)
