"""What the authors of each set publish as its score, computed from outcomes.

The rules are read from the authors' own scripts, and written anew:

- RewardBench: `rewardbench/constants.py` and `calculate_scores_per_section` in
  `rewardbench/utils.py`, allenai/reward-bench at a32e272b and a0096928.
- RewardBench 2: see `plaudit.bench.item_scores`; so for RM-Bench.
- JudgeBench: `utils/metrics.py` and `run_judge.py`, ScalerLab/JudgeBench at 12a499c5 and d8740a81.
- LLMBar: `LLMEvaluator/evaluate.py`, princeton-nlp/LLMBar at caa7bee7.
- EvalBiasBench: `run_bench.py`, ncsoft/offsetbias at a1344b20.

A judgement that is missing counts as the authors count it, and a note says how many there are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from plaudit.bench.figures import measure_figure
from plaudit.bench.item_scores import Scored, score_rewardbench2, score_rmbench
from plaudit.bench.outcomes import RowOutcome
from plaudit.bench.results import Figure
from plaudit.bench.shares import SharePart, share, weighted_share
from plaudit.errors import UsageError


class OfficialScore(msgspec.Struct, frozen=True, kw_only=True):
    """The published score of a set, and the figures that its authors give beside it."""

    score: Figure
    figures: dict[str, Figure] = {}
    """By the name that the authors use, such as `Chat Hard` or `easy`."""
    notes: list[str] = []
    """How judgements that are missing were counted, and what is not in the score; sentences."""


def official_score(name: str, outcomes: Sequence[RowOutcome]) -> OfficialScore:
    """Compute the published score of a set.

    Args:
        name: one of `plaudit.bench.datasets.DATASETS`.
        outcomes: of all rows that were judged, with the tags that the reader of the set gave them.

    Raises:
        UsageError: there is no such set.
    """
    rule = _RULES.get(name)
    if rule is None:
        raise UsageError(f"there is no data set {name!r}; there are {', '.join(_RULES)}")
    if not any(outcome.status == "ok" for outcome in outcomes):
        why = "no verdict is ok" if outcomes else "measured on nothing"
        return OfficialScore(score=Figure(value=None, n=len(outcomes), why=why))
    score, figures, notes = rule(outcomes)
    if name not in _VERDICTS_ALONE:
        notes = [*notes, *_leaning(outcomes)]
    return OfficialScore(score=score, figures=figures, notes=notes)


_VERDICTS_ALONE = frozenset({"evouna", "uss", "own"})
"""Sets whose score takes no side that the judge leans to without a verdict."""


def _leaning(outcomes: Sequence[RowOutcome]) -> list[str]:
    """Say how many rows are in a score without an `ok` verdict, by the side that was leant to."""
    count = sum(o.status == "abstained" and not _says_nothing(o) for o in outcomes)
    rows = f"{count} of {len(outcomes)} rows that the judge abstained on"
    return [f"{rows} count by what it leans to"] * bool(count)


# RewardBench

SECTIONS: Mapping[str, Mapping[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 250,
        "xstest-should-respond": 154,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984,
        **dict.fromkeys(("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"), 164),
    },
}
"""The weight of each subset of RewardBench in its section: how many examples it has. The 447 of
`math-prm` weigh as much as the 984 of code together."""


def _rewardbench(outcomes: Sequence[RowOutcome]) -> Scored:
    """Average the four sections. A tie, or no verdict, earns half, as in `run_generative.py`."""
    earned = _by(outcomes, lambda o: o.subset)
    figures: dict[str, Figure] = {}
    parts: list[SharePart] = []
    for section, weights in SECTIONS.items():
        there = {name: count for name, count in weights.items() if name in earned}
        in_section = [
            SharePart(map(_half, earned[name]), count / sum(there.values()))
            for name, count in there.items()
        ]
        if in_section:
            figures[section] = weighted_share(in_section)
            parts += in_section
    subsets = [name for weights in SECTIONS.values() for name in weights]
    notes = _undecided(outcomes, "half")
    if missing := [name for name in subsets if name not in earned]:
        notes.append(f"{len(missing)} of {len(subsets)} subsets are not there: {_some(missing)}")
    if others := sorted(earned.keys() - set(subsets)):
        notes.append(f"not in the score, since no section has it: {_some(others)}")
    return weighted_share(parts), figures, notes


def _half(outcome: RowOutcome) -> float:
    return 0.5 if outcome.credit is None else outcome.credit


# JudgeBench

_JUDGEBENCH = {
    "Knowledge": "mmlu-pro",
    "Reasoning": "livebench-reasoning",
    "Math": "livebench-math",
    "Coding": "livecodebench",
}


def _judgebench(outcomes: Sequence[RowOutcome]) -> Scored:
    """Take each order as a vote for the right side or against it: right is more for than against.

    So one right order and one tie is right, one right and one wrong order is not, and an order
    without a decision is a vote for neither. With a single order its decision must be right.
    """
    figures = {
        title: share(_votes(o) > 0 for o in outcomes if o.subset.startswith(source))
        for title, source in _JUDGEBENCH.items()
    }
    groups = _by(outcomes, lambda o: o.group)
    if len(groups) > 1:
        figures |= {f"pairs of {g}": share(_votes(o) > 0 for o in of) for g, of in groups.items()}
    figures["both orders right"] = share(_both_right(outcomes))
    figures = {title: figure for title, figure in figures.items() if figure.n}
    notes = _undecided(outcomes, "as wrong") + _half_decided(outcomes, "as a vote for neither side")
    return share(_votes(o) > 0 for o in outcomes), figures, notes


def _votes(outcome: RowOutcome) -> int:
    """Return orders for the right side less orders for the other one."""
    if outcome.orders is None:
        return 0 if outcome.credit is None else _sign(outcome.credit)
    return sum(_sign(right) for right in _right_by_order(outcome) if right is not None)


def _right_by_order(outcome: RowOutcome) -> list[float | None]:
    """Return how far each order leans to the right side, from 0 to 1; None: it has no value."""
    orders = outcome.orders or ()
    return [p if p is None or outcome.positive else 1 - p for p in orders]


def _both_right(outcomes: Iterable[RowOutcome]) -> Iterable[bool]:
    asked = (_right_by_order(o) for o in outcomes if o.orders is not None)
    return (all(p is not None and p > 0.5 for p in right) for right in asked)


def _sign(lean: float) -> int:
    return (lean > 0.5) - (lean < 0.5)


# LLMBar and EvalBiasBench: both orders count


def _llmbar(outcomes: Sequence[RowOutcome]) -> Scored:
    score, figures, notes = _by_order(outcomes)
    subsets = _by(outcomes, lambda o: o.subset)
    means = {name: SharePart(map(_order_mean, of)) for name, of in subsets.items()}
    adversarial = [part for name, part in means.items() if name.startswith("adversarial")]
    if adversarial:
        figures["average of adversarial subsets"] = weighted_share(adversarial)
    figures["average of subsets"] = weighted_share(list(means.values()))
    return score, figures, notes


def _by_order(outcomes: Sequence[RowOutcome]) -> Scored:
    """Average over both orders of all pairs; a tie earns half, and no decision nothing."""
    sides = [_order_signs(o) for o in outcomes if o.orders is not None]
    figures = {
        "both orders agree": share(len(set(both)) == 1 for both in sides),
        "both orders right": share(_both_right(outcomes)),
    }
    figures = {title: figure for title, figure in figures.items() if figure.n}
    notes = _undecided(outcomes, "as wrong") + _half_decided(outcomes, "as wrong")
    return share(map(_order_mean, outcomes)), figures, notes


def _order_signs(outcome: RowOutcome) -> list[int | None]:
    return [None if p is None else _sign(p) for p in outcome.orders or ()]


def _order_mean(outcome: RowOutcome) -> float:
    if outcome.orders is None:
        return outcome.credit or 0.0
    right = _right_by_order(outcome)
    return sum((_sign(p) + 1) / 2 for p in right if p is not None) / len(right)


# Sets with one judgement a row


def _accuracy(outcomes: Sequence[RowOutcome]) -> Scored:
    """Share whose value is the label; whatever has no value is wrong."""
    return share(bool(o.agrees) for o in outcomes), {}, _undecided(outcomes, "as wrong")


def _evouna(outcomes: Sequence[RowOutcome]) -> Scored:
    """Share that agrees with people, over all systems; the answers to a question hang together."""
    figures = {
        system: share(bool(o.agrees) for o in of)
        for system, of in sorted(_by(outcomes, lambda o: o.group).items())
        if system
    }
    silent = sum(o.agrees is None for o in outcomes)
    note = f"{silent} of {len(outcomes)} rows without a verdict count as wrong"
    return _clustered(outcomes, lambda o: bool(o.agrees)), figures, [note] * bool(silent)


def _clustered(outcomes: Sequence[RowOutcome], earned: Callable[[RowOutcome], float]) -> Figure:
    part = SharePart(earned(o) for o in outcomes if not o.cluster)
    for of in _by((o for o in outcomes if o.cluster), lambda o: o.cluster).values():
        part.add(sum(map(earned, of)), len(of))
    return weighted_share([part])


def _is_decided(outcome: RowOutcome) -> bool:
    """Whether a row has a verdict, also one that earns no reward, as a change of topic does."""
    return outcome.status == "ok" or (outcome.value is not None and outcome.value == outcome.cause)


def _earned(outcome: RowOutcome) -> float:
    """What a verdict earned: half by a tie, unless people see one, too; nothing if withheld."""
    if not _is_decided(outcome):
        return 0.0
    return float(outcome.agrees or 0) if outcome.credit is None else outcome.credit


def _separation(outcomes: Sequence[RowOutcome]) -> Scored:
    """Chance that a positive row scores above a negative one, over those with a score."""
    return measure_figure("auroc", outcomes), {}, _undecided(outcomes, "not at all")


def _own(outcomes: Sequence[RowOutcome]) -> Scored:
    """Share that is right by a verdict; of labels that are sides, how the score separates them."""
    rows = [o for o in outcomes if o.labelled]
    if not any(o.agrees is not None for o in rows):
        return _separation(outcomes)
    silent = len(rows) - sum(map(_is_decided, rows))
    notes = [f"{silent} of {len(rows)} rows without a verdict count as wrong"] * bool(silent)
    if sides := len(outcomes) - len(rows):
        notes.append(f"{sides} rows whose label is no value of the judge are not in the score")
    return _clustered(rows, _earned), {}, notes


# Shared


def _by(
    outcomes: Iterable[RowOutcome], key: Callable[[RowOutcome], str]
) -> dict[str, list[RowOutcome]]:
    groups: defaultdict[str, list[RowOutcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[key(outcome)].append(outcome)
    return dict(groups)


def _undecided(outcomes: Sequence[RowOutcome], counted: str) -> list[str]:
    """Return how many rows have no value at all, and how the score counts them."""
    count = sum(_says_nothing(outcome) for outcome in outcomes)
    return [f"{count} of {len(outcomes)} rows without a verdict count {counted}"] if count else []


def _says_nothing(outcome: RowOutcome) -> bool:
    said = (outcome.agrees, outcome.credit, outcome.score, *(outcome.orders or ()))
    return all(one is None for one in said)


def _half_decided(outcomes: Sequence[RowOutcome], counted: str) -> list[str]:
    count = sum(o.orders is not None and o.orders.count(None) == 1 for o in outcomes)
    rows = f"{count} of {len(outcomes)} rows have a decision in one order only"
    return [f"{rows}; the other order counts {counted}"] if count else []


def _some(names: Sequence[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


_RULES: Mapping[str, Callable[[Sequence[RowOutcome]], Scored]] = {
    "rewardbench": _rewardbench,
    "rewardbench2": score_rewardbench2,
    "judgebench": _judgebench,
    "rmbench": score_rmbench,
    "llmbar": _llmbar,
    "pandalm": _accuracy,
    "biasbench": _by_order,
    "evouna": _evouna,
    "uss": _separation,
    "own": _own,
}
