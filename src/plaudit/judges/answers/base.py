"""What the comparisons of answers share: the case, the options, and the contract of a type.

A type is a module of this package with two functions::

    def applies(reference: str, case: AnswerCase) -> bool
    def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None

`applies` says whether a reference is of the type. `compare` compares an answer with one reference
of the type; it returns None where it cannot, as for an answer that it cannot read, or `Open` with a
reason. Both take any text, never raise for it, and take a time that is linear in its length.
"""

from typing import Literal, Protocol, get_args

import msgspec

AnswerType = Literal["auto", "text", "number", "math", "choice", "list", "date", "quantity", "code"]
"""What kind of thing an answer is; `auto`: what each reference looks like."""

Extract = Literal["auto", "boxed", "tag", "last_line"]
"""Where the final answer stands in a text; `auto`: the first of the marks that there is."""

DayFirst = Literal["auto", "day", "month"]
"""How 03/04/2020 is read; `auto`: not at all, unless one of the numbers is above 12."""

Decider = Literal[
    "text", "number", "math", "choice", "list", "date", "quantity", "code", "guard", "head", "model"
]
"""Who decided a verdict; a person reads it as `fields.decided_by`."""

ANSWER_TYPES: tuple[str, ...] = get_args(AnswerType)


class AnswerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How answers are extracted and compared."""

    extract: Extract = "auto"
    answer_type: AnswerType = "auto"
    """A row's own `answer_type` comes before this one."""
    tolerance: float = 0.0
    """Relative error up to which numbers and quantities are equal, 0 to 1; 0: they are exact."""
    date_order: DayFirst = "auto"


class AnswerCase(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is compared, with all that its comparison may look at."""

    question: str
    answer: str
    """As the model wrote it."""
    references: tuple[str, ...]
    """Accepted answers, at least one."""
    choices: tuple[str, ...] = ()
    """The options of a question of multiple choice, in the order of their letters from A."""
    options: AnswerOptions = AnswerOptions()

    @property
    def answer_type(self) -> AnswerType:
        """The type that was asked for."""
        return self.options.answer_type


class Extracted(msgspec.Struct, frozen=True, kw_only=True):
    """The final answer of a text."""

    text: str
    """The answer itself, without its mark; the whole text where nothing marks one."""
    marked: bool
    """Whether the text marks it as final. Where it does not, a difference decides nothing."""
    by: Literal["boxed", "tag", "phrase", "bold", "last_line", "whole"]
    finals: tuple[str, ...] = ()
    """All answers that the text marks as final and does not take back, in order; several may
    differ."""
    rest: str = ""
    """What the text says after a marked answer; it may take the answer back."""


class Comparison(msgspec.Struct, frozen=True):
    """What a type says of an answer and one reference."""

    equal: bool
    reason: str
    """A few words for a person: "equal as numbers", "5 EUR is not 5 USD"."""


class Open(msgspec.Struct, frozen=True):
    """Why a type cannot compare an answer with a reference, for a person."""

    reason: str


class Comparer(Protocol):
    """What a module of a type offers; see the top of this module."""

    def applies(self, reference: str, case: AnswerCase) -> bool:
        """Whether a reference is of this type."""
        ...

    def compare(self, answer: str, reference: str, case: AnswerCase) -> Comparison | Open | None:
        """Compare an answer with a reference of this type; None or `Open`: it cannot."""
        ...


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a case without a model."""

    value: Literal["correct", "incorrect"] | None
    """None: undecided, the only case in which a model is asked."""
    by: Decider | None
    reason: str
    extracted: str
    probability: float | None = None
    """P(correct), calibrated; there wherever the head looked, decided or not."""
    notes: tuple[str, ...] = ()
    """What could not be used, such as an extra that is not installed."""
