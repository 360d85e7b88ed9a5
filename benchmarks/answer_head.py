"""Fits the answer head on human verdicts and on answers made to cheat, and measures it.

    scripts/bench answer_head --data DIR            measure by cross-validation
    scripts/bench answer_head --data DIR --write    also write the weights, the figures, the docs

DIR holds EVOUNA's `NQ.json` (Wang et al. 2023, arXiv:2305.12421; Apache-2.0). Folds share neither a
question nor a reference; an answer that was made stays in the fold of its question.
"""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from answer_cheats import Maker, Question
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from plaudit.bench.datasets import load_dataset
from plaudit.judges.answers import features
from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.head import Head, Tree

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "answer_head.json"
OUT = ROOT / "src" / "plaudit" / "scoring" / "heads" / "answers.json"
FOLDS, TREES, LEAVES = 5, 160, 16
CHEAT, NEAR, HONEST = 0.6, 0.2, 0.3
"""Weight of a question's cheats, near misses and honest paraphrases beside 1 for its verdicts."""
RIGHT_CORRECT, RIGHT_INCORRECT, PAID = 0.97, 0.93, 0.02
MARGIN = 0.004
"""By how much the gates exceed what must be reached, against the luck of the draw."""
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_RISING = "coverage fuzzy exact last_word letters numbers_found acronym".split()
_FALLING = (
    "negated negated_before negated_behind denied_after denied_beside negations_after "
    "either_near grading rivals_before contradicted enclosed opinion_before equated refusal"
).split()
MONOTONE = [(n in _RISING) - (n in _FALLING) for n in features.NAMES]


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

    @property
    def human(self) -> Mask:
        """Answers that people judged."""
        return self.kind == "human"

    @property
    def cheat(self) -> Mask:
        """Answers that were made to cheat."""
        return ~np.isin(self.kind, ("human", "honest", "near miss"))


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


def describe(question: Question, answer: str) -> tuple[float, ...]:
    """Return the features of an answer, read whole."""
    case = AnswerCase(question=question.text, answer=answer, references=question.references)
    return features.measure(case, Extracted(text=answer, marked=False, by="whole")).values


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
    table: list[tuple[float, ...]] = []
    for number, question in enumerate(questions):
        found = verdicts[question.text]
        made = list(maker.make(question))
        shares = {"cheat": CHEAT, "near miss": NEAR, "honest": HONEST}
        kinds = [m.kind if m.kind in shares else "cheat" for m in made]
        for row in found:
            table.append(describe(question, row["answer"]))
            rows.append((row["label"] == "correct", 1 / len(found), folds[number], number,
                         row["system"], "human", False))  # fmt: skip
        for answer, kind in zip(made, kinds, strict=True):
            table.append(describe(question, answer.answer))
            rows.append((answer.correct, shares[kind] / kinds.count(kind), folds[number], number,
                         "", answer.kind, answer.kept))  # fmt: skip
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Rows(np.array(table), *columns)


def train(rows: Rows, chosen: Mask) -> HistGradientBoostingClassifier:
    """Fit boosted trees."""
    model = HistGradientBoostingClassifier(
        max_iter=TREES, learning_rate=0.1, max_leaf_nodes=LEAVES, min_samples_leaf=60,
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


def platt(rows: Rows, scores: Array, chosen: Mask) -> tuple[float, float]:
    """Fit slope and intercept on human verdicts, each question weighing the same."""
    model = LogisticRegression(C=1e6)
    model.fit(scores[chosen].reshape(-1, 1), rows.truth[chosen], rows.weight[chosen])
    return float(model.coef_[0, 0]), float(model.intercept_[0])
