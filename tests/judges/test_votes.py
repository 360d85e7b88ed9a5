"""Votes on a sample: how many, what they add up to, and what must never be a number."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, Cause, UsageError
from plaudit.judges.base import BaseJudge
from plaudit.runs.cached import RequestKeys
from plaudit.types import Verdict
from tests.judges.making import GOOD, ROWS, is_no_number, make, sample_of, say

DECIDING = {"feedback": "label", "pointwise": "score", "pairwise": "choice", "verify": "verdict"}
LOST = CallError(Cause.TIMEOUT, "no reply")
Answer = Callable[[Request], Completion | Exception]


class Draws:
    """Answers by draw and turn, after delays of its own; keeps what was asked."""

    def __init__(self, answer: Answer, delays: random.Random | None = None) -> None:
        self._answer = answer
        self._delays = delays
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Completion:
        self.requests.append(request)
        if self._delays is not None:
            for _ in range(self._delays.randrange(4)):
                await asyncio.sleep(0)
        reply = self._answer(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def drawn(self) -> set[int]:
        return {request.draw for request in self.requests}


def reply(kind: str, word: Any) -> Completion | Exception:
    if isinstance(word, Exception):
        return word
    return say("?" if word == "?" else GOOD[kind] | {DECIDING[kind]: word})


def saying(kind: str, words: Sequence[Any]) -> Answer:
    """Each draw says its word; where the words end, the last one is repeated."""
    return lambda request: reply(kind, words[min(request.draw, len(words) - 1)])


def voter(kind: str, votes: int = 20, **config: Any) -> BaseJudge:
    return make(kind, readout="json", votes=votes, **config)


async def decide(task: BaseJudge, words: Sequence[Any], **config: Any) -> tuple[Verdict, Draws]:
    ask = Draws(saying(task.kind, words))
    return await task.decide(sample_of(task.kind), ask), ask


async def test_each_draw_has_a_number_a_seed_and_a_temperature() -> None:
    _, ask = await decide(voter("verify", seed=5), ["correct"])
    assert [r.draw for r in ask.requests] == list(range(7))
    assert [r.sampling.seed for r in ask.requests] == list(range(5, 12))
    assert {r.sampling.temperature for r in ask.requests} == {0.7}
    assert len({RequestKeys("m").key(r) for r in ask.requests}) == 7
    single = make("verify", readout="json", temperature=0.7, seed=5)
    (first,) = single.requests(sample_of("verify"))
    assert RequestKeys("m").key(first) == RequestKeys("m").key(ask.requests[0])


async def test_without_a_seed_the_draw_alone_tells_them_apart() -> None:
    _, ask = await decide(voter("verify", seed=None), ["correct"])
    assert {r.sampling.seed for r in ask.requests} == {None}
    assert len({RequestKeys("m").key(r) for r in ask.requests}) == 7


@pytest.mark.parametrize(("kind", "votes"), [("verify", 7), ("feedback", 10), ("pointwise", 10)])
async def test_where_all_agree_it_stops_as_soon_as_it_can(kind: str, votes: int) -> None:
    verdict, ask = await decide(voter(kind), [GOOD[kind][DECIDING[kind]]])
    assert verdict.status == "ok"
    assert verdict.fields["votes"] == len(ask.requests) == votes
    assert verdict.fields["shares"] == {str(GOOD[kind][DECIDING[kind]]): 1.0}
    assert verdict.confidence == verdict.fields["raw_confidence"] == 1.0
    assert verdict.probabilities is None
    assert verdict.usage.output_tokens == 2 * votes


async def test_where_they_differ_it_takes_more_votes() -> None:
    verdict, ask = await decide(voter("verify"), ["correct", "incorrect", "correct"])
    assert (verdict.status, verdict.value, verdict.reward) == ("ok", "correct", 1.0)
    assert verdict.fields["votes"] == len(ask.requests) == 11
    assert verdict.confidence == pytest.approx(10 / 11)
    assert verdict.fields["shares"] == {"correct": 10 / 11, "incorrect": 1 / 11}


async def test_undecided_votes_abstain_with_their_shares() -> None:
    verdict, ask = await decide(voter("verify", 12), ["correct"] * 5 + ["incorrect"])
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.UNDECIDED_VOTES)
    assert (verdict.value, verdict.reward) == ("correct", None)
    assert verdict.fields["shares"] == {"correct": 5 / 7, "incorrect": 2 / 7}
    assert len(ask.requests) == 7, "the five votes that are left could not decide"
    assert "correct 5, incorrect 2" in verdict.error.message


async def test_a_vote_without_a_reply_fails_the_sample_wherever_it_is() -> None:
    for lost in (0, 3, 6):
        words = ["correct"] * lost + [LOST] + ["correct"] * 20
        verdict, ask = await decide(voter("verify"), words)
        assert is_no_number(verdict)
        assert (verdict.status, verdict.error.cause) == ("failed", Cause.TIMEOUT)
        assert len(verdict.raw) == 6, "the others came, and are kept for the next run"
        assert ask.drawn == set(range(7))


async def test_unusable_votes_are_no_votes() -> None:
    verdict, ask = await decide(voter("verify"), ["correct", "?", "?", "correct"])
    assert (verdict.status, verdict.value, verdict.confidence) == ("ok", "correct", 1.0)
    assert (verdict.fields["votes"], verdict.fields["unusable_votes"]) == (7, 2)
    assert ask.drawn == set(range(9))


@pytest.mark.parametrize("words", [["?"], ["correct"] * 6 + ["?"]])
async def test_where_the_unusable_votes_could_have_decided_it_is_invalid(words) -> None:
    verdict, _ = await decide(voter("verify", 10), words)
    assert is_no_number(verdict)
    assert (verdict.status, verdict.error.cause) == ("invalid", Cause.UNPARSEABLE)
    assert "votes are unusable" in verdict.error.message


async def test_where_the_unusable_votes_could_not_have_decided_it_is_undecided() -> None:
    words = ["correct", "incorrect"] * 3 + ["?", "correct", "incorrect"]
    verdict, _ = await decide(voter("verify", 10), words)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.UNDECIDED_VOTES)


async def test_all_votes_give_the_plurality() -> None:
    task = voter("verify", 5, all_votes=True)
    verdict, ask = await decide(task, ["incorrect", "incorrect", "correct"])
    assert (verdict.status, verdict.value, verdict.confidence) == ("ok", "correct", 0.6)
    assert len(ask.requests) == verdict.fields["votes"] == 5
    verdict, _ = await decide(task, ["correct", "incorrect", "?", "correct"])
    assert is_no_number(verdict)
    assert verdict.status == "invalid", "a number from fewer votes than were asked for"


async def test_a_tie_of_all_votes_is_undecided() -> None:
    task = voter("verify", 4, all_votes=True)
    verdict, _ = await decide(task, ["correct", "correct", "incorrect"])
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.UNDECIDED_VOTES)


async def test_the_reward_of_feedback_is_the_expectation_over_the_votes() -> None:
    words = ["pos_praise"] * 6 + ["neg_correction"] * 2 + ["topic_shift"] * 2
    verdict, _ = await decide(voter("feedback", 10, all_votes=True), words)
    assert (verdict.status, verdict.value, verdict.confidence) == ("ok", "pos_praise", 0.6)
    assert verdict.reward == pytest.approx((6 * 0.8 - 2 * 0.8) / 8)
    assert verdict.fields["expected_reward"] == verdict.reward
    assert verdict.fields["rationale"] == "r"


async def test_votes_for_a_change_of_topic_are_not_learned_from() -> None:
    verdict, _ = await decide(voter("feedback", 4, all_votes=True), ["topic_shift"])
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.TOPIC_SHIFT)
    assert (verdict.value, verdict.reward) == ("topic_shift", None)


async def test_the_gate_applies_to_the_share() -> None:
    task = voter("feedback", 10, all_votes=True)
    verdict, _ = await decide(task, ["pos_praise"] * 5 + ["neutral"] * 4 + ["pos_progress"])
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.BELOW_GATE)
    gated = voter("pointwise", 5, all_votes=True, gate=0.7)
    verdict, _ = await decide(gated, [7, 7, 7, 8])
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.BELOW_GATE)


async def test_the_score_is_the_most_frequent_one_and_the_reward_the_mean() -> None:
    verdict, _ = await decide(voter("pointwise", 5, all_votes=True), [9, 9, 10, 5, 9])
    assert (verdict.value, verdict.confidence) == (9, 0.6)
    assert isinstance(verdict.value, int)
    assert verdict.fields["expected_score"] == pytest.approx(8.4)
    assert verdict.reward == pytest.approx(7.4 / 9)


def orders(firsts: Sequence[str], seconds: Sequence[str]) -> Answer:
    """What each draw says in the order as it is, and in the swapped one."""

    def answer(request: Request) -> Completion | Exception:
        words = firsts if request.turn == "main" else seconds
        return reply("pairwise", words[min(request.draw, len(words) - 1)])

    return answer


async def pairs(firsts: Sequence[str], seconds: Sequence[str], **config: Any) -> Verdict:
    task = voter("pairwise", **config)
    return await task.decide(sample_of("pairwise"), Draws(orders(firsts, seconds)))


async def test_each_vote_of_pairwise_asks_both_orders() -> None:
    ask = Draws(orders(["A+"], ["B++"]))
    verdict = await voter("pairwise").decide(sample_of("pairwise"), ask)
    assert (verdict.status, verdict.value, verdict.fields["votes"]) == ("ok", "A", 9)
    assert sorted((r.draw, r.turn) for r in ask.requests) == [
        (draw, turn) for draw in range(9) for turn in ("main", "swapped")
    ]
    assert verdict.fields["p_a"] == pytest.approx(0.85)
    assert verdict.reward == pytest.approx(0.7)
    assert verdict.fields["order_gap"] == pytest.approx(0.2)
    single = voter("pairwise", swap=False)
    verdict, ask = await decide(single, ["A+"])
    assert (len(ask.requests), verdict.fields["p_a"]) == (8, 0.75)


FIRSTS = ["A++", "A+", "B+", "A=B", "A+", "B++", "A++"]
SECONDS = ["B+", "B++", "A=B", "A=B", "A+", "B+", "B+"]


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("shift", range(7))
async def test_swapping_the_responses_mirrors_the_votes(shift: int, every: bool) -> None:
    other = {"A": "B", "B": "A", "A=B": "A=B", "order_conflict": "order_conflict"}
    firsts, seconds = FIRSTS[shift:], SECONDS[shift:]
    votes = 7 if every else 20
    there = await pairs(firsts, seconds, votes=votes, all_votes=every)
    back = await pairs(seconds, firsts, votes=votes, all_votes=every)
    assert there.fields["p_a"] + back.fields["p_a"] == pytest.approx(1, abs=1e-12)
    assert (there.status, there.value) == (back.status, other[str(back.value)])
    assert there.confidence == back.confidence
    mirrored = {other[name]: share for name, share in back.fields["shares"].items()}
    assert there.fields["shares"] == mirrored


async def test_orders_that_mostly_contradict_each_other_abstain() -> None:
    verdict = await pairs(["A+"], ["A+"], votes=12)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.ORDER_CONFLICT)
    assert verdict.fields["shares"] == {"order_conflict": 1.0}
    assert (verdict.value, verdict.fields["p_a"]) == ("A=B", 0.5)


async def test_many_weak_votes_against_strong_ones_are_no_preference() -> None:
    task = voter("pairwise", 5, all_votes=True, swap=False)
    verdict, _ = await decide(task, ["A+", "A+", "A+", "B++", "B++"])
    assert verdict.fields["p_a"] == pytest.approx(0.47)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.UNDECIDED_VOTES)


async def test_what_a_rule_decides_is_not_voted_on() -> None:
    ask = Draws(saying("verify", ["incorrect"]))
    sample = sample_of("verify", ROWS["verify"] | {"answer": "Shelley"})
    verdict = await voter("verify").decide(sample, ask)
    assert (verdict.status, verdict.value, ask.requests) == ("ok", "correct", [])
    assert "votes" not in verdict.fields
    assert voter("verify").first_requests(sample) == []


@pytest.mark.parametrize("kind", GOOD)
async def test_the_verdict_does_not_depend_on_who_replies_first(kind: str) -> None:
    words = {
        "feedback": ["pos_praise", "?", "pos_praise", "neutral", "pos_praise"],
        "pointwise": [7, "?", 7, 8, 7],
        "pairwise": ["A+", "?", "A++", "A=B", "A+"],
        "verify": ["correct", "?", "correct", "incorrect", "correct"],
    }[kind]
    task = voter(kind, 25, swap=False)
    seen = set()
    for seed in range(6):
        ask = Draws(saying(kind, words), random.Random(seed))
        seen.add(msgspec.json.encode(await task.decide(sample_of(kind), ask)))
    assert len(seen) == 1
    raw = json.loads(seen.pop())["raw"]
    assert raw[1] == raw[2] == "?", "replies are in the order of the draws, repairs behind"


async def test_the_first_round_may_be_given_whole() -> None:
    task = voter("pairwise")
    sample = sample_of("pairwise")
    asked = task.first_requests(sample)
    assert len(asked) == 18
    ask = Draws(orders(["A+", "B+", "A+"], ["B+"]))
    await task.decide(sample, ask, asked)
    assert all(any(r is known for r in ask.requests) for known in asked)
    assert len(ask.requests) > 18


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"readout": "logprob"}, "reads that distribution itself"),
        ({"readout": "auto"}, "reads that distribution itself"),
        ({"temperature": 0}, "all votes would be alike"),
        ({"votes": 9}, "can never decide"),
        ({"votes": 0}, "votes must be in"),
        ({"vote_error": 2.0}, "vote error"),
    ],
)
def test_votes_that_make_no_sense_are_refused(config, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make("feedback", **({"readout": "json", "votes": 20} | config))


def test_all_votes_without_votes_is_refused() -> None:
    with pytest.raises(UsageError, match="goes with votes="):
        make("verify", readout="json", all_votes=True)


def test_the_fingerprint_knows_of_votes_only_where_there_are_some() -> None:
    def fingerprint(**config: Any) -> str:
        return make("verify", readout="json", **config).fingerprint

    assert fingerprint() == fingerprint(vote_error=0.2) == fingerprint(votes=1, temperature=0)
    voted = [
        fingerprint(temperature=0.7),
        fingerprint(votes=20),
        fingerprint(votes=21),
        fingerprint(votes=20, vote_error=0.2),
        fingerprint(votes=20, all_votes=True),
        fingerprint(),
    ]
    assert len(set(voted)) == len(voted)
