"""A report as Markdown: the same sections and tables, without the plots."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from plaudit._util.pages import visible
from plaudit.bench.report.document import (
    Block,
    FactsBlock,
    HeadingBlock,
    PlotBlock,
    QuoteBlock,
    ReportText,
    SidesBlock,
    TableBlock,
    TextBlock,
    TilesBlock,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&!]|^[-+=](?=\s|[-=])|^\d+(?=[.)]\s))")
"""What Markdown, or HTML within it, could read as its own."""
_FENCE = re.compile(r"`{3,}")


def as_markdown(report: ReportText) -> str:
    """Return the report; text of samples is escaped, and its characters are visible."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: ReportText) -> Iterator[str]:
    yield f"# {inline(report.title)}"
    yield ""
    yield inline(report.lead)
    for section in report.sections:
        yield ""
        yield f"## {inline(section.title)}"
        for block in section.blocks:
            yield from _block(block)
    yield ""
    yield inline(report.foot)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, SidesBlock):
        for one in block.blocks:
            yield from _block(one)
        return
    yield from _WRITERS[type(block)](block)


def inline(text: str) -> str:
    """Return a text that stays on one line and is read as it stands."""
    line = " ".join(visible(text).split())
    return _SPECIAL.sub(r"\\\1", line)


def _table(block: TableBlock) -> Iterator[str]:
    yield ""
    yield f"**{inline(block.caption)}**"
    yield ""
    yield _cells(block.columns)
    yield "|" + "|".join("--:" if c in block.numbers else "---" for c in block.columns) + "|"
    yield from map(_cells, block.rows)


def _cells(texts: Sequence[str]) -> str:
    return f"| {' | '.join(inline(text) or ' ' for text in texts)} |"


def _plot(block: PlotBlock) -> Iterator[str]:
    yield ""
    yield f"*Plot, in report.html:* {inline(block.caption)}"


def _facts(block: FactsBlock) -> Iterator[str]:
    yield ""
    if block.title:
        yield f"### {inline(block.title)}"
        yield ""
    yield from (f"- {inline(term)}: {inline(meaning)}" for term, meaning in block.facts)


def _text(block: TextBlock) -> Iterator[str]:
    yield ""
    yield f"> **Note:** {inline(block.text)}" if block.tone == "warn" else inline(block.text)


def _quote(block: QuoteBlock) -> Iterator[str]:
    yield ""
    yield f"#### {inline(block.title)}"
    for label, text in block.parts:
        shown = visible(text)
        fence = max(["```", *(found + "`" for found in _FENCE.findall(shown))], key=len)
        yield from ("", f"{inline(label)}:", "", f"{fence}text", shown, fence)


def _tiles(block: TilesBlock) -> Iterator[str]:
    yield ""
    yield from (f"- **{inline(value)}** {inline(label)}" for value, label in block.tiles)


def _heading(block: HeadingBlock) -> Iterator[str]:
    yield ""
    yield f"### {inline(block.text)}"


_WRITERS: Mapping[type, Callable[[Any], Iterator[str]]] = {
    TableBlock: _table,
    PlotBlock: _plot,
    FactsBlock: _facts,
    TextBlock: _text,
    QuoteBlock: _quote,
    TilesBlock: _tiles,
    HeadingBlock: _heading,
}
