"""The benchmark of the answer head: the answers that it makes, its folds, and its trees."""

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.support.command import REPOSITORY


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return importlib.import_module("answer_head")


@pytest.fixture
def cheats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return importlib.import_module("answer_cheats")


def questions(cheats: ModuleType) -> list[Any]:
    rows = [
        ("who wrote hamlet", "William Shakespeare"), ("who wrote faust", "Goethe"),
        ("who wrote emma", "Jane Austen"), ("who wrote it", "Stephen King"),
        ("when did it end", "1945"), ("when did it begin", "1939"), ("when was it", "1914"),
        ("who wrote macbeth", "william shakespeare."),
    ]  # fmt: skip
    return [
        cheats.Question(text, (reference,), (f"It is {reference}.",)) for text, reference in rows
    ]


def test_every_kind_has_wordings_enough(cheats: ModuleType) -> None:
    assert all(len(set(templates)) >= 6 for templates in cheats.CHEATS.values())


def test_answers_are_the_same_for_a_seed(cheats: ModuleType) -> None:
    asked = questions(cheats)
    first, again, other = (list(cheats.Maker(asked, seed).make(asked[0])) for seed in (0, 0, 1))
    assert first == again != other


def test_a_cheat_is_wrong_and_a_paraphrase_right(cheats: ModuleType) -> None:
    asked = questions(cheats)
    made = [m for q in asked for m in cheats.Maker(asked).make(q)]
    assert {m.kind for m in made} >= {*cheats.CHEATS, "honest", "near miss"}
    assert all(m.correct == (m.kind == "honest") for m in made)
    assert not any("{x}" in m.answer or "{y}" in m.answer for m in made)
    assert {m.kept for m in made} == {True, False}


def test_folds_share_no_question_and_no_reference(script: ModuleType, cheats: ModuleType) -> None:
    group = script.groups(questions(cheats))
    assert group[0] == group[-1]
    assert len(set(group)) == 7
    folds = script.deal(group, 3)
    assert folds[0] == folds[-1]
    assert max(map(folds.count, range(3))) <= 3


def test_exported_trees_say_what_the_fitted_ones_say(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "TREES", 4)
    draw = np.random.default_rng(0)
    table = draw.integers(0, 9, (500, len(script.MONOTONE))).astype(float)
    rows = script.Rows(
        table=table, truth=table[:, 0] + table[:, 1] > 8, weight=np.ones(500),
        fold=np.zeros(500, int), question=np.arange(500), system=np.full(500, ""),
        kind=np.full(500, "human"), kept=np.zeros(500, bool), barred=np.zeros(500, bool),
        spared=np.zeros(500, bool), caught=np.zeros(500, bool),
    )  # fmt: skip
    model = script.train(rows, np.ones(500, bool))
    head = script.AnswerHead(
        features=[], forests=[script.export(model, (2.0, 0.5))], slope=1.0, intercept=0.0,
        gate_correct=0.9, gate_incorrect=0.1, cap=0.8, floor=0.2, questions=1, verdicts=1,
    )  # fmt: skip
    for values, score in zip(table[:50], model.decision_function(table[:50]), strict=True):
        assert head.log_odds(tuple(values)) == pytest.approx(2 * score + 0.5, abs=0.02)
