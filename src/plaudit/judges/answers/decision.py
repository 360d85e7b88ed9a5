"""From a case to its decision: extraction, guards, types, head; in one order for every caller.

1. An answer that is a reference to the letter is correct, unless `extract` asks for a mark.
2. What the guards find is the answer's own fault: `incorrect`.
3. Each reference is compared by the types that apply to it, in a fixed order; the first type that
   can say something decides for that reference. Equal to any reference is correct. Different from
   all is incorrect. What is compared is the answer that the text marks as final, else all of it.
4. What the types leave open goes to the head, whose gates say what it may decide.
5. The rest is undecided.

With an explicit `answer_type` only that type compares, and the head looks only where it is `text`:
the head reads words, and knows nothing of formulas, numbers or code.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import import_module, metadata
from typing import Any, NamedTuple, cast

from plaudit.errors import MissingDependencyError
from plaudit.judges.answers import extraction
from plaudit.judges.answers.base import (
    AnswerCase,
    Comparer,
    Comparison,
    Decider,
    Decision,
)
from plaudit.judges.answers.guards import guard as guards
from plaudit.judges.answers.head import model as head
from plaudit.judges.answers.types import maths
from plaudit.judges.answers.types.readings import readings
from plaudit.types import Json

RULES_VERSION = 1
"""Part of the verify fingerprint. Raise it when types, guards, or what the head may decide change
so that some case is decided otherwise; the head's weights count by themselves."""


class _Type(NamedTuple):
    """A type of answers: who decides, and by which module of this package."""

    by: Decider
    module: str
    package: str = ""
    """What the module needs and may lack, as it is called in the package index."""
    extra: str = ""
    slow: bool = False
    """Whether a comparison may take seconds."""


_ORDER = (
    _Type("text", "unanswerable"),
    _Type("text", "polar"),
    _Type("choice", "choices"),
    _Type("code", "code"),
    _Type("date", "dates"),
    _Type("quantity", "quantities", "pint", "units"),
    _Type("number", "numbers"),
    _Type("math", "maths", "math-verify", "math", slow=True),
    _Type("list", "lists"),
    _Type("text", "text"),
)
"""The types in the order in which a reference is tried as each of them."""
_WORDS = frozenset({"auto", "text"})
"""Types for which the head may look."""
_MOST_SLOW = 32
"""Most references of one case that are compared by a type that may take seconds."""
_MOST_SIGNS = 1_000
"""Characters of a text that may differ from a reference in signs alone."""
_MOST_READ = 20_000
"""Characters of an answer that the head is shown; of more it would see the ends only."""
_LATEX = re.compile(r"\\[A-Za-z]{2,}")
_NO_LETTERS = re.compile(r"[\W_]+")
_SHOWN = 300
"""Characters of an extracted answer that a verdict shows."""


class _SlowError(Exception):
    """A comparison that may take seconds is needed, and the caller does not wait for it."""


def decide(case: AnswerCase) -> Decision:
    """Decide a case; never raises for what the case holds.

    May take the seconds of CPU that comparisons of formulas are allowed: an event loop tries
    `decide_quickly` first, and calls this in a thread.
    """
    return _Deciding(case, slow=True).decide()


def decide_quickly(case: AnswerCase) -> Decision | None:
    """Return what `decide` does, or None where formulas must be compared, which may take long."""
    try:
        return _Deciding(case, slow=False).decide()
    except _SlowError:
        return None


def is_reference(case: AnswerCase) -> bool:
    """Whether the whole answer is a reference, but for case and a full stop."""
    answer = _bare(case.answer)
    return bool(answer) and any(answer == _bare(reference) for reference in case.references)


def says_the_same(case: AnswerCase) -> bool:
    """Whether types, and not only the head, find the answer equal to a reference."""
    found = decide(case)
    return found.value == "correct" and found.by != "head"


def check_type(answer_type: str) -> None:
    """Refuse a type that needs a package which is not installed.

    Raises:
        MissingDependencyError: it is not; the message names the extra.
    """
    for kind in _types_of(answer_type):
        if answer_type != "auto" and not _is_available(kind):
            raise MissingDependencyError(kind.package, kind.extra)


def load() -> None:
    """Import the types, so that no thread does it while another one forks."""
    for kind in _ORDER:
        _module(kind.module)


def versions() -> Mapping[str, Json]:
    """Return what decisions depend on besides the case: rules, the head's weights, libraries."""
    return {
        "rules": RULES_VERSION,
        "head": head.digest(),
        "math": maths.versions(),
        "pint": _version("pint"),
    }


class _Deciding:
    """One case on its way."""

    def __init__(self, case: AnswerCase, *, slow: bool) -> None:
        self._case = case
        self._slow = slow
        self._compared_slowly = 0
        self._notes: dict[str, None] = {}
        self._formula = ""
        """Why a formula was not compared."""
        options = case.options
        self._found = extraction.extract(case.answer, case.question, options.extract)

    def decide(self) -> Decision:
        literal = self._literal()
        if literal is not None:
            return literal
        fault = guards.guard(self._case, self._found)
        if fault is not None:
            return self._made("incorrect", "guard", fault)
        return self._by_types() or self._by_head()

    def _literal(self) -> Decision | None:
        """Decide where the whole answer is a reference to the letter, and no mark is asked for."""
        case, answer = self._case, self._case.answer.strip()
        if not answer or case.options.extract != "auto":
            return None
        for reference in case.references:
            if answer == reference.strip():
                kinds = (t for t in _types_of(case.answer_type) if _applies(t, case, answer))
                by: Decider = next(kinds, _ORDER[-1]).by
                return self._made("correct", by, "the same as the reference")
        return None

    def _by_types(self) -> Decision | None:
        """Compare with each reference; equal to one is right, different from all is wrong."""
        text = self._final()
        different: list[tuple[Decider, Comparison]] = []
        references = dict.fromkeys(self._case.references)
        for reference in references:
            outcome = self._compare(text, reference)
            if outcome is None:
                continue
            by, comparison = outcome
            if comparison.equal:
                return self._made("correct", by, comparison.reason)
            different.append(outcome)
        if len(different) < len(references):
            return self._by_readings(text)
        by, comparison = different[0]
        return self._made("incorrect", by, comparison.reason)

    def _by_readings(self, text: str) -> Decision | None:
        """Decide where what the text comes down to is equal to a reference."""
        for reading in readings(text, self._case):
            for reference in dict.fromkeys(self._case.references):
                outcome = self._compare(reading, reference)
                if outcome and outcome[1].equal:
                    return self._made("correct", outcome[0], outcome[1].reason)
        return None

    def _final(self) -> str:
        """Return what is compared: the marked answer, else all that the text says.

        A last line that nothing marks is not enough: the lines before it may answer otherwise.
        """
        found = self._found
        return found.text if found.marked else extraction.without_thought(self._case.answer)

    def _compare(self, text: str, reference: str) -> tuple[Decider, Comparison] | None:
        """Return what the first type says that can say something."""
        case = self._case
        for kind in _types_of(case.answer_type):
            if not _applies(kind, case, reference) or not self._has_time(kind):
                continue
            comparison = _module(kind.module).compare(text, reference, case)
            if isinstance(comparison, Comparison):
                return kind.by, comparison
            if not _is_available(kind):
                self._notes[_missing(kind)] = None
            elif comparison is not None:
                self._formula = comparison.reason
        return None

    def _has_time(self, kind: _Type) -> bool:
        """Whether a type may compare now; what is slow may do so a few times only.

        Raises:
            _SlowError: it is slow, and the caller does not wait.
        """
        if not kind.slow or not _is_available(kind):
            return True
        if not self._slow:
            raise _SlowError
        self._compared_slowly += 1
        return self._compared_slowly <= _MOST_SLOW

    def _by_head(self) -> Decision:
        """Let the head look, where it can read what there is."""
        unread = self._unread()
        if unread is not None:
            return self._made(None, None, unread)
        p = head.probability(self._case, self._found)
        value = head.decide(p)
        return self._made(value, "head" if value else None, f"P(correct) {p:.3f}", p)

    def _unread(self) -> str | None:
        """Return why the head is not asked, or None.

        The head reads words: formulas, signs and the order of digits are nothing to it, and of a
        long text it would see the ends only.
        """
        case = self._case
        if self._formula or self._holds_latex():
            return f"a formula: {self._formula or 'no type could compare it'}"
        if self._notes or case.answer_type not in _WORDS:
            return "no type of answer could compare it"
        if len(case.answer) > _MOST_READ:
            return f"an answer of more than {_MOST_READ:,} characters"
        return "it differs from a reference in signs" if self._differs_in_signs() else None

    def _holds_latex(self) -> bool:
        texts = (self._final(), *self._case.references)
        return any("\\" in text and _LATEX.search(text, 0, _MOST_READ) for text in texts)

    def _differs_in_signs(self) -> bool:
        """Whether the answer holds no word, or the letters and digits of a reference alone."""
        text = self._final()
        if len(text) > _MOST_SIGNS:
            return False
        letters = _letters(text)
        return not any(map(str.isalpha, letters)) or any(
            letters == _letters_of(reference)
            for reference in self._case.references
            if len(reference) <= _MOST_SIGNS
        )

    def _made(
        self, value: Any, by: Decider | None, reason: str, probability: float | None = None
    ) -> Decision:
        return Decision(
            value=value,
            by=by,
            reason=reason,
            extracted=self._found.text[:_SHOWN],
            probability=probability,
            notes=tuple(self._notes) if value is None else (),
        )


@cache
def _types_of(answer_type: str) -> tuple[_Type, ...]:
    return tuple(kind for kind in _ORDER if answer_type in ("auto", kind.by))


def _applies(kind: _Type, case: AnswerCase, reference: str) -> bool:
    """Whether a reference is tried as a type: it looks like one, or the type was asked for."""
    return _module(kind.module).applies(reference, case)


def _letters(text: str) -> str:
    """Return the letters and digits of a text; what is raised is a digit here."""
    return _NO_LETTERS.sub("", unicodedata.normalize("NFKC", text).casefold())


@lru_cache(1024)
def _letters_of(reference: str) -> str:
    return _letters(reference)


def _bare(text: str) -> str:
    return text.strip().rstrip(".").casefold()


@cache
def _module(name: str) -> Comparer:
    return cast("Comparer", import_module(f"plaudit.judges.answers.types.{name}"))


def _is_available(kind: _Type) -> bool:
    available: Any = getattr(_module(kind.module), "available", None)
    return available is None or available()


def _missing(kind: _Type) -> str:
    return (
        f"{kind.package} is not installed, so no answer is compared as {kind.by}; install it with: "
        f"pip install 'plaudit[{kind.extra}]'"
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
