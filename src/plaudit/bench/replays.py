"""Score judgements that were recorded elsewhere, without asking anything.

    results = replay("judgebench", "data/gpt.jsonl", "outputs/judge.jsonl")

Rows that the recorded file does not have are left out and counted, as the authors' scripts score
the rows of that file. A judgement in it that cannot be read is counted as the authors count it,
and is an `invalid` outcome here: it is never a number.
"""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import msgspec

from plaudit.bench.arm_results import OUTCOMES, arm_results
from plaudit.bench.catalog import DATASETS
from plaudit.bench.datasets import LabelledRows, UniqueIds, load_dataset
from plaudit.bench.formats import Row
from plaudit.bench.outcome_lines import write_outcomes
from plaudit.bench.outcomes import RowOutcome, cluster_of, outcome_of
from plaudit.bench.recorded import (
    RECORDINGS,
    Key,
    Recorded,
    RecordedEntry,
    Recording,
    judge_name,
    read_recorded,
    recorded_entries,
    recorded_files,
    refuse_two_judges,
)
from plaudit.bench.results import BenchResults, JudgeCard, SetCard
from plaudit.errors import Cause, InputError
from plaudit.io.partial import PartialFolder
from plaudit.types import Verdict

_encode = msgspec.json.Encoder(order="deterministic").encode


def replay(
    name: str,
    path: str | Path | None,
    outputs: str | Path,
    *,
    revision: str | None = None,
    folder: PartialFolder | None = None,
    **options: bool | str,
) -> BenchResults:
    """Score recorded judgements of a set.

    Args:
        name: the set, one of `plaudit.bench.datasets.DATASETS`.
        path: the set, as `load_dataset` takes it.
        outputs: the recorded judgements of one judge: a file, a folder of files, or a pattern such
            as `LLMBar/**/GPT-4/CoT/result.json`. In the form of the set's own tools (see
            `plaudit.bench.recorded`), or verdicts or outcomes of plaudit, for any set.
        revision: of the set on the hub, where `path` is None.
        folder: gets a file of the outcomes.
        options: of the set, as `load_dataset` takes them.

    Raises:
        UsageError: there is no such set, or it has no such option.
        InputError: a file cannot be read, is of another form, or has no row of the set.
        MissingDependencyError: numpy or scipy is not installed.
    """
    rows = load_dataset(name, path, labelled=True, revision=revision, **options)
    files = recorded_files(outputs)
    recorded = _open(name, rows.kind, files)
    found = _Found(rows, recorded)
    if not found.outcomes:
        raise InputError(f"{outputs} has no judgement of a row of {rows.source}")
    form = DATASETS[name]
    card = SetCard(
        name=name,
        title=form.title,
        licence=form.licence,
        source=rows.source,
        digest=found.digest,
        score=form.score,
        rows=len(found.outcomes),
        left_out=found.left_out,
    )
    judge = JudgeCard(name=judge_name(next(recorded_entries(files))), kind=rows.kind)
    arm = arm_results(
        name,
        judge,
        found.outcomes,
        subsets=found.subsets,
        notes=found.notes,
        outcomes=None if folder is None else _write(found.outcomes, folder),
    )
    return BenchResults(plaudit=version("plaudit"), set=card, arms=[arm])


def _write(outcomes: Iterable[RowOutcome], folder: PartialFolder) -> str:
    """Write outcomes into a folder; return the name of their file."""
    name = f"{OUTCOMES}1.jsonl"
    with folder.open(name) as file:
        for _ in write_outcomes(outcomes, file):
            pass
    return name


class _Found:
    """The rows of a set that were judged, and what happened to the others."""

    def __init__(self, rows: LabelledRows, recorded: "_Judgements") -> None:
        digest = hashlib.blake2b(digest_size=8)
        subsets: dict[str, None] = {}
        self.outcomes: list[RowOutcome] = []
        missing = 0
        for row in rows:
            subsets[str(row.get("subset") or "")] = None
            outcome = recorded.outcome(row)
            if outcome is None:
                missing += 1
            else:
                digest.update(_encode(row))
                self.outcomes.append(outcome)
        self.digest = digest.hexdigest()
        self.subsets = [subset for subset in subsets if subset]
        unjudged = {"not in the recorded file": missing} if missing else {}
        self.left_out = dict(rows.left_out) | unjudged
        self.notes = [*recorded.notes(), *(f"{file} holds no row to judge" for file in rows.empty)]


# From what was recorded to outcomes


class _Judgements(Protocol):
    """Recorded judgements, by the rows of a set."""

    def outcome(self, row: Row) -> RowOutcome | None:
        """Return the outcome of a row; None: it was not judged."""
        ...

    def notes(self) -> list[str]:
        """Return what the files have beside the rows of the set, in sentences."""
        ...


class _RecordedPairs:
    """Outcomes of a file of the set's own tools."""

    def __init__(self, form: Recording, entries: Iterable[RecordedEntry]) -> None:
        self._key_of = form.key_of
        self._found, self._again = read_recorded(form, entries)
        self._used: set[Key] = set()
        self._shared = 0

    def outcome(self, row: Row) -> RowOutcome | None:
        key = self._key_of(row)
        recorded = self._found.get(key)
        self._shared += key in self._used
        self._used.add(key)
        return None if recorded is None else pair_outcome(row, recorded)

    def notes(self) -> list[str]:
        others = len(self._found.keys() - self._used)
        again = f"{self._again} judgements were recorded again; the last one of a row counts"
        other = f"{others} recorded judgements are of no row of the set"
        shared = f"{self._shared} rows have the id of another row, and so its judgement"
        said = ((self._again, again), (others, other), (self._shared, shared))
        return [sentence for count, sentence in said if count]


class _RecordedVerdicts:
    """Outcomes of plaudit: of verdicts, or as a bench wrote them."""

    def __init__(self, kind: str, entries: Iterable[RecordedEntry]) -> None:
        self._kind = kind
        self._found: dict[str, Verdict | RowOutcome] = {}
        self._seen: set[str] = set()
        self._row_ids = UniqueIds()
        ids = UniqueIds()
        files: dict[str, Path] = {}
        for entry in entries:
            one = _verdict_or_outcome(entry)
            first = files.setdefault(one.id, entry.file)
            try:
                refuse_two_judges(first, entry)
            except InputError as error:
                raise InputError(f"{entry.where}: {error}") from None
            self._found[ids.name({"id": one.id})] = one

    def outcome(self, row: Row) -> RowOutcome | None:
        name = self._row_ids.name(row)
        one = self._found.get(name)
        if one is None:
            return None
        self._seen.add(name)
        if isinstance(one, RowOutcome):
            return one
        known = {name: row[name] for name in _ABOUT if name in row}
        verdict = msgspec.structs.replace(one, metadata=known | one.metadata)
        return outcome_of(self._kind, verdict)

    def notes(self) -> list[str]:
        others = len(self._found.keys() - self._seen)
        return [f"{others} verdicts are of no row of the set"] * bool(others)


_ABOUT = ("label", "subset", "system", "cluster", "tags")
"""Columns of a row of a set that a verdict may lack."""


def _verdict_or_outcome(entry: RecordedEntry) -> Verdict | RowOutcome:
    form = RowOutcome if "index" not in entry.data else Verdict
    try:
        return msgspec.convert(entry.data, form)
    except msgspec.ValidationError as error:
        raise InputError(f"{entry.where}: no verdict of plaudit: {error}") from None


def _open(name: str, kind: str, files: list[Path]) -> _Judgements:
    first = next(recorded_entries(files)).data
    if {"id", "status"} <= first.keys():
        return _RecordedVerdicts(kind, recorded_entries(files))
    if name not in RECORDINGS:
        raise InputError(
            f"{files[0]} holds no verdicts of plaudit, which is the only form that is known for "
            f"recorded judgements of {name}"
        )
    return _RecordedPairs(RECORDINGS[name], recorded_entries(files))


def pair_outcome(row: Row, recorded: Recorded) -> RowOutcome:
    """Set a recorded judgement of a pair beside the label of its row.

    Orders that contradict each other are an abstention, and a pair that lacks one is invalid: it
    has no value. Both keep their orders, for scores that count each order.
    """
    lean = recorded.lean if recorded.orders is None else _combined(recorded.orders)
    label = row["label"]
    outcome = RowOutcome(
        id=str(row["id"]),
        group=str(row.get("system") or row.get("subset") or ""),
        cluster=str(row.get("cluster") or "") or cluster_of(_prompt(row)),
        subset=str(row.get("subset") or ""),
        tags=row.get("tags") or {},
        label=label,
        positive={"A": True, "B": False}.get(label),
        orders=recorded.orders,
        scores=recorded.scores,
    )
    if lean is None:
        return msgspec.structs.replace(outcome, status="invalid", cause=str(Cause.UNPARSEABLE))
    conflict = recorded.orders is not None and set(recorded.orders) == {0.0, 1.0}
    return msgspec.structs.replace(
        outcome,
        status="abstained" if conflict else "ok",
        cause=str(Cause.ORDER_CONFLICT) if conflict else "",
        **_said(lean, label),
        consistent=None if recorded.orders is None else len(set(recorded.orders)) == 1,
    )


def _prompt(row: Row) -> Any:
    return row.get("prompt") or (row.get("conversation_A") or [None])[0]


def _said(lean: float, label: str) -> dict[str, Any]:
    """Return what a judgement that leans to a side is worth beside a label."""
    side = (lean > 0.5) - (lean < 0.5)
    value = ("B", "A=B", "A")[side + 1]
    right = {"A": side, "B": -side}.get(label)
    credit = None if right is None else (1 + right) / 2
    return {"value": value, "agrees": value == label, "credit": credit, "score": lean}


def _combined(orders: tuple[float | None, float | None]) -> float | None:
    first, second = orders
    return None if first is None or second is None else (first + second) / 2
