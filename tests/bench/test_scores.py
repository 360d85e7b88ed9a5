"""The published scores, against second implementations of the authors' rules."""

import itertools
import random
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from plaudit.bench.datasets import DATASETS
from plaudit.bench.outcomes import RowOutcome
from plaudit.bench.scores import SECTIONS, official_score
from plaudit.errors import UsageError


def outcome(number: int = 0, subset: str = "x", **fields: Any) -> RowOutcome:
    return RowOutcome(id=f"s-{number}", subset=subset, group=subset, **fields)


def right(number: int, subset: str, credit: float | None) -> RowOutcome:
    agrees = None if credit is None else credit == 1
    status = "failed" if credit is None else "ok"
    return outcome(number, subset, credit=credit, agrees=agrees, status=status, positive=True)


@pytest.mark.parametrize("name", DATASETS)
def test_each_set_has_a_score_and_none_where_no_verdict_is_ok(name: str) -> None:
    nothing = official_score(name, [])
    assert (nothing.score.value, nothing.score.why) == (None, "measured on nothing")
    leaning = [outcome(n, status="abstained", credit=1.0, agrees=True) for n in range(3)]
    failed = official_score(name, [*leaning, outcome(4, status="failed")])
    assert (failed.score.value, failed.score.n) == (None, 4)
    assert failed.score.why == "no verdict is ok"


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(UsageError, match="no data set 'chatbot'; there are rewardbench"):
        official_score("chatbot", [])


# RewardBench


def test_sections_weigh_subsets_by_their_examples() -> None:
    assert {name: len(of) for name, of in SECTIONS.items()} == {
        "Chat": 5, "Chat Hard": 6, "Safety": 5, "Reasoning": 7,
    }  # fmt: skip
    code = sum(n for name, n in SECTIONS["Reasoning"].items() if name.startswith("hep-"))
    assert SECTIONS["Reasoning"]["math-prm"] == code == 984


def test_rewardbench_averages_its_sections() -> None:
    draw = random.Random(1)
    shares, rows = {}, []
    for subsets in SECTIONS.values():
        for subset in subsets:
            credits = [draw.choice([0.0, 0.5, 1.0, None]) for _ in range(draw.randint(3, 9))]
            shares[subset] = sum(0.5 if c is None else c for c in credits) / len(credits)
            rows += [right(n, subset, credit) for n, credit in enumerate(credits)]
    found = official_score("rewardbench", rows)
    means = []
    for section, weights in SECTIONS.items():
        weighted = sum(shares[name] * n for name, n in weights.items()) / sum(weights.values())
        assert found.figures[section].value == pytest.approx(weighted)
        means.append(weighted)
    assert found.score.value == pytest.approx(sum(means) / 4)
    missing = sum(row.credit is None for row in rows)
    assert found.notes == [f"{missing} of {len(rows)} rows without a verdict count half"]


def test_rewardbench_scores_what_is_there_and_names_what_is_not() -> None:
    rows = [right(1, "hep-go", 1), right(2, "hep-cpp", 0), right(3, "donotanswer", 1)]
    rows.append(right(4, "my own", 0))
    found = official_score("rewardbench", rows)
    assert (found.score.value, found.score.n) == (0.75, 3)
    assert found.figures.keys() == {"Reasoning", "Safety"}
    assert found.notes == [
        "20 of 23 subsets are not there: alpacaeval-easy, alpacaeval-length, alpacaeval-hard, "
        "mt-bench-easy and 16 more",
        "not in the score, since no section has it: my own",
    ]


# Both orders

LEANS = (1.0, 0.0, 0.5, None)


def both_orders(number: int, label: str, orders: tuple[Any, Any], **fields: Any) -> RowOutcome:
    status = "invalid" if None in orders else "ok"
    return outcome(number, positive=label == "A", orders=orders, status=status, **fields)


def judgebench_again(label: str, first: float | None, second: float | None) -> bool:
    """The official rule, a second time: with decisions as texts, the second one flipped back."""
    texts = {1.0: "A>B", 0.0: "B>A", 0.5: "A=B", None: None}
    right, other = ("A>B", "B>A") if label == "A" else ("B>A", "A>B")
    decisions = [texts[first], texts[second]]
    return decisions.count(right) > decisions.count(other)


@pytest.mark.parametrize("label", ["A", "B"])
def test_judgebench_counts_votes_of_both_orders(label: str) -> None:
    orders = list(itertools.product(LEANS, LEANS))
    rows = [both_orders(n, label, pair) for n, pair in enumerate(orders)]
    expected = [judgebench_again(label, *pair) for pair in orders]
    found = official_score("judgebench", rows)
    assert found.score.value == sum(expected) / 16
    for row, is_right in zip(rows, expected, strict=True):
        if row.status == "ok":
            assert official_score("judgebench", [row]).score.value == is_right
    assert found.notes == [
        "1 of 16 rows without a verdict count as wrong",
        "6 of 16 rows have a decision in one order only; the other order counts as a vote "
        "for neither side",
    ]
    assert found.figures["both orders right"].value == 1 / 16


def test_judgebench_takes_a_single_order_at_its_word() -> None:
    rows = [
        right(1, "mmlu-pro-law", 1),
        right(2, "mmlu-pro-law", 0.5),
        right(3, "livebench-math", 1),
    ]
    found = official_score("judgebench", rows)
    assert found.score.value == pytest.approx(2 / 3)
    assert (found.figures["Knowledge"].value, found.figures["Math"].value) == (0.5, 1)
    assert found.figures.keys() == {
        "Knowledge", "Math", "pairs of mmlu-pro-law", "pairs of livebench-math",
    }  # fmt: skip


def test_llmbar_averages_the_orders_and_its_subsets() -> None:
    rows = [
        both_orders(1, "A", (1.0, 1.0)),
        both_orders(2, "B", (1.0, 0.0)),
        both_orders(3, "B", (0.2, None)),
        both_orders(4, "A", (0.5, 0.0)),
    ]
    rows = [
        RowOutcome(id=r.id, subset=s, positive=r.positive, orders=r.orders, status=r.status)
        for r, s in zip(rows, ["natural", "adversarial_manual"] * 2, strict=True)
    ]
    found = official_score("llmbar", rows)
    assert found.score.value == pytest.approx((1 + 0.5 + 0.5 + 0.25) / 4)
    assert found.figures["both orders agree"].value == 0.25
    assert found.figures["both orders right"].value == 0.25
    assert found.figures["average of adversarial subsets"].value == pytest.approx(0.375)
    assert found.figures["average of subsets"].value == pytest.approx((0.75 + 0.375) / 2)
    assert found.notes == [
        "1 of 4 rows have a decision in one order only; the other order counts as wrong"
    ]


def test_biasbench_takes_one_order_where_only_one_was_asked() -> None:
    rows = [right(1, "length", 1), right(2, "length", 0.5), right(3, "length", None)]
    found = official_score("biasbench", rows)
    assert found.score.value == pytest.approx(0.5)
    assert found.figures == {}


# One judgement a row


def test_pandalm_counts_ties_that_people_saw() -> None:
    rows = [
        outcome(1, agrees=True),
        outcome(2, agrees=False, credit=0.5),
        outcome(3, status="failed"),
    ]
    found = official_score("pandalm", rows)
    assert found.score.value == pytest.approx(1 / 3)
    assert found.notes == ["1 of 3 rows without a verdict count as wrong"]


def test_evouna_is_over_all_systems_and_its_interval_over_questions() -> None:
    rows = [
        RowOutcome(id=f"{n}-{system}", subset="NQ", group=system, cluster=str(n),
                   agrees=n % 3 > 0, credit=float(n % 3 > 0))
        for n in range(30)
        for system in ("fid", "gpt")
    ]  # fmt: skip
    found = official_score("evouna", rows)
    assert found.score.value == pytest.approx(2 / 3)
    assert (found.score.n, found.score.clusters, found.score.method) == (60, 30, "cluster")
    assert {name: f.value for name, f in found.figures.items()} == pytest.approx(
        {"fid": 2 / 3, "gpt": 2 / 3}
    )


def test_an_answer_without_a_verdict_is_wrong_in_evouna_whatever_the_judge_leans_to() -> None:
    rows = [
        RowOutcome(id=str(n), agrees=True if n else None, credit=1.0, score=0.9) for n in range(10)
    ]
    found = official_score("evouna", rows)
    assert found.score.value == pytest.approx(0.9)
    assert found.notes == ["1 of 10 rows without a verdict count as wrong"]


def test_uss_is_how_well_scores_separate_reactions() -> None:
    draw = random.Random(2)
    sides = [n % 3 == 0 for n in range(90)]
    scores = [draw.gauss(side, 1.5) for side in sides]
    rows = [
        outcome(n, positive=s, score=x) for n, (s, x) in enumerate(zip(sides, scores, strict=True))
    ]
    found = official_score("uss", [*rows, outcome(91, status="failed", positive=True)])
    assert found.score.value == pytest.approx(roc_auc_score(sides, scores))
    assert found.score.method == "delong"
    assert found.notes == ["1 of 91 rows without a verdict count not at all"]
    one_side = official_score("uss", rows[:1])
    why = "all samples with a score are of one class"
    assert (one_side.score.value, one_side.score.why) == (None, why)


def test_own_rows_count_labels_and_sides_apart() -> None:
    labelled = [
        outcome(1, agrees=True, credit=1.0),
        outcome(2, agrees=True, credit=None, label="A=B"),
        outcome(3, agrees=False, credit=0.5),
        outcome(4, status="abstained", cause="below_gate", agrees=True, credit=1.0, value="neg"),
        outcome(6, status="abstained", cause="topic_shift", agrees=True, value="topic_shift"),
    ]
    side = outcome(5, labelled=False, positive=True, score=0.4)
    found = official_score("own", [*labelled, side])
    assert (found.score.value, found.score.n) == (3.5 / 5, 5)
    assert found.notes == [
        "1 of 5 rows without a verdict count as wrong",
        "1 rows whose label is no value of the judge are not in the score",
    ]
    sides = [outcome(n, labelled=False, positive=n % 2 == 0, score=n / 40) for n in range(40)]
    assert official_score("own", sides).score.value == pytest.approx(
        roc_auc_score([n % 2 == 0 for n in range(40)], range(40))
    )
