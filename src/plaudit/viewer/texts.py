"""Untrusted text for a page: markdown that loads nothing, cuts, and differences word by word."""

import difflib
import re
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from markupsafe import Markup

from plaudit._util.packages import load_package
from plaudit._util.pages import visible

CUT = 20_000
"""Characters of a text that are shown, unless the whole is asked for."""
_MOST_WORDS = 6_000
"""Words of two texts whose differences are looked for."""
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")

Change = Literal["same", "taken", "added"]


class Cut(NamedTuple):
    """A text, or its beginning."""

    text: str
    left_out: int
    """Characters that are not shown."""


class DiffPart(NamedTuple):
    """A run of words of one side."""

    change: Change
    text: str


def cut(text: str, whole: bool = False) -> Cut:
    """Return a text as far as it is shown."""
    if whole or len(text) <= CUT:
        return Cut(text, 0)
    return Cut(text[:CUT], len(text) - CUT)


@lru_cache(1)
def _markdown() -> Any:
    made = load_package("markdown_it", "view").MarkdownIt("commonmark", {"html": False})
    # Nothing of a text may be followed or loaded; links and pictures stay as they were written.
    return made.enable("table").disable(["link", "image", "autolink", "reference"])


def markdown(text: str) -> Markup:
    """Return markdown as HTML without links, pictures or HTML of its own.

    Characters that would not be seen are shown as their code, such as `[U+202E]`.
    """
    return Markup(_markdown().render(visible(text)))  # markdown-it escapes


def differences(old: str, new: str) -> tuple[list[DiffPart], list[DiffPart]] | None:
    """Return two texts with what differs, word by word; None where they are too long for it."""
    one, other = _WORDS.findall(old), _WORDS.findall(new)
    if len(one) + len(other) > _MOST_WORDS:
        return None
    left: list[DiffPart] = []
    right: list[DiffPart] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        taken, added = "".join(one[a:b]), "".join(other[c:d])
        if tag == "equal":
            left.append(DiffPart("same", taken))
            right.append(DiffPart("same", added))
            continue
        left += [DiffPart("taken", taken)] if taken else []
        right += [DiffPart("added", added)] if added else []
    return left, right
