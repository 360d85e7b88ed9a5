"""Judging within a run: the prior comes first, and unusable replies are asked for again."""

import asyncio
from pathlib import Path

import pytest

from plaudit.engines.base import Capabilities, Completion, Request, TokenLogprob
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.runs.cached import CachedClient, CachePolicy, SampleClient
from plaudit.runs.judging import JudgeSession
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.store.store import Store as StoreFile
from tests.judges.making import GOOD, ROWS, make, over, sample_of, say
from tests.runs.test_cached import Store


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


def judging_of(
    engine: Engine, task=None, store: Store | None = None, concurrency: int = 100, **policy
) -> JudgeSession:
    task = task or make("feedback", readout="json")
    send = SendPolicy(attempts=1, concurrency=concurrency)
    client = CachedClient(Pool(engine, send), task.identity, store, CachePolicy(**policy))
    return JudgeSession(task, client)


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
    task.logprobs.rows = tuple(
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
    with pytest.raises(UsageError, match=r"readout=.json"):
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


# Several requests of one sample.


class Slow(Engine):
    """Says how many requests are in flight; answers the later ones first."""

    def __init__(self, replies: list[str], *, most: int | None = None) -> None:
        super().__init__()
        self.words = replies
        self.capabilities = Capabilities(json_schema=True, concurrency=most)
        self.flying = self.most = 0

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        self.flying += 1
        self.most = max(self.most, self.flying)
        for _ in range(50 - 10 * (request.turn != "main") - request.draw):
            await asyncio.sleep(0)
        self.flying -= 1
        word = self.words[min(request.draw, len(self.words) - 1)]
        choice = {"A+": "B+", "B+": "A+"}[word] if request.turn.startswith("swapped") else word
        return say(GOOD["pairwise"] | {"choice": choice})


PAIR = sample_of("pairwise")
PAIRWISE = make("pairwise", readout="json")
VOTER = make("pairwise", readout="json", votes=20)


async def test_both_orders_are_in_flight_at_once_and_noted_in_order() -> None:
    engine = Slow(["A+"])
    verdict, asked = await judging_of(engine, PAIRWISE).judge(PAIR)
    assert (verdict.status, verdict.value, engine.most) == ("ok", "A", 2)
    assert verdict.raw == [say(GOOD["pairwise"] | {"choice": c}).text for c in ("A+", "B+")]
    assert [request.turn for request in asked.requests] == ["main", "swapped"]


async def test_where_every_slot_is_taken_orders_are_asked_one_after_the_other() -> None:
    """And what comes of it is the same, to the byte."""
    engine = Slow(["A+"], most=1)
    judging = judging_of(engine, PAIRWISE, concurrency=1)
    samples = [
        sample_of("pairwise", ROWS["pairwise"] | {"prompt": f"Name {n} primes."}) for n in range(6)
    ]
    judged = await asyncio.gather(*map(judging.judge, samples))
    assert engine.most == 1
    free = Slow(["A+"])
    for sample, (verdict, _) in zip(samples, judged, strict=True):
        alone, _ = await judging_of(free, PAIRWISE).judge(sample)
        assert alone == verdict


async def test_from_the_store_no_task_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    first, _ = await judging_of(Slow(["A+"]), PAIRWISE, store).judge(PAIR)
    judging = judging_of(Slow(["A+"]), PAIRWISE, store)
    await judging.prepare()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a task was made")

    monkeypatch.setattr(asyncio, "create_task", refuse)
    monkeypatch.setattr(asyncio.TaskGroup, "create_task", refuse)
    again, asked = await judging.judge(PAIR)
    assert again == first
    assert asked.from_store


def asked_of(asked) -> tuple:
    return list(asked.requests), list(asked.keys), list(asked.failed), asked.from_store


async def test_what_is_at_hand_is_judged_as_by_asking() -> None:
    store = Store()
    engine = Engine(main=say(GOOD["feedback"]))
    first, _ = await judging_of(engine, store=store).judge(SAMPLE)
    judging = judging_of(engine, store=store)
    (question,) = judging.questions([SAMPLE])
    assert judging.judge_stored(question) is None  # the prior is not known yet
    await judging.prepare()
    verdict, asked = judging.judge_stored(question)
    assert verdict == first
    assert asked_of(asked) == ([*question.requests], [*question.keys], [], True)
    asking = SampleClient(judging.client, question)
    assert await judging.task.decide(SAMPLE, asking, question.requests) == verdict
    assert asked_of(asking) == asked_of(asked)
    assert len(engine.requests) == 1


@pytest.mark.parametrize(
    ("policy", "turns"), [({}, ["main", "main-repair"]), ({"retry_invalid": True}, ["main"] * 2)]
)
async def test_an_unusable_reply_is_not_at_hand(policy: dict[str, bool], turns: list[str]) -> None:
    store = Store()
    await judging_of(Engine(main=say("?"), main_repair=say("??")), store=store).judge(SAMPLE)
    engine = Engine(main=say(GOOD["feedback"]), main_repair=say("??"))
    judging = judging_of(engine, store=store, **policy)
    await judging.prepare()
    (question,) = judging.questions([SAMPLE])
    assert judging.judge_stored(question) is None
    _, asked = await judging.judge(question)
    assert [request.turn for request in asked.requests] == turns[: len(asked.requests)]
    assert engine.turns == (["main"] if policy else [])


async def test_nothing_is_at_hand_that_is_not_stored_or_must_not_be_read() -> None:
    store = Store()
    engine = Engine(main=say(GOOD["feedback"]))
    await judging_of(engine, store=store).judge(SAMPLE)
    other = sample_of("feedback", ROWS["feedback"] | {"query": "another"})
    for sample, policy in ((other, {}), (SAMPLE, {"read": False})):
        judging = judging_of(engine, store=store, **policy)
        await judging.prepare()
        (question,) = judging.questions([sample])
        assert judging.judge_stored(question) is None
        judging.client.release(question)


async def test_orders_that_are_the_same_request_are_sent_once() -> None:
    engine = Slow(["A+"])
    same = sample_of("pairwise", ROWS["pairwise"] | {"response_b": "Seven."})
    verdict, _ = await judging_of(engine, PAIRWISE).judge(same)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.ORDER_CONFLICT)
    assert len(engine.requests) == 1


async def test_an_order_is_asked_even_where_the_other_one_failed() -> None:
    """So that a verdict does not depend on which of them was asked first."""
    lost = CallError(Cause.TIMEOUT, "no reply")
    good = say(GOOD["pairwise"])
    engine = Engine(main=lost, swapped=good)
    verdict, asked = await judging_of(engine, PAIRWISE).judge(PAIR)
    assert (verdict.status, verdict.error.cause) == ("failed", Cause.TIMEOUT)
    assert verdict.raw == [good.text]
    assert sorted(engine.turns) == ["main", "swapped"]
    assert not asked.from_store


async def test_votes_are_stored_by_draw_and_come_back_without_a_request() -> None:
    store, words = Store(), ["A+", "B+", "A+"]
    engine = Slow(words)
    verdict, asked = await judging_of(engine, VOTER, store).judge(PAIR)
    assert (verdict.status, verdict.value) == ("ok", "A")
    assert engine.most >= 10
    assert len(asked.keys) == len(store) == 2 * verdict.fields["votes"]
    assert asked.keys == [judging_of(engine).client.key(request) for request in asked.requests]
    assert [(r.draw, r.turn) for r in asked.requests] == [
        (draw, turn) for draw in range(verdict.fields["votes"]) for turn in ("main", "swapped")
    ]
    silent = Slow(words)
    again, asked = await judging_of(silent, VOTER, store).judge(PAIR)
    assert again == verdict
    assert asked.from_store
    assert silent.requests == []


async def test_a_vote_that_got_no_reply_is_the_only_one_that_is_asked_again() -> None:
    store = Store()

    class Flaky(Slow):
        async def complete(self, request: Request) -> Completion:
            if request.draw == 4 and request.turn == "swapped":
                self.requests.append(request)
                raise CallError(Cause.TIMEOUT, "no reply")
            return await super().complete(request)

    verdict, asked = await judging_of(Flaky(["A+"]), VOTER, store).judge(PAIR)
    assert verdict.status == "failed"
    assert not asked.from_store
    engine = Slow(["A+"])
    verdict, _ = await judging_of(engine, VOTER, store).judge(PAIR)
    assert (verdict.status, verdict.fields["votes"]) == ("ok", 9)
    assert [(r.draw, r.turn) for r in engine.requests] == [(4, "swapped")]


async def test_each_vote_has_the_retries_of_a_sample() -> None:
    class Stumbling(Slow):
        """Fails once for each request."""

        async def complete(self, request: Request) -> Completion:
            if request not in self.requests:
                self.requests.append(request)
                raise CallError(Cause.SERVER_ERROR, "stumbled", retryable=True)
            return await super().complete(request)

    policy = SendPolicy(attempts=3, backoff=0.0001, max_backoff=0.0001)
    engine = Stumbling(["A+"])
    client = CachedClient(Pool(engine, policy), "test", None, CachePolicy())
    verdict, asked = await JudgeSession(VOTER, client).judge(PAIR)
    assert verdict.status == "ok"
    assert len(asked.failed) == 18


async def test_measuring_the_prior_is_a_stage_of_its_own() -> None:
    stages: list[str] = []

    class Watched(Engine):
        async def complete(self, request: Request) -> Completion:
            stages.append(judging.stage)
            return await super().complete(request)

    task = task_with_prior()
    judging = judging_of(Watched(prior=even(task), main=leaning(task)), task)
    await judging.judge(SAMPLE)
    assert {*stages[:-1]} == {"measuring the judge's prior"}
    assert (stages[-1], judging.stage, judging.sent) == ("", "", len(stages))


def test_an_outcome_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    path, key = tmp_path / "store.sqlite", bytes(range(32))
    with StoreFile(path) as store:
        assert store.get_result(key) is None
        store.put_result(key, b'{"relation":"open"}')
        assert store.get_result(key) == b'{"relation":"open"}'
    with StoreFile(path) as store:
        assert store.get_result(key) == b'{"relation":"open"}'
        assert store.get_result(bytes(32)) is None
