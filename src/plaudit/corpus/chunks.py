"""Cutting a document into chunks, at the ends of sections, paragraphs and sentences.

No text is lost: chunks joined give the document back, but for white space where it was cut.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

_AHEAD = 4
"""Characters after the longest chunk that show whether something ends there."""
_MAX_HEADING = 200
# Best first; what follows the end of a match begins the next chunk.
_BORDERS = (
    re.compile(r"\n[^\S\n]*\n"),
    # Not the number of a list's item; in CJK text no space follows a sentence.
    re.compile(
        r"(?<!\n\d)(?<!\n\d\d)[.!?\u2026][\"')\]\u00bb\u2019\u201d]*\s|[\u3002\uff01\uff1f]|</tr>"
    ),
    re.compile(r"\n"),
    re.compile(r"\s"),
)


class Heading(msgspec.Struct, frozen=True):
    """The beginning of a section; stands in the stream just before the section's text."""

    level: int
    """From 1, the highest."""
    text: str


Part = str | Heading


class Document(msgspec.Struct, frozen=True):
    """One document, read but not yet cut."""

    name: str
    """What it is called in the index: the file's path within the folder that was given."""
    digest: str
    """Hash of what it was read from."""
    parts: Iterable[Part]
    """Its text in order, with headings; read while it is taken. Offsets count its characters."""
    title: str = ""


class Piece(msgspec.Struct, frozen=True):
    """A part of a document: `document[start:end] == text`, without white space around it."""

    start: int
    end: int
    text: str
    heading: tuple[str, ...]
    """Headings of the section in which it begins, the highest first."""


def cut(parts: Iterable[Part], size: int, overlap: int = 0) -> Iterator[Piece]:
    """Cut a document.

    A chunk ends where, in its second half, a section ends; else the last paragraph, sentence, line
    or word; else at its full length. A heading is not its last line, as far as can be. Memory does
    not grow with the document, where its parts are small.

    Args:
        parts: the document's text and headings, in order.
        size: most characters of a chunk.
        overlap: characters at the end of a chunk that the next one repeats, whole words only.
    """
    feed, path, start, covered = _Feed(parts), _Path(), 0, 0
    while window := feed.window(start, size + _AHEAD):
        text = window.lstrip()
        if len(text) < len(window):
            start += len(window) - len(text)
            continue
        path.enter(feed.marks, start)
        end = len(window)
        if len(window.rstrip()) > size or end == size + _AHEAD:
            sections = [place - start for place, _ in feed.marks]
            end = _before_headings(window, _border(window, size, sections), sections)
        text = window[:end].rstrip()
        if start + len(text) > covered:
            covered = start + len(text)
            yield Piece(start, covered, text, path.texts())
        if end == len(window):
            return
        start += end - _repeated(window[:end], min(overlap, end // 2))


def _border(window: str, size: int, sections: Sequence[int]) -> int:
    """Return where a chunk ends that begins with the window, at most `size` characters on."""
    least = size // 2 + 1
    section = max((place for place in sections if least <= place <= size), default=0)
    if section:
        return section
    for pattern in _BORDERS:
        ends = [match.end() for match in pattern.finditer(window, least)]
        # White space at a match's end may be beyond the chunk's: it is cut off anyway.
        fitting = [end for end in ends if not window[size:end].strip()]
        if fitting:
            return fitting[-1]
    return size


def _before_headings(window: str, end: int, sections: Sequence[int]) -> int:
    """Return where a chunk ends so that no heading is its last line, away from its section."""
    for place in reversed(sections):
        if len(window) // 4 < place < end and "\n" not in window[place:end].strip():
            end = place
    return end


def _repeated(text: str, overlap: int) -> int:
    """Return how much of a chunk's end the next one repeats: whole words, where there are any."""
    tail = text[len(text) - overlap :]
    space = re.search(r"\s", tail)
    return len(tail) - space.end() if space else overlap


class _Feed:
    """The text of a document around the place that is being cut."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = iter(parts)
        self._text = ""
        self._base = 0
        self.marks: deque[tuple[int, Heading]] = deque()
        """Headings that were read and not yet entered, with their places."""

    def window(self, start: int, length: int) -> str:
        """Return the text from `start` on, that long if the document is."""
        missing = start + length - self._base - len(self._text)
        if missing > 0:
            self._read(start, missing)
        return self._text[start - self._base : start - self._base + length]

    def _read(self, start: int, missing: int) -> None:
        kept = [self._text[start - self._base :]]
        end = self._base + len(self._text)
        while missing > 0 and (part := next(self._parts, None)) is not None:
            if isinstance(part, Heading):
                self.marks.append((end, part))
            else:
                kept.append(part)
                end += len(part)
                missing -= len(part)
        self._text, self._base = "".join(kept), start


class _Path:
    """The headings of the section that is being read."""

    def __init__(self) -> None:
        self._open: list[Heading] = []

    def enter(self, marks: deque[tuple[int, Heading]], place: int) -> None:
        """Enter the sections that begin up to a place, and forget their marks."""
        while marks and marks[0][0] <= place:
            _, heading = marks.popleft()
            self._open = [one for one in self._open if one.level < heading.level] + [heading]

    def texts(self) -> tuple[str, ...]:
        return tuple(" ".join(one.text.split())[:_MAX_HEADING] for one in self._open)
