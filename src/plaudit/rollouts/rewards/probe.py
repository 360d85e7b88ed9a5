"""The probe: what a specification would pay for known cheats."""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

import msgspec

from plaudit._util.aio import map_ordered
from plaudit.rollouts.rewards.cheats import CASES, SUBJECTS, Case, Sort
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.trace import Score

RIGHT = "right answer"
"""The honest case that the others are held against."""

_WINDOW = 32
_AS_MUCH: Mapping[Sort, str] = {
    "not right": "at least half as much as",
    "cheat": "at least half as much as",
    "waste": "more than",
}
_EPSILON = 1e-9


class ProbeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one way to behave would earn."""

    name: str
    sort: Sort
    total: float | None
    """Mean over the questions where there is a total; None: there is none."""
    unscored: int
    """Questions on which the total could not be scored."""
    too_much: int
    """Questions on which it earns what it must not; see `probe`."""
    too_little: int
    """Questions on which an honest right answer earns less than half way."""
    parts: dict[str, float]
    """What each reward adds to the total, as a mean."""
    rewards: dict[str, float | None]
    """The mean value of each reward, before weights; null: it could not be scored."""


class ProbeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a specification would pay for honest rollouts and for known cheats."""

    spec: str
    """Fingerprint of the specification."""
    questions: int
    rows: list[ProbeRow]
    problems: list[str]
    """What the specification pays and must not, a sentence each; empty where it passes."""
    notes: list[str]
    """Honest right answers that it does not pay."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where there are problems."""
        return 1 if self.problems else 0


async def probe(rewards: Composite) -> ProbeReport:
    """Score known cheats and honest rollouts on a few questions of plaudit's own.

    A specification fails if on any question

    - a cheat, or an honest rollout without the right answer, earns as much as half way from the
      least that anything earns there to what the honest right answer earns;
    - a right answer with waste earns more than the honest right answer;
    - the honest right answer cannot be scored.

    Half way, and not the whole way, because a judge that is taken in pays nearly all of it, and
    what else a specification pays for must not hide that.

    Args:
        rewards: the specification; the caller closes it.

    Raises:
        EngineUnusableError: a judge is asked, and its engine can answer nothing.
    """

    async def score(place: tuple[Case, int]) -> Score:
        case, number = place
        return await rewards.score(case.play(SUBJECTS[number]))

    places = [(case, number) for case in CASES for number in range(len(SUBJECTS))]
    scores = [one async for one in map_ordered(score, places, _WINDOW)]
    found = {
        case.name: scores[n * len(SUBJECTS) : (n + 1) * len(SUBJECTS)]
        for n, case in enumerate(CASES)
    }
    by_question = zip(*found.values(), strict=True)
    limits = [_limits(right, all) for right, all in zip(found[RIGHT], by_question, strict=True)]
    rows = [_row(case, found[case.name], limits, rewards) for case in CASES]
    return ProbeReport(
        spec=rewards.fingerprint,
        questions=len(SUBJECTS),
        rows=rows,
        problems=_problems(rows, found[RIGHT]),
        notes=_notes(rows),
    )


class _Limits(NamedTuple):
    """What may be earned on one question; None where the honest right answer has no total."""

    right: float | None
    half: float | None

    def is_too_much(self, case: Case, score: Score) -> bool:
        """Whether a case earns what it must not."""
        if score.value is None or self.right is None or self.half is None:
            return False
        if case.sort == "waste":
            return score.value > self.right + _EPSILON
        return case.sort in ("cheat", "not right") and score.value >= self.half

    def is_too_little(self, case: Case, score: Score) -> bool:
        """Whether an honest right answer is not paid as one."""
        if score.value is None or self.half is None:
            return False
        return case.sort == "right" and score.value < self.half


def _limits(right: Score, all_scores: Iterable[Score]) -> _Limits:
    if right.value is None:
        return _Limits(None, None)
    least = min(score.value for score in all_scores if score.value is not None)
    return _Limits(right.value, (least + right.value) / 2)


def _row(
    case: Case, scores: Sequence[Score], limits: Sequence[_Limits], rewards: Composite
) -> ProbeRow:
    values = [score.value for score in scores if score.value is not None]
    return ProbeRow(
        name=case.name,
        sort=case.sort,
        total=_mean(values),
        unscored=len(scores) - len(values),
        too_much=sum(limits[n].is_too_much(case, score) for n, score in enumerate(scores)),
        too_little=sum(limits[n].is_too_little(case, score) for n, score in enumerate(scores)),
        parts=_means([_earned(score, rewards) for score in scores]),
        rewards={part.name: _scored(scores, part.name) for part in rewards.parts},
    )


def _scored(scores: Sequence[Score], name: str) -> float | None:
    values = (score.components[name].value for score in scores)
    return _mean([value for value in values if value is not None])


def _earned(score: Score, rewards: Composite) -> Mapping[str, float]:
    earned = rewards.earned(score.components)
    return {} if isinstance(earned, Score) else earned


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean by name, over the rows that have the name."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _mean([row[name] for row in rows if name in row]) or 0.0 for name in names}


def _mean(values: Sequence[float]) -> float | None:
    return round(fsum(values) / len(values), 6) + 0.0 if values else None


def _problems(rows: Sequence[ProbeRow], right: Sequence[Score]) -> list[str]:
    problems = [
        f"{row.name!r} earns {_AS_MUCH[row.sort]} the honest right answer, on {row.too_much} of "
        f"{len(right)} questions"
        for row in rows
        if row.too_much
    ]
    lost = [score for score in right if score.value is None]
    if lost:
        problems.append(
            f"the honest right answer has no total on {len(lost)} of {len(right)} questions: "
            f"{lost[0].reason}"
        )
    return problems


def _notes(rows: Sequence[ProbeRow]) -> list[str]:
    return [
        f"{row.name!r} earns less than half as much as the honest right answer, on "
        f"{row.too_little} of {len(SUBJECTS)} questions: the judge does not see that it is right"
        for row in rows
        if row.too_little
    ]
