"""Score judgements that were recorded elsewhere, without asking anything.

    results = replay("judgebench", "data/gpt.jsonl", "outputs/judge.jsonl")

Rows that the recorded file does not have are left out and counted, as the authors' scripts score
the rows of that file. A judgement in it that cannot be read is counted as the authors count it,
and is an `invalid` outcome here: it is never a number.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from plaudit.bench.catalog import DATASETS
from plaudit.bench.datasets import load_dataset
from plaudit.bench.formats import Row
from plaudit.bench.outcomes import RowOutcome, outcome_of
from plaudit.bench.recorded import (
    RECORDINGS,
    Key,
    Recorded,
    Recording,
    read_recorded,
    recorded_entries,
)
from plaudit.bench.results import (
    ArmResults,
    BenchResults,
    JudgeCard,
    OutcomeCounts,
    SetCard,
    SubsetResults,
)
from plaudit.bench.scores import official_score
from plaudit.errors import Cause, InputError
from plaudit.types import Verdict

_encode = msgspec.json.Encoder(order="deterministic").encode


def replay(name: str, path: str | Path, outputs: str | Path, **options: bool | str) -> BenchResults:
    """Score recorded judgements of a set.

    Args:
        name: the set, one of `plaudit.bench.datasets.DATASETS`.
        path: the set, as `load_dataset` takes it.
        outputs: the recorded judgements: a file, or a folder of files, in the form of the set's own
            tools (see `plaudit.bench.recorded`), or verdicts of plaudit for any set.
        options: of the set, as `load_dataset` takes them.

    Raises:
        UsageError: there is no such set, or it has no such option.
        InputError: a file cannot be read, is of another form, or has no row of the set.
    """
    rows = load_dataset(name, path, labelled=True, **options)
    outputs = Path(outputs)
    matcher = _matcher(name, rows.kind, outputs)
    found: list[RowOutcome] = []
    digest = hashlib.blake2b(digest_size=8)
    missing = 0
    for row in rows:
        outcome = matcher.outcome(row)
        if outcome is None:
            missing += 1
        else:
            digest.update(_encode(row))
            found.append(outcome)
    if not found:
        raise InputError(f"{outputs} has no judgement of a row of {path}")
    left_out = dict(rows.left_out) | ({"not in the recorded file": missing} if missing else {})
    card = SetCard(
        name=name,
        title=DATASETS[name].title,
        licence=DATASETS[name].licence,
        source=str(path),
        digest=digest.hexdigest(),
        score=DATASETS[name].score,
        rows=len(found),
        left_out=left_out,
    )
    arm = _arm(name, rows.kind, outputs, found, matcher.notes())
    return BenchResults(plaudit=version("plaudit"), set=card, arms=[arm])


def _arm(
    name: str, kind: str, outputs: Path, outcomes: list[RowOutcome], notes: list[str]
) -> ArmResults:
    score = official_score(name, outcomes)
    overall = SubsetResults(name="", counts=_counts(outcomes), figures=score.figures)
    names = dict.fromkeys(outcome.subset for outcome in outcomes)
    subsets = [
        SubsetResults(
            name=subset, counts=_counts([o for o in outcomes if o.subset == subset]), figures={}
        )
        for subset in names
    ]
    return ArmResults(
        judge=JudgeCard(name=outputs.stem, kind=kind),
        overall=overall,
        subsets=subsets,
        score=score.score,
        notes=[*score.notes, *notes],
    )


def _counts(outcomes: list[RowOutcome]) -> OutcomeCounts:
    ok = [o for o in outcomes if o.status == "ok"]
    status = Counter(o.status for o in outcomes)
    return OutcomeCounts(
        samples=len(outcomes),
        right=sum(o.agrees is True for o in ok),
        wrong=sum(o.agrees is False and o.credit != 0.5 for o in ok),
        ties=sum(o.agrees is False and o.credit == 0.5 for o in ok),
        abstained=status["abstained"],
        invalid=status["invalid"],
        failed=status["failed"],
        causes=dict(Counter(o.cause for o in outcomes if o.cause)),
    )


# From what was recorded to outcomes


class _RecordedPairs:
    """Outcomes of a file of the set's own tools."""

    def __init__(self, form: Recording, entries: Iterator[tuple[str, Mapping[str, Any]]]) -> None:
        self._key_of = form.key_of
        self._found, self._again = read_recorded(form, entries)
        self._used: set[Key] = set()

    def outcome(self, row: Row) -> RowOutcome | None:
        """Return the outcome of a row; None: it was not recorded."""
        key = self._key_of(row)
        recorded = self._found.get(key)
        self._used.add(key)
        return None if recorded is None else pair_outcome(row, recorded)

    def notes(self) -> list[str]:
        """Return what the recorded file has beside the rows of the set, in sentences."""
        others = len(self._found.keys() - self._used)
        notes = [f"{self._again} pairs were recorded more than once; the last counts"]
        other = f"{others} recorded pairs are not in the set"
        return notes * bool(self._again) + [other] * bool(others)


class _RecordedVerdicts:
    """Outcomes of a file of plaudit's verdicts."""

    def __init__(self, kind: str, entries: Iterator[tuple[str, Mapping[str, Any]]]) -> None:
        self._kind = kind
        self._found: dict[str, Verdict] = {}
        for where, data in entries:
            try:
                verdict = msgspec.convert(data, Verdict)
            except msgspec.ValidationError as error:
                raise InputError(f"{where}: no verdict of plaudit: {error}") from None
            self._found[verdict.id] = verdict
        self._seen: set[str] = set()

    def outcome(self, row: Row) -> RowOutcome | None:
        """Return the outcome of a row; None: it was not judged."""
        verdict = self._found.get(str(row["id"]))
        if verdict is None:
            return None
        self._seen.add(verdict.id)
        known = {name: value for name, value in row.items() if name not in _JUDGED}
        verdict = msgspec.structs.replace(verdict, metadata=known | verdict.metadata)
        outcome = outcome_of(self._kind, verdict)
        return msgspec.structs.replace(
            outcome,
            subset=str(row.get("subset") or ""),
            cluster=str(row.get("cluster") or ""),
            tags=row.get("tags") or {},
            cause=verdict.error.cause if verdict.error else "",
        )

    def notes(self) -> list[str]:
        """Return what the file has beside the rows of the set, in sentences."""
        others = len(self._found.keys() - self._seen)
        return [f"{others} verdicts are not of rows of the set"] * bool(others)


_JUDGED = frozenset({"id", "prompt", "response_a", "response_b", "question", "answer", "reference"})


def _matcher(name: str, kind: str, outputs: Path) -> _RecordedPairs | _RecordedVerdicts:
    if not outputs.exists():
        raise InputError(f"{outputs}: no such file")
    first = next(recorded_entries(outputs), None)
    if first is not None and {"index", "id", "status"} <= first[1].keys():
        return _RecordedVerdicts(kind, recorded_entries(outputs))
    if name not in RECORDINGS:
        raise InputError(
            f"{outputs} holds no verdicts of plaudit, the only recorded form that is known for "
            f"{name}"
        )
    return _RecordedPairs(RECORDINGS[name], recorded_entries(outputs))


def pair_outcome(row: Row, recorded: Recorded) -> RowOutcome:
    """Set a recorded judgement of a pair beside the label of its row."""
    lean = recorded.lean if recorded.orders is None else _combined(recorded.orders)
    label = row["label"]
    outcome = RowOutcome(
        id=str(row["id"]),
        group=str(row.get("system") or row.get("subset") or ""),
        cluster=str(row.get("cluster") or ""),
        subset=str(row.get("subset") or ""),
        tags=row.get("tags") or {},
        positive={"A": True, "B": False}.get(label),
        orders=recorded.orders,
        scores=recorded.scores,
    )
    replace = msgspec.structs.replace
    if lean is None:
        return replace(outcome, status="invalid", cause=str(Cause.UNPARSEABLE))
    value = "A" if lean > 0.5 else "B" if lean < 0.5 else "A=B"
    credit = None if label == "A=B" else lean if label == "A" else 1 - lean
    conflict = recorded.orders is not None and set(recorded.orders) == {0.0, 1.0}
    return replace(
        outcome,
        status="abstained" if conflict else "ok",
        cause=str(Cause.ORDER_CONFLICT) if conflict else "",
        agrees=value == label,
        credit=None if credit is None else (1 + (credit > 0.5) - (credit < 0.5)) / 2,
        score=lean,
        consistent=None if recorded.orders is None else len(set(recorded.orders)) == 1,
    )


def _combined(orders: tuple[float | None, float | None]) -> float | None:
    first, second = orders
    return None if first is None or second is None else (first + second) / 2
