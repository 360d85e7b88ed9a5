"""What is measured of one verdict: how it stands to the human's label.

A judge can be taken at its word, or by its distribution. `hard` is the first: what greedy decoding
would have said, without any probability. What was not said is None, never a wrong answer; the
measures that count it as wrong say so in their names.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from plaudit.bench.verdict_lines import (
    AskedAbout,
    FieldsLine,
    RowMetadata,
    VerdictLine,
    line_of,
    lines_of_file,
)
from plaudit.errors import InputError, UsageError
from plaudit.judges.feedback import REWARDS
from plaudit.judges.reward_model import sigmoid
from plaudit.types import Json, Status, Value, Verdict


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
    labelled: bool = True
    """Whether the row has a label that values of the judge can be compared with."""
    value: Value | None = None
    """What the judge said; None: nothing."""
    label: Value | None = None
    """What people said, where it is one of the judge's own values, so that agreement beyond chance
    can be measured."""


def outcome_of(kind: str, verdict: Verdict, *, hard: bool = False) -> RowOutcome:
    """Set a verdict beside the label in its metadata.

    Args:
        kind: `feedback`, `pairwise`, `pointwise` or `verify`.
        verdict: its metadata hold `label`, and where there are some `subset`, `system`, `tags` and
            `cluster`. Without a `cluster` it is the question or prompt of the input, if that is
            there, or the conversation that a reaction is from. A row without a label is an outcome
            without one.
        hard: take the value alone: no probability and no confidence.

    Raises:
        UsageError: nothing is measured of this kind.
        InputError: the label or the value is one that this judge does not know.
    """
    return _outcome(_kind(kind), line_of(verdict), hard)


def outcomes_of_file(
    path: str | Path, kind: str | None = None, *, hard: bool = False
) -> Iterator[RowOutcome]:
    """Read verdicts as `plaudit judge` writes them, and set each beside its label; see above.

    Memory does not grow with the file.

    Args:
        path: a file of verdicts, of the kinds that `RowReader` reads.
        kind: of the judge; None: as each verdict says.
        hard: see `outcome_of`.

    Raises:
        InputError: the file cannot be read, or a line is no verdict, or a label is unknown.
        UsageError: nothing is measured of this kind.
    """
    known = None if kind is None else _kind(kind)
    for line in lines_of_file(path):
        yield _outcome(known or _kind(line.judge.partition("/")[0]), line, hard)


def outcome_of_scores(
    first: Verdict,
    second: Verdict,
    label: str | None,
    *,
    id: str | None = None,
    hard: bool = False,
) -> RowOutcome:
    """Set a pair beside its label that was judged by scoring each response alone.

    Equal scores are a tie, which counts half. A pair of which a side has no score has no credit,
    and the status and cause of that side. Raw scores of a reward model also give a confidence, by
    Bradley and Terry (1952).

    Args:
        first: of response A, by the pointwise judge. Its metadata are read as in `outcome_of`, but
            for the label.
        second: of response B.
        label: `A`, `B` or `A=B`; None: the pair has none.
        id: of the pair; None: that of the first verdict.
        hard: compare the values alone, and not the expected scores; no confidence.

    Raises:
        InputError: the label is none of these.
    """
    kind, sides = _KINDS["pairwise"], (line_of(first), line_of(second))
    scores = _score(sides[0], hard), _score(sides[1], hard)
    worst = max(sides, key=lambda side: (side.value is None, _STATUSES.index(side.status)))
    line = msgspec.structs.replace(
        sides[0],
        id=sides[0].id if id is None else id,
        status=worst.status,
        error=worst.error,
        value=_winner(*scores),
        usage=sides[0].usage + sides[1].usage,
        metadata=msgspec.structs.replace(sides[0].metadata or RowMetadata(), label=label),
    )
    found = _outcome(kind, line, hard=True)
    a, b = scores
    if a is None or b is None:
        return msgspec.structs.replace(found, scores=scores)
    raw = all(side.fields and side.fields.raw_score is not None for side in sides)
    confidence = sigmoid(abs(a - b)) if raw and not hard else None
    return msgspec.structs.replace(found, scores=scores, score=a - b, confidence=confidence)


_STATUSES = ("ok", "abstained", "invalid", "failed")


def _winner(a: float | None, b: float | None) -> str | None:
    if a is None or b is None:
        return None
    return "A=B" if a == b else "A" if a > b else "B"


def _outcome(kind: "_Kind", line: VerdictLine, hard: bool) -> RowOutcome:
    about = line.metadata or RowMetadata()
    label = about.label
    if label is not None and not kind.knows(label):
        raise InputError(
            f"sample {line.id!r} has the label {label!r}; the {kind.name} judge's labels are "
            + kind.labels
        )
    if line.value is not None and not kind.own(line.value):
        raise InputError(
            f"sample {line.id!r} has the value {line.value!r}, which no {kind.name} judge gives; "
            "name the kind of judge that gave the verdicts"
        )
    own = label is not None and kind.own(label)
    return RowOutcome(
        id=line.id,
        group=str(about.system or about.subset or ""),
        cluster=_cluster(kind, line),
        status=line.status,
        positive=None if label is None else kind.positive(label),
        tokens=line.usage.input_tokens + line.usage.output_tokens,
        subset=str(about.subset or ""),
        cause=line.error.cause if line.error else "",
        tags=_tags(about.tags),
        labelled=own,
        value=line.value,
        label=label if own else None,
        **kind.read(line, label, hard),
    )


def _tags(given: Any) -> dict[str, Json]:
    """Return the column of that name, where it is one of the bench and no other."""
    return cast("dict[str, Json]", given) if isinstance(given, dict) else {}


def _cluster(kind: "_Kind", line: VerdictLine) -> str:
    """Name what a sample shares with others: as its row says, or its question or prompt."""
    if line.metadata and line.metadata.cluster is not None:
        return str(line.metadata.cluster)
    if kind.name == "feedback":  # Turns of one conversation are `ID#1`, `ID#2` and so on.
        name, _, turn = line.id.rpartition("#")
        return name if turn.isdecimal() else ""
    return cluster_of(line.input.shared if isinstance(line.input, AskedAbout) else None)


def cluster_of(text: Any) -> str:
    """Name what samples with the same question or prompt share; empty: there is no text."""
    if not text:
        return ""
    plain = str(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(plain, digest_size=8).hexdigest()


def _pairwise(line: VerdictLine, label: str | None, hard: bool) -> dict[str, Any]:
    if line.value is None:
        return {}
    said = line.fields or FieldsLine()
    p_a = _lean(str(line.value), said.p_a, hard)
    leans = [_lean(order.value, order.p_a, hard) for order in said.orders or ()]
    return {
        "agrees": None if label is None else line.value == label,
        "credit": _credit(p_a, label == "A") if label in ("A", "B") else None,
        "confidence": None if hard else line.confidence,
        "score": p_a,
        "consistent": len(set(map(_side, leans))) == 1 if leans else None,
        "orders": tuple(leans) if len(leans) == 2 else None,
    }


def _lean(value: str, p_a: float | None, hard: bool) -> float:
    """Return how far a judgement leans to A: from 0, B, to 1, A."""
    return _WORD[value] if hard or p_a is None else p_a


_WORD = {"A": 1.0, "A=B": 0.5, "B": 0.0}


def _side(p_a: float) -> int:
    return (p_a > 0.5) - (p_a < 0.5)


def _credit(p_a: float, right_is_a: bool) -> float:
    return 0.5 + (0.5 if right_is_a else -0.5) * _side(p_a)


def _verify(line: VerdictLine, label: str | None, hard: bool) -> dict[str, Any]:
    if line.value is None:
        return {} if hard else _leaning(line, label)
    agrees, said = line.value == label, line.value == "correct"
    sure = line.confidence
    return {
        "agrees": None if label is None else agrees,
        "credit": None if label is None else float(agrees),
        "confidence": None if hard else sure,
        "score": float(said) if hard or sure is None else sure if said else 1 - sure,
    }


def _leaning(line: VerdictLine, label: str | None) -> dict[str, Any]:
    """Read an answer that is left undecided: the head's probability, where there is one."""
    p = line.probabilities.correct if line.probabilities else None
    if p is None:
        return {}
    return {"score": p, "credit": None if label is None else _credit(p, label == "correct")}


def _feedback(line: VerdictLine, label: str | None, hard: bool) -> dict[str, Any]:
    if line.value is None:
        return {}
    agrees = None if label is None or label in _SIDES else line.value == label
    plain = REWARDS.get(str(line.value))
    return {
        "agrees": agrees,
        "credit": None if agrees is None else float(agrees),
        "confidence": None if hard else line.confidence,
        "score": plain if hard or line.fields is None else line.fields.expected_reward,
    }


_SIDES = {"positive": True, "negative": False}
"""Labels of sets that rate satisfaction: a side, and none of the judge's own labels."""


def _liked(label: Any) -> bool | None:
    """Return whether a reaction is positive: praise, or negative; the others are neither."""
    if label in _SIDES:
        return _SIDES[label]
    return True if label == "pos_praise" else False if label.startswith("neg_") else None


def _pointwise(line: VerdictLine, label: Any, hard: bool) -> dict[str, Any]:
    """Read a score beside a score or a side; a raw score is on no scale that a label is on."""
    if line.value is None:
        return {}
    raw = line.fields is not None and line.fields.raw_score is not None
    scored = _is_score(label) and not raw
    return {
        "agrees": line.value == float(label) if scored else None,
        "confidence": line.confidence if scored and not hard else None,
        "score": _score(line, hard),
    }


def _score(line: VerdictLine, hard: bool) -> float | None:
    """Return the score that a pointwise judge gave; None: it gave none."""
    if line.value is None:
        return None
    expected = line.fields.expected_score if line.fields else None
    return float(line.value) if hard or expected is None else expected


def _is_score(label: Any) -> bool:
    number = isinstance(label, int | float) and not isinstance(label, bool)
    return number and abs(label) <= sys.float_info.max


def _is_rating(label: Any) -> bool:
    if isinstance(label, str):
        return label in _BINARY
    return isinstance(label, bool) or _is_score(label)


_BINARY = {"correct": True, "incorrect": False} | _SIDES


def _good(label: Any) -> bool | None:
    return label if isinstance(label, bool) else _BINARY.get(label)


class _Kind(NamedTuple):
    name: str
    labels: str
    """For the message about a label that is none of them."""
    knows: Callable[[Any], bool]
    read: Callable[[VerdictLine, Any, bool], dict[str, Any]]
    positive: Callable[[Any], bool | None]
    own: Callable[[Any], bool]
    """Whether it is one of the values that the judge can give."""


def _words(
    name: str,
    labels: tuple[str, ...],
    read: Callable[[VerdictLine, Any, bool], dict[str, Any]],
    positive: Callable[[Any], bool | None],
    sides: tuple[str, ...] = (),
) -> _Kind:
    """Return a kind with labels that are words; `sides` are labels that are no values."""
    all_labels = (*labels, *sides)
    return _Kind(
        name, ", ".join(all_labels), all_labels.__contains__, read, positive, labels.__contains__
    )


def _kind(name: str) -> _Kind:
    found = _KINDS.get(name)
    if found is None:
        raise UsageError(f"agreement with labels is not measured for the {name} judge")
    return found


_KINDS: Mapping[str, _Kind] = {
    "feedback": _words("feedback", (*REWARDS, "topic_shift"), _feedback, _liked, (*_SIDES,)),
    "pairwise": _words("pairwise", ("A", "B", "A=B"), _pairwise, {"A": True, "B": False}.get),
    "pointwise": _Kind(
        "pointwise",
        "numbers, true and false, " + ", ".join(_BINARY),
        _is_rating,
        _pointwise,
        _good,
        _is_score,
    ),
    "verify": _words(
        "verify",
        ("correct", "incorrect"),
        _verify,
        {"correct": True, "incorrect": False}.get,
    ),
}
