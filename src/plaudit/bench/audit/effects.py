"""From the verdicts of an audit to its effects and its attacks."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from plaudit.bench.audit.attacks import ATTACKS
from plaudit.bench.audit.biases import BIASES, FURTHER, POSITION
from plaudit.bench.audit.plan import NOISE, AuditPlan, Trial
from plaudit.bench.audit.statistics import (
    FAMILY_ERROR,
    Paired,
    change_figure,
    p_value,
    pair,
    share_figure,
    smallest,
)
from plaudit.bench.results import AttackExample, AttackResult, AuditEffect, Figure
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.scoring.influence import holm
from plaudit.types import Json, Status, Value, Verdict

EXAMPLES = 3
"""Attacks that worked and are kept, for each attack."""
_SHOWN = 1_000
"""Characters of a text in an example."""
_TITLES = {**{one.name: one.title for one in BIASES}, **FURTHER}
_ATTACK_TITLES = {one.name: one.title for one in ATTACKS}


class SeenVerdict(NamedTuple):
    """What an audit takes from one verdict."""

    status: Status
    lean: float | None = None
    """From 0 to 1: to A from B, or the expected reward on its scale. There also where the judge
    abstained; None: the verdict says nothing."""
    value: Value | None = None
    place: float | None = None
    """How far the two orders of a pair lean to what stands first, from -0.5 to 0.5."""
    refused: bool = False
    """Whether it was found wrong before a model was asked."""
    cause: str = ""


class RewardScale(NamedTuple):
    """The scale of a judge's rewards."""

    low: float = 0.0
    high: float = 1.0
    lowest: float = 1.0
    highest: float = 10.0
    """Ends of the scale of pointwise scores."""

    def share(self, reward: float) -> float:
        """Return a reward as a number in 0..1."""
        return min(max((reward - self.low) / (self.high - self.low), 0.0), 1.0)


def reward_scale(task: BaseJudge | PanelJudge) -> RewardScale:
    """Return the scale of a judge's rewards, or of a panel's."""
    one: Any = task.tasks[0] if isinstance(task, PanelJudge) else task
    worth = getattr(one, "outputs", None) or getattr(one, "rewards", None)
    values = list(worth.values()) if worth else [0.0, 1.0]
    ends = (min(values), max(values)) if min(values) < max(values) else (0.0, 1.0)
    scores = (getattr(one, "low", 1.0), getattr(one, "high", 10.0))
    return RewardScale(*ends, *scores)


def see(kind: str, verdict: Verdict, scale: RewardScale) -> SeenVerdict:
    """Take from a verdict what an audit measures."""
    orders: Any = verdict.fields.get("orders")
    by = verdict.fields.get("decided_by", "model")
    return SeenVerdict(
        status=verdict.status,
        lean=_LEANS[kind](verdict, scale),
        value=verdict.value,
        place=(orders[0]["p_a"] - orders[1]["p_a"]) / 2 if orders else None,
        refused=by != "model" and verdict.value == "incorrect",
        cause="" if verdict.error is None else str(verdict.error.cause),
    )


def _lean_of_pair(verdict: Verdict, scale: RewardScale) -> float | None:
    del scale
    return verdict.fields.get("p_a")


def _lean_of_answer(verdict: Verdict, scale: RewardScale) -> float | None:
    del scale
    if verdict.value is None:
        return None
    if verdict.probabilities is not None:
        return verdict.probabilities["correct"]
    sure = 1.0 if verdict.confidence is None else verdict.confidence
    return sure if verdict.value == "correct" else 1 - sure


def _lean_of_response(verdict: Verdict, scale: RewardScale) -> float | None:
    if verdict.reward is not None:
        return scale.share(verdict.reward)
    expected = verdict.fields.get("expected_score")  # There where the judge abstained.
    return None if expected is None else (expected - scale.lowest) / (scale.highest - scale.lowest)


def _lean_of_reaction(verdict: Verdict, scale: RewardScale) -> float | None:
    expected = verdict.fields.get("expected_reward", verdict.reward)
    return None if expected is None else scale.share(expected)


_LEANS: Mapping[str, Callable[[Verdict, RewardScale], float | None]] = {
    "pairwise": _lean_of_pair,
    "verify": _lean_of_answer,
    "pointwise": _lean_of_response,
    "feedback": _lean_of_reaction,
}


class MeasuredEffect(NamedTuple):
    """One test before all are corrected together."""

    paired: Paired | None
    """None: nothing could be measured."""
    figure: Figure
    missing: int


class Audited(NamedTuple):
    """All effects and attacks of an audit."""

    effects: list[AuditEffect]
    attacks: list[AttackResult]


def measure_plan(
    plan: AuditPlan, seen: Sequence[SeenVerdict], scale: RewardScale | None = None
) -> Audited:
    """Measure all biases and attacks, and correct them together.

    Args:
        plan: what was asked.
        seen: what came of each row of the plan.
        scale: of the judge's rewards; None: from 0 to 1.
    """
    judged = _Judged(plan.kind, seen, scale or RewardScale())
    biases = {n: judged.bias(n, t) for n, t in plan.trials.items() if n in _TITLES}
    attacks = {n: judged.attack(t) for n, t in plan.trials.items() if n in _ATTACK_TITLES}
    p_values = {n: _p(m) for n, m in biases.items()}
    p_values |= {n: _p(m, upwards=True) for n, (m, _, _) in attacks.items()}
    tested = {name: p for name, p in p_values.items() if p is not None}
    corrected = dict(zip(tested, holm([*tested.values()]), strict=True))
    effects = [
        AuditEffect(
            name=name, family="bias", title=_TITLES[name], change=one.figure, p=p_values[name],
            p_holm=corrected.get(name), found=corrected.get(name, 1.0) < FAMILY_ERROR,
            smallest=one.paired and smallest(one.paired, len(corrected)), abstained=one.missing,
        )
        for name, one in biases.items()
    ]  # fmt: skip
    results = [
        AttackResult(
            name=name, title=_ATTACK_TITLES[name], success=one.figure, baseline=baseline,
            refused=judged.refused(plan.trials[name]),
            undecided=judged.undecided(plan.trials[name]),
            p_holm=corrected.get(name), found=corrected.get(name, 1.0) < FAMILY_ERROR,
            smallest=one.paired and smallest(one.paired, len(corrected)),
            examples=judged.examples(plan, worked),
        )
        for name, (one, baseline, worked) in attacks.items()
    ]  # fmt: skip
    return Audited(effects, results)


def _p(measured: MeasuredEffect, *, upwards: bool = False) -> float | None:
    return None if measured.paired is None else p_value(measured.paired, upwards=upwards)


class _Judged:
    """The verdicts of one audit."""

    def __init__(self, kind: str, seen: Sequence[SeenVerdict], scale: RewardScale) -> None:
        self._kind, self._seen = kind, seen
        self._zero = scale.share(0.0)
        """Where a reaction is neither."""

    def bias(self, name: str, trials: Sequence[Trial]) -> MeasuredEffect:
        """Measure the mean change of one bias."""
        change = self._place if name == POSITION else self._change
        changes = [(trial, change(trial)) for trial in trials]
        known = [(trial, one) for trial, one in changes if one is not None]
        missing = len(changes) - len(known)
        moved = any(one for _, one in known)
        if not known or not (moved or self._any_ok(trials)):  # Silence is no change of 0.
            return MeasuredEffect(None, Figure(value=None, n=0, why=self._why(trials)), len(trials))
        paired = pair([one for _, one in known], [trial.cluster for trial, _ in known])
        return MeasuredEffect(paired, change_figure(paired), missing)

    def _change(self, trial: Trial) -> float | None:
        treated, control = (self._seen[row].lean for row in (trial.treated, trial.control))
        if treated is None or control is None:
            return None
        rise = treated - control
        return rise if trial.first or self._kind != "pairwise" else -rise

    def _place(self, trial: Trial) -> float | None:
        one, other = self._seen[trial.treated], self._seen[trial.control]
        if trial.treated == trial.control:
            return one.place
        if one.lean is None or other.lean is None:
            return None
        return (one.lean + other.lean) / 2 - 0.5

    def attack(self, trials: Sequence[Trial]) -> tuple[MeasuredEffect, Figure, list[Trial]]:
        """Measure how often an attack is accepted, and how often its baseline is.

        Also returns the trials in which the attack alone was.
        """
        made = [t for t in trials if self._made(t.treated) and self._made(t.control)]
        if not made or not self._any_ok(trials):
            none = Figure(value=None, n=0, why=self._why(trials))
            return MeasuredEffect(None, none, len(trials)), none, []
        clusters = [trial.cluster for trial in made]
        hits = [float(self._accepted(t.treated, t.first)) for t in made]
        usual = [float(self._accepted(t.control, t.first)) for t in made]
        rises = [hit - one for hit, one in zip(hits, usual, strict=True)]
        worked = [trial for trial, rise in zip(made, rises, strict=True) if rise > 0]
        measured = MeasuredEffect(
            pair(rises, clusters), share_figure(hits, clusters), len(trials) - len(made)
        )
        return measured, share_figure(usual, clusters), worked

    def _made(self, row: int) -> bool:
        return self._seen[row].status in ("ok", "abstained")

    def _accepted(self, row: int, first: bool) -> bool:
        """Whether a trainer would take the answer for a good one."""
        one = self._seen[row]
        if one.status != "ok":
            return False
        if self._kind == "pairwise":
            return one.value == ("A" if first else "B")
        if self._kind == "verify":
            return one.value == "correct"
        middle = 0.5 if self._kind == "pointwise" else self._zero
        return one.lean is not None and one.lean > middle

    def _any_ok(self, trials: Sequence[Trial]) -> bool:
        return any(self._seen[r].status == "ok" for t in trials for r in (t.treated, t.control))

    def _why(self, trials: Sequence[Trial]) -> str:
        """Return what became of the verdicts, where none can be used."""
        rows = {row for trial in trials for row in (trial.treated, trial.control)}
        counts = Counter((self._seen[row].status, self._seen[row].cause) for row in rows)
        shown = [f"{status} ({cause})" if cause else status for status, cause in sorted(counts)]
        return f"no verdict is usable: {', '.join(shown)}"

    def refused(self, trials: Sequence[Trial]) -> int:
        """Count what was found wrong before a model was asked."""
        return sum(self._seen[trial.treated].refused for trial in trials)

    def undecided(self, trials: Sequence[Trial]) -> int:
        """Count attacked answers without an ok verdict."""
        return sum(self._seen[trial.treated].status != "ok" for trial in trials)

    def examples(self, plan: AuditPlan, worked: Sequence[Trial]) -> list[AttackExample]:
        """Return the attacks that worked best, a few of them."""
        best = sorted(worked, key=lambda trial: -self._strength(trial))[:EXAMPLES]
        return [self._example(plan.rows[trial.treated], trial) for trial in best]

    def _strength(self, trial: Trial) -> float:
        lean = self._seen[trial.treated].lean or 0.0
        return lean if trial.first or self._kind != "pairwise" else 1 - lean

    def _example(self, row: Mapping[str, Json], trial: Trial) -> AttackExample:
        answer = row.get("response") or row.get("answer") or ""
        if self._kind == "pairwise":
            answer = row["response_a" if trial.first else "response_b"]
        asked = row.get("prompt") or row.get("question") or row.get("query") or ""
        if row.get("follow_up"):
            answer = f"{answer}\n\nNext message: {row['follow_up']}"
        one = self._seen[trial.treated]
        return AttackExample(
            id=trial.id,
            question=_cut(asked if isinstance(asked, str) else str(asked[-1].get("content"))),
            answer=_cut(answer),
            verdict=f"{one.value}, {self._strength(trial):.2f} of 1",
        )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "\u2026"


def noise_effect(
    name: str,
    reference: Sequence[SeenVerdict],
    repeats: Sequence[Sequence[SeenVerdict]],
    clusters: Sequence[str],
) -> AuditEffect:
    """Return the share of verdicts that flip when the same is asked again.

    Args:
        name: of the kind of noise.
        reference: what came the first time, an entry a row.
        repeats: what came each further time.
        clusters: of each row.
    """
    shares: list[float] = []
    known: list[str] = []
    for place, one in enumerate(reference):
        again = [repeat[place].value for repeat in repeats if repeat[place].value is not None]
        if one.value is not None and again:
            shares.append(sum(value != one.value for value in again) / len(again))
            known.append(clusters[place])
    missing = len(reference) - len(shares)
    figure = share_figure(shares, known)
    if not shares:
        figure = replace(figure, why="no row has a verdict both times")
    return AuditEffect(
        name=name, family="noise", title=NOISE[name], change=figure, abstained=missing
    )
