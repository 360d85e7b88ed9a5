"""What is learned from verdicts and labels: a calibration, the weights of a jury's members."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from plaudit.errors import InputError
from plaudit.io.sources import RowReader
from plaudit.judges.load import kind_of
from plaudit.judges.panel import LearnedWeight
from plaudit.runs.labels import Labels, Verdicts, json_object, match_labels
from plaudit.scoring.calibration import Calibration
from plaudit.scoring.fitting import Promise, fit
from plaudit.scoring.jury import learn_weights
from plaudit.types import Value


def fit_calibration(
    verdicts: Verdicts,
    labels: Labels | None = None,
    *,
    target: float = 0.8,
    delta: float = 0.05,
    seed: int = 0,
) -> Calibration:
    """Fit a calibration of a judge from its verdicts and the labels of people.

    ::

        verdicts = judge.judge_batch(rows)
        calibration = fit_calibration(verdicts, {row["id"]: row["label"] for row in rows})
        calibration.save("cal.json")
        Judge("feedback", calibration="cal.json")

    Args:
        verdicts: of one judge: a file that `plaudit judge` wrote, or what a `Judge` returned.
        labels: a file of rows with `label` and `id` or `index`, or a mapping from id or index to
            label; None: the labels that the judged rows had.
        target: agreement with the labels that the gate is to promise.
        delta: probability with which the promise may be broken.
        seed: of the split, the folds and the resamples; the same seed gives the same calibration.

    Raises:
        InputError: verdicts and labels do not match, or are too few.
        UsageError: target, delta or seed are out of range.
        MissingDependencyError: the extra `stats` is not installed.
    """
    promise = Promise(target=target, delta=delta, seed=seed)
    found = match_labels(verdicts, labels)
    return fit(found.judge, found.raw, found.right, promise, found.left_out)


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
