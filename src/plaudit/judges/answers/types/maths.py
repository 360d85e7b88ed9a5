"""Answers in mathematics: formulas, equations, sets, intervals and matrices, as LaTeX or plain.

What is the same after tidying is equal. The rest goes, within limits of size, to a computer algebra
system in a process of its own (`symbolic/`), which is killed when a comparison takes too long. A
comparison blocks its thread for some milliseconds, and for as long as the budget lasts at most: in
an event loop, call it in a thread. Needs the extra `math`.
"""

import hashlib
import importlib.util
import re
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import version
from threading import Lock
from typing import Protocol

import msgspec

from plaudit.judges.answers.base import AnswerCase, Comparison, Open
from plaudit.judges.answers.types.symbolic.limits import MAX_LENGTH, too_large
from plaudit.judges.answers.types.symbolic.outcome import Outcome, Pair, WorkerError
from plaudit.judges.answers.types.symbolic.process import shared
from plaudit.judges.answers.types.symbolic.reading import tidy
from plaudit.judges.answers.types.symbolic.sentences import (
    formula_of,
    in_formulas,
    same_words,
    without_letter,
)
from plaudit.judges.answers.types.units import asked_unit

RULES = 2
"""Counts up with each change of what is equal, so that an older outcome is not used again."""

_RECENT = 4_096
_NUMBER = r"[-+]?(?:\d+(?:[./]\d+)?|[a-z]|\d*pi|inf(?:inity)?|oo)"
_COMMAND = re.compile(
    r"\\(?:[dtc]?frac|sqrt|[cl]?dots?|cdot|times|div|pm|mp|infty|cup|cap|setminus|in|notin|leq?|geq?"
    r"|lt|gt|neq?|left|right|begin|boxed|pi|alpha|beta|gamma|delta|theta|lambda|mu|sigma|phi|omega"
    r"|(?:sin|cos|tan)h?|cot|sec|csc|arc(?:sin|cos|tan)|log|l[ng]|exp|sum|prod|int|lim|[dt]?binom"
    r"|math[a-z]+|[lr](?:ceil|floor)|min|max|gcd|lcm|p?mod|bmod|det|equiv|hat|bar|approx|deg"
    r"|text|circ|emptyset|varnothing|overline|vec|partial|nabla|[lr]?vert|langle)(?![a-zA-Z])|\\[{|]"
)
_SIGN = re.compile(
    "[\u221a\u221e\u222a\u2229\u2208\u2264\u2265\u2260\u03c0\u2211\u222b\u2205\u211d]"
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_KNOWN_WORD = re.compile(
    r"(?:arc)?(?:sin|cos|tan)h?|cot|sec|csc|log|ln|exp|sqrt|pi|inf|infinity|oo|and|or"
    r"|[a-z]{2}|[xyz]{2,3}|[A-Z][a-z]"
)
_FORMULA = re.compile(r"[\w\s'.,+*/^()=<>!|{}\[\]\u2212\u00b2\u00b3\u00b7\u00d7-]+")
_STRONG = re.compile(
    r"(?<![-+<>=])[\w')\]}|!\u00b2\u00b3] ?(?:\^|\*\*|[+=]|[<>]=?) ?[-+(]?[\w(\[{|]"  # x^2, a+b
    r"|[a-z\d)] ?\* ?[a-z\d(]"
    r"|(?:\d|\b[a-z]|[)\u00b2\u00b3]) ?[/\u00b7\u00d7-] ?\("  # 2/(x
    r"|\) ?[/\u00b7\u00d7-] ?(?:\d|[a-z]\b)"
    r"|\b\d*[b-z] ?/ ?\d+\b(?!/)|(?<!/)\b\d+ ?/ ?\d*[b-z]\b"  # x/2, 1/x
    r"|\b\d*[nxyzt] ?[-\u2212] ?\d|\d ?[-\u2212] ?\d*[nxyzt]\b"  # x-1
    r"|\b\d*[a-z]?[a-z][\u00b2\u00b3](?=[-+ ]|$)"
    r"|\b(?:(?:arc)?(?:sin|cos|tan)h?|log|ln|exp|sqrt)(?: ?\(| \d*[a-z]\b| \d)"
    r"|\bpi\b"
)
_SHORT = re.compile(
    r"[A-Z]{1,3} ?= ?-?\d+|\d{1,3}!|[\dA-F]{2,60}_\{?\d{1,2}\}?|-[a-z] ?\+ ?\d+"
)  # 5!, 1011_2, -x+4
_BRACKETED = re.compile(
    rf"[(\[{{] ?(?:{_NUMBER} ?, ?)+{_NUMBER} ?[)\]}}]|\{{ ?{_NUMBER} ?\}}", re.IGNORECASE
)
_SIMPLE = re.compile(r"(?!.*\b0\d)(?=.*[\d|])(?:[-+\d., ()|]|(?<![a-z])[a-z](?![a-z])){1,120}")
_WORKED = re.compile(
    r"\\(?:[dtc]?frac|sqrt|[dt]?binom|cdot|times|div|pm|log|ln|sin|cos|tan|sum|int|pi|cup|infty"
    r"|overline|approx|quad|[lr](?:ceil|floor)|math[a-z]+|text[a-z]*)(?![a-zA-Z])|\^|\d!|\\? ?[{}]"
    r"|\\ |\b[a-z](?:_\{?\d\}?)? ?= ?-?\d"
)
"""What an answer holds that writes a number as a formula."""
_RATIO = re.compile(r"\d{1,9} ?: ?\d{1,9}")
_MARKUP = re.compile(r"</?[a-zA-Z]+/?>|->|=>|(?:^|\s)\*\w|://|\+\+")
_DOLLARS = re.compile(r"\$([^$]*[^$\s])\$(?!\d)")
_INTEGER = re.compile(r"[-+]?\d{1,60}")
_SPACE = re.compile(r" (?![a-zA-Z\d])|(?<![a-zA-Z\d]) ")
_BRACED = re.compile(r"(?<!\\)\{(\w)\}")


class Remembered(Protocol):
    """A place that outlives the process, for outcomes that another day could change."""

    def get_result(self, key: bytes) -> bytes | None:
        """Return the outcome under a key as JSON, or None."""
        ...

    def put_result(self, key: bytes, result: bytes) -> None:
        """Keep an outcome, in place of any earlier one."""
        ...


_remembered: ContextVar[Remembered | None] = ContextVar("remembered", default=None)


@contextmanager
def remember_in(memory: Remembered) -> Generator[None]:
    """Keep outcomes of long comparisons in a store, and find them there.

    Holds for comparisons of this context, so of this thread, of this task, and of calls through
    `asyncio.to_thread`; a thread of a pool enters a block of its own.
    """
    token = _remembered.set(memory)
    try:
        yield
    finally:
        _remembered.reset(token)


@cache
def available() -> bool:
    """Whether the extra `math` is installed."""
    return importlib.util.find_spec("math_verify") is not None


@cache
def versions() -> str:
    """Return what outcomes depend on, for a fingerprint; it is known without the extra too."""
    if not available():
        return f"rules {RULES}"
    packages = ("math-verify", "latex2sympy2-extended", "sympy")
    return ", ".join([f"rules {RULES}", *(f"{name} {version(name)}" for name in packages)])


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is a formula, or numbers that the answer writes as a formula.

    Any reference is one where `math` is asked for.
    """
    if case.answer_type == "math" or _is_formula(reference):
        return True
    if _RATIO.fullmatch(reference):
        return "ratio" in case.question.casefold()
    return bool(_SIMPLE.fullmatch(reference)) and _is_worked(case)


def _is_worked(case: AnswerCase) -> bool:
    """Whether an answer is a formula, and no quantity whose unit the question names."""
    worked = _WORKED.search(case.answer[-MAX_LENGTH:])
    return worked is not None and asked_unit(case.question) is None


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | Open:
    """Compare two formulas; `Open` where they cannot be read, are too large or take too long."""
    found = outcome(answer, reference, case)
    if found.relation == "open":
        return Open(found.reason)
    return Comparison(found.relation == "equal", found.reason)


def outcome(answer: str, reference: str, case: AnswerCase) -> Outcome:
    """Compare two formulas, and say why it stays open where it does."""
    answer, reference = answer.strip(), reference.strip()
    if not answer or not reference:
        return Outcome("open", "an answer or a reference that is empty")
    if answer == reference:
        return Outcome("equal", "the same formula")
    for text, name in ((reference, "reference"), (answer, "answer")):
        large = too_large(text)
        if large:
            return Outcome("open", f"the {name} holds {large}")
    formula, marked = formula_of(answer)
    if not formula:
        return Outcome("open", "a formula in passing")
    formula, reference = in_formulas(formula), in_formulas(reference)
    found = _outcome_in_limits(without_letter(formula, reference), reference, case)
    if found.relation == "different" and not marked:
        return Outcome("open", "different, but not marked as the answer")
    return found


def _outcome_in_limits(answer: str, reference: str, case: AnswerCase) -> Outcome:
    if _INTEGER.fullmatch(answer) and _INTEGER.fullmatch(reference) and not case.options.tolerance:
        same = int(answer) == int(reference)
        return Outcome("equal" if same else "different", "as whole numbers")
    if _plain(answer) == _plain(reference) != "":
        return Outcome("equal", "the same formula")
    alike = same_words(answer, reference)
    if alike is not None:
        return Outcome("equal" if alike else "different", "as words")
    if not available():
        return Outcome("open", "the extra `math` is not installed")
    return _compared(Pair(answer, reference, case.options.tolerance))


def _compared(pair: Pair) -> Outcome:
    """Find an outcome in the store or among the recent ones, else compare."""
    key, memory = _key(pair), _remembered.get()
    stored = None if memory is None else memory.get_result(key)
    if stored is not None:
        return msgspec.json.decode(stored, type=Outcome)
    found = recent.get(key)
    if found is None:
        try:
            found = shared.compare(pair)
        except WorkerError as error:
            return Outcome("open", str(error))
        recent.put(key, found)
    if memory is not None and found.slow:
        memory.put_result(key, msgspec.json.encode(found))
    return found


def _key(pair: Pair) -> bytes:
    about = msgspec.msgpack.encode((versions(), shared.budget, pair))
    return hashlib.blake2b(about, digest_size=32).digest()


class _Recent:
    """Outcomes of this process, the oldest forgotten first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = Lock()
        self._found: OrderedDict[bytes, Outcome] = OrderedDict()

    def get(self, key: bytes) -> Outcome | None:
        return self._found.get(key)

    def put(self, key: bytes, found: Outcome) -> None:
        with self._lock:
            self._found[key] = found
            if len(self._found) > self._size:
                self._found.popitem(last=False)

    def forget(self) -> None:
        """Forget all, and a lock that another thread held when the process forked."""
        self._lock = Lock()
        self._found = OrderedDict()


recent = _Recent(_RECENT)


def _plain(text: str) -> str:
    """Return a formula in its shortest spelling."""
    return _BRACED.sub(r"\1", _SPACE.sub("", tidy(text)))


def _is_formula(text: str) -> bool:
    text = text.strip()
    if not text or len(text) > MAX_LENGTH:
        return False
    if _COMMAND.search(text) or _SHORT.fullmatch(text):
        return True
    text = _DOLLARS.sub(r"\1", text)
    if not _known_words(text) or _MARKUP.search(text):
        return False
    if _SIGN.search(text) or _BRACKETED.fullmatch(text):
        return True
    return bool(_FORMULA.fullmatch(text) and _STRONG.search(text))


def _known_words(text: str) -> bool:
    return all(_KNOWN_WORD.fullmatch(word) for word in _WORD.findall(text))
