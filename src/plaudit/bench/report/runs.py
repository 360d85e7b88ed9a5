"""Results of runs in the store: judge runs whose rows have labels are benches of set `own`."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from plaudit.bench.arm_results import arm_results
from plaudit.bench.card import card_of
from plaudit.bench.catalog import DATASETS
from plaudit.bench.figures import paired_differences
from plaudit.bench.labels import LABELS, read_label
from plaudit.bench.outcomes import RowOutcome, outcome_of
from plaudit.bench.results import ArmResults, BenchResults, JudgeCard, SetCard, Spending
from plaudit.errors import InputError, PlauditError, UsageError
from plaudit.judges.load import task_type
from plaudit.runs.history import SampleReader, bind_again
from plaudit.runs.record import JudgeRecord
from plaudit.runs.runner import StoredVerdict
from plaudit.runs.summary import JudgeSummary
from plaudit.store.base import RunInfo
from plaudit.store.store import Store
from plaudit.types import Verdict

_OWN = "own"


class _LabelledRun(NamedTuple):
    """A run with all that is measured of it."""

    info: RunInfo
    record: JudgeRecord
    outcomes: list[RowOutcome]
    left_out: dict[str, int]
    arm: ArmResults
    digest: str
    """Of the ids and labels of the rows."""


async def results_of_runs(
    store: Store, runs: Sequence[str], *, plaudit: str, seed: int = 0
) -> list[BenchResults]:
    """Return the figures of finished runs; those over the same rows are paired.

    Args:
        store: where the runs are.
        runs: their names or numbers.
        plaudit: the version that measures.
        seed: of intervals by resampling.

    Raises:
        UsageError: there is no such run, it is not finished, or it judged nothing with labels.
        InputError: its input is gone or has changed, or no row has a label.
    """
    found = [await _labelled_run(store, run, seed) for run in dict.fromkeys(runs)]
    groups: dict[str, list[_LabelledRun]] = {}
    for run in found:
        groups.setdefault(run.digest, []).append(run)
    return [_results(group, plaudit, seed) for group in groups.values()]


def _results(group: Sequence[_LabelledRun], plaudit: str, seed: int) -> BenchResults:
    first, form = group[0], DATASETS[_OWN]
    times = Counter(run.arm.judge.name for run in group)
    named = {
        name if times[name] == 1 else f"{name}, {run.info.name}": run
        for run in group
        for name in (run.arm.judge.name,)
    }
    arms = [
        msgspec.structs.replace(run.arm, judge=msgspec.structs.replace(run.arm.judge, name=name))
        for name, run in named.items()
    ]
    outcomes = {name: run.outcomes for name, run in named.items()}
    return BenchResults(
        plaudit=plaudit,
        set=SetCard(
            name=_OWN,
            title=form.title,
            licence=form.licence,
            source=first.record.options.source,
            digest=first.digest,
            score=form.score,
            rows=len(first.outcomes),
            seed=seed,
            left_out=first.left_out,
        ),
        arms=arms,
        differences=paired_differences(outcomes, seed=seed) if arms[1:] else [],
    )


async def _labelled_run(store: Store, run: str, seed: int) -> _LabelledRun:
    info = _finished(store, run)
    record = msgspec.json.decode(info.config, type=JudgeRecord)
    outcomes, left_out = _outcomes(store, info, record)
    pairs = [(one.id, one.label) for one in outcomes]
    return _LabelledRun(
        info=info,
        record=record,
        outcomes=outcomes,
        left_out=left_out,
        arm=await _arm(info, record, outcomes, seed),
        digest=hashlib.blake2b(msgspec.json.encode(pairs), digest_size=8).hexdigest(),
    )


def _finished(store: Store, run: str) -> RunInfo:
    """Return a finished run of a judge."""
    info = store.find_run(run)
    if "judge" not in msgspec.json.decode(info.config):
        raise UsageError(f"{info.name} is no run of a judge: `plaudit report` is of judges")
    if info.state != "finished" or info.summary is None:
        raise UsageError(
            f"{info.name} is not finished ({info.state}): give its command again, which goes on "
            "where it stopped"
        )
    return info


def _outcomes(
    store: Store, info: RunInfo, record: JudgeRecord
) -> tuple[list[RowOutcome], dict[str, int]]:
    """Return what is measured, and how many verdicts are left out, by reason."""
    outcomes: list[RowOutcome] = []
    left_out: Counter[str] = Counter()
    wrong = ""
    for verdict in _verdicts(store, info, record):
        try:
            labelled = _with_label(verdict, record.judge.kind)
            found = outcome_of(record.judge.kind, labelled)
        except InputError as error:
            left_out["label unknown"] += 1
            wrong = wrong or str(error)
            continue
        if labelled.metadata.get("label") is None:
            left_out["no label"] += 1
        else:
            outcomes.append(found)
    if not outcomes:
        reason = wrong or "`label` holds what people say; see `plaudit bench own`"
        raise InputError(f"{info.name}: no row of {record.options.source} has a label: {reason}")
    if wrong:
        left_out[f"label unknown, the first: {wrong}"] = left_out.pop("label unknown")
    return outcomes, dict(left_out)


def _with_label(verdict: Verdict, kind: str) -> Verdict:
    """Return a verdict whose label is spelled as the judge spells it."""
    if kind not in LABELS:
        return verdict
    try:
        label = read_label(kind, verdict.metadata.get("label"))
    except InputError as error:
        raise InputError(f"sample {verdict.id!r}: {error}") from None
    return msgspec.structs.replace(verdict, metadata=verdict.metadata | {"label": label})


def _verdicts(store: Store, info: RunInfo, record: JudgeRecord) -> Iterator[Verdict]:
    """Yield the verdicts of a run, each with its row."""
    samples = SampleReader(task_type(record.judge.kind).read_row, record.options.source)
    for index, _, payload in store.verdicts(info.number):
        verdict = msgspec.msgpack.decode(payload, type=StoredVerdict).verdict
        sample = samples.find(index)
        if sample is None or sample.id != verdict.id:
            raise InputError(
                f"{info.name}: its input {record.options.source} is gone or has changed, and the "
                "labels with it; report the folder of `plaudit bench -o` instead"
            )
        row = dict(samples.row)
        yield msgspec.structs.replace(verdict, input=row, metadata=sample.metadata)


async def _arm(
    info: RunInfo, record: JudgeRecord, outcomes: Sequence[RowOutcome], seed: int
) -> ArmResults:
    assert info.summary is not None
    summary = msgspec.json.decode(info.summary, type=JudgeSummary)
    limit = record.options.limit
    first = [f"The first {limit:,} samples of the input were judged."] if limit else []
    arm = arm_results(
        _OWN,
        await _card(record, summary),
        outcomes,
        seed=seed,
        notes=summary.notes,
        spending=_spending(summary),
        run=info.name,
    )
    return msgspec.structs.replace(arm, notes=[*first, *arm.notes])


def _spending(summary: JudgeSummary) -> Spending:
    """Return what a run took. Its tokens are those that it asked for, none from the store."""
    asked = summary.engine_calls or summary.readout == "none"
    return Spending(
        samples=summary.samples,
        engine_calls=summary.engine_calls,
        input_tokens=summary.input_tokens,
        output_tokens=summary.output_tokens,
        cost_usd=None if summary.cached else summary.cost_usd,
        seconds=summary.seconds if asked else None,
        cached=summary.cached,
    )


async def _card(record: JudgeRecord, summary: JudgeSummary) -> JudgeCard:
    """Return the card of a run's judge; without its engine, what the run itself says."""
    try:
        return card_of(*await bind_again(record))
    except PlauditError:
        kind, _, fingerprint = summary.judge.partition("/")
        return JudgeCard(
            name=record.engine,
            kind=kind,
            fingerprint=fingerprint,
            engine=record.engine,
            readout=summary.readout,
        )
