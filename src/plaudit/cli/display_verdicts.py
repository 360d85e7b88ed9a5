"""The table of verdicts, one line a verdict, for terminals of any width."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from plaudit.cli.display import STATUS_STYLES, stdout
from plaudit.types import Verdict

_VALUE_WIDTH = 22  # the longest label
_WIDE = 100  # characters from which on every column can have its usual width
_LEAST_JUDGED, _LEAST_VALUE = 10, 8
_COLUMNS = ("#", "judged", "value", "reward", "conf.", "status", "why not", "by")
_JUDGED, _VALUE = 1, 2


def verdicts(path: str) -> None:
    """Print a file of verdicts as a table."""
    console = stdout()
    decoder = msgspec.json.Decoder(Verdict)
    with open(path, "rb") as lines:
        rows = [_cells(decoder.decode(line)) for line in lines]
    decided = any(row[-1] for row in rows)
    columns = _COLUMNS if decided else _COLUMNS[:-1]
    rows = [row[: len(columns)] for row in rows]
    wide = console.width >= _WIDE
    table = _wide_table(columns) if wide else _narrow_table(columns, rows, console.width)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _wide_table(columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", expand=True)
    table.add_column("#", justify="right", style="dim")
    table.add_column("judged", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("value", no_wrap=True, min_width=_VALUE_WIDTH)
    table.add_column("reward", justify="right", min_width=6)
    table.add_column("conf.", justify="right", min_width=4)
    table.add_column("status", no_wrap=True, min_width=9)
    for name in columns[6:]:
        table.add_column(name, no_wrap=True)
    return table


def _narrow_table(names: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> Table:
    """Return a table in which long values and what was judged are cut, and nothing else."""
    columns = zip(map(Text, names), *rows, strict=True)
    widths = [max(cell.cell_len for cell in column) for column in columns]
    gaps = 2 * len(widths) + 1  # dividers, one character of padding, edges
    room = width - gaps - sum(widths) + widths[_JUDGED] + widths[_VALUE]
    widths[_VALUE] = min(widths[_VALUE], max(_LEAST_VALUE, room - _LEAST_JUDGED))
    widths[_JUDGED] = max(1, room - widths[_VALUE])
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    for name, most in zip(names, widths, strict=True):
        number = name in ("#", "reward", "conf.")
        table.add_column(
            name,
            justify="right" if number else "left",
            style="dim" if name == "#" else "",
            no_wrap=True,
            overflow="ellipsis",
            width=most,
        )
    return table


def _cells(verdict: Verdict) -> list[Text]:
    shown = {} if isinstance(verdict.input, msgspec.UnsetType) else verdict.input
    return [
        Text(str(verdict.index)),
        Text(_excerpt(shown) or verdict.id),
        Text("" if verdict.value is None else str(verdict.value)),
        Text("" if verdict.reward is None else f"{verdict.reward:+z.2f}"),
        Text("" if verdict.confidence is None else f"{verdict.confidence:.2f}"),
        Text(verdict.status, style=STATUS_STYLES[verdict.status]),
        Text("" if verdict.error is None else verdict.error.cause),
        Text(verdict.fields.get("decided_by", "")),
    ]


def _excerpt(row: Mapping[str, Any]) -> str:
    """Return what was judged on one line: the last text of the row."""
    texts = [row.get(name) for name in ("follow_up", "answer", "response", "response_a")]
    text = next((t for t in texts if isinstance(t, str)), "")
    return " ".join(text.split())
