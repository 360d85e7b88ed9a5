"""HTML: the text that a reader of the page sees, with its headings, as selectolax parses it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plaudit._util.packages import load_package
from plaudit.corpus.chunks import Heading, Part
from plaudit.errors import InputError

_UNSEEN = frozenset({"script", "style", "noscript", "template", "head", "iframe", "object", "svg"})
_PARAGRAPHS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "dd", "details", "dialog", "div",
        "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
        "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section",
        "summary", "table", "ul",
    }
)  # fmt: skip
_LINES = frozenset({"br", "tr", "caption", "option"})
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"[ \t\r\n\f]+")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Tags that need no end, or have none: they say nothing of how deeply elements are nested.
_UNENDED = frozenset(
    {
        "area", "base", "br", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input",
        "li", "link", "meta", "option", "p", "param", "source", "tbody", "td", "tfoot", "th",
        "thead", "tr", "track", "wbr",
    }
)  # fmt: skip
_MOST_WORK = 200_000_000


def html_parts(page: str, path: Path) -> tuple[str, Iterator[Part]]:
    """Return the title and the text of a page.

    Raises:
        InputError: it is nested so deeply that parsing it would take minutes.
        MissingDependencyError: selectolax is not installed.
    """
    _check_nesting(page, path)
    root = load_package("selectolax.lexbor", "corpus").LexborHTMLParser(page).root
    if root is None:
        return "", iter(())
    named = root.css_first("title")
    title = " ".join(named.text().split()) if named is not None else ""
    return title, iter(_Reader().read(root))


def _check_nesting(page: str, path: Path) -> None:
    """Refuse a page whose nesting would make the parser slow: its time grows with tags x depth."""
    depth = work = 0
    for tag in _TAG.finditer(page):
        work += depth
        if tag[2].lower() not in _UNENDED:
            depth = max(0, depth - 1) if tag[1] else depth + 1
    if work > _MOST_WORK:
        raise InputError(f"{path} is no sound HTML: its elements are nested too deeply")


class _Reader:
    """Goes through a tree without recursion, and gathers what is seen of it."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._line = ""
        """What separates the next text from the one before."""
        self._written = False

    def read(self, root: Any) -> list[Part]:
        """Return the text below a node, with headings."""
        node, preformatted = root, 0
        while node is not None:
            tag = node.tag
            preformatted += tag == "pre"
            self._enter(node, tag, preformatted > 0)
            if node.child is not None and tag not in _UNSEEN:
                node = node.child
                continue
            while node is not None:
                preformatted -= node.tag == "pre"
                self._leave(node.tag)
                if node.mem_id == root.mem_id:
                    return self._parts
                if node.next is not None:
                    node = node.next
                    break
                node = node.parent
        return self._parts

    def _enter(self, node: Any, tag: str, preformatted: bool) -> None:
        if tag == "-text":
            self._add(node.text_content or "", preformatted)
            return
        self._separate(tag)
        if tag in _HEADINGS and (text := " ".join(node.text().split())):
            self._parts += [self._gap(), Heading(_HEADINGS[tag], text)]

    def _leave(self, tag: str) -> None:
        if tag in _CELLS:
            self._line = self._line if "\n" in self._line else " | "
        else:
            self._separate(tag)

    def _separate(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._line = "\n\n"
        elif tag in _LINES and self._line != "\n\n":
            self._line = "\n"

    def _gap(self) -> str:
        gap, self._line = self._line if self._written else "", ""
        return gap

    def _add(self, text: str, preformatted: bool) -> None:
        if preformatted:
            if text:
                self._parts.append(self._gap() + text)
                self._written = True
            return
        shown = _SPACE.sub(" ", text)
        if not shown.strip():
            self._line = self._line or (" " if shown else "")
            return
        if shown[0] == " " and not self._line:
            self._line = " "
        self._parts.append(self._gap() + shown.strip(" "))
        self._written = True
        if shown[-1] == " ":
            self._line = " "
