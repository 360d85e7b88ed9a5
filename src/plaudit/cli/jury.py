"""`plaudit jury-weights`: how much each member of a jury should count."""

from typing import Annotated

import typer

from plaudit.cli import display
from plaudit.io.partial import write_json
from plaudit.io.places import check_output
from plaudit.runs.learning import learn_from


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
    display.weights(weights)
