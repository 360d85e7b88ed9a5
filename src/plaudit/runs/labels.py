"""Verdicts and what people said, put together: from files, or from a program."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.errors import ArgumentError, Cause, InputError
from plaudit.io.sources import RowReader
from plaudit.types import Failure, Json, Value, Verdict

Verdicts = str | Path | Iterable[Verdict]
"""The output of `plaudit judge`, or verdicts of a `Judge`."""

Labels = str | Path | Mapping[str | int, Value | None]
"""A file of labels, or labels by id (text) or index (number) of the verdict.

None: a person looked and gave no label, which counts as wrong; only what was never looked at is
left out. So a judge earns nothing from samples that people find hard.
"""

Answer = Literal["label", "unsure", "skipped"]
"""What a person did with a sample of a queue of labels."""
Drawn = Literal["random", "active"]
"""How a sample came into a queue: by chance, or since it promised to show something."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration needs of a verdict."""

    where: str
    """For a person."""
    index: int
    id: str
    judge: str
    value: str | None
    """None where no verdict was reached."""
    raw: float | None
    """Raw confidence in 0..1."""
    gated: bool
    """Whether the gate alone decides if it is kept: it is `ok`, or abstained under the gate."""
    label: str | None
    """The label that came with the sample."""


class Labelled(msgspec.Struct, frozen=True):
    """Verdicts with labels, all of one judge."""

    judge: str
    """`kind/fingerprint`."""
    raw: list[float]
    """Raw confidences."""
    right: list[bool]
    """Whether the value is the label."""
    left_out: dict[str, int]
    """Verdicts that are not among them, by the reason."""


def match_labels(verdicts: Verdicts, labels: Labels | None = None) -> Labelled:
    """Put verdicts and labels together.

    Args:
        verdicts: a file or verdicts, of one judge.
        labels: a file of rows with `label` and `id` or `index`, or a mapping; None: the labels
            that came with the samples, in `metadata.label`. Rows of `plaudit view` also say how
            they were drawn and answered: active ones are left out, and a random one that was
            skipped or unsure is wrong.

    Raises:
        ArgumentError: no labels are given, and the samples had none.
        InputError: verdicts or labels cannot be read, do not match, or are of no use for a
            calibration; the message says which, and how many.
    """
    judged = list(_read_verdicts(verdicts))
    active = 0
    found: dict[int, str | None]
    if labels is not None:
        read = _read_labels(labels)
        given = [one for one in read if one.drawn == "random"]
        active = len(read) - len(given)
        found = _assign(judged, given)
    else:
        found = {one.index: one.label for one in judged if one.label is not None}
        if not found:
            raise ArgumentError(
                "labels", f"must be given: none of the {len(judged)} verdicts has a metadata.label"
            )
    judge = _one_judge(judged)
    usable, left_out = _usable(judged, found)
    if active:
        left_out["labelled by an active draw, which no promise may rest on"] = active
    _check_values(usable, found)
    return Labelled(
        judge,
        [one.raw for one in usable if one.raw is not None],
        [one.value == found[one.index] for one in usable],
        left_out,
    )


def as_text(value: Json) -> str:
    """Return a value or label as text; a whole number is the same whether `7`, `7.0` or `"7"`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


# Reading.


class _VerdictRow(msgspec.Struct, frozen=True):
    """A verdict as a file holds it; tables hold `fields` and `metadata` as JSON text."""

    index: int
    id: str
    status: str
    judge: str
    fields: dict[str, Json] | str | None
    value: Value | None = None
    error: Failure | None = None
    metadata: dict[str, Json] | str | None = None


def _read_verdicts(verdicts: Verdicts) -> Iterator[Judged]:
    if isinstance(verdicts, str | Path):
        with RowReader(verdicts, strict=True) as rows:
            for row in rows:
                yield _judged(row.where, _verdict_row(row.where, row.data))
    else:
        for number, verdict in enumerate(verdicts):
            row = msgspec.convert(verdict, _VerdictRow, from_attributes=True)
            yield _judged(f"verdict {number}", row)


def _verdict_row(where: str, data: Mapping[str, Json] | None) -> _VerdictRow:
    try:
        return msgspec.convert(data, _VerdictRow)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: not a verdict as plaudit judge writes it: {error}") from None


def _judged(where: str, row: _VerdictRow) -> Judged:
    cause = None if row.error is None else row.error.cause
    decided = row.status in ("ok", "abstained") and row.value is not None
    label = json_object(where, row.metadata).get("label")
    return Judged(
        where=where,
        index=row.index,
        id=row.id,
        judge=row.judge,
        value=as_text(row.value) if decided else None,
        raw=_confidence(where, json_object(where, row.fields).get("raw_confidence")),
        gated=row.status == "ok" or cause == Cause.BELOW_GATE,
        label=None if label is None else as_text(label),
    )


def json_object(where: str, data: dict[str, Json] | str | None) -> dict[str, Json]:
    """Return `fields` or `metadata` of a verdict in a file; in tables they are JSON text.

    Raises:
        InputError: the text is no JSON object; the message names its place.
    """
    if not isinstance(data, str):
        return data or {}
    try:
        return decode_json(data, dict[str, Json])
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: 'fields' or 'metadata' is no JSON object: {error}") from None


def _confidence(where: str, raw: Json) -> float | None:
    if raw is None or (isinstance(raw, int | float) and 0 <= raw <= 1):
        return raw
    raise InputError(f"{where}: raw_confidence must be a number in 0..1, not {raw!r}")


class _LabelRow(msgspec.Struct, frozen=True):
    label: Value | bool | None = None
    id: str | int | None = None
    index: int | None = None
    drawn: Drawn = "random"
    answer: Answer = "label"


class _Given(msgspec.Struct, frozen=True):
    """A label and what it is of."""

    where: str
    label: str | None
    """None: a person looked, and gave none."""
    id: str | None
    index: int | None
    drawn: Drawn = "random"


def _read_labels(labels: Labels) -> list[_Given]:
    if isinstance(labels, Mapping):
        return [
            _Given(f"label of {key!r}", _text(label), key, None)
            if isinstance(key, str)
            else _Given(f"label of {key}", _text(label), None, key)
            for key, label in labels.items()
        ]
    with RowReader(labels, strict=True) as rows:
        return [_given(row.where, row.data) for row in rows]


def _given(where: str, data: Any) -> _Given:
    try:
        row = msgspec.convert(data, _LabelRow)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{where}: not a label: {error}; a row has `label`, and `id` or `index`"
        ) from None
    if row.id is None and row.index is None:
        raise InputError(f"{where}: the label is of no sample; give `id` or `index` with it")
    if (row.label is None) == (row.answer == "label"):
        raise InputError(f"{where}: a row has a `label`, or an `answer` of unsure or skipped")
    id = None if row.id is None else str(row.id)
    return _Given(where, _text(row.label), id, row.index, row.drawn)


def _text(label: Value | bool | None) -> str | None:
    return None if label is None else as_text(label)


# Matching.


def _assign(judged: list[Judged], given: list[_Given]) -> dict[int, str | None]:
    """Return the label of each verdict by its index.

    Raises:
        InputError: a label is of no verdict, of several, or not the only one.
    """
    by_index = {one.index: one for one in judged}
    by_id = {one.id: one for one in judged}
    repeated = {name for name, count in Counter(one.id for one in judged).items() if count > 1}
    found: dict[int, str | None] = {}
    strange: list[_Given] = []
    for label in given:
        if label.index is None and label.id in repeated:
            raise InputError(
                f"{label.where}: several verdicts have the id {label.id!r}; label by `index`"
            )
        one = by_id.get(label.id or "") if label.index is None else by_index.get(label.index)
        if one is None or (label.id is not None and label.id != one.id):
            strange.append(label)
        elif one.index in found:
            raise InputError(f"{label.where}: a second label for the sample {one.id!r}")
        else:
            found[one.index] = label.label
    if strange:
        first = strange[0]
        name = f"id {first.id!r}" if first.index is None else f"index {first.index}"
        if first.index is not None and first.id is not None:
            name += f" and id {first.id!r}"
        raise InputError(
            f"{len(strange)} of {len(given)} labels are of no sample that was judged, the first: "
            f"{first.where}, {name}; the verdicts are of another input, or of a part of it"
        )
    return found


def _one_judge(judged: list[Judged]) -> str:
    judges = Counter(one.judge for one in judged)
    if len(judges) > 1:
        counts = ", ".join(f"{count} of {name}" for name, count in judges.most_common())
        raise InputError(
            f"the verdicts are of {len(judges)} judges ({counts}), and a calibration is of one; "
            "calibrate each on its own"
        )
    if not judges:
        raise InputError("there are no verdicts to calibrate a judge on")
    return next(iter(judges))


def _usable(
    judged: list[Judged], labels: Mapping[int, str | None]
) -> tuple[list[Judged], dict[str, int]]:
    """Return the verdicts that a calibration is made of, and how many others there are."""
    left_out: Counter[str] = Counter()
    usable: list[Judged] = []
    for one in judged:
        if one.index not in labels:
            left_out["without a label"] += 1
        elif one.value is None:
            left_out["failed or invalid"] += 1
        elif not one.gated:
            left_out["abstained whatever the gate"] += 1
        elif one.raw is None:
            left_out["without a confidence"] += 1
        else:
            usable.append(one)
    if not usable:
        counts = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        hint = (
            "; this judge has no confidence in this readout, so there is nothing to calibrate"
            if left_out["without a confidence"]
            else ""
        )
        raise InputError(f"no verdict can be used: {counts}{hint}")
    return usable, dict(left_out)


def _check_values(usable: list[Judged], labels: Mapping[int, str | None]) -> None:
    """Refuse labels of other words than the judge's, which would only look like a bad judge."""
    values = {one.value for one in usable}
    said = {label for one in usable if (label := labels[one.index]) is not None}
    if not said:
        raise InputError("no sample has a label: all were skipped, or people were unsure")
    if values.isdisjoint(said):
        raise InputError(
            f"no label is ever a value of the judge: labels are {_list(said)}, values are "
            f"{_list(values)}; write the labels as the judge writes its values"
        )


def _list(texts: Iterable[str | None]) -> str:
    shown = sorted(map(repr, texts))
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
