"""Calls that a model wrote as text, told apart from its thoughts and its answer.

These forms are read, any of them in one reply unless told otherwise:

- `json`, `llama`: `{"name": ..., "arguments" or "parameters": {...}}`, one or several after each
  other, in a list, or in a fence. Such an object counts only where it stands alone: what is outside
  of thoughts is nothing else. In the middle of prose it is part of an answer.
- `llama`: the same after `<|python_tag|>`, and `<function=NAME>{...}</function>`.
- `hermes`: objects, or a list of them, between `<tool_call>` and `</tool_call>`.
- `qwen`: `<function=NAME><parameter=KEY>VALUE</parameter></function>`, in `<tool_call>` or not.
- `mistral`: a list after `[TOOL_CALLS]`, or `[TOOL_CALLS]NAME[ARGS]{...}`. These marks are special
  tokens, which engines may leave out of the text: a bare list, or `NAME{...}` of a known tool.

Thoughts stand between `<think>` and `</think>`, or `[THINK]` and `[/THINK]`. One that is not closed
reaches to the end. Where the first tag is a closing one the thought began with the text, as it does
with models whose template writes the opening tag. Nothing in a thought is a call, and nothing in a
string of a call is a tag. What is broken is told as such, never repaired. The time is linear in the
text's length.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from plaudit.engines.base import ToolSpec
from plaudit.rollouts.calls.forms import FORMS, CallForm
from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    Called,
    arguments,
    called,
    members,
    skip,
    skip_between,
    typed,
    value_end,
    value_spans,
)
from plaudit.rollouts.calls.reply import MalformedCall, Reply, WrittenCall

MOST_CALLS = 256
"""Calls of one reply that are read; what follows them is one malformed call."""


def read_reply(
    text: str,
    *,
    tools: Sequence[ToolSpec] | None = None,
    forms: Collection[CallForm] = FORMS,
    turn: int = 0,
    in_thought: bool = False,
) -> Reply:
    """Read what a model wrote. Never raises, whatever the text.

    Args:
        text: the whole reply.
        tools: the tools that were offered. A bare object counts as a call only if it names one of
            them; None: any name will do. Their schemas say which type a `qwen` argument has.
        forms: forms that are read.
        turn: index of the turn, for the ids of the calls.
        in_thought: whether the prompt ended within a thought that it had opened.
    """
    reader = _Reader(_writable(text), tools, frozenset(forms), turn)
    reader.read(in_thought)
    return reader.reply()


def _writable(text: str) -> str:
    """Replace lone surrogates one by one, so that places stay what they are."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_THOUGHTS: Mapping[str, str] = {"<think>": "</think>", "[THINK]": "[/THINK]"}
_MARKS: Mapping[CallForm, tuple[str, ...]] = {
    "json": (),
    "hermes": ("<tool_call>",),
    "llama": ("<function=", "<|python_tag|>"),
    "qwen": ("<tool_call>", "<function="),
    "mistral": ("[TOOL_CALLS]",),
}
_FUNCTION = re.compile(r"<function=([^<>\n]{1,128})>\s*+")
_PARAMETER = re.compile(r"<parameter=([^<>\n]{1,128})>")
_VALUE_END = re.compile("</parameter>|<parameter=|</function>|<function=")
_ARGS = re.compile(r"([\w.-]{1,128})(?:\[CALL_ID\]\w{1,64})?(?:\[ARGS\])?\s*+(?=\{)")
_FENCE = re.compile(r"```[ \t]*+\w*+[ \t]*+\n")
_BARE_START = re.compile(
    r"""^[ \t]*+(?:```[ \t]*+\w*+\s*+)?(?:\[\s*+)?\{\s*+(?:"type"\s*+:\s*+"function"\s*+,\s*+)?
    "name"\s*+:\s*+"([^"\\]{1,128})"\s*+(?:,\s*+"(?:arguments|parameters)"|\Z)""",
    re.VERBOSE | re.MULTILINE,
)
_NAME = re.compile(r'"name"\s*+:\s*+"([^"\\]{1,128})"|<function=([^<>\n]{1,128})>')
_NAME_WITHIN = 400
"""Characters of a malformed call among which its name is looked for."""


@cache
def _patterns(forms: frozenset[CallForm]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds the next mark, and what finds where a broken call ends."""
    openers = sorted({mark for form in forms for mark in _MARKS[form]})
    marks = [re.escape(mark) for mark in (*_THOUGHTS, *_THOUGHTS.values(), *openers)]
    return re.compile("|".join(marks)), re.compile("|".join([*marks, "</tool_call>"]))


_Attempt = tuple[Called | BrokenCallError, int, int]
"""What was read of a bare call, where it begins and where it ends."""


class _Reader:
    """Reads one text from left to right."""

    def __init__(
        self, text: str, tools: Sequence[ToolSpec] | None, forms: frozenset[CallForm], turn: int
    ) -> None:
        self._text = text
        self._specs = None if tools is None else {spec.name: spec for spec in tools}
        self._bare = bool(forms & {"json", "llama"})
        self._mistral_form = "mistral" in forms
        self._turn = turn
        self._mark, self._end_of_broken = _patterns(forms)
        self._said: list[tuple[int, int]] = []
        self._thoughts: list[str] = []
        self._calls: list[WrittenCall] = []
        self._malformed: list[MalformedCall] = []
        self._thought_open = False
        self._silent = True
        """Whether nothing but space was said so far."""

    def reply(self) -> Reply:
        return Reply(
            text="".join(self._text[start:end] for start, end in self._said).strip(),
            reasoning="\n".join(t for t in map(str.strip, self._thoughts) if t),
            calls=tuple(self._calls),
            malformed=tuple(self._malformed),
            thought_open=self._thought_open,
        )

    def read(self, in_thought: bool) -> None:
        place = self._thought(0, "</think>") if in_thought else 0
        while not self._all_bare(place):
            mark = self._mark.search(self._text, place)
            if mark is None:
                self._say(place, len(self._text))
                break
            self._say(place, mark.start())
            place = self._marked(mark)
        if not self._count and self._bare:
            self._broken_bare()

    def _marked(self, mark: re.Match[str]) -> int:
        """Read what begins with a mark; return where it ends."""
        opener = mark.group()
        if opener in _THOUGHTS:
            return self._thought(mark.end(), _THOUGHTS[opener])
        if opener in _THOUGHTS.values():
            return self._closed(mark)
        if self._count >= MOST_CALLS:
            return self._broken_rest(mark.start())
        try:
            found, end = self._calls_at(mark)
        except BrokenCallError as error:
            end = self._broken_end(mark.end(), error.place)
            return self._broken(mark.start(), end, str(error))
        for call in found:
            self._call(call, mark.start(), end)
        return end

    # ------------------------------------------------------------ thoughts

    def _thought(self, place: int, closer: str) -> int:
        end = self._text.find(closer, place)
        if end < 0:
            self._thought_open = True
            self._thoughts.append(self._text[place:])
            return len(self._text)
        self._thoughts.append(self._text[place:end])
        return end + len(closer)

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

    # ------------------------------------------------------------ calls after a mark

    def _calls_at(self, mark: re.Match[str]) -> tuple[list[Called], int]:
        """Read the calls that follow a mark; return them and where they end."""
        place = skip(self._text, mark.end())
        match mark.group():
            case "<tool_call>":
                return self._tool_call(place)
            case "<function=":
                return self._function(mark.start())
            case "[TOOL_CALLS]":
                return self._mistral(place)
            case _:
                return self._values(place)

    def _values(self, place: int) -> tuple[list[Called], int]:
        spans = value_spans(self._text, place)
        found = [called(raw, span[1]) for span in spans for raw in members(self._text, span)]
        return found, spans[-1][1]

    def _tool_call(self, place: int) -> tuple[list[Called], int]:
        of_function = self._text.startswith("<function=", place)
        found, place = self._function(place) if of_function else self._values(place)
        return found, self._expect("</tool_call>", place)

    def _mistral(self, place: int) -> tuple[list[Called], int]:
        named = _ARGS.match(self._text, place)
        if named is None:
            return self._values(place)
        body, end = self._object(named.end())
        return [(named.group(1), body)], end

    def _function(self, place: int) -> tuple[list[Called], int]:
        head = _FUNCTION.match(self._text, place)
        if head is None:
            raise BrokenCallError("the function has no name", place + len("<function="))
        name = head.group(1).strip()
        if self._text.startswith("{", head.end()):
            body, place = self._object(head.end())
        else:
            written, place = self._parameters(head.end())
            body = typed(written, (self._specs or {}).get(name))
        return [(name, body)], self._expect("</function>", place)

    def _object(self, place: int) -> tuple[str, int]:
        end = value_end(self._text, place)
        return arguments(self._text[place:end].encode(), end), end

    def _parameters(self, place: int) -> tuple[dict[str, str], int]:
        written: dict[str, str] = {}
        while (parameter := _PARAMETER.match(self._text, place)) is not None:
            key = parameter.group(1).strip()
            if key in written:
                raise BrokenCallError(f"argument {key!r} is given twice", place)
            end = _VALUE_END.search(self._text, parameter.end())
            if end is None or not self._text.startswith("</parameter>", end.start()):
                why = f"argument {key!r} is not closed with </parameter>"
                raise BrokenCallError(why, end.start() if end else len(self._text))
            value = self._text[parameter.end() : end.start()]
            written[key] = value.removeprefix("\n").removesuffix("\n")
            place = skip(self._text, end.start() + len("</parameter>"))
        return written, place

    def _expect(self, closer: str, place: int) -> int:
        after = skip(self._text, place)
        if not self._text.startswith(closer, after):
            raise BrokenCallError(f"it is not closed with {closer}", place)
        return after + len(closer)

    # ------------------------------------------------------------ bare calls

    def _all_bare(self, place: int) -> bool:
        """Take the rest as bare calls where it is nothing else, and nothing was said before."""
        if self._count or not self._silent:
            return False
        try:
            found, rest = self._bare_attempts(skip(self._text, place))
        except BrokenCallError:
            return False
        if not any(self._is_known(call) for call, _, _ in found):
            return False
        for call, start, end in found:
            self._take(call, start, end)
        self._broken_rest(rest)
        return True

    def _bare_attempts(self, place: int) -> tuple[list[_Attempt], int]:
        """Return the objects of which the rest consists, and where they end.

        Raises:
            BrokenCallError: it consists of something else.
        """
        found: list[_Attempt] = []
        while place < len(self._text) and len(found) < MOST_CALLS:
            named = self._without_mark(place)
            attempts, end = ([named], named[2]) if named else self._objects(place)
            found += attempts
            place = skip_between(self._text, end)
        return found, place

    def _objects(self, place: int) -> tuple[list[_Attempt], int]:
        if not self._bare:
            raise BrokenCallError("bare objects are not read", place)
        fence = _FENCE.match(self._text, place)
        spans = value_spans(self._text, skip(self._text, fence.end()) if fence else place)
        found = [
            (_attempt(raw, span[1]), *span) for span in spans for raw in members(self._text, span)
        ]
        return found, self._expect("```", spans[-1][1]) if fence else spans[-1][1]

    def _without_mark(self, place: int) -> _Attempt | None:
        """Read `NAME{...}` of a known tool: Mistral's form without its marks."""
        named = _ARGS.match(self._text, place) if self._mistral_form else None
        if named is None or self._specs is None or named[1] not in self._specs:
            return None
        body, end = self._object(named.end())
        return (named[1], body), place, end

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
            end = min(self._line_end(error.place), limit)
            return self._broken(start, end, str(error))
        if alone and not self._text[first[1] : limit].strip(" \t\r\n;,`]"):
            self._call(call, start, limit)
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
        return not isinstance(call, BrokenCallError) and self._named(call[0])

    def _take(self, call: Called | BrokenCallError, start: int, end: int) -> None:
        if isinstance(call, BrokenCallError):
            self._broken(start, end, str(call))
        else:
            self._call(call, start, end)

    def _id(self) -> str:
        return f"call-{self._turn}-{self._count}"

    def _call(self, call: Called, start: int, end: int) -> None:
        name, body = call
        written = WrittenCall(id=self._id(), name=name, arguments=body, start=start, end=end)
        self._calls.append(written)

    def _broken(self, start: int, end: int, why: str) -> int:
        text = self._text[start:end]
        named = _NAME.search(text, 0, _NAME_WITHIN)
        name = (named[1] or named[2]) if named else ""
        self._malformed.append(
            MalformedCall(id=self._id(), text=text, why=why, start=start, end=end, name=name)
        )
        return end

    def _broken_rest(self, start: int) -> int:
        """Refuse what follows the last call that may be read."""
        if start == len(self._text):
            return start
        why = f"one reply can make {MOST_CALLS} calls; no further ones are read"
        return self._broken(start, len(self._text), why)

    def _broken_end(self, begin: int, place: int) -> int:
        """A broken call reaches to its closing tag, else to the end of the line that broke it."""
        found = self._end_of_broken.search(self._text, begin)
        if found is not None and found.group() == "</tool_call>":
            return found.end()
        limit = found.start() if found else len(self._text)
        return max(begin, min(self._line_end(place), limit))

    def _line_end(self, place: int) -> int:
        """The end of the line, or of the last one where only space stands before the place."""
        start = self._text.rfind("\n", 0, place) + 1
        if not self._text[start:place].strip():
            return len(self._text[:place].rstrip())
        end = self._text.find("\n", place)
        return len(self._text) if end < 0 else end


def _attempt(raw: bytes, place: int) -> Called | BrokenCallError:
    try:
        return called(raw, place)
    except BrokenCallError as error:
        return error
