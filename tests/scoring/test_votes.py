"""The stopping rule: it keeps its promise, wastes no vote, and refuses what can never decide."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import UsageError
from plaudit.scoring.votes import MOST_VOTES, VoteRule, ratio


def rule(votes: int = 40, error: float = 0.05, outcomes: int = 2, **fields) -> VoteRule:
    return VoteRule(votes=votes, error=error, outcomes=outcomes, **fields)


def exact(leader: int, rival: int) -> Fraction:
    """The integral of 2 (2 p)^a (2 - 2 p)^b over p from 1/2 to 1, term by term.

    With p = (1 + x) / 2 it is that of (1 + x)^a (1 - x)^b over x from 0 to 1.
    """
    return sum(
        (
            Fraction(math.comb(leader, i) * math.comb(rival, j) * (-1) ** j, i + j + 1)
            for i in range(leader + 1)
            for j in range(rival + 1)
        ),
        Fraction(0),
    )


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_ratio_is_the_integral_and_a_martingale_where_both_are_as_likely(a, b) -> None:
    assert ratio(a, b) == pytest.approx(float(exact(a, b)), rel=1e-12)
    assert (ratio(a + 1, b) + ratio(a, b + 1)) / 2 == pytest.approx(ratio(a, b), rel=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.49])
def test_where_the_rival_is_likelier_the_ratio_is_a_supermartingale(share: float) -> None:
    for a in range(40):
        for b in range(40):
            next_one = share * ratio(a + 1, b) + (1 - share) * ratio(a, b + 1)
            assert next_one <= ratio(a, b) * (1 + 1e-12)


def test_most_votes_are_few_enough_for_the_ratio() -> None:
    assert math.isfinite(ratio(MOST_VOTES, 0))
    assert ratio(MOST_VOTES // 2, MOST_VOTES // 2) > 0


@pytest.mark.parametrize(
    ("outcomes", "alike"), [(2, 7), (3, 8), (4, 9), (7, 10), (10, 10), (101, 14)]
)
def test_how_many_votes_it_takes_where_all_are_alike(outcomes: int, alike: int) -> None:
    # The least n with (2^(n + 1) - 1) / (n + 1) >= (outcomes - 1) / 0.05, worked out by hand.
    voting = rule(outcomes=outcomes)
    assert voting.wanted((), 0) == voting.further(()) == alike
    assert voting.decides([alike])
    assert not voting.decides([alike - 1])


COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=4)


@settings(deadline=None)
@given(COUNTS, st.sampled_from([0.01, 0.05, 0.2]))
def test_no_fewer_votes_than_wanted_could_decide_however_they_fall(counts, error) -> None:
    voting = rule(votes=60, error=error, outcomes=4)
    more = voting.further(counts)
    if more <= voting.votes:
        best = max(range(len(counts)), key=counts.__getitem__)
        assert voting.decides([n + more * (i == best) for i, n in enumerate(counts)])
    for fewer in range(min(more, 12)):
        for i in range(len(counts)):
            # A mixture of outcomes decides later than the same number for one of them.
            assert not voting.decides([n + fewer * (j == i) for j, n in enumerate(counts)])


def test_a_tie_and_no_vote_at_all_decide_nothing() -> None:
    voting = rule(error=0.5)
    assert not voting.decides(())
    assert not voting.decides([0, 0])
    assert not voting.decides([30, 30])


def vote(voting: VoteRule, shares: list[float], draws: random.Random) -> tuple[list[int], int]:
    counts, drawn = [0] * len(shares), 0
    while wanted := voting.wanted(counts, drawn):
        drawn += wanted
        for outcome in draws.choices(range(len(shares)), shares, k=wanted):
            counts[outcome] += 1
    return counts, drawn


SHARES = [[0.8, 0.2], [0.55, 0.45], [0.4, 0.35, 0.25], [0.3, 0.25, 0.2, 0.15, 0.1], [0.5, 0.5]]


@pytest.mark.parametrize("shares", SHARES, ids=str)
def test_over_10_000_trials_votes_stop_at_the_promised_error(shares: list[float]) -> None:
    """A judge whose most frequent answer is the first one; where there is none, any is wrong."""
    draws, error, trials = random.Random(7), 0.1, 10_000
    voting = rule(votes=25, error=error, outcomes=len(shares))
    tie = shares[0] == shares[1]
    wrong = 0
    for _ in range(trials):
        counts, drawn = vote(voting, shares, draws)
        assert drawn <= 25
        if voting.decides(counts):
            wrong += tie or counts[0] < max(counts)
    # The 99.9 % limit of a binomial at the promised error: a rule that breaks it is found out.
    assert wrong <= trials * error + 3.1 * math.sqrt(trials * error * (1 - error))


def test_a_rule_without_the_union_bound_or_with_a_fixed_sample_test_would_be_found_out() -> None:
    """The check above can fail: looking at a plain test after every vote breaks the promise."""
    draws, trials, error = random.Random(7), 2_000, 0.1
    wrong = 0
    for _ in range(trials):
        counts = [0, 0]
        for n in range(1, 26):
            counts[draws.random() < 0.5] += 1
            if 2 * sum(math.comb(n, k) for k in range(max(counts), n + 1)) / 2**n <= error:
                wrong += 1
                break
    assert wrong > trials * error + 3.1 * math.sqrt(trials * error * (1 - error))


def test_a_surer_judge_takes_fewer_votes() -> None:
    draws = random.Random(3)
    voting = rule(votes=60)
    means = [
        sum(vote(voting, [p, 1 - p], draws)[1] for _ in range(300)) / 300
        for p in (1.0, 0.95, 0.85, 0.7)
    ]
    assert means[0] == 7
    assert means == sorted(means)


def test_where_no_further_votes_can_decide_none_are_drawn() -> None:
    voting = rule(votes=11)
    assert voting.wanted([6, 2], 8) == 0
    assert voting.wanted([7, 1], 8) == voting.further([7, 1]) == 3


def test_all_votes_are_drawn_at_once_and_no_more() -> None:
    voting = rule(votes=5, every=True)
    assert voting.wanted((), 0) == 5
    assert voting.wanted([5], 5) == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"votes": 0}, "votes must be in"),
        ({"votes": MOST_VOTES + 1}, "votes must be in"),
        ({"error": 0.0}, "vote error"),
        ({"error": 0.6}, "vote error"),
        ({"error": math.nan}, "vote error"),
        ({"votes": 6}, "6 votes can never decide at an error of 0.05"),
    ],
)
def test_what_can_never_decide_is_refused(fields, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        rule(**fields)
