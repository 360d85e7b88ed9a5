"""From a verdict and a label to what is measured."""

import math
from typing import Any

import pytest

from plaudit.bench.outcomes import outcome_of, outcome_of_scores
from plaudit.errors import Cause, InputError, UsageError
from plaudit.judges.feedback import FeedbackJudge
from plaudit.types import Failure, Usage, Verdict


def verdict(label: Any, **fields: Any) -> Verdict:
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


def test_both_orders_lean_with_a_and_b_mapped_back() -> None:
    lean = [{"value": "A", "p_a": 0.9}, {"value": "A=B", "p_a": 0.4}]
    said = pair("A", 0.7, "A", orders=lean)
    assert outcome_of("pairwise", said).orders == (0.9, 0.4)
    assert outcome_of("pairwise", said, hard=True).orders == (1.0, 0.5)
    assert outcome_of("pairwise", pair("A", 0.7, "A")).orders is None


def test_an_outcome_carries_subset_cause_and_tags() -> None:
    why = Failure(Cause.BELOW_GATE, "confidence 0.5 is under the gate of 0.6")
    metadata = {"subset": 3, "tags": {"item": "x", "style": 2}, "cluster": "q"}
    said = pair("A", 0.7, "A", status="abstained", error=why, metadata=metadata)
    one = outcome_of("pairwise", said)
    assert (one.subset, one.cause, one.cluster) == ("3", "below_gate", "q")
    assert one.tags == {"item": "x", "style": 2}
    assert (one.value, one.label, one.labelled) == ("A", "A", True)


def test_a_verdict_of_a_jury_without_probability_is_read_by_its_word() -> None:
    """All members abstained, and agree: there is a value and no `p_a`."""
    one = outcome_of("pairwise", verdict("B", value="B", status="abstained"))
    assert (one.score, one.credit, one.agrees) == (0.0, 1.0, True)


def test_an_undecided_answer_leans_as_the_head_does() -> None:
    left = verdict(
        "incorrect", status="abstained", probabilities={"correct": 0.3, "incorrect": 0.7}
    )
    one = outcome_of("verify", left)
    assert (one.agrees, one.value, one.score, one.credit) == (None, None, 0.3, 1.0)
    assert outcome_of("verify", left, hard=True).score is None
    assert outcome_of("verify", verdict("correct", status="abstained")).credit is None


@pytest.mark.parametrize(
    ("label", "value", "agrees", "positive", "labelled"),
    [
        (7, 7, True, None, True),
        (7.0, 7, True, None, True),
        (6, 7, False, None, True),
        (True, 7, None, True, False),
        ("incorrect", 7, None, False, False),
        ("positive", 7, None, True, False),
        (None, 7, None, None, False),
    ],
)
def test_a_score_is_beside_a_score_or_a_side(
    label: Any, value: int, agrees: bool | None, positive: bool | None, labelled: bool
) -> None:
    said = verdict(label, value=value, fields={"expected_score": 6.5}, confidence=0.8)
    one = outcome_of("pointwise", said)
    assert (one.agrees, one.positive, one.labelled, one.score) == (agrees, positive, labelled, 6.5)
    assert one.confidence == (0.8 if labelled else None)
    assert outcome_of("pointwise", said, hard=True).score == 7


def test_a_raw_score_is_on_no_scale_of_labels() -> None:
    raw = {"value": -1.25, "fields": {"raw_score": -1.25}}
    numeric, side = (outcome_of("pointwise", verdict(x, **raw)) for x in (3, "correct"))
    assert (numeric.agrees, numeric.score, numeric.positive) == (None, -1.25, None)
    assert (side.agrees, side.score, side.positive) == (None, -1.25, True)


@pytest.mark.parametrize("label", [[7], {"score": 7}, 10**400, float("inf"), float("nan")])
def test_labels_of_no_form_are_refused(label: Any) -> None:
    for kind in ("pointwise", "pairwise", "feedback", "verify"):
        with pytest.raises(InputError, match="'s' has the label"):
            outcome_of(kind, verdict(label, value=7))
    with pytest.raises(InputError, match="which no pointwise judge gives"):
        outcome_of("pointwise", verdict(7, value=10**400))


# Pairs by scores


def scored(value: float | None, **fields: Any) -> Verdict:
    expected = {} if value is None else {"expected_score": value + 0.25}
    status = {"status": "failed"} if value is None else {}
    return verdict(
        None, **{"value": value, "fields": expected, "usage": Usage(9, 1)} | status | fields
    )


@pytest.mark.parametrize(
    ("first", "second", "label", "value", "agrees", "credit"),
    [
        (7, 5, "A", "A", True, 1.0),
        (5, 7, "A", "B", False, 0.0),
        (5, 5, "A", "A=B", False, 0.5),
        (5, 5, "A=B", "A=B", True, None),
        (7, 5, "A=B", "A", False, None),
        (7, 5, None, "A", None, None),
    ],
)
def test_a_pair_is_judged_by_two_scores(
    first: float, second: float, label: Any, value: str, agrees: Any, credit: float | None
) -> None:
    one = outcome_of_scores(scored(first), scored(second), label, id="pair")
    assert (one.id, one.value, one.agrees, one.credit) == ("pair", value, agrees, credit)
    assert one.scores == (first + 0.25, second + 0.25)
    assert (one.score, one.confidence, one.tokens) == (first - second, None, 20)
    assert (one.positive, one.labelled) == ({"A": True}.get(label), label is not None)


def test_hard_scores_are_the_values() -> None:
    first = scored(7, fields={"expected_score": 6.6})
    second = scored(7, fields={"expected_score": 7.1})
    assert outcome_of_scores(first, second, "B").value == "B"
    assert outcome_of_scores(first, second, "B", hard=True).value == "A=B"


def test_a_side_without_a_score_gives_no_credit_and_a_cause() -> None:
    lost = scored(None, error=Failure(Cause.TIMEOUT, "no reply"))
    unread = scored(None, status="invalid", error=Failure(Cause.UNPARSEABLE, "no number"))
    gated = scored(5, status="abstained", error=Failure(Cause.BELOW_GATE, "unsure"))
    for pair_of, status, cause in (
        ((scored(7), lost), "failed", "timeout"),
        ((lost, scored(7)), "failed", "timeout"),
        ((unread, lost), "failed", "timeout"),
        ((gated, unread), "invalid", "unparseable"),
    ):
        one = outcome_of_scores(*pair_of, "A")
        assert (one.status, one.cause) == (status, cause)
        assert (one.credit, one.agrees, one.value, one.score) == (None, None, None, None)
        assert one.scores is not None
        assert None in one.scores
    leaning = outcome_of_scores(scored(7), gated, "A")
    assert (leaning.status, leaning.cause, leaning.credit) == ("abstained", "below_gate", 1.0)


def test_raw_scores_give_a_confidence() -> None:
    first, second = (verdict(None, value=x, fields={"raw_score": x}) for x in (0.5, 2.5))
    one = outcome_of_scores(first, second, "B")
    assert one.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    assert (one.agrees, one.score) == (True, -2.0)
    assert outcome_of_scores(first, second, "B", hard=True).confidence is None


def test_a_pair_has_the_metadata_of_its_row_and_its_own_label() -> None:
    metadata = {"subset": "safety", "tags": {"item": 1}, "label": 9}
    first = verdict(None, value=3, metadata=metadata, input={"prompt": "Q", "response": "R"})
    one = outcome_of_scores(first, scored(2), "A")
    assert (one.subset, one.tags, one.label) == ("safety", {"item": 1}, "A")
    assert one.cluster == outcome_of("verify", verdict(None, input={"question": "Q"})).cluster
    with pytest.raises(InputError, match="label 'C'"):
        outcome_of_scores(first, scored(2), "C")


def test_reactions_of_one_conversation_share_a_cluster() -> None:
    """As the feedback judge names them."""
    turn = {"role": "user", "content": "Thanks!"}, {"role": "assistant", "content": "Welcome."}
    samples = FeedbackJudge.read_row({"id": "talk", "messages": [*turn, *turn, turn[0]]}, 0)
    said = [Verdict(index=0, id=one.id, status="ok", value="pos_praise") for one in samples]
    clusters = [outcome_of("feedback", one).cluster for one in said]
    assert clusters == ["talk", "talk"]
    assert outcome_of("feedback", verdict("neutral", value="neutral")).cluster == ""
