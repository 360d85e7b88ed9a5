"""What a report says, before it is a page or Markdown: sections of blocks, all of it text."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec


class TableBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A table; the first cell of a row names the row."""

    kind: ClassVar = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()
    """Columns of numbers, which stand to the right and do not wrap."""
    folded: bool = False
    """Whether the page shows it on demand; print and Markdown always do."""


def judged_table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str] = (),
    *,
    folded: bool = False,
) -> TableBlock:
    """Return a table whose rows are of judges; without the column `judge` where there is one."""
    place = columns.index("judge")
    if place and len({row[place] for row in rows}) < 2:
        columns = [*columns[:place], *columns[place + 1 :]]
        rows = [[*row[:place], *row[place + 1 :]] for row in rows]
    return TableBlock(caption=caption, columns=columns, rows=rows, numbers=numbers, folded=folded)


class PlotBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A plot. All of its numbers are in a table too."""

    kind: ClassVar = "plot"
    caption: str
    picture: str
    """An `<svg>` element of our own making."""


class FactsBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Terms, each with what it is."""

    kind: ClassVar = "facts"
    title: str = ""
    facts: Sequence[tuple[str, str]]


class TextBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A paragraph."""

    kind: ClassVar = "text"
    text: str
    tone: Literal["note", "fine", "warn"] = "note"


class QuoteBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Untrusted texts, each under its label."""

    kind: ClassVar = "quote"
    title: str
    parts: Sequence[tuple[str, str]]


class TilesBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers to be seen first, each with what it is."""

    kind: ClassVar = "tiles"
    tiles: Sequence[tuple[str, str]]


class HeadingBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A heading within a section."""

    kind: ClassVar = "heading"
    text: str


class SidesBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks beside each other, where there is room."""

    kind: ClassVar = "sides"
    blocks: Sequence["Block"]


Block = (
    TableBlock
    | PlotBlock
    | FactsBlock
    | TextBlock
    | QuoteBlock
    | TilesBlock
    | HeadingBlock
    | SidesBlock
)


class PageSection(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the report."""

    title: str
    anchor: str
    blocks: Sequence[Block]


class ReportText(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    title: str
    lead: str
    sections: Sequence[PageSection]
    foot: str
