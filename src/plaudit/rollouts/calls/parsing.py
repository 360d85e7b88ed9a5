"""Calls that a model wrote as text, told apart from its thoughts and its answer.

Calls of all forms are read in one reply unless `syntaxes` names some (`docs/reference/tools.md`
shows each). Calls without marks of their own (`json`, `llama`, and `mistral` where an engine left
its marks out) count only where they stand alone: what is outside of thoughts is nothing else. In
the middle of prose such an object is part of an answer.

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
from functools import cache

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.rollouts.calls import harmony
from plaudit.rollouts.calls.mistral import read_named
from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    Called,
    called,
    members,
    skip,
    skip_between,
    value_spans,
)
from plaudit.rollouts.calls.reply import MalformedCall, Reply, WrittenCall
from plaudit.rollouts.calls.syntax import (
    FORMS,
    MOST_CALLS,
    Attempt,
    CallForm,
    Syntax,
    expect,
    line_end,
)
from plaudit.rollouts.calls.syntaxes import SYNTAXES, name_within, owners

__all__ = ["MOST_CALLS", "MalformedCall", "Reply", "read_reply"]


def read_reply(
    text: str,
    *,
    tools: Sequence[ToolSpec] | None = None,
    forms: Collection[CallForm] = FORMS,
    turn: int = 0,
    in_thought: bool | str = False,
) -> Reply:
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
    reader = _Reader(_writable(text), tools, frozenset(forms), turn)
    reader.read("</think>" if in_thought is True else in_thought or "")
    return reader.reply()


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
_FENCE = re.compile(r"```[ \t]*+\w*+[ \t]*+\n")
_BARE_START = re.compile(
    r"""^[ \t]*+(?:```[ \t]*+\w*+\s*+)?(?:\[\s*+)?\{\s*+(?:"type"\s*+:\s*+"function"\s*+,\s*+)?
    "name"\s*+:\s*+"([^"\\]{1,128})"\s*+(?:,\s*+"(?:arguments|parameters)"|\Z)""",
    re.VERBOSE | re.MULTILINE,
)
_NAME_WITHIN = 400
"""Characters of a malformed call among which its name is looked for."""


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
        patterns += [harmony.FIRST] if self.framed else []
        self.any = re.compile("|".join(patterns))


_marks = cache(_Marks)


class _Reader:
    """Reads one text from left to right."""

    def __init__(
        self, text: str, tools: Sequence[ToolSpec] | None, forms: frozenset[CallForm], turn: int
    ) -> None:
        self._text = text
        self._specs = None if tools is None else {spec.name: spec for spec in tools}
        self._forms = forms
        self._bare = bool(forms & {"json", "llama"})
        self._turn = turn
        self._marks = _marks(forms)
        self._said: list[tuple[int, int]] = []
        self._thoughts: list[str] = []
        self._calls: list[WrittenCall] = []
        self._malformed: list[MalformedCall] = []
        self._thought_open = False
        self._framed = False
        """Whether a message with a header was read."""
        self._silent = True
        """Whether nothing but space was said so far."""

    def reply(self) -> Reply:
        return Reply(
            text="".join(self._text[start:end] for start, end in self._said).strip(),
            reasoning="\n".join(t for t in map(str.strip, self._thoughts) if t),
            calls=tuple(self._calls),
            malformed=tuple(map(self._as_written, self._malformed)),
            thought_open=self._thought_open,
            framed=self._framed,
        )

    def _as_written(self, call: MalformedCall) -> MalformedCall:
        return msgspec.structs.replace(call, text=self._text[call.start : call.end])

    def read(self, closer: str) -> None:
        """Read all of it; `closer` ends the thought that the text begins in, if it does."""
        place = self._thought(0, closer) if closer else 0
        while not self._all_bare(place):
            mark = self._marks.any.search(self._text, place)
            if mark is None:
                self._say(place, len(self._text))
                break
            self._say(place, mark.start())
            place = self._marked(mark)
        if not self._count and self._bare and not self._framed:
            self._broken_bare()

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
            if not self._framed:
                self._say(mark.start(), mark.end())
            return mark.end()
        return self._message(mark)

    # ------------------------------------------------------------ thoughts

    def _thought(self, place: int, closer: str) -> int:
        end = self._text.find(closer, place)
        if end < 0:
            self._thought_open = True
        body = self._text[place : end if end >= 0 else None]
        self._thoughts.append(_LABEL.sub("", body) if closer == "<channel|>" else body)
        return len(self._text) if end < 0 else end + len(closer)

    def _closed(self, mark: re.Match[str]) -> int:
        """The end of a thought whose beginning was not seen: it began with the text."""
        if self._thoughts:
            self._say(mark.start(), mark.end())
            return mark.end()
        self._thoughts.append(self._text[: mark.start()])
        self._said.clear()
        self._calls.clear()
        self._malformed.clear()
        self._silent = True
        return mark.end()

    # ------------------------------------------------------------ messages with a header

    def _message(self, mark: re.Match[str]) -> int:
        """Read a message of gpt-oss: a thought, a call, or something said."""
        start = mark.start()
        try:
            header = harmony.read_header(self._text, start)
        except BrokenCallError as error:
            return self._broken(start, harmony.message_end(self._text, mark.end()), str(error))
        if header is None:
            self._say(start, mark.end())
            return max(mark.end(), start + 1)
        self._framed = True
        if header.is_call:
            return self._addressed(start, header)
        end, after = harmony.content_end(self._text, header.end)
        if header.is_thought:
            self._thoughts.append(self._text[header.end : end])
            self._thought_open = end == len(self._text)
        else:
            self._say(header.end, end)
        return after

    def _addressed(self, start: int, header: harmony.Header) -> int:
        """Read a message to a tool; some models put a call of another form into it."""
        place = skip(self._text, header.end)
        mark = self._marks.any.match(self._text, place)
        if mark is not None and mark.group() in self._marks.openers:
            return place
        if self._count >= MOST_CALLS:
            return self._broken_rest(start)
        try:
            attempt = harmony.read_call(self._text, start, header)
        except BrokenCallError as error:
            end = harmony.content_end(self._text, max(place, error.place))[1]
            return self._broken(start, end, str(error))
        self._take(attempt, "harmony")
        return attempt.end

    # ------------------------------------------------------------ calls after a mark

    def _opened(self, mark: re.Match[str]) -> int:
        opener, start, place = mark.group(), mark.start(), mark.end()
        known = owners(opener, self._forms)
        claiming = next((one for one in known if one.claims(self._text, place, self._specs)), None)
        if claiming is None and opener in known[-1].ordinary:
            self._say(start, place)
            return place
        if self._count >= MOST_CALLS:
            return self._broken_rest(start)
        syntax = claiming or known[-1]
        try:
            found = syntax.read(self._text, start, place, self._specs)
        except BrokenCallError as error:
            return self._broken(start, self._broken_end(mark, syntax, error.place), str(error))
        for attempt in found.attempts:
            if self._count >= MOST_CALLS:
                return self._broken_rest(attempt.start)
            self._take(attempt, syntax.form)
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
        if self._extended(mark):
            return mark.end()
        if self._count >= MOST_CALLS:
            return self._broken_rest(mark.start())
        start = self._unopened(mark)
        if start is None:
            start = mark.start()
        else:
            self._said[-1] = (self._said[-1][0], start)
        return self._broken(start, mark.end(), f"{mark.group()} closes a call that is not opened")

    def _extended(self, mark: re.Match[str]) -> bool:
        """Let the call right before a closing tag reach to the end of that tag, if there is one."""
        if self._calls and self._follows(self._calls[-1].end, mark):
            self._calls[-1] = msgspec.structs.replace(self._calls[-1], end=mark.end())
            return True
        if self._malformed and self._follows(self._malformed[-1].end, mark):
            self._malformed[-1] = msgspec.structs.replace(self._malformed[-1], end=mark.end())
            return True
        return False

    def _follows(self, end: int, mark: re.Match[str]) -> bool:
        return skip(self._text, end) == mark.start()

    def _unopened(self, mark: re.Match[str]) -> int | None:
        """Return where a call begins in what was said last, if it is one but for its opener."""
        if not self._said or self._text[self._said[-1][1] : mark.start()].strip():
            return None
        begin, end = self._said[-1]
        known = [m for m in _BARE_START.finditer(self._text, begin, end) if self._named(m[1])]
        tags = self._marks.closers[mark.group()]
        found = [place for tag in tags if (place := self._text.find(tag, begin, end)) >= 0]
        starts = [max(begin, self._text.rfind("\n", begin, place) + 1) for place in found]
        return min([*starts, *(m.start() for m in known[-1:])], default=None)

    # ------------------------------------------------------------ bare calls

    def _all_bare(self, place: int) -> bool:
        """Take the rest as bare calls where it is nothing else, and nothing was said before."""
        if self._count or not self._silent:
            return False
        try:
            found, rest = self._bare_attempts(skip(self._text, place))
        except BrokenCallError:
            return False
        if not any(self._is_known(attempt.call) for attempt in found):
            return False
        for attempt in found:
            self._take(attempt)
        self._broken_rest(rest)
        return True

    def _bare_attempts(self, place: int) -> tuple[list[Attempt], int]:
        """Return the objects of which the rest consists, and where they end.

        Raises:
            BrokenCallError: it consists of something else.
        """
        found: list[Attempt] = []
        while place < len(self._text) and len(found) < MOST_CALLS:
            named = self._without_mark(place)
            attempts, end = ([named], named.end) if named else self._objects(place)
            found += attempts
            place = skip_between(self._text, end)
        return found, place

    def _objects(self, place: int) -> tuple[list[Attempt], int]:
        if not self._bare:
            raise BrokenCallError("bare objects are not read", place)
        fence = _FENCE.match(self._text, place)
        spans = value_spans(self._text, skip(self._text, fence.end()) if fence else place)
        found = [
            Attempt(_attempt(raw, span[1]), *span)
            for span in spans
            for raw in members(self._text, span)
        ]
        return found, expect(self._text, "```", spans[-1][1]) if fence else spans[-1][1]

    def _without_mark(self, place: int) -> Attempt | None:
        """Read `NAME{...}` of a known tool: Mistral's form without its marks."""
        if "mistral" not in self._forms or self._specs is None:
            return None
        named = read_named(self._text, place)
        return named if named is not None and self._is_known(named.call) else None

    def _broken_bare(self) -> None:
        """Find bare calls that are broken, or do not stand alone: the reply begins with one."""
        pieces = [(a, b) for a, b in self._said if not self._text[a:b].isspace()]
        if not pieces:
            return
        begin, end = pieces[0]
        known = [m for m in _BARE_START.finditer(self._text, begin, end) if self._named(m[1])]
        starts = [m.start() for m in known][:MOST_CALLS]
        if not starts or self._text[begin : starts[0]].strip():
            return
        self._said = [piece for piece in self._said if piece[0] > begin]
        kept: list[tuple[int, int]] = []
        for start, limit in zip(starts, [*starts[1:], end], strict=True):
            kept.append((self._bare_at(start, limit, alone=len(starts) > 1), limit))
        self._said = kept + self._said

    def _bare_at(self, start: int, limit: int, alone: bool) -> int:
        """Read the bare call that begins here; return where it ends."""
        try:
            (first, *_) = value_spans(self._text, self._text.index("{", start))
            if first[1] > limit:
                raise BrokenCallError("its JSON is broken", limit)
            call = called(self._text[slice(*first)].encode(), first[1])
        except BrokenCallError as error:
            end = min(line_end(self._text, error.place), limit)
            return self._broken(start, end, str(error))
        if alone and not self._text[first[1] : limit].strip(" \t\r\n;,`]"):
            self._take(Attempt(call, start, limit))
            return limit
        return self._broken(start, first[1], "a call as a bare object must stand alone")

    # ------------------------------------------------------------ helpers

    @property
    def _count(self) -> int:
        return len(self._calls) + len(self._malformed)

    def _say(self, start: int, end: int) -> None:
        if start < end:
            self._said.append((start, end))
            self._silent = self._silent and self._text[start:end].isspace()

    def _named(self, name: str) -> bool:
        return self._specs is None or name in self._specs

    def _is_known(self, call: Called | BrokenCallError) -> bool:
        return not isinstance(call, BrokenCallError) and self._named(call.name)

    def _id(self) -> str:
        return f"call-{self._turn}-{self._count}"

    def _take(self, attempt: Attempt, form: CallForm = "json") -> None:
        call, start, end = attempt
        if isinstance(call, BrokenCallError):
            self._broken(start, end, str(call))
            return
        self._calls.append(
            WrittenCall(
                id=self._id(),
                name=call.name,
                arguments=call.arguments,
                start=start,
                end=end,
                form=form,
                written_id=call.id,
            )
        )

    def _broken(self, start: int, end: int, why: str) -> int:
        name = name_within(self._text[start : min(end, start + _NAME_WITHIN)])
        self._malformed.append(
            MalformedCall(id=self._id(), text="", why=why, start=start, end=end, name=name)
        )
        return end

    def _broken_rest(self, start: int) -> int:
        """Refuse what follows the last call that may be read."""
        if start == len(self._text):
            return start
        why = f"one reply can make {MOST_CALLS} calls; no further ones are read"
        return self._broken(start, len(self._text), why)


def _attempt(raw: bytes, place: int) -> Called | BrokenCallError:
    try:
        return called(raw, place)
    except BrokenCallError as error:
        return error
