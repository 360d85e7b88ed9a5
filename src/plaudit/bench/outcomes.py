"""What is measured of one verdict: how it stands to the human's label.

A judge can be taken at its word, or by its distribution. `hard` is the first: what greedy decoding
would have said, without any probability. What was not said is None, never a wrong answer; the
measures that count it as wrong say so in their names.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from plaudit.errors import InputError, UsageError
from plaudit.judges.feedback import REWARDS
from plaudit.types import Json, Status, Verdict


class RowOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict beside its label. Shares and probabilities are in 0..1."""

    id: str
    """Unique within what is measured; by it, arms are compared on the same samples."""
    group: str = ""
    """The subset or system that macro averages are over."""
    cluster: str = ""
    """What samples share that are not independent, such as their question; empty: nothing."""
    status: Status = "ok"
    agrees: bool | None = None
    """Whether the value is the label, also where the judge abstained; None: there is no value."""
    credit: float | None = None
    """For the side that the judge leans to: 1 for the right one, 0 for the wrong one, 0.5 for
    neither. None: it said nothing, or the label is a tie, so that there is no right side."""
    confidence: float | None = None
    """Stated chance that the value is right."""
    score: float | None = None
    """Grows with how much the judge takes the sample for a positive one."""
    positive: bool | None = None
    """Whether it is one; None: neither."""
    consistent: bool | None = None
    """Whether both orders of a pair name the same winner; None: one order was asked, or there is
    no value."""
    tokens: int = 0
    """Tokens in and out, of all requests for the sample."""
    subset: str = ""
    """The part of the set that the sample is from."""
    cause: str = ""
    """Why the status is not `ok`."""
    orders: tuple[float | None, float | None] | None = None
    """How far each order of a pair leans to A, with A and B mapped back: from 0, B, to 1, A. None
    in place of one: it has no value. None: one order was asked, or it is no pair."""
    scores: tuple[float | None, float | None] | None = None
    """Scores of A and B, where a judge of one response scored each."""
    tags: dict[str, Json] = {}
    """What the set's own score needs of the row, such as its item and style."""


def outcome_of(kind: str, verdict: Verdict, *, hard: bool = False) -> RowOutcome:
    """Set a verdict beside the label in its metadata.

    Args:
        kind: `feedback`, `pairwise` or `verify`.
        verdict: its metadata hold `label`, and where there are some `subset` and `system`.
        hard: take the value alone: no probability and no confidence.

    Raises:
        UsageError: nothing is measured of this kind.
        InputError: there is no label, or one that this judge does not know.
    """
    seen = _KINDS.get(kind)
    if seen is None:
        raise UsageError(f"agreement with labels is not measured for the {kind} judge")
    label = verdict.metadata.get("label")
    if label not in seen.labels:
        raise InputError(
            f"sample {verdict.id!r} has the label {label!r}; the {kind} judge's labels are "
            + ", ".join(seen.labels)
        )
    said = seen.read(verdict, label, hard) if verdict.value is not None else {}
    tokens = verdict.usage.input_tokens + verdict.usage.output_tokens
    return RowOutcome(
        id=verdict.id,
        group=str(verdict.metadata.get("system") or verdict.metadata.get("subset") or ""),
        status=verdict.status,
        positive=seen.positive(label),
        tokens=tokens,
        **said,
    )


def _pairwise(verdict: Verdict, label: str, hard: bool) -> dict[str, Any]:
    p_a = _lean(verdict.value, verdict.fields, hard)
    orders = verdict.fields.get("orders")
    sides = {_side(_lean(one["value"], one, hard)) for one in orders or ()}
    return {
        "agrees": verdict.value == label,
        "credit": None if label == "A=B" else _credit(p_a, label == "A"),
        "confidence": None if hard else verdict.confidence,
        "score": p_a,
        "consistent": len(sides) == 1 if orders else None,
    }


def _lean(value: Any, fields: Mapping[str, Json], hard: bool) -> float:
    """Return how far a judgement leans to A: from 0, B, to 1, A."""
    return _WORD[value] if hard else fields["p_a"]


_WORD = {"A": 1.0, "A=B": 0.5, "B": 0.0}


def _side(p_a: float) -> int:
    return (p_a > 0.5) - (p_a < 0.5)


def _credit(p_a: float, right_is_a: bool) -> float:
    return 0.5 + (0.5 if right_is_a else -0.5) * _side(p_a)


def _verify(verdict: Verdict, label: str, hard: bool) -> dict[str, Any]:
    agrees, said = verdict.value == label, verdict.value == "correct"
    sure = verdict.confidence
    return {
        "agrees": agrees,
        "credit": float(agrees),
        "confidence": None if hard else sure,
        "score": float(said) if hard or sure is None else sure if said else 1 - sure,
    }


def _feedback(verdict: Verdict, label: str, hard: bool) -> dict[str, Any]:
    agrees = None if label in _SIDES else verdict.value == label
    plain = REWARDS.get(str(verdict.value))
    return {
        "agrees": agrees,
        "credit": None if agrees is None else float(agrees),
        "confidence": None if hard else verdict.confidence,
        "score": plain if hard else verdict.fields["expected_reward"],
    }


_SIDES = {"positive": True, "negative": False}
"""Labels of sets that rate satisfaction: a side, and none of the judge's own labels."""


def _liked(label: str) -> bool | None:
    """Return whether a reaction is positive: praise, or negative; the others are neither."""
    if label in _SIDES:
        return _SIDES[label]
    return True if label == "pos_praise" else False if label.startswith("neg_") else None


class _Kind(NamedTuple):
    labels: tuple[str, ...]
    read: Callable[[Verdict, str, bool], dict[str, Any]]
    positive: Callable[[str], bool | None]


_KINDS: Mapping[str, _Kind] = {
    "feedback": _Kind((*REWARDS, "topic_shift", *_SIDES), _feedback, _liked),
    "pairwise": _Kind(("A", "B", "A=B"), _pairwise, {"A": True, "B": False}.get),
    "verify": _Kind(("correct", "incorrect"), _verify, {"correct": True, "incorrect": False}.get),
}
