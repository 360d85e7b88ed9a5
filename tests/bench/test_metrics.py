"""Measures on outcomes whose figures are known, and intervals that keep their promise."""

import importlib
import random
import sys
from typing import Any

import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from plaudit.bench.metrics import METRICS, compare, counts, measure
from plaudit.bench.outcomes import RowOutcome
from plaudit.errors import MissingDependencyError, UsageError


def outcome(number: int, **fields: Any) -> RowOutcome:
    return RowOutcome(id=f"s-{number}", **fields)


def said(number: int, right: bool, **fields: Any) -> RowOutcome:
    return outcome(number, agrees=right, credit=float(right), **fields)


def values(outcomes: list[RowOutcome]) -> dict[str, float | None]:
    return {name: one and one.value for name, one in measure(outcomes, draws=2).items()}


MIXED = [
    said(0, True, tokens=10),
    said(1, False, tokens=20),
    said(2, True, status="abstained", tokens=30),
    outcome(3, status="invalid", tokens=40),
    outcome(4, status="failed"),
]


def test_what_is_not_ok_is_counted_and_never_wrong_in_silence() -> None:
    found = values(MIXED)
    assert counts(MIXED) == {"samples": 5, "ok": 2, "abstained": 1, "invalid": 1, "failed": 1}
    assert found["coverage"] == pytest.approx(2 / 5)
    assert found["accuracy"] == pytest.approx(1 / 2)
    assert found["accuracy_of_all"] == pytest.approx(1 / 5)
    assert found["forced_accuracy"] == pytest.approx(2 / 3)
    assert found["tokens"] == pytest.approx(20)


def test_what_is_not_defined_has_no_figure() -> None:
    nothing = values([outcome(0, status="failed"), outcome(1, status="invalid")])
    assert nothing["coverage"] == nothing["accuracy_of_all"] == 0.0
    for name in METRICS.keys() - {"coverage", "accuracy_of_all", "tokens"}:
        assert nothing[name] is None, name
    one_class = [outcome(n, score=0.1 * n, positive=True) for n in range(4)]
    assert values(one_class)["auroc"] is None


def test_macro_accuracy_weighs_groups_alike() -> None:
    many = [said(n, True, group="large") for n in range(9)]
    found = values([*many, said(9, False, group="small"), outcome(10, group="silent")])
    assert found["forced_accuracy"] == pytest.approx(0.9)
    assert found["macro_accuracy"] == pytest.approx(0.5)


def test_consistency_is_over_pairs_with_both_orders() -> None:
    seen = [outcome(0, consistent=True), outcome(1, consistent=False), outcome(2)]
    assert values(seen)["consistency"] == pytest.approx(0.5)


def test_calibration_error_of_known_bins() -> None:
    low = [said(n, n < 3, confidence=0.25) for n in range(10)]  # 0.05 too unsure
    high = [said(10 + n, n < 6, confidence=0.95) for n in range(10)]  # 0.35 too sure
    assert values(low + high)["ece"] == pytest.approx((0.05 + 0.35) / 2)
    assert values([said(0, True, confidence=1.0)])["ece"] == pytest.approx(0)


def test_brier_and_auroc_are_those_of_scikit_learn() -> None:
    random.seed(0)
    seen = [
        said(
            n, right := random.random() < 0.6,
            confidence=(p := round(random.random(), 1)), score=p, positive=right,
        )
        for n in range(200)
    ]  # fmt: skip
    truth, sure = [o.agrees for o in seen], [o.confidence for o in seen]
    assert values(seen)["brier"] == pytest.approx(brier_score_loss(truth, sure))
    assert values(seen)["auroc"] == pytest.approx(roc_auc_score(truth, sure))


def test_auroc_leaves_out_what_is_neither() -> None:
    seen = [
        outcome(0, score=0.9, positive=True),
        outcome(1, score=0.1, positive=False),
        outcome(2, score=0.0, positive=None),
        outcome(3, score=None, positive=True),
    ]
    assert values(seen)["auroc"] == pytest.approx(1.0)


# Intervals


def draw(rate: float, size: int, seed: int) -> list[RowOutcome]:
    source = random.Random(seed)
    return [said(n, source.random() < rate) for n in range(size)]


def test_intervals_hold_the_true_rate_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        one = measure(draw(0.7, 150, seed), seed=seed, draws=200)["accuracy"]
        held += one.low <= 0.7 <= one.high
    assert 177 <= held <= 199  # 190 expected; binomial limits at 1 in 10,000


def test_samples_of_a_cluster_are_drawn_together() -> None:
    alone = [said(n, n % 40 < 20) for n in range(80)]
    together = [said(n, n % 40 < 20, cluster=f"c{n // 20}") for n in range(80)]
    narrow, wide = measure(alone)["accuracy"], measure(together)["accuracy"]
    assert narrow.value == wide.value == 0.5
    assert narrow.high - narrow.low < 0.25
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_a_seed_gives_the_same_interval_again() -> None:
    seen = draw(0.6, 50, 1)
    assert measure(seen, seed=3, draws=100) == measure(seen, seed=3, draws=100)
    assert measure(seen, seed=3, draws=100) != measure(seen, seed=4, draws=100)


def test_what_is_hard_for_both_arms_cancels() -> None:
    first = draw(0.5, 100, 5)
    better = {n for n, one in enumerate(first) if not one.agrees and n % 10 == 0}
    second = [said(n, n in better or bool(one.agrees)) for n, one in enumerate(first)]
    more = compare(first, second)["accuracy"]
    assert more.value == pytest.approx(len(better) / 100)
    assert more.low >= 0
    alone = measure(second)["accuracy"]
    assert more.high - more.low < (alone.high - alone.low) / 1.5


def test_arms_are_compared_on_the_samples_that_both_have() -> None:
    first, second = [said(0, True), said(1, False)], [said(1, True), said(2, False)]
    assert compare(first, second, draws=10)["accuracy"].value == pytest.approx(1.0)
    assert compare(second, first, draws=10)["accuracy"].value == pytest.approx(-1.0)


def test_a_measure_that_one_arm_lacks_has_no_difference() -> None:
    first, second = [said(0, True)], [said(0, True, confidence=0.5)]
    assert compare(first, second, draws=5)["ece"] is None


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="no outcomes"):
        measure([])
    with pytest.raises(UsageError, match="no sample in common"):
        compare([said(0, True)], [said(1, True)])
    with pytest.raises(UsageError, match="'s-0' is there twice"):
        compare([said(0, True), said(0, False)], [said(0, True)])


def test_without_numpy_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[stats\]"):
        measure([said(0, True)])
    monkeypatch.undo()
    assert importlib.import_module("numpy")
