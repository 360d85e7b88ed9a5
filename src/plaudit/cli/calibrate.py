"""`plaudit calibrate`: what a judge's confidence is worth."""

from typing import Annotated

import typer

from plaudit.cli import display
from plaudit.errors import UsageError
from plaudit.io.places import check_output
from plaudit.runs.learning import fit_calibration
from plaudit.scoring.diagram import check_format, save_diagram


def calibrate(
    verdicts: Annotated[
        str,
        typer.Argument(metavar="VERDICTS", help="What `plaudit judge -o` wrote, of one judge."),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="CAL.json", help="Write the calibration here."),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Rows with `label`, and `id` or `index`; without it, the `label` of the judged "
            "rows.",
        ),
    ] = None,
    target: Annotated[
        float, typer.Option(metavar="P", help="Agreement with the labels that the gate promises.")
    ] = 0.8,
    delta: Annotated[
        float, typer.Option(metavar="P", help="Probability with which it may break its promise.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the split, the folds and the resamples.")] = 0,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw the reliability diagram: .png or .svg."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the calibration as JSON.")] = False,
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
    found = fit_calibration(verdicts, labels, target=target, delta=delta, seed=seed)
    found.save(out)
    if plot is not None:
        save_diagram(found, plot)
    if as_json:
        display.json_line(found)
    else:
        display.calibration(found, out)
