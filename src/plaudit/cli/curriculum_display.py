"""What a person sees of a curriculum."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from plaudit.cli import display
from plaudit.preferences.curriculum_files import CurriculumSummary

_COLUMNS = ("stage", "from epoch", "adds examples", "adds rows", "open examples", "open rows")


def summary(done: CurriculumSummary, out: str) -> None:
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
