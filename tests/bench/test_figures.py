"""Figures of outcomes that are known, intervals that keep their promise, and paired arms."""

import importlib
import random
import sys
from typing import Any

import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from plaudit.bench.columns import STATISTICS
from plaudit.bench.figures import PAIRED, ArmFigures, measure_outcomes, paired_differences
from plaudit.bench.outcomes import RowOutcome
from plaudit.bench.results import FIGURES, Figure, OutcomeCounts
from plaudit.errors import MissingDependencyError, UsageError
from plaudit.scoring.intervals import wilson
from plaudit.types import Status


def outcome(number: int, **fields: Any) -> RowOutcome:
    return RowOutcome(id=f"s-{number}", **fields)


def said(number: int, right: bool, **fields: Any) -> RowOutcome:
    return outcome(number, agrees=right, credit=float(right), **fields)


def figures(outcomes: list[RowOutcome]) -> dict[str, Figure]:
    return measure_outcomes(outcomes).overall.figures


def values(outcomes: list[RowOutcome]) -> dict[str, float | None]:
    return {name: one.value for name, one in figures(outcomes).items()}


MIXED = [
    said(0, True),
    said(1, False),
    said(2, True, status="abstained", cause="below_gate"),
    outcome(3, status="invalid", cause="unparseable"),
    outcome(4, status="failed", cause="timeout"),
    outcome(5, agrees=False, credit=1.0, value="A=B"),
    outcome(6, agrees=False, credit=0.5),
    outcome(7, labelled=False),
]


def test_what_is_not_ok_is_counted_and_never_wrong_in_silence() -> None:
    counts = measure_outcomes(MIXED).overall.counts
    assert counts == OutcomeCounts(
        samples=8, right=1, wrong=1, ties=2, unlabelled=1, abstained=1, invalid=1, failed=1,
        causes={"below_gate": 1, "unparseable": 1, "timeout": 1},
    )  # fmt: skip
    found = values(MIXED)
    assert found["coverage"] == pytest.approx(5 / 8)
    assert found["accuracy"] == pytest.approx(1 / 4)
    assert found["accuracy_of_all"] == pytest.approx(1 / 7)
    assert found["forced_accuracy"] == pytest.approx(3.5 / 5)


def test_a_judge_that_abstains_everywhere_has_no_accuracy() -> None:
    silent = [said(n, n % 2 == 0, status="abstained", cause="below_gate") for n in range(20)]
    found = figures(silent)
    assert found["accuracy"] == Figure(value=None, n=0, why="no ok verdict")
    assert (found["coverage"].value, found["accuracy_of_all"].value) == (0, 0)
    assert found["coverage"].high == pytest.approx(wilson(0, 20).high)
    assert found["forced_accuracy"].value == 0.5


def test_an_undecided_sample_is_not_right() -> None:
    """It has a label and no value, and with a score of its own or without."""
    seen = [
        said(0, True),
        outcome(1, status="abstained"),
        outcome(2, status="abstained", score=0.4),
    ]
    assert values(seen)["accuracy_of_all"] == pytest.approx(1 / 3)


def test_labels_that_no_value_can_be_have_no_accuracy() -> None:
    rated = [outcome(n, score=n / 9, positive=n > 4, labelled=False) for n in range(9)]
    found = figures([*rated, outcome(10, status="failed", labelled=False)])
    assert found["accuracy"].why == "no ok verdict has a label"
    assert found["accuracy_of_all"].why == "no sample has a label"
    assert found["auroc"].value == 1


def test_no_outcome_and_an_empty_subset_are_reported() -> None:
    measured = measure_outcomes([said(0, True, subset="there")], subsets=["empty", "there"])
    empty, there = measured.subsets
    assert (empty.name, empty.counts.samples, there.counts.samples) == ("empty", 0, 1)
    for found in (empty, measure_outcomes([]).overall):
        assert found.figures["accuracy"] == Figure(value=None, n=0, why="no samples")
    nothing = measure_outcomes([])
    assert (nothing.subsets, nothing.reliability, nothing.distributions) == ([], [], [])


def test_subsets_are_in_the_order_of_their_first_sample() -> None:
    names = ["b", "a", "b", "", "c"]
    seen = [said(n, name != "b", subset=name) for n, name in enumerate(names)]
    measured = measure_outcomes(seen)
    assert [one.name for one in measured.subsets] == ["b", "a", "c"]
    assert [one.figures["accuracy"].value for one in measured.subsets] == [0, 1, 1]
    assert measured.overall.counts.samples == 5
    assert measure_outcomes([said(0, True)]).subsets == []


def test_one_class_has_no_auroc_and_one_value_no_alpha() -> None:
    one_class = [
        outcome(n, score=0.1 * n, positive=True, agrees=True, value="A", label="A")
        for n in range(4)
    ]
    found = figures(one_class)
    assert (found["auroc"].value, found["auroc"].why) == (
        None,
        "all samples with a score are of one class",
    )
    assert (found["alpha"].value, found["alpha"].why) == (None, "all values are the same")


def test_first_place_is_read_from_single_orders() -> None:
    """In the second order B stands first."""
    orders = [(0.9, 0.2), (0.9, 0.9), (0.5, 0.1), (None, 0.8), None, (0.3, None)]
    found = figures([outcome(n, orders=one) for n, one in enumerate(orders)])["first_share"]
    assert (found.value, found.n) == (4 / 7, 7)


def test_consistency_is_over_pairs_with_both_orders() -> None:
    seen = [outcome(0, consistent=True), outcome(1, consistent=False), outcome(2)]
    assert (figures(seen)["consistency"].value, figures(seen)["consistency"].n) == (0.5, 2)


def test_calibration_error_of_known_bins() -> None:
    low = [said(n, n < 3, confidence=0.25) for n in range(10)]  # 0.05 too unsure
    high = [said(10 + n, n < 6, confidence=0.95) for n in range(10)]  # 0.35 too sure
    assert values(low + high)["ece"] == pytest.approx((0.05 + 0.35) / 2)
    measured = measure_outcomes(low + high)
    assert [(b.count, b.confidence, b.right) for b in measured.reliability] == [
        (10, pytest.approx(0.25), 0.3), (10, pytest.approx(0.95), 0.6)
    ]  # fmt: skip


def scored(seed: int, size: int = 200, **fields: Any) -> list[RowOutcome]:
    source = random.Random(seed)
    return [
        said(
            n, right := source.random() < 0.6,
            confidence=(p := round(source.random(), 1)), score=p, positive=right, **fields,
        )
        for n in range(size)
    ]  # fmt: skip


def test_brier_and_auroc_are_those_of_scikit_learn() -> None:
    seen = scored(0)
    truth, sure = [o.agrees for o in seen], [o.confidence for o in seen]
    assert values(seen)["brier"] == pytest.approx(brier_score_loss(truth, sure))
    assert values(seen)["auroc"] == pytest.approx(roc_auc_score(truth, sure))


def test_the_coverage_curve_is_that_of_gates() -> None:
    further = [
        said(200, True, confidence=1.0, status="abstained", cause="order_conflict"),
        said(201, True, confidence=1.0, status="abstained", cause="below_gate"),
        outcome(202, status="failed"),
    ]
    seen = scored(1) + further
    points = measure_outcomes(seen).coverage_curve
    assert [point.gate for point in points] == sorted(point.gate for point in points)
    for point in points:
        kept = [
            o.agrees
            for o in seen
            if o.confidence is not None and o.confidence >= point.gate and o.id != "s-200"
        ]
        assert point.n == len(kept)
        assert point.coverage == pytest.approx(len(kept) / 203)
        assert point.accuracy == pytest.approx(sum(map(bool, kept)) / len(kept))


def test_scores_are_counted_by_label() -> None:
    seen = [
        outcome(0, score=-1.0, positive=False),
        outcome(1, score=1.0, positive=True),
        outcome(2, score=0.05),
        outcome(3, score=None, positive=True),
    ]
    found = {one.name: one for one in measure_outcomes(seen).distributions}
    assert found.keys() == {"positive", "negative", "other"}
    assert (found["other"].low, found["other"].high, sum(found["other"].counts)) == (-1, 1, 1)
    raw = measure_outcomes([outcome(0, score=7.5)]).distributions[0]
    assert (raw.low, raw.high, sum(raw.counts)) == (7.0, 8.0, 1)
    huge = [outcome(n, score=score) for n, score in enumerate((-1.7e308, 1.7e308, 3.0))]
    assert [sum(one.counts) for one in measure_outcomes(huge).distributions] == [1]


# Intervals


def draw(rate: float, size: int, seed: int, **fields: Any) -> list[RowOutcome]:
    source = random.Random(seed)
    return [said(n, source.random() < rate, **fields) for n in range(size)]


def clustered(seed: int, groups: int = 30) -> list[RowOutcome]:
    source = random.Random(seed)
    rates = [source.betavariate(1.4, 0.6) for _ in range(groups)]
    return [
        said(n, source.random() < rates[n // 5], cluster=f"c{n // 5}") for n in range(5 * groups)
    ]


@pytest.mark.parametrize("make", [lambda seed: draw(0.7, 150, seed), clustered])
def test_shares_hold_the_true_rate_as_often_as_they_say(make: Any) -> None:
    found = [figures(make(seed))["accuracy"] for seed in range(200)]
    held = sum(one.low <= 0.7 <= one.high for one in found)
    assert 178 <= held <= 200
    assert {one.method for one in found} <= {"wilson", "cluster"}


def test_independent_shares_are_wilsons() -> None:
    seen = draw(0.7, 80, 3)
    found = figures(seen)["accuracy"]
    wanted = scipy_stats.binomtest(sum(bool(o.agrees) for o in seen), 80)
    interval = wanted.proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.method, found.clusters) == ("wilson", None)


def test_all_right_has_an_interval_with_a_width() -> None:
    found = figures([said(n, True, confidence=1.0) for n in range(39)])
    assert (found["accuracy"].value, found["accuracy"].high) == (1, 1)
    assert found["accuracy"].low == wilson(1, 39).low < 0.92
    for name in ("brier", "ece"):
        assert (found[name].value, found[name].low) == (0, None)
        assert found[name].why is not None
        assert "nothing shows" in found[name].why


def test_few_clusters_have_no_interval() -> None:
    seen = [
        said(n, n % 3 > 0, cluster=f"c{n % 9}", confidence=0.5 + n / 999, positive=n % 2 > 0,
             score=n % 7, value="AB"[n % 2], label="AB"[n % 3 > 0])
        for n in range(90)
    ]  # fmt: skip
    found = figures(seen)
    for name in ("accuracy", "coverage", "ece", "brier", "auroc", "alpha"):
        assert found[name].low is found[name].high is None, name
        assert found[name].clusters == 9
        assert found[name].why == "too few: 9 clusters, an interval takes 10"
    enough = figures([*seen, said(90, True, cluster="c9")])
    assert enough["accuracy"].clusters == 10
    assert enough["accuracy"].method == "cluster"


def test_few_samples_of_a_class_have_no_interval() -> None:
    seen = [outcome(n, score=n % 5, positive=n < 4) for n in range(40)]
    assert figures(seen)["auroc"].why == "too few: 4 positive samples, an interval takes 10"
    apart = [outcome(n, score=n, positive=n > 19) for n in range(40)]
    assert (figures(apart)["auroc"].value, figures(apart)["auroc"].low) == (1, None)
    assert "do not overlap" in (figures(apart)["auroc"].why or "")


def test_clusters_widen_every_interval() -> None:
    """The same samples five times over say no more than once."""
    fields = {"value": "A", "label": "A"}
    once = [
        o if o.agrees else RowOutcome(id=o.id, agrees=False, credit=0.0, confidence=o.confidence,
                                      score=o.score, positive=o.positive, value="B", label="A")
        for o in scored(5, 300, **fields)
    ]  # fmt: skip
    again = [
        RowOutcome(id=f"{o.id}-{n}", agrees=o.agrees, credit=o.credit, confidence=o.confidence,
                   score=o.score, positive=o.positive, cluster=o.id, value=o.value, label=o.label)
        for o in once for n in range(5)
    ]  # fmt: skip
    single, repeated = figures(once), figures(again)
    for name in single.keys() - {"coverage"}:
        narrow, wide = single[name], repeated[name]
        assert wide.value == pytest.approx(narrow.value, rel=0.01), name
        assert (wide.low, wide.high) == pytest.approx((narrow.low, narrow.high), abs=0.01), name
        assert (narrow.clusters, wide.clusters) == (None, 300)


def test_a_seed_gives_the_same_figures_again() -> None:
    seen = scored(1, cluster="")
    assert measure_outcomes(seen, seed=3) == measure_outcomes(iter(seen), seed=3)
    first, other = measure_outcomes(seen, seed=3), measure_outcomes(seen, seed=4)
    changed = {n for n, f in first.overall.figures.items() if f != other.overall.figures[n]}
    assert changed == {"ece"}


def test_every_figure_is_explained() -> None:
    assert STATISTICS.keys() | {"score"} == FIGURES.keys()
    assert set(PAIRED) <= STATISTICS.keys()


# Arms


def differences(*arms: list[RowOutcome], **options: Any) -> dict[tuple[str, str], Any]:
    named = {f"arm {n}": arm for n, arm in enumerate(arms)}
    return {(one.judge, one.figure): one for one in paired_differences(named, **options)}


def test_what_is_hard_for_both_arms_cancels() -> None:
    first = draw(0.5, 100, 5)
    better = {n for n, one in enumerate(first) if not one.agrees and n % 10 == 0}
    second = [said(n, n in better or bool(one.agrees)) for n, one in enumerate(first)]
    more = differences(first, second)["arm 1", "accuracy"]
    alone = figures(second)["accuracy"]
    assert more.difference.value == pytest.approx(len(better) / 100)
    assert more.difference.high - more.difference.low < (alone.high - alone.low) / 1.5
    changes = [n in better for n in range(100)]
    wanted = scipy_stats.ttest_1samp(list(map(float, changes)), 0)
    assert wanted.pvalue < more.p < 4 * wanted.pvalue < 0.05


def test_no_difference_is_found_as_often_as_the_level_says() -> None:
    """Arms as good as each other, on samples that share clusters; Holm over their figures."""
    found = 0
    for seed in range(200):
        hard = random.Random(seed)
        shared = [hard.random() for _ in range(20)]
        arms = [
            [said(n, draw.random() < shared[n // 4], cluster=f"c{n // 4}") for n in range(80)]
            for draw in (random.Random(-seed - 1), random.Random(-seed - 10_000))
        ]
        found += any(one.p_holm < 0.05 for one in differences(*arms).values())
    assert found <= 21  # 10 expected at most; binomial limit at 1 in 1,000


def test_what_an_arm_could_not_judge_is_no_difference() -> None:
    easy, hard = range(20), range(20, 40)
    one = [outcome(n, agrees=True, credit=1.0) for n in easy]
    one += [outcome(n, agrees=False, credit=0.0) for n in hard]
    other = [*one[:20], *(outcome(n, status="failed") for n in hard)]
    found = differences(one, other)
    assert found["arm 1", "forced_accuracy"].difference.value == 0
    assert found["arm 1", "forced_accuracy"].difference.n == 20
    assert found["arm 1", "coverage"].difference.value == -0.5
    assert found["arm 1", "accuracy"].difference.value == 0.5  # each of its own ok verdicts


def test_equal_scores_of_both_classes_have_no_interval_without_a_width() -> None:
    rows = [outcome(n, positive=n % 2 == 0, score=0.5) for n in range(40)]
    found = measure_outcomes(rows).overall.figures["auroc"]
    assert (found.value, found.low) == (0.5, None)
    assert found.why is not None


def test_arms_are_compared_on_the_samples_that_both_have() -> None:
    first = [said(n, n % 2 == 0) for n in range(30)]
    second = [said(n, n % 2 == 1) for n in range(10, 40)]
    more = differences(first, second)["arm 1", "accuracy"].difference
    assert (more.value, more.n) == (0, 20)


def test_all_arms_are_compared_to_the_first_and_corrected_together() -> None:
    arms = [draw(rate, 200, seed) for seed, rate in enumerate((0.5, 0.6, 0.7, 0.9))]
    found = differences(*arms)
    assert {judge for judge, _ in found} == {"arm 1", "arm 2", "arm 3"}
    assert {one.baseline for one in found.values()} == {"arm 0"}
    p_values = [one.p for one in found.values() if one.p is not None]
    least = min(p_values)
    assert min(o.p_holm for o in found.values()) == pytest.approx(min(1, least * len(p_values)))
    assert found["arm 3", "accuracy"].p_holm < 0.001


def test_a_figure_that_one_arm_lacks_has_no_difference() -> None:
    first, second = scored(0), draw(0.6, 200, 0)
    assert {figure for _, figure in differences(first, second)} == {
        "accuracy", "accuracy_of_all", "forced_accuracy", "coverage"
    }  # fmt: skip


@pytest.mark.parametrize("figure", STATISTICS)
def test_every_figure_can_be_compared(figure: str) -> None:
    def arm(seed: int, rate: float) -> list[RowOutcome]:
        source, made = random.Random(seed), list[RowOutcome]()
        for n in range(200):
            right, label, status = source.random() < rate, "AB"[n % 2], source.random() < 0.8
            value = label if right else "BA"[n % 2]
            lean = source.random()
            sure = 0.5 + source.random() / 2
            made.append(
                said(n, right, status="ok" if status else "abstained", confidence=sure,
                     score=lean + 0.5 * (value == "A"), positive=label == "A",
                     consistent=source.random() < rate,
                     orders=(lean, source.random()), value=value, label=label)
            )  # fmt: skip
        return made

    first, second = arm(0, 0.5), arm(1, 0.8)
    one = differences(first, second, figures=[figure])["arm 1", figure]
    change = values(second)[figure] - values(first)[figure]
    assert one.difference.value == pytest.approx(change)
    assert one.difference.low < change < one.difference.high
    assert 0 <= one.p == one.p_holm <= 1
    assert one.difference.method == "student"
    back = differences(second, first, figures=[figure])["arm 1", figure]
    assert (back.difference.value, back.p) == pytest.approx(
        (-change, one.p), rel=0.1 if figure == "ece" else 1e-6
    )


def test_an_interval_of_no_width_is_explained() -> None:
    first = draw(0.5, 30, 0)
    same = differences(first, first)["arm 1", "accuracy"]
    assert (same.difference.value, same.p) == (0, 1)
    assert same.difference.why == "no sample differs"
    wrong, right = [said(n, False) for n in range(12)], [said(n, True) for n in range(12)]
    opposite = differences(wrong, right)["arm 1", "accuracy"]
    assert opposite.difference.value == opposite.difference.high == 1
    assert opposite.difference.low > 0.7
    sure, unsure = ([said(n, True, confidence=p) for n in range(12)] for p in (0.9, 0.5))
    change = differences(sure, unsure)["arm 1", "brier"]
    assert (change.difference.value, change.difference.low) == (pytest.approx(0.24), None)
    assert change.difference.why == "all samples change alike"
    assert change.p == pytest.approx(2 * 0.5**12)


def test_few_clusters_have_no_test() -> None:
    few = [said(n, n % 2 == 0, cluster=f"c{n % 5}") for n in range(50)]
    found = differences(few, few)["arm 1", "accuracy"]
    assert (found.p, found.p_holm, found.difference.low) == (None, None, None)
    assert found.difference.why == "too few: 5 clusters, an interval takes 10"


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="no sample in common"):
        differences([said(0, True)], [said(1, True)])
    assert (
        differences()
        == differences([said(0, True)])
        == differences([], [])
        == differences([MIXED[0]], [])
        == {}
    )


def test_rows_that_repeat_are_paired_in_their_order() -> None:
    first = [said(n // 2, n % 4 == 0) for n in range(40)]
    second = [said(n // 2, n % 4 < 2) for n in range(40)]
    found = differences(first, second)["arm 1", "accuracy"].difference
    assert (found.value, found.n) == (0.25, 40)


@pytest.mark.parametrize(("better", "worse"), [(4, 0), (6, 0), (9, 2), (20, 10), (15, 15)])
def test_where_few_change_the_p_is_near_mcnemars(better: int, worse: int) -> None:
    first = [said(n, better <= n < better + worse or n > 60) for n in range(100)]
    second = [said(n, n < better or n > 60) for n in range(100)]
    found = differences(first, second)["arm 1", "accuracy"]
    exact = scipy_stats.binomtest(better, better + worse).pvalue
    middle = exact - scipy_stats.binom.pmf(better, better + worse, 0.5)
    assert min(middle, exact) - 0.01 <= found.p <= exact + 0.01
    assert (found.difference.low <= 0) == (found.p >= 0.05)


def test_without_numpy_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[stats\]"):
        measure_outcomes([said(0, True)])
    monkeypatch.undo()
    assert importlib.import_module("numpy")


@pytest.mark.parametrize("status", ["ok", "abstained", "invalid", "failed"])
def test_every_status_is_counted(status: Status) -> None:
    measured: ArmFigures = measure_outcomes([outcome(0, status=status, labelled=False)])
    counts = measured.overall.counts
    assert counts.samples == 1
    assert counts.unlabelled + counts.abstained + counts.invalid + counts.failed == 1
