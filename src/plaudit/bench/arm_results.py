"""The results of one arm, from a run or from a recorded file."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from plaudit.bench.figures import measure_outcomes
from plaudit.bench.outcomes import RowOutcome
from plaudit.bench.results import ArmResults, JudgeCard
from plaudit.bench.scores import official_score

OUTCOMES = "outcomes-"
"""Begins the names of files of judgements, in a folder of results."""


def arm_results(
    name: str,
    judge: JudgeCard,
    found: Sequence[RowOutcome],
    *,
    subsets: Iterable[str] = (),
    seed: int = 0,
    notes: Sequence[str] = (),
    **more: Any,
) -> ArmResults:
    """Measure the outcomes of a judge.

    Args:
        name: of the set.
        judge: who judged.
        found: the outcomes of all rows.
        subsets: those of the set, also without a row.
        seed: of intervals by resampling.
        notes: what a person should know beside the notes of the score.
        more: other fields of the results.
    """
    measured = measure_outcomes(found, subsets=subsets, seed=seed)
    official = official_score(name, found)
    figures = measured.overall.figures | official.figures
    return ArmResults(
        judge=judge,
        overall=msgspec.structs.replace(measured.overall, figures=figures),
        subsets=measured.subsets,
        score=official.score,
        reliability=measured.reliability,
        coverage_curve=measured.coverage_curve,
        distributions=measured.distributions,
        notes=[*official.notes, *notes],
        **more,
    )
