"""Calls without marks of their own: bare JSON objects, and Mistral's without its marks."""

import re

from plaudit.rollouts.calls.marked import read_named
from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    Called,
    called,
    members,
    skip,
    skip_between,
    value_spans,
)
from plaudit.rollouts.calls.reply import ReplyParts
from plaudit.rollouts.calls.syntax import MOST_CALLS, CallAttempt, CallForm, expect, line_end

_FENCE = re.compile(r"```[ \t]*+\w*+[ \t]*+\n")
_BARE_START = re.compile(
    r"""^[ \t]*+(?:```[ \t]*+\w*+\s*+)?(?:\[\s*+)?\{\s*+(?:"type"\s*+:\s*+"function"\s*+,\s*+)?
    "name"\s*+:\s*+"([^"\\]{1,128})"\s*+(?:,\s*+"(?:arguments|parameters)"|\Z)""",
    re.VERBOSE | re.MULTILINE,
)


class BareCalls:
    """Finds bare calls in a reply. They count only where they stand alone."""

    def __init__(self, parts: ReplyParts, forms: frozenset[CallForm]) -> None:
        self._parts = parts
        self._text = parts.text
        self._forms = forms
        self._reads_objects = bool(forms & {"json", "llama"})

    def starts(self, begin: int, end: int) -> list[int]:
        """Return where bare calls of known tools begin between two places."""
        if self._text.find("{", begin, end) < 0:
            return []
        found = _BARE_START.finditer(self._text, begin, end)
        return [match.start() for match in found if self._parts.named(match[1])]

    def take_all(self, place: int) -> bool:
        """Take the rest as bare calls where it is nothing else, and nothing was said before."""
        if self._parts.count or not self._parts.silent:
            return False
        try:
            found, rest = self._bare_attempts(skip(self._text, place))
        except BrokenCallError:
            return False
        if not any(self._parts.is_known(attempt.call) for attempt in found):
            return False
        for attempt in found:
            self._parts.take(attempt)
        self._parts.broken_rest(rest)
        return True

    def _bare_attempts(self, place: int) -> tuple[list[CallAttempt], int]:
        """Return the objects of which the rest consists, and where they end.

        Raises:
            BrokenCallError: it consists of something else.
        """
        found: list[CallAttempt] = []
        while place < len(self._text) and len(found) < MOST_CALLS:
            named = self._without_mark(place)
            attempts, end = ([named], named.end) if named else self._objects(place)
            found += attempts
            place = skip_between(self._text, end)
        return found, place

    def _objects(self, place: int) -> tuple[list[CallAttempt], int]:
        if not self._reads_objects:
            raise BrokenCallError("bare objects are not read", place)
        fence = _FENCE.match(self._text, place)
        spans = value_spans(self._text, skip(self._text, fence.end()) if fence else place)
        found = [
            CallAttempt(_attempt(raw, span[1]), *span)
            for span in spans
            for raw in members(self._text, span)
        ]
        return found, expect(self._text, "```", spans[-1][1]) if fence else spans[-1][1]

    def _without_mark(self, place: int) -> CallAttempt | None:
        """Read `NAME{...}` of a known tool: Mistral's form without its marks."""
        if "mistral" not in self._forms or self._parts.specs is None:
            return None
        named = read_named(self._text, place)
        return named if named is not None and self._parts.is_known(named.call) else None

    def take_broken(self) -> None:
        """Find bare calls that are broken, or do not stand alone: the reply begins with one."""
        if not self._reads_objects:
            return
        pieces = [(a, b) for a, b in self._parts.said if not self._text[a:b].isspace()]
        if not pieces:
            return
        begin, end = pieces[0]
        starts = self.starts(begin, end)[:MOST_CALLS]
        if not starts or self._text[begin : starts[0]].strip():
            return
        self._parts.said = [piece for piece in self._parts.said if piece[0] > begin]
        kept: list[tuple[int, int]] = []
        for start, limit in zip(starts, [*starts[1:], end], strict=True):
            kept.append((self._bare_at(start, limit, alone=len(starts) > 1), limit))
        self._parts.said = kept + self._parts.said

    def _bare_at(self, start: int, limit: int, alone: bool) -> int:
        """Read the bare call that begins here; return where it ends."""
        try:
            (first, *_) = value_spans(self._text, self._text.index("{", start))
            if first[1] > limit:
                raise BrokenCallError("its JSON is broken", limit)
            call = called(self._text[slice(*first)].encode(), first[1])
        except BrokenCallError as error:
            end = min(line_end(self._text, error.place), limit)
            return self._parts.broken(start, end, str(error))
        if alone and not self._text[first[1] : limit].strip(" \t\r\n;,`]"):
            self._parts.take(CallAttempt(call, start, limit))
            return limit
        return self._parts.broken(start, first[1], "a call as a bare object must stand alone")


def _attempt(raw: bytes, place: int) -> Called | BrokenCallError:
    try:
        return called(raw, place)
    except BrokenCallError as error:
        return error
