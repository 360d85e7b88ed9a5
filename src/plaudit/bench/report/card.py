"""What a report is of: results of benches and audits, and the judges in them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from plaudit._util.decoding import decode_json
from plaudit._util.pages.plots import SERIES
from plaudit.bench.results import (
    AnyResults,
    ArmResults,
    AuditResults,
    BenchResults,
    JudgeCard,
    PairedDifference,
    SetCard,
)
from plaudit.errors import InputError

_DIGITS = 8
"""Of fingerprints and digests, where they keep equal names apart."""

JudgeKey = tuple[str, str]
"""Name and fingerprint: what makes two cards those of one judge."""


class ReportCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows; written as `report.json`."""

    version: Literal[1] = 1
    plaudit: str
    """Version that wrote it."""
    title: str = ""
    """Empty: made of the names of the judges."""
    results: list[AnyResults]

    @property
    def benches(self) -> list[BenchResults]:
        """The results of `plaudit bench`, in their order."""
        return [one for one in self.results if isinstance(one, BenchResults)]

    @property
    def audits(self) -> list[AuditResults]:
        """The results of `plaudit audit`, in their order."""
        return [one for one in self.results if isinstance(one, AuditResults)]


def read_card(path: str | Path) -> ReportCard:
    """Read `report.json`.

    Raises:
        InputError: it is no report, or one of another version.
        OSError: it cannot be read.
    """
    try:
        return decode_json(Path(path).read_bytes(), ReportCard)
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is no report of `plaudit report`: {error}") from None


class NamedJudge(NamedTuple):
    """A judge as the page calls it."""

    number: int
    """Counts from 0, in the order of the results; gives colour and marker."""
    label: str
    """Unique in the page."""
    card: JudgeCard


class NamedArm(NamedTuple):
    """What one judge did on one set."""

    judge: NamedJudge
    results: ArmResults

    @property
    def label(self) -> str:
        """The judge's."""
        return self.judge.label


class JudgedSet(NamedTuple):
    """All judges of the same rows."""

    title: str
    card: SetCard
    arms: list[NamedArm]
    """The highest score first; those without one last."""
    differences: list[PairedDifference]
    notes: list[str]
    files: int
    """Results that the arms come from."""


def judges_of(results: Iterable[AnyResults]) -> dict[JudgeKey, NamedJudge]:
    """Return the judges of results, each with a label of its own."""
    cards = [
        card
        for one in results
        for card in ([a.judge for a in one.arms] if isinstance(one, BenchResults) else [one.judge])
    ]
    first: dict[JudgeKey, JudgeCard] = {}
    for card in cards:
        first.setdefault(key_of(card), card)
    labels = _distinct([(card.name, card.fingerprint[:_DIGITS]) for card in first.values()])
    return {
        key: NamedJudge(number, label, card)
        for number, ((key, card), label) in enumerate(zip(first.items(), labels, strict=True))
    }


def key_of(card: JudgeCard) -> JudgeKey:
    """Return what makes two cards those of one judge."""
    return card.name, card.fingerprint


def sets_of(benches: Sequence[BenchResults], judges: dict[JudgeKey, NamedJudge]) -> list[JudgedSet]:
    """Join results whose rows are the same, so that their judges stand side by side.

    Rows are the same where the set, its digest and the limit are; without a digest nobody knows.
    """
    groups: dict[tuple[object, ...], list[BenchResults]] = {}
    for number, bench in enumerate(benches):
        card = bench.set
        groups.setdefault((card.name, card.rows, card.digest or number), []).append(bench)
    cards = [group[0].set for group in groups.values()]
    titles = _distinct(
        [
            (card.title or card.name, origin)
            for card, origin in zip(cards, _origins(cards), strict=True)
        ]
    )
    return [
        JudgedSet(
            title=title,
            card=group[0].set,
            arms=_arms(group, judges),
            differences=[one for bench in group for one in bench.differences],
            notes=list(dict.fromkeys(note for bench in group for note in bench.notes)),
            files=len(group),
        )
        for title, group in zip(titles, groups.values(), strict=True)
    ]


def _origins(cards: Sequence[SetCard]) -> list[str]:
    """Return what sets rows apart from others: the names of their files, or their digests."""
    files = [Path(card.source).name for card in cards]
    if all(files) and len(set(files)) == len(files):
        return files
    return [card.digest[:_DIGITS] for card in cards]


def drawn(arms: Sequence[NamedArm]) -> tuple[list[tuple[int, NamedArm]], str]:
    """Return the arms that one plot can hold, each with its series, and what the caption says."""
    most = len(SERIES)
    some = arms[:most]
    if max(arm.judge.number for arm in some) < most and len(_numbers_of(some)) == len(some):
        series = [(arm.judge.number, arm) for arm in some]
    else:
        series = list(enumerate(some))
    left = len(arms) - len(some)
    return series, f" The {most} judges with the highest scores are drawn." if left else ""


def _numbers_of(arms: Sequence[NamedArm]) -> set[int]:
    return {arm.judge.number for arm in arms}


def _arms(group: Sequence[BenchResults], judges: dict[JudgeKey, NamedJudge]) -> list[NamedArm]:
    found: list[ArmResults] = []
    for arm in (arm for bench in group for arm in bench.arms):
        if arm not in found:  # One result may be given twice.
            found.append(arm)
    named = [judges[key_of(arm.judge)] for arm in found]
    labels = _numbered([judge.label for judge in named])
    arms = [
        NamedArm(judge._replace(label=label), arm)
        for judge, label, arm in zip(named, labels, found, strict=True)
    ]
    return sorted(arms, key=_standing)


def _standing(arm: NamedArm) -> tuple[bool, float]:
    score = arm.results.score.value
    return score is None, -(score or 0)


def _distinct(named: Sequence[tuple[str, str]]) -> list[str]:
    """Return names; equal ones with what is different about them."""
    times = Counter(name for name, _ in named)
    return _numbered(
        [name if times[name] == 1 or not more else f"{name} ({more})" for name, more in named]
    )


def _numbered(names: Sequence[str]) -> list[str]:
    """Return names, the second of equal ones with a 2."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
