"""Markdown: the text as it stands, with the headings that markdown-it finds in it."""

import re
from collections.abc import Iterator
from itertools import pairwise

from plaudit.rollouts.corpus.document import Heading, Part
from plaudit.rollouts.corpus.packages import load_package

_LINE_END = re.compile(r"\r\n|\r|\n")
# A rule may stand at the beginning, too: front matter begins with the name of a field.
_FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(?=[\w-]+[ \t]*:)(.*?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL
)
_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t\r]*$", re.MULTILINE)


def markdown_parts(text: str) -> tuple[str, Iterator[Part]]:
    """Return the title of a Markdown text, if its front matter has one, and the text with headings.

    The text is not changed. Only headings of the document itself count, not those in quotations or
    lists; `#` in code is none, and front matter (YAML between two lines of `---`) has none.

    Raises:
        MissingDependencyError: markdown-it-py is not installed.
    """
    front = _FRONT_MATTER.match(text)
    title = _TITLE.search(front[1]) if front else None
    place = front.end() if front else 0
    return title[1].strip("\"'") if title else "", _parts(text, place)


def _parts(text: str, place: int) -> Iterator[Part]:
    """Take the document apart whose Markdown begins at a place."""
    lines = [place, *(match.end() for match in _LINE_END.finditer(text, place))]
    done = 0
    for line, heading in _headings(text[place:]):
        yield text[done : lines[line]]
        yield heading
        done = lines[line]
    yield text[done:]


def _headings(text: str) -> list[tuple[int, Heading]]:
    """Find the headings of a text, with the numbers of their lines, from 0."""
    parser = load_package("markdown_it").MarkdownIt("commonmark").disable("inline")
    return [
        (token.map[0], Heading(int(token.tag[1:]), content.content.strip()))
        for token, content in pairwise(parser.parse(text))
        if token.type == "heading_open" and token.level == 0 and content.content.strip()
    ]
