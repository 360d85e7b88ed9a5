"""Calls that a model wrote as text, separated from its thoughts and its answer.

By default, calls of all forms are read in one reply (`forms`; `docs/tools.md` shows
each). Calls without marks of their own (`json`, `llama`, and `mistral` where an engine left its
marks out) count only where they stand alone: what is outside of thoughts is nothing else. In the
middle of prose such an object is part of an answer.

Thoughts stand between `<think>` and `</think>`, `[THINK]` and `[/THINK]`, or `<|channel>` and
`<channel|>`. One that is not closed reaches to the end. Where the first tag is a closing one the
thought began with the text, as it does with models whose template writes the opening tag. In
replies of gpt-oss thoughts and answer stand in messages of their own (`harmony`). Nothing in a
thought is a call, and nothing in a string of a call is a tag.

What is broken is typed as such, never repaired: each broken call is one malformed call. So is a
closing tag that closes nothing, with what looks like a call before it; right after a call it
belongs to that call. The time is linear in the text's length.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache

from plaudit.engines.base import ToolSpec
from plaudit.rollouts.calls import harmony
from plaudit.rollouts.calls.bare import BareCalls
from plaudit.rollouts.calls.forms import SYNTAXES, owners
from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    skip,
)
from plaudit.rollouts.calls.reply import MalformedCall, ParsedReply, ReplyParts
from plaudit.rollouts.calls.syntax import (
    FORMS,
    MOST_CALLS,
    CallForm,
    Syntax,
    line_end,
)

__all__ = ["MOST_CALLS", "MalformedCall", "ParsedReply", "read_reply"]


def read_reply(
    text: str,
    *,
    tools: Sequence[ToolSpec] | None = None,
    forms: Collection[CallForm] = FORMS,
    turn: int = 0,
    in_thought: bool | str = False,
) -> ParsedReply:
    """Read what a model wrote. Never raises, whatever the text.

    Args:
        text: the whole reply.
        tools: the tools that were offered. A bare object counts as a call only if it names one of
            them; None: any name will do. Their schemas say which type an argument without quotes
            has.
        forms: forms that are read.
        turn: index of the turn, for the ids of the calls.
        in_thought: whether the prompt ended within a thought that it had opened, or the tag that
            closes that thought.
    """
    text = _writable(text)
    if not in_thought and (plain := _plain(text)) is not None:
        return plain
    reader = _Reader(text, tools, frozenset(forms), turn)
    return reader.read("</think>" if in_thought is True else in_thought or "")


_STARTS = re.compile(r"[<[{]")
"""Is in each thought and in each call, whatever its form."""


@lru_cache(maxsize=8)
def _plain(text: str) -> ParsedReply | None:
    """Read a reply that is an answer, after a thought or not; None where it may hold calls."""
    before, closer, answer = text.partition("</think>")
    thought = before.removeprefix("<think>")
    if not closer or len(thought) == len(before):
        thought, answer = "", text
    if _STARTS.search(answer):
        return None
    return ParsedReply(text=answer.strip(), reasoning=thought.strip())


def _writable(text: str) -> str:
    """Replace lone surrogates one by one, so that places stay what they are."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


THOUGHTS: Mapping[str, str] = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<|channel>": "<channel|>",
}
"""Tags around thoughts."""

_OPEN = re.compile(r"(<think>|\[THINK\]|<\|channel>)(?:thought)?\s*+\Z")


def open_thought(prompt: str) -> str:
    """Return the tag that closes the thought in which a prompt ends, if it ends in one."""
    found = _OPEN.search(prompt.rstrip()[-32:])
    return THOUGHTS[found[1]] if found else ""


_LABEL = re.compile(r"\A\s*+(?:thought|analysis)[ \t]*+(?:\n|\Z)")
"""What Gemma writes at the beginning of its thoughts."""


class _Marks:
    """What is looked for in replies of some forms."""

    def __init__(self, forms: frozenset[CallForm]) -> None:
        active = [SYNTAXES[form] for form in SYNTAXES if form in forms]
        self.framed = "harmony" in forms
        self.openers = frozenset(mark for syntax in active for mark in syntax.openers)
        self.closers: dict[str, set[str]] = {}
        """By closing tag, what may stand in the calls that it ends."""
        for syntax in active:
            for mark in syntax.closers:
                self.closers.setdefault(mark, set()).update(syntax.inner)
        fixed = {*THOUGHTS, *THOUGHTS.values(), *self.openers, *self.closers}
        fixed |= {*harmony.HEADERS, *harmony.TERMINATORS} if self.framed else set()
        patterns = [re.escape(mark) for mark in sorted(fixed, key=len, reverse=True)]
        self.any = re.compile("|".join(patterns))
        self._firsts = sorted({mark[0] for mark in fixed})

    def find(self, text: str, place: int) -> re.Match[str] | None:
        """Return the first mark from a place on."""
        if self.framed and place == 0 and (first := harmony.FIRST.match(text)):
            return first
        starts = [at for one in self._firsts if (at := text.find(one, place)) >= 0]
        return self.any.search(text, min(starts)) if starts else None


_marks = cache(_Marks)


class _Reader:
    """Reads one text from left to right."""

    def __init__(
        self, text: str, tools: Sequence[ToolSpec] | None, forms: frozenset[CallForm], turn: int
    ) -> None:
        specs = None if tools is None else {spec.name: spec for spec in tools}
        self._text = text
        self._forms = forms
        self._marks = _marks(forms)
        self._parts = ReplyParts(text, specs, turn)
        self._bare = BareCalls(self._parts, forms)

    def read(self, closer: str) -> ParsedReply:
        """Read all of it; `closer` ends the thought that the text begins in, if it does."""
        place = self._thought(0, closer) if closer else 0
        while not self._bare.take_all(place):
            mark = self._marks.find(self._text, place)
            if mark is None:
                self._parts.say(place, len(self._text))
                break
            self._parts.say(place, mark.start())
            place = self._marked(mark)
        if not self._parts.count and not self._parts.framed:
            self._bare.take_broken()
        return self._parts.reply()

    def _marked(self, mark: re.Match[str]) -> int:
        """Read what begins with a mark; return where it ends."""
        opener = mark.group()
        if opener in THOUGHTS:
            return self._thought(mark.end(), THOUGHTS[opener])
        if opener in THOUGHTS.values():
            return self._closed(mark)
        if opener in self._marks.openers:
            return self._opened(mark)
        if opener in self._marks.closers:
            return self._orphan(mark)
        if opener in harmony.TERMINATORS:
            if not self._parts.framed:
                self._parts.say(mark.start(), mark.end())
            return mark.end()
        return self._message(mark)

    # ------------------------------------------------------------ thoughts

    def _thought(self, place: int, closer: str) -> int:
        end = self._text.find(closer, place)
        if end < 0:
            self._parts.thought_open = True
        body = self._text[place : end if end >= 0 else None]
        self._parts.thoughts.append(_LABEL.sub("", body) if closer == "<channel|>" else body)
        return len(self._text) if end < 0 else end + len(closer)

    def _closed(self, mark: re.Match[str]) -> int:
        """The end of a thought whose beginning was not seen: it began with the text."""
        if self._parts.thoughts:
            self._parts.say(mark.start(), mark.end())
            return mark.end()
        self._parts.thoughts.append(self._text[: mark.start()])
        self._parts.forget()
        return mark.end()

    # ------------------------------------------------------------ messages with a header

    def _message(self, mark: re.Match[str]) -> int:
        """Read a message of gpt-oss: a thought, a call, or something said."""
        start = mark.start()
        try:
            header = harmony.read_header(self._text, start)
        except BrokenCallError as error:
            return self._parts.broken(
                start, harmony.message_end(self._text, mark.end()), str(error)
            )
        if header is None:
            self._parts.say(start, mark.end())
            return max(mark.end(), start + 1)
        self._parts.framed = True
        if header.is_call:
            return self._addressed(start, header)
        end, after = harmony.content_end(self._text, header.end)
        if header.is_thought:
            self._parts.thoughts.append(self._text[header.end : end])
            self._parts.thought_open = end == len(self._text)
        else:
            self._parts.say(header.end, end)
        return after

    def _addressed(self, start: int, header: harmony.Header) -> int:
        """Read a message to a tool; some models put a call of another form into it."""
        place = skip(self._text, header.end)
        mark = self._marks.any.match(self._text, place)
        if mark is not None and mark.group() in self._marks.openers:
            return place
        if self._parts.count >= MOST_CALLS:
            return self._parts.broken_rest(start)
        try:
            attempt = harmony.read_call(self._text, start, header)
        except BrokenCallError as error:
            end = harmony.content_end(self._text, max(place, error.place))[1]
            return self._parts.broken(start, end, str(error))
        self._parts.take(attempt, "harmony")
        return attempt.end

    # ------------------------------------------------------------ calls after a mark

    def _opened(self, mark: re.Match[str]) -> int:
        opener, start, place = mark.group(), mark.start(), mark.end()
        known = owners(opener, self._forms)
        claiming = next(
            (one for one in known if one.claims(self._text, place, self._parts.specs)), None
        )
        if claiming is None and opener in known[-1].ordinary:
            self._parts.say(start, place)
            return place
        if self._parts.count >= MOST_CALLS:
            return self._parts.broken_rest(start)
        syntax = claiming or known[-1]
        try:
            found = syntax.read(self._text, start, place, self._parts.specs)
        except BrokenCallError as error:
            return self._parts.broken(
                start, self._broken_end(mark, syntax, error.place), str(error)
            )
        for attempt in found.attempts:
            if self._parts.count >= MOST_CALLS:
                return self._parts.broken_rest(attempt.start)
            self._parts.take(attempt, syntax.form)
        return found.end

    def _broken_end(self, mark: re.Match[str], syntax: Syntax, place: int) -> int:
        """A broken call reaches to its closing tag, else to the end of the line that broke it.

        That is the line of its last tag. A mark that cannot stand within such a call ends it first.
        """
        begin, within = mark.end(), syntax.within(mark.group())
        marks = self._marks.any.finditer(self._text, begin)
        limit = next((m.start() for m in marks if m.group() not in within), len(self._text))
        for closer in syntax.reach(mark.group()):
            end = self._text.find(closer, begin, limit)
            if end >= 0:
                return end + len(closer)
        last = max((self._text.rfind(tag, begin, limit) for tag in syntax.inner), default=-1)
        return max(begin, min(line_end(self._text, max(place, last + 1)), limit))

    def _orphan(self, mark: re.Match[str]) -> int:
        """A closing tag that closes nothing: it belongs to the call before it, else is broken."""
        if self._parts.extended(mark):
            return mark.end()
        if self._parts.count >= MOST_CALLS:
            return self._parts.broken_rest(mark.start())
        start = self._unopened(mark)
        if start is None:
            start = mark.start()
        else:
            self._parts.said[-1] = (self._parts.said[-1][0], start)
        return self._parts.broken(
            start, mark.end(), f"{mark.group()} closes a call that is not opened"
        )

    def _unopened(self, mark: re.Match[str]) -> int | None:
        """Return where a call begins in what was said last, if it is one but for its opener."""
        if not self._parts.said or self._text[self._parts.said[-1][1] : mark.start()].strip():
            return None
        begin, end = self._parts.said[-1]
        known = self._bare.starts(begin, end)
        tags = self._marks.closers[mark.group()]
        found = [place for tag in tags if (place := self._text.find(tag, begin, end)) >= 0]
        starts = [max(begin, self._text.rfind("\n", begin, place) + 1) for place in found]
        return min([*starts, *known[-1:]], default=None)
