"""Two results side by side, and paired where both have judgements on the same samples."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from plaudit.bench.figures import paired_differences
from plaudit.bench.outcome_lines import read_outcomes
from plaudit.bench.outcomes import RowOutcome
from plaudit.bench.results import (
    ArmResults,
    AuditResults,
    BenchResults,
    Figure,
    PairedDifference,
    read_results,
)
from plaudit.errors import UsageError

_HEAD = re.compile(rb'\s*\{\s*"results"\s*:')
_HEAD_BYTES = 512


class ComparedFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of two judges."""

    name: str
    first: Figure | None
    second: Figure | None


class JudgeComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One judge of the first results beside one of the second."""

    first: str
    """Name of the judge."""
    second: str
    figures: list[ComparedFigure]
    common: int | None = None
    """Samples that both judged, on which the differences are; None: not known."""
    differences: list[PairedDifference] = []
    """Second less first."""


class ResultsComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two results, judge by judge."""

    judges: list[JudgeComparison]
    notes: list[str] = []
    """What cannot be compared, and why."""


def is_results(path: str) -> bool:
    """Whether a path is results of `plaudit bench` or `plaudit audit`: a folder, or the file."""
    place = Path(path)
    if place.is_dir():
        return True
    try:
        with place.open("rb") as file:
            return _HEAD.match(file.read(_HEAD_BYTES)) is not None
    except (OSError, ValueError):
        return False


def compare_results(first: str, second: str) -> ResultsComparison:
    """Compare two results.

    Judges of the same name are compared, and where there are none the first of each.

    Args:
        first: folder or file of results; a difference is the second less this.
        second: likewise.

    Raises:
        InputError: one cannot be read.
        UsageError: one is a bench and the other an audit.
    """
    one, other = read_results(first), read_results(second)
    if isinstance(one, BenchResults) and isinstance(other, BenchResults):
        return _compare_benches(one, other, _folder(first), _folder(second))
    if isinstance(one, AuditResults) and isinstance(other, AuditResults):
        return _compare_audits(one, other)
    raise UsageError(
        f"{first} and {second} are results of a bench and of an audit, which have no figure in "
        "common"
    )


def _folder(path: str) -> Path:
    place = Path(path)
    return place if place.is_dir() else place.parent


def _compare_benches(
    one: BenchResults, other: BenchResults, first: Path, second: Path
) -> ResultsComparison:
    same = one.set.name == other.set.name
    notes = list(_set_notes(one, other))
    judges: list[JudgeComparison] = []
    for a, b in _pairs(one.arms, other.arms):
        figures = _figures(_all_figures(a), _all_figures(b))
        common, differences = _paired(a, b, first, second) if same else (None, [])
        if same and common is None:
            notes.append(
                f"{a.judge.name}: no paired difference, since the judgements are not beside both "
                "results; `plaudit bench -o DIR` writes them"
            )
        elif common == 0:
            notes.append(f"{a.judge.name}: no paired difference, since no sample is in both")
        judges.append(
            JudgeComparison(
                first=a.judge.name,
                second=b.judge.name,
                figures=figures,
                common=common,
                differences=differences,
            )
        )
    return ResultsComparison(judges=judges, notes=notes)


def _set_notes(one: BenchResults, other: BenchResults) -> Iterator[str]:
    if one.set.name != other.set.name:
        yield (
            f"the sets are others ({one.set.name} and {other.set.name}), so figures stand side by "
            "side and no difference is computed"
        )
    elif one.set.digest != other.set.digest:
        yield "the rows are not the same: differences are over the samples that both judged"


def _pairs(
    one: Sequence[ArmResults], other: Sequence[ArmResults]
) -> Iterator[tuple[ArmResults, ArmResults]]:
    known = {arm.judge.name: arm for arm in other}
    found = [(arm, known[arm.judge.name]) for arm in one if arm.judge.name in known]
    yield from found or zip(one[:1], other[:1], strict=False)


def _all_figures(arm: ArmResults) -> Mapping[str, Figure]:
    return {"score": arm.score, **arm.overall.figures}


def _figures(one: Mapping[str, Figure], other: Mapping[str, Figure]) -> list[ComparedFigure]:
    names = dict.fromkeys([*one, *other])
    return [ComparedFigure(name=n, first=one.get(n), second=other.get(n)) for n in names]


def _paired(
    a: ArmResults, b: ArmResults, first: Path, second: Path
) -> tuple[int | None, list[PairedDifference]]:
    """Return how many samples are in both, and the differences on them."""
    if a.outcomes is None or b.outcomes is None:
        return None, []
    one, other = _by_id(first / a.outcomes), _by_id(second / b.outcomes)
    common = [name for name in one if name in other and _same_row(one[name], other[name])]
    if not common:
        return 0, []
    before, after = _apart(a.judge.name, b.judge.name)
    arms = {before: [one[n] for n in common], after: [other[n] for n in common]}
    return len(common), paired_differences(arms)


def _same_row(one: RowOutcome, other: RowOutcome) -> bool:
    """Whether two outcomes of one id can be of one row: other sets count their rows, too."""
    return not one.cluster or not other.cluster or one.cluster == other.cluster


def _by_id(path: Path) -> dict[str, RowOutcome]:
    return {outcome.id: outcome for outcome in read_outcomes(path)}


def _apart(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one != other else (f"{one} (first)", f"{other} (second)")


def _compare_audits(one: AuditResults, other: AuditResults) -> ResultsComparison:
    found = _figures(_audit_figures(one), _audit_figures(other))
    judge = JudgeComparison(first=one.judge.name, second=other.judge.name, figures=found)
    notes = [] if one.base == other.base else ["the audits have other items"]
    return ResultsComparison(judges=[judge], notes=notes)


def _audit_figures(results: AuditResults) -> Mapping[str, Figure]:
    effects = {effect.name: effect.change for effect in results.effects}
    return effects | {attack.name: attack.success for attack in results.attacks}
