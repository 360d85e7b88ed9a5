"""Pools of shots to look at: what is drawn from one, and whether it is fit to be drawn from."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from plaudit.engines.base import Capabilities
from plaudit.errors import ArgumentError, UsageError
from plaudit.judges.base import BaseJudge, EngineFacts
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import KINDS, task_type
from plaudit.judges.shots import Select, Shot, ShotSet, check_pool, open_pool, read_shots
from plaudit.prompts.selection import Lookalikes
from plaudit.prompts.shots import PoolRow, read_pool, shipped_pool
from plaudit.types import Json, PairSample, Sample

ANY_ENGINE = EngineFacts(identity="none", capabilities=Capabilities(logprobs=20, json_schema=True))
"""Facts of an engine that bears everything, for what is done without one."""
_UNEVEN = 2
"""A label that is so many times as frequent as another gets a hint."""


class PoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool holds, and what is wrong with it."""

    judge: str
    shots: int
    labels: dict[str, int]
    """Counts by label, in the judge's order; labels without a shot have 0."""
    longer: dict[str, dict[str, int]]
    """pairwise: counts by label and by which response is longer."""
    lengths: dict[str, float]
    """Characters of a sample: `least`, `median` and `most`; empty without shots."""
    problems: list[str]
    """What keeps the pool from being used, with file and line."""
    hints: list[str]
    """What may bias a judge that is shown these shots."""


def sample_shots(
    kind: str,
    pool: str | Sequence[Mapping[str, Json]] | None = None,
    n: int = 3,
    *,
    seed: int = 0,
    select: Select = "fixed",
    sample: Mapping[str, Json] | Sample | None = None,
) -> list[dict[str, Json]]:
    """Return the shots that a judge would show, as rows, in the order of the prompt.

    What it returns can be given to a judge: `Judge(kind, shots=sample_shots(kind, n=5))`.

    Args:
        kind: the judge.
        pool: path of a pool file, or its rows; None: the pool that ships with the judge.
        n: how many; a smaller pool is used whole.
        seed: of the choice.
        select: `fixed`, `random` or `similar`.
        sample: the row to be judged, on which `random` and `similar` depend. A shot that is nearly
            the same is left out.

    Raises:
        InputError: the pool or the sample cannot be used; names file and line.
        UsageError: there is no such judge or selection, or the sample is missing.
        MissingDependencyError: `similar` without bm25s.
    """
    task = blank_task(kind)
    shots = _open(task, pool)
    return [shots[place].row for place in draw(task, shots, n, seed, select, sample)]


def draw(
    task: BaseJudge,
    shots: Sequence[Shot],
    n: int,
    seed: int,
    select: str,
    sample: Mapping[str, Json] | Sample | None,
) -> Sequence[int]:
    """Return the places of the shots that are drawn; see `sample_shots`."""
    if n < 1:
        raise UsageError(f"the number of shots must be 1 or more, not {n}")
    if select not in ("fixed", "random", "similar"):
        raise UsageError(f"there is no selection {select!r}; there are fixed, random and similar")
    if sample is None and select != "fixed":
        raise UsageError(f"{select} shots are chosen for a sample: give one")
    drawn = ShotSet(shots, n, "", select=select, seed=seed)
    if sample is None:
        return drawn.fixed or ()
    taken = sample if isinstance(sample, Sample) else task.read_row(sample, 0)[0]
    return drawn.choose(task.text_of(taken))


def blank_task(kind: str) -> BaseJudge:
    """Return a task that reads rows and shots and asks nobody.

    Raises:
        UsageError: there is no such judge.
    """
    make: Any = task_type(kind)
    return make(JudgeConfig(kind=kind, shots=0, prior="none"), ANY_ENGINE)


def pool_rows(pool: str) -> list[PoolRow]:
    """Return the entries of a pool file; for the name of a judge, of the one that ships with it.

    Raises:
        InputError: the file cannot be read, or has no entries.
    """
    return shipped_pool(pool) if pool in KINDS else read_pool(pool)


def pool_kind(pool: str, rows: Sequence[PoolRow]) -> str:
    """Return the judge that a pool is for: the one that can use the most of its entries.

    Raises:
        UsageError: no judge fits best.
    """
    if pool in KINDS:
        return pool
    usable = {kind: len(read_shots(blank_task(kind), rows)[0]) for kind in KINDS}
    most = max(usable.values())
    kinds = [kind for kind, count in usable.items() if count == most]
    if not most or len(kinds) > 1:
        raise ArgumentError("judge", f"must be given: no judge fits {pool} best")
    return kinds[0]


def report_pool(kind: str, rows: Sequence[PoolRow]) -> PoolReport:
    """Check a pool as it is checked when it is used, and count what is in it."""
    task = blank_task(kind)
    shots, problems = read_shots(task, rows)
    counts = Counter(shot.label for shot in shots)
    if len(counts) == 1:
        problems.append(f"every shot has the label {min(counts)!r}: no balanced shots can be drawn")
    longer = _longer(shots)
    lengths = [len(shot.text) for shot in shots]
    return PoolReport(
        judge=kind,
        shots=len(shots),
        labels={label: counts[label] for label in task.labels},
        longer=longer,
        lengths={
            "least": min(lengths),
            "median": statistics.median(lengths),
            "most": max(lengths),
        }
        if lengths
        else {},
        problems=problems,
        hints=[*_uneven(counts), *_near(shots), *_length_bias(longer)],
    )


def _open(task: BaseJudge, pool: str | Sequence[Mapping[str, Json]] | None) -> list[Shot]:
    if pool is None or isinstance(pool, str):
        return open_pool(task, pool)
    rows = [PoolRow(f"shot {n}", dict(row)) for n, row in enumerate(pool)]
    return check_pool(task, rows, "the pool")


def _longer(shots: Sequence[Shot]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for shot in shots:
        if isinstance(shot.sample, PairSample):
            a, b = (
                sum(len(str(message.content or "")) for message in conversation)
                for conversation in (shot.sample.conversation_a, shot.sample.conversation_b)
            )
            name = "A longer" if a > b else "B longer" if b > a else "as long"
            counts = found.setdefault(shot.label, {})
            counts[name] = counts.get(name, 0) + 1
    return found


def _uneven(counts: Counter[str]) -> list[str]:
    if not counts:
        return []
    (most, often), (least, seldom) = counts.most_common()[0], counts.most_common()[-1]
    if often < _UNEVEN * seldom:
        return []
    return [f"{often} shots have the label {most!r} and only {seldom} {least!r}"]


def _near(shots: Sequence[Shot]) -> list[str]:
    index = Lookalikes([shot.text for shot in shots])
    return [
        f"{shots[other].where}: nearly the same sample as {shot.where}"
        for place, shot in enumerate(shots)
        for other in sorted(index.find(shot.text))
        if other > place
    ]


def _length_bias(longer: Mapping[str, Mapping[str, int]]) -> list[str]:
    won = cast("Counter[str]", Counter())
    for label, counts in longer.items():
        for name, count in counts.items():
            if label in ("A", "B") and name != "as long":
                won["longer" if name == f"{label} longer" else "shorter"] += count
    if abs(won["longer"] - won["shorter"]) * 2 <= won.total():
        return []
    side = max(won, key=won.__getitem__)
    return [f"the {side} response wins {won[side]} of {won.total()} times: lengths may be learned"]
