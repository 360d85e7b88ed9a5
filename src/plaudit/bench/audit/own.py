"""Items of an audit from labelled rows of the user."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from plaudit.bench.audit.items import AUDITED, ITEMS, AuditBase, AuditItem, draw
from plaudit.errors import InputError, UsageError
from plaudit.io.rows import Row
from plaudit.io.sources import RowReader
from plaudit.judges.feedback import REWARDS
from plaudit.judges.load import KINDS
from plaudit.judges.rows import message_text, plain
from plaudit.types import AnswerSample, FeedbackSample, Json, PairSample, ResponseSample, Sample

_MIDDLE = 5.5
"""Score between bad and good responses, on the scale from 1 to 10."""
_GOOD = {"right": True, "correct": True, "good": True, "true": True, "yes": True, "chosen": True}
_BAD = {"wrong": False, "incorrect": False, "bad": False, "false": False, "no": False}
_SPOKEN = {**_GOOD, **_BAD, "rejected": False}


def read_base(
    rows: RowReader, source: str, kind: str, most: int = ITEMS, seed: int = 0
) -> AuditBase:
    """Read items from labelled rows of the judge's own input.

    Args:
        rows: the open source.
        source: its name.
        kind: of the judge; empty: as the columns of the first row say.
        most: items at most; drawn with the seed.
        seed: of the draw.

    Raises:
        InputError: no row becomes an item; the message says why the first did not.
        UsageError: the kind is not clear from the columns, or cannot be audited.
    """
    left_out: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    items: list[AuditItem] = []
    first = ""
    for row in rows:
        kind = kind or _kind_of(row, source)
        try:
            item = _read(row, kind, len(items))
            seen[item.id] += 1
            number = f"#{seen[item.id]}" if seen[item.id] > 1 else ""
            items.append(replace(item, id=f"{item.id}{number}"))
        except InputError as error:
            first = first or f"{row.where}: {error}"
            left_out[_reason(error)] += 1
    if not items:
        raise InputError(f"{source}: no row can be an item of an audit of {kind} judges; {first}")
    items = _borrow(items) if kind == "verify" else items
    return AuditBase(
        kind=kind, source=source, items=draw(items, most, seed), left_out=dict(left_out)
    )


_MARKS = {
    "response_a": "pairwise",
    "conversation_A": "pairwise",
    "follow_up": "feedback",
    "query_t1": "feedback",
    "reference": "verify",
    "response": "pointwise",
    "conversation": "pointwise",
}
"""Columns by which the kind of a row is known, the clearest first."""


def _kind_of(row: Row, source: str) -> str:
    data = row.data or {}
    if "reference" in data and "answer" not in data:
        data = {name: value for name, value in data.items() if name != "reference"}
    kind = next((kind for column, kind in _MARKS.items() if column in data), None)
    if kind is None:
        raise UsageError(
            f"{source}: the columns {', '.join(map(repr, data)) or 'of the first row'} do not say "
            f"what they are for; name the kind with --kind: {', '.join(AUDITED)}"
        )
    return kind


class _LabelError(InputError):
    """A row has no label, or one that cannot be used."""


def _reason(error: InputError) -> str:
    return str(error) if isinstance(error, _LabelError) else "malformed"


def _read(row: Row, kind: str, index: int) -> AuditItem:
    """Make an item of a row.

    Raises:
        InputError: it is malformed, or has no label that says what is right.
    """
    if row.data is None:
        raise InputError(row.error or "is no row")
    samples = KINDS[kind].read_row(row.data, index)
    if not samples:
        raise InputError("holds no sample")
    return _READERS[kind](samples[0], samples[0].metadata.get("label"))


def _read_pair(sample: Sample, label: Json) -> AuditItem:
    assert isinstance(sample, PairSample)
    a, b = sample.conversation_a, sample.conversation_b
    if label == "A=B":
        raise _LabelError("a tie has no right side")
    if label not in ("A", "B"):
        raise _LabelError(_missing(label, "A or B"))
    if a[:-1] != b[:-1]:
        raise _LabelError("A and B answer different prompts")
    better, worse = (a, b) if label == "A" else (b, a)
    return AuditItem(
        id=sample.id,
        prompt=plain(a[:-1]),
        right=message_text(better[-1]),
        wrong=message_text(worse[-1]),
        references=() if sample.reference is None else (sample.reference,),
    )


def _read_response(sample: Sample, label: Json) -> AuditItem:
    assert isinstance(sample, ResponseSample)
    good = _is_good(label)
    return AuditItem(
        id=sample.id,
        prompt=plain(sample.prompt),
        right=sample.response if good else None,
        wrong=None if good else sample.response,
    )


def _read_answer(sample: Sample, label: Json) -> AuditItem:
    assert isinstance(sample, AnswerSample)
    further: dict[str, Json] = {}
    if sample.answer_type:
        further["answer_type"] = sample.answer_type
    if sample.choices:
        further["choices"] = list(sample.choices)
    good = None if label is None else _is_good(label)
    return AuditItem(
        id=sample.id,
        prompt=sample.question,
        right=sample.answer if good else sample.references[0],
        wrong=sample.answer if good is False else None,
        references=sample.references,
        further=further,
    )


def _read_reaction(sample: Sample, label: Json) -> AuditItem:
    assert isinstance(sample, FeedbackSample)
    reward = {"positive": 1.0, "negative": -1.0, **REWARDS}.get(str(label))
    if not reward:
        raise _LabelError(_missing(label, "a label of the feedback judge that praises or blames"))
    pleased = reward > 0
    return AuditItem(
        id=sample.id,
        prompt=sample.query,
        praise=sample.follow_up if pleased else "",
        complaint="" if pleased else sample.follow_up,
        right=sample.answer if pleased else None,
        wrong=None if pleased else sample.answer,
    )


_READERS: Mapping[str, Callable[[Sample, Json], AuditItem]] = {
    "pairwise": _read_pair,
    "pointwise": _read_response,
    "verify": _read_answer,
    "feedback": _read_reaction,
}


def _missing(label: Json, wanted: str) -> str:
    shown = "no label" if label is None else f"the label {str(label)[:40]!r}"
    return f"{shown}, where {wanted} is wanted"


def _is_good(label: Json) -> bool:
    """Return whether a label calls a response good.

    Raises:
        InputError: it is no label of that sort.
    """
    if isinstance(label, bool):
        return label
    if isinstance(label, int | float):
        return label > _MIDDLE
    good = _SPOKEN.get(str(label).strip().casefold())
    if good is None:
        raise _LabelError(_missing(label, "a score from 1 to 10, or right or wrong,"))
    return good


def _borrow(items: Sequence[AuditItem]) -> list[AuditItem]:
    """Give items without a wrong answer the reference of another one."""
    return [
        item if item.wrong is not None else replace(item, wrong=other)
        for item, other in zip(items, _others(items), strict=True)
    ]


def _others(items: Sequence[AuditItem]) -> Iterator[str | None]:
    """Yield, for each item, the next reference that is none of its own."""
    for place, item in enumerate(items):
        own = {text.casefold() for text in item.references}
        after = (*items[place + 1 :], *items[:place])
        yield next((o.references[0] for o in after if o.references[0].casefold() not in own), None)
