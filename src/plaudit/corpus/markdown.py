"""Markdown: the text as it stands, raw HTML read, with the headings that markdown-it finds."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from plaudit._util.packages import load_package
from plaudit.corpus.document import Heading, Part
from plaudit.corpus.html import html_parts

_LINE_END = re.compile(r"\r\n|\r|\n")
# A rule may stand at the beginning, too: front matter begins with the name of a field.
_FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(?=[\w-]+[ \t]*:)(.*?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL
)
_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t\r]*$", re.MULTILINE)


def markdown_parts(text: str, path: Path = Path("the document")) -> tuple[str, Iterator[Part]]:
    """Return the title of a Markdown text, if its front matter has one, and the text with headings.

    Blocks of raw HTML, such as tables, become the text that a reader of the page sees; all other
    text is not changed. Only headings of the document itself count, not those in quotations or
    lists; `#` in code is none, and front matter (YAML between two lines of `---`) has none.

    Args:
        text: the document.
        path: what it was read from, for messages.

    Raises:
        MissingDependencyError: markdown-it-py or selectolax is not installed.
    """
    front = _FRONT_MATTER.match(text)
    title = _TITLE.search(front[1]) if front else None
    place = front.end() if front else 0
    return title[1].strip("\"'") if title else "", _parts(text, place, path)


def _parts(text: str, place: int, path: Path) -> Iterator[Part]:
    """Take the document apart whose Markdown begins at a place."""
    lines = [place, *(match.end() for match in _LINE_END.finditer(text, place)), len(text)]
    done = 0
    for first, last, heading in _blocks(text[place:]):
        yield text[done : lines[first]]
        done = lines[first]
        if heading is not None:
            yield heading
            continue
        done = lines[min(last, len(lines) - 1)]
        seen = list(html_parts(text[lines[first] : done], path)[1])
        if seen:
            yield from ("\n", *seen, "\n\n")
    yield text[done:]


def _blocks(text: str) -> list[tuple[int, int, Heading | None]]:
    """Find headings and raw HTML: first line and the one after the last, from 0, and the heading.

    Raw HTML has no heading.
    """
    parser = load_package("markdown_it", "corpus").MarkdownIt("commonmark").disable("inline")
    tokens = [token for token in parser.parse(text) if token.level == 0 or token.type == "inline"]
    found: list[tuple[int, int, Heading | None]] = []
    for token, content in pairwise([*tokens, *tokens[-1:]]):
        if token.type == "html_block":
            found.append((*token.map, None))
        elif token.type == "heading_open" and content.content.strip():
            heading = Heading(int(token.tag[1:]), content.content.strip())
            found.append((*token.map, heading))
    return found
