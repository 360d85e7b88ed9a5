"""Markdown: the text as it stands, with the headings that markdown-it finds in it."""

import re
from collections.abc import Iterator
from itertools import pairwise

from plaudit.rollouts.corpus.document import Heading, Part
from plaudit.rollouts.corpus.packages import load_package

_LINE_END = re.compile(r"\r\n|\r|\n")


def markdown_parts(text: str) -> Iterator[Part]:
    """Return a Markdown text, unchanged, with its headings.

    Only headings of the document itself count, not those in quotations or lists; `#` in code is
    none.

    Raises:
        MissingDependencyError: markdown-it-py is not installed.
    """
    lines = [0, *(match.end() for match in _LINE_END.finditer(text))]
    done = 0
    for line, heading in list(_headings(text)):
        yield text[done : lines[line]]
        yield heading
        done = lines[line]
    yield text[done:]


def _headings(text: str) -> Iterator[tuple[int, Heading]]:
    """Find the headings of a text, with the numbers of their lines, from 0."""
    parser = load_package("markdown_it").MarkdownIt("commonmark").disable("inline")
    tokens = parser.parse(text)
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and content.content.strip():
            yield token.map[0], Heading(int(token.tag[1:]), content.content.strip())
