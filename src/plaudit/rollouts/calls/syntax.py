"""What a form of calls is: the marks around a call, how one is read and how one is written."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, get_args

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.calls.objects import BrokenCallError, Called, skip
from plaudit.types import Json

CallForm = Literal[
    "json",
    "hermes",
    "llama",
    "qwen",
    "mistral",
    "glm",
    "harmony",
    "gemma",
    "deepseek",
    "kimi",
    "lfm2",
    "minimax",
]
"""`json` a bare object; `hermes` also of Qwen 2.5, Qwen 3 and SmolLM; `llama` of Llama 3; `qwen` of
Qwen3-Coder, Qwen 3.5 and Nemotron 3; `mistral` of Mistral's instruct models; `glm` of GLM 4.5 and
later; `harmony` of gpt-oss; `gemma` of Gemma 4; `deepseek` of DeepSeek V3, R1 and V3.1; `kimi` of
Kimi K2; `lfm2` of LFM2; `minimax` of MiniMax M1 and M2, DeepSeek V3.2 and others."""

FORMS: tuple[CallForm, ...] = get_args(CallForm)
"""All forms."""

TAGGED: tuple[CallForm, ...] = tuple(form for form in FORMS if form not in ("json", "llama"))
"""Forms that cannot be taken for an answer: marks begin their calls."""

Specs = Mapping[str, ToolSpec] | None
"""The offered tools by name; None: they are not known."""

MOST_CALLS = 256
"""Calls of one reply that are read; what follows them is one malformed call."""

_NAMES = re.compile(r"(?!\s)[^<>\"'\n]{1,128}(?<!\s)")


class CallAttempt(NamedTuple):
    """What was read of one call."""

    call: Called | BrokenCallError
    start: int
    end: int


class CallsFound(NamedTuple):
    """The calls that one mark begins."""

    attempts: Sequence[CallAttempt]
    end: int
    """Where the text goes on."""


class Syntax:
    """How models of one family write calls.

    A subclass says which fixed texts begin a call, reads what follows one of them, and writes a
    call. It never guesses: what is not just as its models write it is a broken call.
    """

    form: ClassVar[CallForm]
    openers: ClassVar[tuple[str, ...]] = ()
    """Texts that begin a call, or a block of calls."""
    closers: ClassVar[tuple[str, ...]] = ()
    """Texts that end a call or a block; without a call before them they say nothing."""
    inner: ClassVar[tuple[str, ...]] = ()
    """Other texts within a call."""
    nested: ClassVar[tuple[str, ...]] = ()
    """Of `openers`, those that also stand within what another one begins."""
    named: ClassVar[str] = "(?!)"
    """Matches the name of a broken call, in a group."""
    ordinary: ClassVar[tuple[str, ...]] = ()
    """Of `openers`, those that other texts hold too: they begin calls where `claims` is true."""
    needs_marks: ClassVar[bool] = True
    """Whether a call without its openers cannot be read."""
    how: ClassVar[str]
    """Completes: to use a tool, ..."""
    several: ClassVar[str] = (
        "For several calls write one after the other, each between its own tags."
    )

    @property
    def tags(self) -> tuple[str, ...]:
        """All texts that untrusted text must not hold where calls are read or shown."""
        return (*self.openers, *self.inner, *self.closers)

    def claims(self, text: str, place: int, specs: Specs) -> bool:
        """Whether what follows an opener, which ends at a place, is of this form."""
        del text, place, specs
        return True

    def within(self, opener: str) -> frozenset[str]:
        """Return the marks that may stand in a call which an opener begins."""
        return frozenset((*self.closers, *(self.nested if opener not in self.nested else ())))

    def reach(self, opener: str) -> tuple[str, ...]:
        """Return the texts to which a broken call reaches, the first choice first."""
        del opener
        return self.closers

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read the calls that a mark begins.

        Args:
            text: the whole reply.
            start: where the mark begins.
            place: where the mark ends.
            specs: the offered tools.

        Raises:
            BrokenCallError: there is no call, or it is broken.
        """
        raise NotImplementedError

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a call as a model of that family would.

        Raises:
            UsageError: the form cannot express the arguments.
        """
        raise NotImplementedError

    def refuse(self, key: str) -> UsageError:
        """Return the error for an argument that the form cannot express."""
        return UsageError(
            f"the {self.form} form cannot write argument {key!r}: it holds a tag of calls"
        )


class CallBlock(Syntax):
    """A form in which one block may hold several calls, each with marks of its own."""

    begin: ClassVar[re.Pattern[str]]
    """Begins a call within a block."""
    finish: ClassVar[re.Pattern[str]]
    """Ends a call."""
    over: ClassVar[re.Pattern[str]]
    """Ends the block."""

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read the calls of a block; a broken one does not lose the others."""
        attempts: list[CallAttempt] = []
        if self.begin.match(text, start):
            place = start
        while len(attempts) < MOST_CALLS:
            after = skip(text, place)
            if (over := self.over.match(text, after)) is not None:
                return CallsFound(attempts, over.end())
            begin = self.begin.match(text, after)
            if begin is None:
                break
            attempts.append(self._attempt(text, begin, specs))
            place = attempts[-1].end
        if not attempts:
            raise BrokenCallError("no call follows", place)
        return CallsFound(attempts, place)

    def reach(self, opener: str) -> tuple[str, ...]:
        """A broken block reaches to its end, else to that of a call."""
        del opener
        return self.closers[::-1]

    def one(self, text: str, begin: re.Match[str], specs: Specs) -> tuple[Called, int]:
        """Read one call; return where it ends.

        Raises:
            BrokenCallError: it is broken.
        """
        raise NotImplementedError

    def _attempt(self, text: str, begin: re.Match[str], specs: Specs) -> CallAttempt:
        try:
            call, end = self.one(text, begin, specs)
        except BrokenCallError as error:
            return CallAttempt(
                error, begin.start(), self._broken_end(text, begin.end(), error.place)
            )
        return CallAttempt(call, begin.start(), end)

    def _broken_end(self, text: str, place: int, broken: int) -> int:
        """A broken call reaches to its end mark, else to the next mark, else to a line's end."""
        either = f"({self.finish.pattern})|{self.begin.pattern}|{self.over.pattern}"
        found = re.compile(either).search(text, place)
        if found is None:
            return max(place, line_end(text, broken))
        return found.end() if found[1] else found.start()


# ---------------------------------------------------------------- places in a text


def expect(text: str, closer: str, place: int) -> int:
    """Return the place after a closing tag, before which there may be space.

    Raises:
        BrokenCallError: it is not there.
    """
    after = skip(text, place)
    if not text.startswith(closer, after):
        raise BrokenCallError(f"it is not closed with {closer}", place)
    return after + len(closer)


def line_end(text: str, place: int) -> int:
    """Return the end of the line, or of the last one where only space stands before the place."""
    start = text.rfind("\n", 0, place) + 1
    if not text[start:place].strip():
        return len(text[:place].rstrip())
    end = text.find("\n", place)
    return len(text) if end < 0 else end


# ---------------------------------------------------------------- what is written


def spaced(value: Json) -> str:
    """Write JSON on one line, spaced as models have seen it most."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def is_name(key: str) -> bool:
    """Whether a text can stand as the name of an argument without quotes."""
    return _NAMES.fullmatch(key) is not None


def plain(value: Json) -> str:
    """Write a value without quotes around texts."""
    return value if isinstance(value, str) else spaced(value)
