"""`plaudit curriculum`: rows from easy to difficult, in a file for each stage."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from plaudit.cli import display
from plaudit.cli.options import Fields, JsonOption, Values, option, with_fields
from plaudit.errors import InterruptedRunError
from plaudit.preferences.curriculum import CurriculumOptions
from plaudit.preferences.curriculum_files import CurriculumJob, CurriculumSummary, write_curriculum

_COLUMNS = ("stage", "from epoch", "adds examples", "adds rows", "open examples", "open rows")

ScoredArgument = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="What `plaudit pairs` wrote, rows with `example_id` and `score`, or scored traces. A "
        "file: it is read twice.",
    ),
]
StagesOption = Annotated[
    str, option("--out", "-o", metavar="DIR", help="The folder of the stages.")
]


@with_fields
def curriculum(
    source: ScoredArgument,
    out: StagesOption,
    options: Annotated[Values, Fields(CurriculumOptions)],
    reads: Annotated[Values, Fields(CurriculumJob)],
    as_json: JsonOption = False,
) -> None:
    """Begin with the easiest examples, and add more of them every few epochs.

    `stage-00.jsonl` has the rows to begin with, `stage-01.jsonl` those that the next stage adds,
    and so on: a stage is trained on its file and all before it. `curriculum.json` says from which
    epoch on, and `examples.jsonl` lists the examples from easy to difficult.

    Exit status: 0 done; 1 done, but rows were rejected; 2 wrong usage, or no usable input; 130
    interrupted.
    """
    job = CurriculumJob(source=source, out=out, options=CurriculumOptions(**options), **reads)
    try:
        done = write_curriculum(job)
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted: give the same command again") from None
    if as_json:
        display.json_line(done)
    else:
        _show(done, out)
    raise typer.Exit(done.exit_status)


def _show(done: CurriculumSummary, out: str) -> None:
    """Print the stages and what was left out."""
    console = display.stdout()
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for one in done.stages:
        numbers = (one.examples, one.rows, one.open_examples, one.open_rows)
        table.add_row(str(one.stage), str(one.from_epoch), *(f"{n:,}" for n in numbers))
    console.print(table)
    for line in _notes(done):
        console.print(Text(line))
    console.print(Text(f"stages in {out}"))
    if done.rejected:
        rows = display.count(done.rejected, "row")
        console.print(Text(f"{rows} rejected, the first: {done.first_reject}", style="red"))


def _notes(done: CurriculumSummary) -> Iterable[str]:
    if number := done.dropped_examples.get("little_spread"):
        yield f"dropped {display.count(number, 'example')} whose rewards are too close together"
    if number := done.dropped_rows.get("no_score"):
        yield f"dropped {display.count(number, 'row')} without a score"
