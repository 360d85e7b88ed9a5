"""Fits the answer head on human verdicts and on answers made to cheat, and measures it.

    scripts/bench answer_head --data DIR            measure by cross-validation
    scripts/bench answer_head --data DIR --write    also write the weights, the figures, the docs

DIR holds EVOUNA's `NQ.json` (Wang et al. 2023, arXiv:2305.12421; Apache-2.0). Folds share neither a
question nor a reference; an answer that was made stays in the fold of its question.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from answer_cheats import KEPT_KINDS, Maker, Question
from answer_figures import Array, Mask, Rows, auc, by_kind, curve, decided, ece, markdown
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from plaudit.bench.datasets import load_dataset
from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.extraction import extract
from plaudit.judges.answers.guards.guard import guard
from plaudit.judges.answers.head import features
from plaudit.judges.answers.head.model import AnswerHead, Forest, Tree

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "answer_head.json"
OUT = ROOT / "src" / "plaudit" / "scoring" / "heads" / "answers.json"
DOCS = ROOT / "docs" / "reference" / "answers.md"
MARK, END = "<!-- figures: written by scripts/bench answer_head --write -->", "<!-- end -->"
FOLDS, TREES, LEAVES = 5, 120, 16
CHEAT, NEAR, HONEST = 0.6, 0.2, 0.3
"""Weight of a question's cheats, near misses and honest paraphrases beside 1 for its verdicts."""
RIGHT_CORRECT, RIGHT_INCORRECT, PAID, PAID_UNSEEN = 0.97, 0.93, 0.02, 0.04
MARGIN = 0.004
"""By how much the gates exceed what must be reached, against the luck of the draw."""
OPEN = (0.5, 0.5)
"""What keeps a P(correct) from both gates, whatever these will be."""
Ends = tuple[float, float]
Line = tuple[float, float]

_RISING = (
    "coverage",
    "fuzzy",
    "exact",
    "last_word",
    "letters",
    "numbers_found",
    "acronym",
    "letters_near",
)
_FALLING = (
    "negated",
    "negated_before",
    "negated_behind",
    "denied_after",
    "denied_beside",
    "negations_after",
    "either_near",
    "grading",
    "rivals_before",
    "contradicted",
    "enclosed",
    "opinion_before",
    "equated",
    "refusal",
    "negated_question",
    "averse_near",
    "closing_cues",
    "closing_rivals",
    "asked_before",
    "misplaced",
    "requalified",
    "taken_back",
)
MONOTONE = [(n in _RISING) - (n in _FALLING) for n in features.NAMES]


def plain(text: str) -> str:
    """Return a text's words in lower case."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.casefold()).split())


def groups(questions: Sequence[Question]) -> list[int]:
    """Return a group a question; those that share a question or a reference share a group."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for question in questions:
        for reference in question.references:
            parent[find(f"r {plain(reference)}")] = find(f"q {plain(question.text)}")
    names = [find(f"q {plain(q.text)}") for q in questions]
    places = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return [places[name] for name in names]


def deal(group: Sequence[int], folds: int = FOLDS) -> list[int]:
    """Deal groups to folds, the largest first, each to the smallest fold."""
    sizes = np.bincount(group)
    filled, dealt = [0] * folds, {}
    for number in sorted(range(len(sizes)), key=lambda g: (-sizes[g], g)):
        dealt[number] = filled.index(min(filled))
        filled[dealt[number]] += sizes[number]
    return [dealt[g] for g in group]


def describe(question: Question, answer: str) -> features.Measured:
    """Return what is measured of an answer, read whole."""
    found = Extracted(text=answer, marked=False, by="whole")
    return features.measure(case_of(question, answer), found)


def is_caught(question: Question, answer: str) -> bool:
    """Whether the guards call an answer incorrect."""
    return guard(case_of(question, answer), extract(answer, question.text)) is not None


def case_of(question: Question, answer: str) -> AnswerCase:
    """Return an answer to a question as a case."""
    return AnswerCase(question=question.text, answer=answer, references=question.references)


def read(path: Path, seed: int) -> Rows:
    """Read the human verdicts, and make the other answers."""
    verdicts: dict[str, list[dict[str, Any]]] = {}
    for row in load_dataset("evouna", path / "NQ.json" if path.is_dir() else path):
        verdicts.setdefault(row["question"], []).append(row)
    questions = [
        Question(
            text,
            tuple(dict.fromkeys(r for row in found for r in row["reference"])),
            tuple(r["answer"] for r in found if r["label"] == "correct"),
            tuple(r["answer"] for r in found if r["label"] == "incorrect"),
        )
        for text, found in verdicts.items()
    ]
    folds, maker = deal(groups(questions)), Maker(questions, seed)
    rows: list[tuple[Any, ...]] = []
    table: list[features.Measured] = []
    for number, question in enumerate(questions):
        found = verdicts[question.text]
        made = list(maker.make(question))
        shares = {"cheat": CHEAT, "near miss": NEAR, "honest": HONEST}
        kinds = [m.kind if m.kind in shares else "cheat" for m in made]
        for row in found:
            table.append(describe(question, row["answer"]))
            rows.append((row["label"] == "correct", 1 / len(found), folds[number], number,
                         row["system"], "human", False, False))  # fmt: skip
        for answer, kind in zip(made, kinds, strict=True):
            table.append(describe(question, answer.answer))
            rows.append((answer.correct, shares[kind] / kinds.count(kind), folds[number], number,
                         "", answer.kind, answer.kept,
                         is_caught(question, answer.answer)))  # fmt: skip
    limits = [(m.objection, m.unknown) for m in table]
    *columns, caught = (np.array(column) for column in zip(*rows, strict=True))
    barred, spared = (np.array([m[n] for m in limits]) for n in (0, 1))
    return Rows(np.array([m.values for m in table]), *columns, barred, spared, caught)


def train(rows: Rows, chosen: Mask) -> HistGradientBoostingClassifier:
    """Fit boosted trees."""
    model = HistGradientBoostingClassifier(
        max_iter=TREES, learning_rate=0.12, max_leaf_nodes=LEAVES, min_samples_leaf=60,
        l2_regularization=5.0, monotonic_cst=MONOTONE, early_stopping=False, random_state=0,
    )  # fmt: skip
    return model.fit(rows.table[chosen], rows.truth[chosen], sample_weight=rows.weight[chosen])


def held_out(rows: Rows, usable: Mask) -> Array:
    """Return the log-odds of every row by a model fitted on the usable rows of other folds."""
    scores = np.zeros(len(rows.truth))
    for fold in range(FOLDS):
        model = train(rows, usable & (rows.fold != fold))
        inside = rows.fold == fold
        scores[inside] = model.decision_function(rows.table[inside])
    return scores


def platt(rows: Rows, scores: Array) -> Line:
    """Fit slope and intercept on human verdicts, each question weighing the same."""
    model, human = LogisticRegression(C=1e6), rows.human
    model.fit(scores[human].reshape(-1, 1), rows.truth[human], rows.weight[human])
    return round(float(model.coef_[0, 0]), 4), round(float(model.intercept_[0]), 4)


def lowest(scores: Sequence[Array], lines: Sequence[Line]) -> Array:
    """Return the lowest log-odds that any forest gives."""
    return np.min([a * s + b for s, (a, b) in zip(scores, lines, strict=True)], axis=0)


def chances(rows: Rows, scores: Array, fitted: Line, ends: Ends = OPEN) -> Array:
    """Return P(correct) as the head gives it: calibrated, and kept from one or both of the ends."""
    chance = 1 / (1 + np.exp(-(fitted[0] * scores + fitted[1])))
    chance = np.where(rows.spared, np.maximum(chance, ends[0]), chance)
    chance = np.where(rows.barred, np.minimum(chance, ends[1]), chance)
    return np.where(rows.caught, 0.0, chance)


def choose_gates(rows: Rows, seen: Array, unseen: Array) -> tuple[float, float]:
    """Return the gates between which least is left open, given what must be reached.

    `seen` are chances by a fit on all wordings, `unseen` by one without those that are kept out.
    """
    human, kept = rows.human, rows.cheat & rows.kept
    for gate in np.arange(0.5, 0.995, 0.005):
        right = rows.truth[human & (seen >= gate)].mean()
        few = (seen[rows.cheat] >= gate).mean() <= PAID
        few &= (unseen[kept] >= gate).mean() <= PAID_UNSEEN
        if right >= RIGHT_CORRECT + MARGIN and few:
            break
    for low in np.arange(0.5, 0.005, -0.005):
        if (~rows.truth[human & (seen <= low)]).mean() >= RIGHT_INCORRECT + MARGIN:
            break
    return round(float(gate), 3), round(float(low), 3)


def export(model: HistGradientBoostingClassifier, line: Line) -> Forest:
    """Return a model as plain numbers, rounded so that a fit repeats."""
    trees: list[Tree] = []
    for (predictor,) in model._predictors:
        tree = Tree([], [], [])
        _append(predictor.nodes, 0, tree)
        trees.append(tree)
    bias = round(float(model._baseline_prediction[0, 0]), 4)
    return Forest(bias=bias, trees=trees, slope=line[0], intercept=line[1])


def _append(nodes: NDArray[Any], place: int, tree: Tree) -> None:
    node, here = nodes[place], len(tree.feature)
    tree.feature.append(-1 if node["is_leaf"] else int(node["feature_idx"]))
    value = node["value"] if node["is_leaf"] else node["num_threshold"]
    tree.value.append(float(f"{value:.4g}"))
    tree.right.append(0)
    if not node["is_leaf"]:
        _append(nodes, int(node["left"]), tree)
        tree.right[here] = len(tree.feature)
        _append(nodes, int(node["right"]), tree)


def other_systems(rows: Rows, lines: Sequence[Line], fitted: Line) -> dict[str, list[float]]:
    """Return the AUC on systems that the fit has not seen, nor their questions.

    The fit for the n-th system leaves out the system and the n-th fold; it is tested where both
    meet, a fifth of the system's answers.
    """
    found: dict[str, list[float]] = {}
    for fold, system in enumerate(sorted(set(rows.system) - {""})):
        usable = (rows.fold != fold) & (rows.system != system)
        models = [train(rows, usable & chosen) for chosen in of_forests(rows)]
        scores = lowest([model.decision_function(rows.table) for model in models], lines)
        chosen = (rows.fold == fold) & (rows.system == system)
        found[str(system)] = auc(rows, chances(rows, scores, fitted, (0.0, 1.0)), chosen)
    return found


def of_forests(rows: Rows) -> tuple[Mask, Mask]:
    """Return the rows that each forest is fitted on: human verdicts, and all."""
    return rows.human, np.ones(len(rows.truth), bool)


def evaluate(rows: Rows) -> tuple[AnswerHead, dict[str, Any]]:
    """Fit the head on everything, and measure it by cross-validation."""
    human = rows.human
    verdicts, full = (held_out(rows, usable) for usable in of_forests(rows))
    lines = [platt(rows, verdicts), platt(rows, full)]
    scores = lowest([verdicts, full], lines)
    transfer = lowest([verdicts, held_out(rows, ~rows.kept)], lines)
    foreign = lowest([verdicts, held_out(rows, ~np.isin(rows.kind, KEPT_KINDS))], lines)
    fitted = platt(rows, scores)
    gates = choose_gates(rows, *(chances(rows, s, fitted) for s in (scores, transfer)))
    ends = (round(gates[1] + 0.01, 3), round(gates[0] - 0.01, 3))
    seen, unseen, others = (chances(rows, s, fitted, ends) for s in (scores, transfer, foreign))
    head = AnswerHead(
        features=list(features.NAMES),
        forests=[
            export(train(rows, usable), line)
            for usable, line in zip(of_forests(rows), lines, strict=True)
        ],
        slope=fitted[0], intercept=fitted[1],
        gate_correct=gates[0], gate_incorrect=gates[1], floor=ends[0], cap=ends[1],
        questions=len(set(rows.question)), verdicts=int(human.sum()),
    )  # fmt: skip
    systems = sorted(set(rows.system) - {""})
    unseen_kinds = by_kind(rows, others, gates, kept=False)
    return head, {
        "gates": gates,
        "ends": ends,
        "ece": ece(seen[human], rows.truth[human]),
        "all": decided(rows, seen, gates, human),
        "systems": {str(s): decided(rows, seen, gates, rows.system == s) for s in systems},
        "unseen_systems_auc": other_systems(rows, lines, fitted),
        "kinds": by_kind(rows, seen, gates, kept=False),
        "unseen_wordings": by_kind(rows, unseen, gates, kept=True),
        "unseen_kinds": {kind: unseen_kinds[kind] for kind in KEPT_KINDS},
        "curve": curve(rows, seen),
    }


def main() -> None:
    """Fit and measure, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", required=True, type=Path, help="EVOUNA")
    parser.add_argument("--write", action="store_true", help="write weights, figures and docs")
    parser.add_argument("--seed", type=int, default=0, help="of the answers that are made")
    options = parser.parse_args()
    head, report = evaluate(read(options.data, options.seed))
    table = markdown(report)
    print(msgspec.json.format(msgspec.json.encode(report)).decode(), table, sep="\n\n")
    if options.write:
        OUT.write_bytes(msgspec.json.encode(head) + b"\n")
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        before, after = DOCS.read_text().split(MARK)[0], f"{MARK}\n\n{table}\n"
        DOCS.write_text(before + after + END + DOCS.read_text().split(END)[1])
        nodes = sum(len(tree.feature) for forest in head.forests for tree in forest.trees)
        print(f"{OUT}: {nodes} nodes, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
