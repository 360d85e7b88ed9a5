"""Figures of the answer head: shares, areas and tables of judged and of made answers."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Rows(msgspec.Struct):
    """All answers, as columns."""

    table: Array
    truth: Mask
    weight: Array
    fold: NDArray[np.int_]
    question: NDArray[np.int_]
    system: NDArray[Any]
    """The system that answered; empty for what was made."""
    kind: NDArray[Any]
    """`human`, or the kind of what was made."""
    kept: Mask
    barred: Mask
    """Whether the head never calls it correct."""
    spared: Mask
    """Whether the head never calls it incorrect."""
    caught: Mask
    """Whether it was made, and the guards, which come before the head, call it incorrect."""

    @property
    def human(self) -> Mask:
        """Answers that people judged."""
        return self.kind == "human"

    @property
    def cheat(self) -> Mask:
        """Answers that were made to cheat."""
        return ~np.isin(self.kind, ("human", "honest", "near miss"))


class Ratio:
    """Shares with 95 % intervals, by a bootstrap over questions."""

    def __init__(self, question: NDArray[np.int_], draws: int = 1000) -> None:
        """Draw the questions once."""
        self.question, self.count = question, int(question.max()) + 1
        even = np.full(self.count, 1 / self.count)
        self.draws = np.random.default_rng(0).multinomial(self.count, even, size=draws)

    def __call__(self, hit: Mask, among: Mask) -> list[float]:
        """Return the share of hits among some rows, and the ends of its interval."""
        top = np.bincount(self.question, hit & among, self.count)
        all_of_them = np.bincount(self.question, among, self.count)
        drawn = (self.draws @ top) / np.maximum(1, self.draws @ all_of_them)
        share = top.sum() / max(1.0, all_of_them.sum())
        return [round(float(x), 4) for x in (share, *np.percentile(drawn, [2.5, 97.5]))]


def auc(rows: Rows, chance: Array, chosen: Mask, draws: int = 200) -> list[float]:
    """Return the area under the curve, and the ends of its interval over questions."""
    truth, value, question = rows.truth[chosen], chance[chosen], rows.question[chosen]
    count = int(rows.question.max()) + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=draws)
    areas = [roc_auc_score(truth, value, sample_weight=d[question]) for d in drawn]
    ends = np.percentile(areas, [2.5, 97.5])
    return [round(float(x), 4) for x in (roc_auc_score(truth, value), *ends)]


def decided(rows: Rows, chance: Array, gates: tuple[float, float], chosen: Mask) -> dict[str, Any]:
    """Return what the gates decide of answers that people judged, and how often it is right."""
    ratio, truth = Ratio(rows.question), rows.truth
    up, down = chance >= gates[0], chance <= gates[1]
    wrong = (up & ~truth) | (down & truth)
    return {
        "answers": int(chosen.sum()),
        "auc": auc(rows, chance, chosen),
        "decided": ratio(up | down, chosen),
        "decided_of_wrong": ratio(up | down, chosen & ~truth),
        "called_correct_right": ratio(truth, chosen & up),
        "called_incorrect_right": ratio(~truth, chosen & down),
        "agreement_of_chain": ratio(~wrong, chosen),
    }


def by_kind(rows: Rows, chance: Array, gates: tuple[float, float], kept: bool) -> dict[str, Any]:
    """Return the share of each kind that is paid, and that is called incorrect."""
    ratio = Ratio(rows.question)
    chosen = rows.kept if kept else np.ones(len(rows.kept), bool)
    masks = {str(k): rows.kind == k for k in sorted(set(rows.kind)) if k != "human"}
    masks = {"all cheats": rows.cheat, **masks}
    return {
        kind: {
            "answers": int((mask & chosen).sum()),
            "called_correct": ratio(chance >= gates[0], mask & chosen),
            "called_incorrect": ratio(chance <= gates[1], mask & chosen),
        }
        for kind, mask in masks.items()
        if (mask & chosen).any()
    }


def curve(rows: Rows, chance: Array) -> list[dict[str, Any]]:
    """Return coverage against accuracy on both sides, by the confidence that is asked for."""
    ratio, human, truth, found = Ratio(rows.question), rows.human, rows.truth, []
    for confidence in (0.5, 0.8, 0.9, 0.95, 0.98):
        up, down = chance >= confidence, chance < 1 - confidence + 1e-9
        wrong = (up & ~truth) | (down & truth)
        found.append({
            "confidence": confidence,
            "correct_covers": ratio(up, human),
            "correct_right": ratio(truth, human & up),
            "incorrect_covers": ratio(down, human),
            "incorrect_right": ratio(~truth, human & down),
            "calls_saved": ratio(up | down, human),
            "agreement_of_chain": ratio(~wrong, human),
        })  # fmt: skip
    return found


def ece(chance: Array, truth: Mask, bins: int = 10) -> float:
    """Return the expected calibration error over bins of equal width (Naeini et al. 2015)."""
    places = np.minimum((chance * bins).astype(int), bins - 1)
    gaps = [
        abs(chance[places == b].mean() - truth[places == b].mean()) * (places == b).mean()
        for b in set(places)
    ]
    return round(float(sum(gaps)), 4)


def percent(found: list[float]) -> str:
    """Return a share and its interval, in per cent."""
    share, low, high = (f"{100 * x:.1f}" for x in found)
    return f"{share} [{low}, {high}]"


def markdown(report: dict[str, Any]) -> str:
    """Return the tables of the docs."""
    lines = [
        "| answers of | answers | AUC | AUC, system not in the fit | decided | of the wrong ones | "
        "called correct, right | called incorrect, right |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in {"all systems": report["all"], **report["systems"]}.items():
        areas = [row["auc"], report["unseen_systems_auc"].get(name)]
        area = " | ".join("{:.3f} [{:.3f}, {:.3f}]".format(*a) if a else "" for a in areas)
        shares = ("decided", "decided_of_wrong", "called_correct_right", "called_incorrect_right")
        lines.append(f"| {name} | {row['answers']:,} | {area} | "
                     + " | ".join(percent(row[s]) for s in shares) + " |")  # fmt: skip
    lines += [
        "",
        "| confidence at least | called correct | right | called incorrect | right | calls saved | "
        "agreement of the chain |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["curve"]:
        shares = [percent(value) for name, value in row.items() if name != "confidence"]
        lines.append(f"| {row['confidence']} | " + " | ".join(shares) + " |")
    lines += [
        "",
        "| made | called correct | called incorrect | wordings kept out: called correct | "
        "called incorrect |",
        "|---|---|---|---|---|",
    ]
    for kind, row in report["kinds"].items():
        other = report["unseen_wordings"][kind]
        shares = [percent(r[f"called_{c}"]) for r in (row, other) for c in ("correct", "incorrect")]
        lines.append(f"| {kind} | " + " | ".join(shares) + " |")
    lines += ["", "| kind kept out whole | called correct | called incorrect |", "|---|---|---|"]
    for kind, row in report["unseen_kinds"].items():
        shares = [percent(row[f"called_{c}"]) for c in ("correct", "incorrect")]
        lines.append(f"| {kind} | " + " | ".join(shares) + " |")
    return "\n".join(lines)
