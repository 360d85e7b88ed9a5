"""Juries: what is made of several verdicts, and weights from labels."""

import math
import random

import pytest

from plaudit.errors import Cause, UsageError
from plaudit.scoring.jury import Rule, check, decide, learn_weights
from plaudit.types import Failure, Verdict


def ok(value, reward=None, **fields) -> Verdict:
    own = {"A": 0.5, "B": -0.5, "A=B": 0.0}
    reward = own.get(value, 1.0) if reward is None else reward
    return Verdict(index=0, id="x", status="ok", value=value, reward=reward, **fields)


def missing(status, cause, value=None) -> Verdict:
    error = Failure(Cause(cause), "why")
    return Verdict(index=0, id="x", status=status, value=value, error=error)


def rule(combine="majority", scale="labels", members=3, weights=None, quorum=None) -> Rule:
    labels = {"labels": ("good", "bad", "so"), "pair": ("A", "B", "A=B"), "scores": ()}[scale]
    weights = tuple(weights or [1.0] * members)
    return Rule(
        combine=combine, scale=scale, labels=labels, weights=weights,
        quorum=quorum or len(weights) // 2 + 1,
    )  # fmt: skip


def is_no_number(decision) -> bool:
    return decision.reward is None and decision.status != "ok" and decision.error is not None


# Majority.


def test_the_most_votes_win_and_the_reward_is_that_of_the_winners() -> None:
    found = decide([ok("good", 0.8), ok("bad", -1.0), ok("good", 0.6)], rule())
    assert (found.status, found.value, found.reward) == ("ok", "good", 0.7)
    assert found.confidence == pytest.approx(2 / 3)
    assert found.fields["ballot"] == {"good": 2, "bad": 1}


@pytest.mark.parametrize("values", [("good", "bad"), ("good", "bad", "so"), ("a", "b", "a", "b")])
def test_a_tie_is_no_number_and_names_no_winner(values) -> None:
    found = decide([ok(value) for value in values], rule(members=len(values), quorum=2))
    assert is_no_number(found)
    assert (found.status, found.error.cause, found.value) == ("abstained", Cause.JURY_TIE, None)


def test_a_pair_is_level_only_where_the_members_say_so() -> None:
    pair = rule(scale="pair")
    assert decide([ok("A=B"), ok("A"), ok("A=B")], pair).value == "A=B"
    assert decide([ok("A"), ok("B"), ok("A=B")], pair).error.cause == Cause.JURY_TIE


# Quorum.


@pytest.mark.parametrize(
    ("others", "status", "cause"),
    [
        ([missing("failed", "timeout"), missing("abstained", "below_gate")], "failed", "timeout"),
        ([missing("invalid", "cut_off"), missing("abstained", "below_gate")], "invalid", "cut_off"),
        ([missing("abstained", "below_gate")] * 2, "abstained", "below_gate"),
        ([missing("failed", "timeout"), missing("invalid", "cut_off")], "failed", "timeout"),
    ],
)
def test_too_few_votes_are_no_number(others, status, cause) -> None:
    found = decide([ok("good"), *others], rule())
    assert is_no_number(found)
    assert (found.status, found.error.cause) == (status, cause)
    assert "1 of 3" in found.error.message


def test_a_failure_that_could_not_have_made_the_quorum_is_not_the_reason() -> None:
    verdicts = [missing("failed", "timeout"), *[missing("abstained", "topic_shift", "so")] * 3]
    found = decide(verdicts, rule(members=4))
    assert (found.status, found.error.cause, found.value) == ("abstained", "topic_shift", "so")


def test_with_a_quorum_the_missing_do_not_vote() -> None:
    found = decide([ok("good"), missing("abstained", "below_gate", "bad"), ok("good")], rule())
    assert (found.value, found.confidence) == ("good", 1.0)
    lone = decide([ok("good"), missing("failed", "timeout")], rule(members=2, quorum=1))
    assert lone.value == "good"


# Mean and median.


def test_scores_are_pooled_on_both_scales() -> None:
    verdicts = [ok(score, (score - 1) / 9, fields={"expected_score": score}) for score in (2, 3, 9)]
    mean = decide(verdicts, rule("mean", "scores"))
    assert (mean.value, mean.fields["expected_score"]) == (
        pytest.approx(14 / 3),
        pytest.approx(14 / 3),
    )
    assert mean.reward == pytest.approx((14 / 3 - 1) / 9)
    middle = decide(verdicts, rule("median", "scores"))
    assert (middle.value, middle.reward) == (3, pytest.approx(2 / 9))
    assert isinstance(middle.value, int)


def test_distributions_of_pairs_are_mixed() -> None:
    first = {"A": 0.5, "B": 0.2, "A=B": 0.3}
    second = {"A": 0.1, "B": 0.2, "A=B": 0.7}
    verdicts = [ok("A", 0.3, probabilities=first), ok("A=B", -0.1, probabilities=second)]
    found = decide(verdicts, rule("mean", "pair", members=2))
    assert found.value == "A=B"
    assert found.probabilities == pytest.approx({"A": 0.3, "B": 0.2, "A=B": 0.5})
    assert (found.reward, found.fields["p_a"]) == (pytest.approx(0.1), pytest.approx(0.55))


@pytest.mark.parametrize("combine", ["mean", "median"])
def test_contradicting_pairs_are_a_tie_and_not_level(combine) -> None:
    found = decide([ok("A", 0.5), ok("B", -0.5)], rule(combine, "pair", members=2))
    assert is_no_number(found)
    assert found.error.cause == Cause.JURY_TIE
    swapped = [{"A": 0.6, "B": 0.4, "A=B": 0.0}, {"A": 0.4, "B": 0.6, "A=B": 0.0}]
    mixed = [ok(v, p["A"] - p["B"], probabilities=p) for v, p in zip("AB", swapped, strict=True)]
    assert is_no_number(decide(mixed, rule(combine, "pair", members=2)))


def test_the_median_of_pairs_is_that_of_p_a() -> None:
    found = decide([ok("A", 0.9), ok("A", 0.5), ok("B", -0.9)], rule("median", "pair"))
    assert (found.value, found.reward, found.fields["p_a"]) == ("A", 0.5, 0.75)


# Weighted votes.


def test_one_good_member_outweighs_two_bad_ones() -> None:
    verdicts = [ok("good", 0.8), ok("bad"), ok("bad")]
    assert decide(verdicts, rule("weighted", weights=[3, 1, 1])).value == "good"
    assert decide(verdicts, rule("weighted", weights=[1.5, 1, 1])).value == "bad"
    assert is_no_number(decide(verdicts, rule("weighted", weights=[2, 1, 1])))


def test_a_vote_of_those_without_a_weight_is_no_number() -> None:
    verdicts = [missing("failed", "timeout"), ok("good"), ok("good")]
    found = decide(verdicts, rule("weighted", weights=[1, 0, 0]))
    assert found.error.cause == Cause.JURY_TIE
    scores = [missing("failed", "timeout"), ok(3, 0.2), ok(4, 0.3)]
    assert is_no_number(decide(scores, rule("weighted", "scores", weights=[1, 0, 0])))


def test_the_posterior_is_that_of_bayes() -> None:
    # Two values; members right with 0.9, 0.6 and 0.7, an even prior.
    right = (0.9, 0.6, 0.7)
    weights = [math.log(p / (1 - p)) for p in right]
    two = Rule(combine="weighted", scale="labels", labels=("good", "bad"),
               weights=tuple(weights), quorum=2)  # fmt: skip
    found = decide([ok("good"), ok("bad"), ok("bad")], two)
    good, bad = 0.9 * 0.4 * 0.3, 0.1 * 0.6 * 0.7
    assert found.probabilities == pytest.approx(
        {"good": good / (good + bad), "bad": bad / (good + bad)}
    )
    assert found.value == "good"


def test_weighted_scores_are_a_weighted_mean() -> None:
    found = decide([ok(2, 0.1), ok(8, 0.7)], rule("weighted", "scores", weights=[1, 2]))
    assert (found.value, found.reward) == (6, pytest.approx(0.5))


# Refusals.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (rule("mean"), "labels have no mean"),
        (rule("median"), "labels have no median"),
        (rule(quorum=4), "1..3"),
        (rule(weights=[1, -1, 1]), "from 0 on"),
        (rule(weights=[1, math.nan, 1]), "from 0 on"),
        (rule(weights=[0, 0, 0]), "above 0"),
    ],
)
def test_a_rule_that_cannot_decide_is_refused(wrong, message) -> None:
    with pytest.raises(UsageError, match=message):
        check(wrong)


# Learning.


def simulate(rights, n, options, seed):
    draw = random.Random(seed)
    names = [f"v{k}" for k in range(options)]
    labels = [draw.choice(names) for _ in range(n)]
    votes = [
        [label if draw.random() < p else draw.choice([x for x in names if x != label])
         for label in labels]
        for p in rights
    ]  # fmt: skip
    return names, labels, votes


def test_learned_weights_beat_the_majority_where_one_member_is_better() -> None:
    rights = (0.95, 0.6, 0.6, 0.55)
    names, labels, votes = simulate(rights, 3000, 3, 1)
    learned = learn_weights(votes, labels, "labels", 3)
    assert [one.accuracy for one in learned] == pytest.approx(rights, abs=0.03)
    assert learned[0].weight == pytest.approx(math.log(2 * 0.95 / 0.05), abs=0.15)
    _, labels, votes = simulate(rights, 3000, 3, 2)
    accuracy = {}
    for combine, weights in (("majority", [1.0] * 4), ("weighted", [x.weight for x in learned])):
        how = Rule(combine=combine, scale="labels", labels=tuple(names), weights=tuple(weights),
                   quorum=3)  # fmt: skip
        decided = [decide([ok(v) for v in unit], how) for unit in zip(*votes, strict=True)]
        pairs = zip(decided, labels, strict=True)
        accuracy[combine] = sum(d.value == label for d, label in pairs) / len(labels)
    assert accuracy["weighted"] > 0.94
    assert accuracy["majority"] < 0.8


def test_a_member_no_better_than_chance_gets_nothing_and_perfection_stays_finite() -> None:
    worse, perfect, silent = learn_weights(
        [["b"] * 8, ["a"] * 8, [None] * 8], ["a"] * 8, "labels", 2
    )
    assert (worse.weight, silent.weight, silent.samples) == (0, 0, 0)
    assert perfect.weight == pytest.approx(math.log(9))


def test_scores_are_weighed_by_precision() -> None:
    labels = [1, 4, 7, 10]
    near, far, silent = learn_weights(
        [[1, 5, 7, 10], [5, 1, 9, None], [None] * 4], labels, "scores", 0
    )
    assert near.weight > 3 * far.weight > 0
    assert (near.error, far.samples, silent.weight) == (0.25, 3, 0)
    with pytest.raises(UsageError, match="same score"):
        learn_weights([[5, 6]], [5, 5], "scores", 0)


def test_without_labels_nothing_is_learned() -> None:
    with pytest.raises(UsageError, match="no sample has a label"):
        learn_weights([[], []], [], "labels", 3)
