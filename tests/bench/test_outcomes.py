"""From a verdict and a label to what is measured."""

from typing import Any

import pytest

from plaudit.bench.outcomes import outcome_of
from plaudit.errors import InputError, UsageError
from plaudit.types import Usage, Verdict


def verdict(label: str | None, **fields: Any) -> Verdict:
    metadata = fields.pop("metadata", {}) | ({} if label is None else {"label": label})
    return Verdict(index=0, id="s", metadata=metadata, **{"status": "ok"} | fields)


def pair(label: str, p_a: float, value: str, **fields: Any) -> Verdict:
    orders = fields.pop("orders", None)
    own = {"p_a": p_a} | ({"orders": orders} if orders else {})
    return verdict(label, value=value, fields=own, confidence=0.6, **fields)


@pytest.mark.parametrize(
    ("label", "p_a", "value", "agrees", "soft", "hard"),
    [
        ("A", 0.7, "A", True, 1.0, 1.0),
        ("B", 0.7, "A", False, 0.0, 0.0),
        ("A", 0.3, "B", False, 0.0, 0.0),
        ("B", 0.3, "B", True, 1.0, 1.0),
        ("A", 0.6, "A=B", False, 1.0, 0.5),
        ("B", 0.6, "A=B", False, 0.0, 0.5),
        ("B", 0.5, "A=B", False, 0.5, 0.5),
        ("A=B", 0.6, "A=B", True, None, None),
        ("A=B", 0.6, "A", False, None, None),
    ],
)
def test_a_pair_is_read_by_its_side_or_by_its_word(
    label: str, p_a: float, value: str, agrees: bool, soft: float | None, hard: float | None
) -> None:
    said = pair(label, p_a, value)
    by_side = outcome_of("pairwise", said)
    by_word = outcome_of("pairwise", said, hard=True)
    assert (by_side.agrees, by_word.agrees) == (agrees, agrees)
    assert (by_side.credit, by_word.credit) == (soft, hard)
    assert (by_side.score, by_word.score) == (p_a, {"A": 1.0, "B": 0.0, "A=B": 0.5}[value])
    assert (by_side.confidence, by_word.confidence) == (0.6, None)
    assert by_side.positive == {"A": True, "B": False, "A=B": None}[label]


def test_consistency_is_whether_both_orders_have_the_same_winner() -> None:
    lean = [{"value": "A=B", "p_a": 0.6}, {"value": "A", "p_a": 0.9}]
    said = pair("A", 0.8, "A", orders=lean)
    assert outcome_of("pairwise", said).consistent is True
    assert outcome_of("pairwise", said, hard=True).consistent is False
    apart = [{"value": "B", "p_a": 0.1}, {"value": "A", "p_a": 0.9}]
    assert outcome_of("pairwise", pair("A", 0.5, "A=B", orders=apart)).consistent is False
    assert outcome_of("pairwise", pair("A", 0.8, "A")).consistent is None


def test_an_abstained_pair_still_leans() -> None:
    one = outcome_of("pairwise", pair("A", 0.7, "A", status="abstained"))
    assert (one.status, one.credit, one.agrees) == ("abstained", 1.0, True)


@pytest.mark.parametrize("status", ["invalid", "failed"])
@pytest.mark.parametrize(("kind", "label"), [("pairwise", "A"), ("verify", "correct")])
def test_what_was_not_said_is_no_wrong_answer(kind: str, label: str, status: str) -> None:
    one = outcome_of(kind, verdict(label, status=status, usage=Usage(30, 4)))
    assert (one.agrees, one.credit, one.score, one.confidence) == (None, None, None, None)
    assert (one.status, one.tokens) == (status, 34)


def test_verify_scores_how_much_an_answer_is_taken_for_right() -> None:
    said = verdict("incorrect", value="incorrect", confidence=0.8)
    one = outcome_of("verify", said)
    assert (one.agrees, one.credit, one.confidence, one.positive) == (True, 1.0, 0.8, False)
    assert one.score == pytest.approx(0.2)
    hard = outcome_of("verify", said, hard=True)
    assert (hard.score, hard.confidence) == (0.0, None)
    other = outcome_of("verify", verdict("correct", value="correct", confidence=0.8))
    assert (other.score, other.positive) == (0.8, True)


def test_feedback_tells_praise_from_negative_reactions() -> None:
    def score(label: str, value: str, hard: bool) -> tuple[float | None, bool | None, bool | None]:
        fields = {"expected_reward": 0.25}
        said = verdict(label, value=value, confidence=0.5, fields=fields)
        one = outcome_of("feedback", said, hard=hard)
        return one.score, one.positive, one.agrees

    assert score("pos_praise", "pos_praise", False) == (0.25, True, True)
    assert score("neg_correction", "pos_praise", True) == (0.8, False, False)
    assert score("neutral", "neutral", True) == (0.0, None, True)
    assert score("topic_shift", "topic_shift", True) == (None, None, True)


def test_group_is_the_system_else_the_subset() -> None:
    both = verdict("correct", value="correct", metadata={"subset": "NQ", "system": "fid"})
    assert outcome_of("verify", both).group == "fid"
    one = verdict("correct", value="correct", metadata={"subset": "NQ"})
    assert outcome_of("verify", one).group == "NQ"
    assert outcome_of("verify", verdict("correct", value="correct")).group == ""


def test_labels_that_do_not_belong_are_refused() -> None:
    with pytest.raises(InputError, match="'s' has the label 'C'; the pairwise judge's labels are"):
        outcome_of("pairwise", verdict("C", value="A"))
    with pytest.raises(InputError, match="'s' has the label 'great'; the pointwise judge's"):
        outcome_of("pointwise", verdict("great", value=7))
    with pytest.raises(UsageError, match="not measured for the wise judge"):
        outcome_of("wise", verdict("7", value=7))


def test_a_row_without_a_label_is_an_outcome_without_one() -> None:
    one = outcome_of("verify", verdict(None, value="correct", confidence=0.9))
    assert (one.labelled, one.agrees, one.credit, one.score) == (False, None, None, 0.9)


@pytest.mark.parametrize(("label", "positive"), [("positive", True), ("negative", False)])
def test_a_rated_reaction_has_a_side_and_no_right_value(label: str, positive: bool) -> None:
    said = verdict(label, value="pos_praise", fields={"expected_reward": 0.7}, confidence=0.9)
    one = outcome_of("feedback", said)
    assert (one.agrees, one.credit, one.positive, one.score) == (None, None, positive, 0.7)
