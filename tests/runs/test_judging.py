"""Judging within a run: the prior comes first, and unusable replies are asked for again."""

import asyncio

import pytest

from plaudit.engines.base import Capabilities, Completion, Request, TokenLogprob
from plaudit.engines.pool import Pool, SendPolicy
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.runs.asking import Asker, CachePolicy
from plaudit.runs.judging import Judging
from tests.judges.making import GOOD, make, over, sample_of, say
from tests.runs.test_asking import Store

FAST = SendPolicy(attempts=1)


class Engine:
    """Answers by turn, from lists of replies; keeps the requests."""

    uri = "test:"
    capabilities = Capabilities(logprobs=20, json_schema=True)

    def __init__(self, **replies) -> None:
        self.replies = replies
        self.requests: list[Request] = []

    async def open(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        await asyncio.sleep(0.001)
        replies = self.replies[request.turn.replace("-", "_")]
        reply = replies.pop(0) if isinstance(replies, list) else replies
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def turns(self) -> list[str]:
        return [request.turn for request in self.requests]


def judging_of(engine: Engine, task=None, store: Store | None = None, **policy) -> Judging:
    task = task or make("feedback", readout="json")
    asker = Asker(Pool(engine, FAST), task.identity, store, CachePolicy(**policy))
    return Judging(task, asker)


SAMPLE = sample_of("feedback")


async def test_a_stored_unusable_reply_is_read_again_and_not_asked_again() -> None:
    store = Store()
    engine = Engine(main=say("?"), main_repair=say("??"))
    verdict, _ = await judging_of(engine, store=store).judge(SAMPLE)
    assert verdict.status == "invalid"
    verdict, asked = await judging_of(engine, store=store).judge(SAMPLE)
    assert (verdict.status, verdict.raw) == ("invalid", ["?", "??"])
    assert asked.from_store
    assert engine.turns == ["main", "main-repair"]


async def test_retry_invalid_asks_again_and_the_new_reply_replaces_the_old_one() -> None:
    store = Store()
    engine = Engine(main=[say("?"), say(GOOD["feedback"])], main_repair=say("??"))
    await judging_of(engine, store=store).judge(SAMPLE)
    verdict, asked = await judging_of(engine, store=store, retry_invalid=True).judge(SAMPLE)
    assert (verdict.status, verdict.value) == ("ok", "pos_praise")
    assert not asked.from_store
    assert engine.turns == ["main", "main-repair", "main"]
    verdict, asked = await judging_of(engine, store=store).judge(SAMPLE)
    assert (verdict.status, asked.from_store, len(engine.requests)) == ("ok", True, 3)


async def test_retry_invalid_does_not_ask_twice_what_was_asked_just_now() -> None:
    engine = Engine(main=say("?"), main_repair=say("??"))
    verdict, _ = await judging_of(engine, store=Store(), retry_invalid=True).judge(SAMPLE)
    assert verdict.status == "invalid"
    assert engine.turns == ["main", "main-repair"]


async def test_retry_invalid_leaves_usable_replies_alone() -> None:
    store = Store()
    engine = Engine(main=say(GOOD["feedback"]))
    await judging_of(engine, store=store).judge(SAMPLE)
    _, asked = await judging_of(engine, store=store, retry_invalid=True).judge(SAMPLE)
    assert (asked.from_store, len(engine.requests)) == (True, 1)


async def test_a_failed_sample_is_asked_again() -> None:
    store = Store()
    engine = Engine(main=[CallError(Cause.TIMEOUT, "late"), say(GOOD["feedback"])])
    assert (await judging_of(engine, store=store).judge(SAMPLE))[0].status == "failed"
    assert (await judging_of(engine, store=store).judge(SAMPLE))[0].status == "ok"


async def test_a_new_gate_applies_to_stored_replies_without_asking() -> None:
    store = Store()
    engine = Engine(main=say(GOOD["feedback"]))
    statuses = []
    for gate in (0.5, 0.95, 0.5):
        task = make("feedback", readout="json", gate=gate)
        verdict, _ = await judging_of(engine, task, store).judge(SAMPLE)
        statuses.append((verdict.status, verdict.reward))
    assert statuses == [("ok", 0.8), ("abstained", None), ("ok", 0.8)]
    assert len(engine.requests) == 1


async def test_the_same_sample_twice_in_a_batch_is_sent_once() -> None:
    engine = Engine(main=say(GOOD["feedback"]))
    judging = judging_of(engine, store=Store())
    results = await asyncio.gather(*(judging.judge(SAMPLE) for _ in range(4)))
    assert [verdict.status for verdict, _ in results] == ["ok"] * 4
    assert len(engine.requests) == 1


# The prior.


def task_with_prior():
    task = make("feedback", readout="logprob", gate=0)
    task._prior_rows = tuple(
        {"query": f"q{n}", "answer": "a", "follow_up": "f", "id": "p"} for n in range(3)
    )
    return task


def even(task) -> Completion:
    return over(task, dict.fromkeys(task.labels, 1 / 7))


def leaning(task) -> Completion:
    return over(task, dict.fromkeys(task.labels, 0.1) | {"pos_praise": 0.4})


async def test_the_prior_is_measured_once_before_all_samples() -> None:
    task = task_with_prior()
    engine = Engine(prior=even(task), main=leaning(task))
    judging = judging_of(engine, task, Store())
    samples = [
        sample_of("feedback", {"query": str(n), "answer": "a", "follow_up": "f"}) for n in range(4)
    ]
    results = await asyncio.gather(*(judging.judge(sample) for sample in samples))
    assert {verdict.value for verdict, _ in results} == {"pos_praise"}
    assert engine.turns == ["prior"] * 3 + ["main"] * 4


async def test_the_stored_prior_costs_nothing() -> None:
    store = Store()
    task = task_with_prior()
    engine = Engine(prior=even(task), main=leaning(task))
    await judging_of(engine, task, store).judge(SAMPLE)
    sent = len(engine.requests)
    await judging_of(engine, task_with_prior(), store).judge(SAMPLE)
    assert len(engine.requests) == sent


async def test_a_prior_that_cannot_be_measured_ends_the_run_and_is_tried_again_later() -> None:
    task = task_with_prior()
    late = CallError(Cause.TIMEOUT, "late")
    engine = Engine(prior=[late] * 3 + [even(task)] * 6, main=leaning(task))
    judging = judging_of(engine, task, Store())
    with pytest.raises(EngineUnusableError, match="prior could not be measured"):
        await judging.judge(SAMPLE)
    assert "main" not in engine.turns
    verdict, _ = await judging.judge(SAMPLE)
    assert verdict.status == "ok"


async def test_a_model_that_never_says_the_options_is_refused() -> None:
    task = task_with_prior()
    deaf = Completion(text="The", logprobs=(TokenLogprob("The", -0.01),))
    with pytest.raises(UsageError, match="--readout json"):
        await judging_of(Engine(prior=deaf), task, Store()).judge(SAMPLE)


async def test_one_unusable_reply_to_the_prior_does_not_spoil_it() -> None:
    task = task_with_prior()
    deaf = Completion(text="The", logprobs=(TokenLogprob("The", -0.01),))
    engine = Engine(prior=[deaf, even(task), even(task), deaf], main=leaning(task))
    verdict, _ = await judging_of(engine, task, Store()).judge(SAMPLE)
    assert (verdict.status, verdict.value) == ("ok", "pos_praise")


@pytest.mark.parametrize("bad", ["deaf", "filtered"])
async def test_an_unusable_reply_to_the_prior_is_asked_for_once_more_and_replaced(bad: str) -> None:
    task, store = task_with_prior(), Store()
    deaf = Completion(text="The", logprobs=(TokenLogprob("The", -0.01),))
    first = deaf if bad == "deaf" else ReplyError(Cause.REFUSED, "filtered")
    engine = Engine(prior=[first, *[even(task)] * 3], main=leaning(task))
    clean = Engine(prior=even(task), main=leaning(task))
    verdict, _ = await judging_of(engine, task, store).judge(SAMPLE)
    assert engine.turns == ["prior"] * 4 + ["main"]
    expected, _ = await judging_of(clean, task_with_prior(), Store()).judge(SAMPLE)
    assert verdict == expected
    again, _ = await judging_of(engine, task_with_prior(), store).judge(SAMPLE)
    assert again == expected
    assert len(engine.turns) == 5
