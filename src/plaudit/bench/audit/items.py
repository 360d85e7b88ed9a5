"""What an audit asks about: questions with a right and a wrong answer, shipped or given."""

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit.errors import UsageError
from plaudit.types import Json

AUDITED = ("pairwise", "pointwise", "verify", "feedback")
"""Kinds of judges that can be audited."""
ITEMS = 60
"""Items of an audit, where there are as many."""
_BASE = Path(__file__).with_name("base.jsonl")
_PROBES = Path(__file__).with_name("probes.jsonl")
_PRAISE = (
    "Thanks, that is exactly what I needed.",
    "Great, that helps me a lot!",
    "Perfect, thank you very much.",
    "That is right, well done.",
    "Wonderful, now I understand it.",
)
_COMPLAINTS = (
    "No, that is wrong. Please check it again.",
    "That is not right, you made a mistake there.",
    "This answer is false. Look it up, please.",
    "No. That cannot be true, I know that it is not so.",
    "You are mistaken, that is not the answer.",
)


class AuditItem(msgspec.Struct, frozen=True, kw_only=True):
    """One question with a right answer, a wrong one, or both."""

    id: str
    prompt: Json
    """A text, or messages; the last one of a user is the question."""
    right: str | None = None
    wrong: str | None = None
    references: tuple[str, ...] = ()
    """What is known to be right, in short; at least one where answers are verified."""
    mistake: str = ""
    """What is wrong in the wrong answer, in short; empty: unknown."""
    praise: str = ""
    complaint: str = ""
    """Next messages of a pleased and of an unhappy user, where reactions are judged."""
    further: dict[str, Json] = {}
    """Other fields of the row that decide how it is judged."""

    @property
    def cluster(self) -> str:
        """What items share that are not independent: their question."""
        return question_of(self.prompt)

    @property
    def sides(self) -> list[str]:
        """Which of `right` and `wrong` there are."""
        return [side for side in ("right", "wrong") if getattr(self, side) is not None]


class LanguageProbe(msgspec.Struct, frozen=True, kw_only=True):
    """One easy question in several wordings."""

    id: str
    versions: dict[str, AuditItem]
    """By language; `en` is the first, `paraphrase` the same in other English words."""


class AuditBase(msgspec.Struct, frozen=True, kw_only=True):
    """The items of one audit."""

    kind: str
    source: str
    """Where the items come from, for a person."""
    items: list[AuditItem]
    left_out: dict[str, int] = {}
    """Rows that became no item, by reason."""


class _Shipped(msgspec.Struct):
    id: str
    question: str
    right: str
    wrong: str
    reference: str
    mistake: str


class _Wording(msgspec.Struct):
    question: str
    right: str
    wrong: str
    reference: str


class _ShippedProbe(msgspec.Struct):
    id: str
    versions: dict[str, _Wording]


def shipped_base(kind: str, most: int = ITEMS, seed: int = 0) -> AuditBase:
    """Return the shipped items: facts, arithmetic, code, instructions and advice.

    Args:
        kind: of the judge.
        most: how many at most; drawn with the seed.
        seed: of the draw.
    """
    lines = _BASE.read_bytes().splitlines()
    found = [msgspec.json.decode(line, type=_Shipped) for line in lines]
    items = [_item(one, number) for number, one in enumerate(found)]
    return AuditBase(kind=kind, source="shipped", items=draw(items, most, seed))


@cache
def probes() -> tuple[LanguageProbe, ...]:
    """Return the shipped probes of languages and paraphrases."""
    found: list[LanguageProbe] = []
    for number, line in enumerate(_PROBES.read_bytes().splitlines()):
        one = msgspec.json.decode(line, type=_ShippedProbe)
        versions = {
            name: _item(_Shipped(f"{one.id}-{name}", w.question, w.right, w.wrong,
                                 w.reference, ""), number)
            for name, w in one.versions.items()
        }  # fmt: skip
        found.append(LanguageProbe(id=one.id, versions=versions))
    return tuple(found)


def _item(one: _Shipped, number: int) -> AuditItem:
    return AuditItem(
        id=one.id,
        prompt=one.question,
        right=one.right,
        wrong=one.wrong,
        references=(one.reference,),
        mistake=one.mistake,
        praise=_PRAISE[number % len(_PRAISE)],
        complaint=_COMPLAINTS[number % len(_COMPLAINTS)],
    )


def draw(items: Sequence[AuditItem], most: int, seed: int) -> list[AuditItem]:
    """Draw items with a seed, without a change of their order; all where there are no more."""
    if len(items) <= most:
        return list(items)
    places = random.Random(f"items {seed}").sample(range(len(items)), most)
    return [items[place] for place in sorted(places)]


def check_kind(kind: str) -> str:
    """Return a kind that can be audited.

    Raises:
        UsageError: this one cannot.
    """
    if kind not in AUDITED:
        raise UsageError(
            f"judges of the kind {kind!r} cannot be audited; there are {', '.join(AUDITED)}"
        )
    return kind


# Prompts


def question_of(prompt: Json) -> str:
    """Return the question: the text, or that of the last message of a user."""
    if isinstance(prompt, str):
        return prompt
    place = _asked(prompt)
    return "" if place is None else str(prompt[place]["content"])


def with_question(prompt: Json, question: str) -> Json:
    """Return a prompt with another question."""
    if isinstance(prompt, str):
        return question
    place = _asked(prompt)
    if place is None:
        return prompt
    messages = list(cast("Sequence[Mapping[str, Json]]", prompt))
    messages[place] = {**messages[place], "content": question}
    return messages


def _asked(prompt: Iterable[Any]) -> int | None:
    """Return the place of the last message of a user that is text."""
    places = [
        place
        for place, message in enumerate(prompt)
        if message.get("role") == "user" and isinstance(message.get("content"), str)
    ]
    return places[-1] if places else None
