"""Weights of a jury's members, learned from its verdicts on labelled rows."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from plaudit.errors import InputError
from plaudit.io.sources import RowReader
from plaudit.judges.load import kind_of
from plaudit.judges.panel import LearnedWeight
from plaudit.runs.labels import json_object
from plaudit.scoring.jury import learn_weights
from plaudit.types import Value


def learn_from(source: str) -> dict[str, LearnedWeight]:
    """Learn the weight of each member from the verdicts that a jury wrote.

    Args:
        source: verdicts of one jury; those whose row had a `label` count.

    Raises:
        InputError: these are not the verdicts of one jury, or a label is no value of its judge.
        UsageError: no row has a label, or the labels say nothing about weights.
    """
    judges: tuple[tuple[str, str], ...] | None = None
    votes: list[list[Value | None]] = []
    labels: list[Value] = []
    for where, row in _labelled(source):
        members = _members(row, where)
        own = tuple((line.name, line.judge) for line in members)
        judges = judges or own
        if own != judges:
            raise InputError(f"{where}: not of the same jury as the verdicts before it")
        labels.append(_label(row["metadata"]["label"], members[0].judge, where))
        votes.append([line.value if line.status == "ok" else None for line in members])
    judges = judges or ()
    kind = kind_of(judges[0][1]) if judges else None
    by_member = [[vote[number] for vote in votes] for number in range(len(judges))]
    options, scale = (len(kind.options), kind.scale) if kind else (0, "labels")
    learned = learn_weights(by_member, labels, scale, options)
    return {
        name: LearnedWeight(judge=judge, **msgspec.structs.asdict(one))
        for (name, judge), one in zip(judges, learned, strict=True)
    }


def _labelled(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the verdicts whose row has a label, with their place."""
    with RowReader(source, strict=True) as rows:
        for row in rows:
            data = dict(row.data or {})
            for name in _TEXTS & data.keys():
                data[name] = json_object(row.where, data[name])
            metadata = data.get("metadata")
            if isinstance(metadata, dict) and cast("Any", metadata).get("label") is not None:
                yield row.where, data


_TEXTS = frozenset({"fields", "metadata"})


class _Line(msgspec.Struct, frozen=True):
    """What a verdict says of one member."""

    name: str
    judge: str
    status: str
    value: Value | None


def _members(row: Mapping[str, Any], where: str) -> list[_Line]:
    fields = cast("dict[str, Any]", row.get("fields") or {})
    try:
        members = msgspec.convert(fields.get("members"), list[_Line])
    except msgspec.ValidationError:
        members = []
    known = all(kind_of(member.judge) for member in members)
    if not members or "step" in fields or not known:
        raise InputError(f"{where}: not a jury's verdict; give what plaudit judge --jury wrote")
    return members


def _label(label: Any, judge: str, where: str) -> Value:
    """Check a label against what the judge can say."""
    kind = kind_of(judge)
    assert kind is not None
    if kind.scale == "scores":
        if isinstance(label, bool) or not isinstance(label, int | float):
            raise InputError(f"{where}: the label {label!r} is no score")
        return label
    known = [option.label for option in kind.options]
    if str(label) not in known:
        raise InputError(
            f"{where}: the label {label!r} is no value of the {kind.kind} judge; it has "
            f"{', '.join(known)}"
        )
    return str(label)
