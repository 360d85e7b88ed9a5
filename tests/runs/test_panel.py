"""Juries and cascades at work, from Python."""

import asyncio
import json
import pickle
from pathlib import Path

import msgspec
import pytest

from plaudit import Judge, UsageError
from plaudit.engines.base import Capabilities, Completion, Request
from plaudit.errors import CallError, Cause, EngineUnusableError
from plaudit.judges.config import JudgeConfig
from plaudit.judges.panel import CascadeConfig, JuryConfig, Member, bind_panel
from plaudit.runs.block import panel_judging, pools_of
from plaudit.runs.cached import CachedClient, CachePolicy
from plaudit.runs.panel import Cascade, Jury
from plaudit.runs.record import JudgeOptions, JudgeRecord
from plaudit.scoring.cascade import GatePromise, Promised
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Price, Prices
from plaudit.types import Usage
from tests.judges.making import sample_of
from tests.runs.test_cached import Store
from tests.support.command import write_rows

FAST = SendPolicy(attempts=2, backoff=0.001, max_backoff=0.001)


def said(label: str, confidence: float = 0.9) -> Completion:
    text = json.dumps({"rationale": "r", "label": label, "confidence": confidence})
    return Completion(text=text, usage=Usage(10, 2))


class Engine:
    """Says the same about everything, or what a function says about a sample."""

    capabilities = Capabilities(json_schema=True)

    def __init__(self, name: str, reply) -> None:
        self.uri = f"test:{name}"
        self.reply = reply
        self.requests: list[Request] = []
        self.in_flight = self.most = 0

    async def identify(self) -> str:
        return self.uri

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(0.001)
        self.in_flight -= 1
        reply = self.reply(request) if callable(self.reply) else self.reply
        if isinstance(reply, Exception):
            raise reply
        return reply


def member(name: str, **config) -> Member:
    return Member(name=name, engine="", judge=JudgeConfig(kind="feedback", **config))


def jury_of(**config) -> JuryConfig:
    return JuryConfig(
        members=tuple(member(name, **own) for name, own in config.items()),
        combine="majority",
        quorum=len(config) // 2 + 1,
    )


async def work(config, engines, store=None, policy=FAST, clients=()) -> Jury | Cascade:
    task = await bind_panel(config, engines)

    def client(pool, one) -> CachedClient:
        made = CachedClient(pool, one.identity, store, CachePolicy())
        if isinstance(clients, list):
            clients.append(made)
        return made

    return panel_judging(task, pools_of(engines, policy), client)


SAMPLES = [
    sample_of("feedback", {"id": str(n), "query": str(n), "answer": "a", "follow_up": "f"})
    for n in range(100)
]


async def judge_all(panel, samples=SAMPLES):
    results = [await panel.judge(question) for question in panel.questions(samples)]
    return [verdict for verdict, _ in results], [asked for _, asked in results]


@pytest.mark.parametrize("cascade", [False, True])
async def test_what_is_at_hand_is_judged_and_counted_as_by_asking(cascade: bool) -> None:
    def unsure(request: Request) -> Completion:
        return said("neutral", 0.9 if int(request.sample_id) % 3 else 0.3)

    members = (member("a", gate=0.7), member("b"))
    config = CascadeConfig(members=members) if cascade else jury_of(a={"gate": 0.7}, b={})
    engines, store = [Engine("x", unsure), Engine("y", said("pos_praise"))], Store()
    await judge_all(await work(config, engines, store), SAMPLES[:9])
    asking, at_once = [await work(config, engines, store) for _ in range(2)]
    expected, asked = await judge_all(asking, SAMPLES[:9])
    questions = list(at_once.questions(SAMPLES[:9]))
    await at_once.open(questions[0])
    known = [at_once.judge_stored(question) for question in questions]
    left = [number for number, one in enumerate(known) if one is None]
    assert left == ([0, 3, 6] if cascade else [])
    for number in left:
        known[number] = await at_once.judge(SAMPLES[number])
    assert [one[0] for one in known] == expected
    assert [list(one[1].keys) for one in known] == [list(one.keys) for one in asked]
    assert all(one[1].from_store for one in known)
    assert at_once.summary(Prices()) == asking.summary(Prices())


# Juries.


async def test_each_member_has_its_own_prompt_keys_and_count() -> None:
    engines = [Engine("x", said("pos_praise")), Engine("y", said("neutral"))]
    both = [engines[0], engines[1], engines[0]]
    panel = await work(jury_of(a={}, b={}, c={"max_tokens": 9}), both, Store())
    verdicts, asked = await judge_all(panel, SAMPLES[:5])
    assert {v.value for v in verdicts} == {"pos_praise"}
    assert [m["name"] for m in verdicts[0].fields["members"]] == ["a", "b", "c"]
    assert len(set(asked[0].keys)) == 3
    assert verdicts[0].usage == Usage(30, 6)
    summary = panel.summary(Prices())
    assert [m.engine_calls for m in summary.members] == [5, 5, 5]
    assert panel.bill(Prices()).engine_calls == 15
    assert (len(engines[0].requests), len(engines[1].requests)) == (10, 5)


async def test_members_with_one_engine_share_its_slots() -> None:
    engine = Engine("x", said("neutral"))
    policy = SendPolicy(concurrency=2, attempts=1)
    panel = await work(jury_of(a={}, b={"max_tokens": 9}), [engine, engine], policy=policy)
    await asyncio.gather(*(panel.judge(sample) for sample in SAMPLES[:20]))
    assert (engine.most, len(engine.requests)) == (2, 40)


async def test_what_is_answered_costs_nothing_and_a_new_member_is_asked_alone() -> None:
    store, engine = Store(), Engine("x", said("neutral"))
    await judge_all(await work(jury_of(a={}, b={"max_tokens": 9}), [engine] * 2, store))
    before = len(engine.requests)
    three = jury_of(a={}, b={"max_tokens": 9}, c={"max_tokens": 8})
    verdicts, asked = await judge_all(await work(three, [engine] * 3, store))
    assert len(engine.requests) - before == len(SAMPLES)
    assert not any(one.from_store for one in asked)
    again, asked = await judge_all(await work(three, [engine] * 3, store))
    assert len(engine.requests) - before == len(SAMPLES)
    assert all(one.from_store for one in asked)
    assert again == verdicts


async def test_a_failed_member_has_no_vote_and_is_asked_again() -> None:
    store = Store()
    down = Engine("y", CallError(Cause.TIMEOUT, "late", retryable=True))
    engines = [Engine("x", said("neutral")), down, Engine("z", said("neutral"))]
    panel = await work(jury_of(a={}, b={}, c={}), engines, store)
    (verdict,), (asked,) = await judge_all(panel, SAMPLES[:1])
    assert (verdict.status, verdict.confidence) == ("ok", 1.0)
    assert verdict.fields["members"][1] | {"judge": ""} == {
        "name": "b", "judge": "", "status": "failed", "value": None, "reward": None,
        "confidence": None, "cause": "timeout",
    }  # fmt: skip
    assert [attempt.turn for attempt in asked.failed] == ["b: main"] * 2
    assert not asked.from_store
    assert panel.summary(Prices()).members[1].engine_calls == 2
    down.reply = said("pos_praise")
    (verdict,), _ = await judge_all(await work(jury_of(a={}, b={}, c={}), engines, store), [
        SAMPLES[0]
    ])  # fmt: skip
    assert [m["status"] for m in verdict.fields["members"]] == ["ok"] * 3
    assert [len(engine.requests) for engine in engines] == [1, 3, 1]


async def test_an_unusable_member_ends_it_by_name_and_nothing_is_left_over() -> None:
    gone = EngineUnusableError("the key is refused", outage=False)
    engines = [Engine("x", said("neutral")), Engine("y", gone)]
    panel = await work(jury_of(good={}, bad={}), engines)
    with pytest.raises(EngineUnusableError, match="judge 'bad': the key is refused"):
        await panel.judge(SAMPLES[0])
    assert engines[0].in_flight == 0


async def test_samples_that_are_judged_are_forgotten() -> None:
    clients: list[CachedClient] = []
    engines = [Engine("x", said("neutral"))] * 2
    panel = await work(jury_of(a={}, b={}), engines, Store(), clients=clients)
    questions = panel.questions(SAMPLES)
    for _ in range(10):
        await panel.judge(next(questions))
    questions.close()
    assert [client.kept for client in clients] == [0, 0]


async def test_agreement_is_over_the_votes_that_there_are() -> None:
    def mostly(request: Request) -> Completion:
        sure = 0.1 if int(request.sample_id) % 10 == 0 else 0.9  # below the gate: no vote
        return said("neutral" if int(request.sample_id) % 2 else "pos_praise", sure)

    engines = [Engine("x", mostly), Engine("y", mostly)]
    panel = await work(jury_of(a={}, b={}), engines)
    await judge_all(panel)
    found = panel.summary(Prices()).agreement
    assert isinstance(found, msgspec.Struct)
    assert (found.alpha, found.samples, found.level) == (1.0, 90, "nominal")


async def test_shared_costs_are_told_where_all_are_known() -> None:
    engines = [Engine("x", said("neutral")), Engine("y", said("neutral"))]
    panel = await work(jury_of(a={}, b={}), engines)
    await judge_all(panel, SAMPLES[:10])
    one = Prices({"x": Price(1, 2)})
    assert panel.bill(one).cost_usd is None
    assert [m.cost_usd for m in panel.summary(one).members] == [0.00014, None]
    assert panel.bill(Prices({"x": Price(1, 2), "y": Price(2, 4)})).cost_usd == 0.00042


# Cascades.


def unsure(request: Request) -> Completion:
    """Sure about three samples of four."""
    return said("neutral", 0.5 if int(request.sample_id) % 4 == 0 else 0.9)


STEPS = CascadeConfig(members=(member("small", gate=0.8), member("large")))


async def test_only_what_is_not_settled_goes_on() -> None:
    small, large = Engine("x", unsure), Engine("y", said("pos_praise"))
    panel = await work(STEPS, [small, large], Store())
    verdicts, _ = await judge_all(panel)
    assert (len(small.requests), len(large.requests)) == (100, 25)
    assert [v.value for v in verdicts[:4]] == ["pos_praise", "neutral", "neutral", "neutral"]
    assert [v.fields["step"] for v in verdicts[:2]] == ["large", "small"]
    assert [len(v.fields["members"]) for v in verdicts[:2]] == [2, 1]
    assert verdicts[0].usage == Usage(20, 4)
    summary = panel.summary(Prices())
    assert [(m.samples, m.settled, m.gate) for m in summary.members] == [
        (100, 75, 0.8), (25, 25, 0.6)
    ]  # fmt: skip
    assert summary.promised is None
    assert msgspec.to_builtins(summary.saved) == {
        "samples": 75, "requests": -25, "input_tokens": -250, "output_tokens": -50,
        "cost_usd": None,
    }  # fmt: skip


@pytest.mark.parametrize("reply", [CallError(Cause.TIMEOUT, "late"), Completion(text="?")])
async def test_the_next_step_answers_for_one_that_failed_and_the_last_ones_outcome_stands(
    reply,
) -> None:
    ok, bad = Engine("x", said("neutral")), Engine("y", reply)
    (verdict,), _ = await judge_all(await work(STEPS, [bad, ok]), SAMPLES[:1])
    assert (verdict.status, verdict.value, verdict.error) == ("ok", "neutral", None)
    (verdict,), _ = await judge_all(await work(STEPS, [bad, bad]), SAMPLES[:1])
    assert verdict.status in ("failed", "invalid")
    assert (verdict.reward, verdict.value) == (None, None)


async def test_an_answer_that_must_not_be_learned_from_settles_too() -> None:
    small, large = Engine("x", said("topic_shift")), Engine("y", said("neutral"))
    (verdict,), _ = await judge_all(await work(STEPS, [small, large]), SAMPLES[:1])
    assert (verdict.status, verdict.value, len(large.requests)) == ("abstained", "topic_shift", 0)
    small.reply = said("topic_shift", 0.7)  # under the gate of 0.8
    (verdict,), _ = await judge_all(await work(STEPS, [small, large]), SAMPLES[:1])
    assert (verdict.status, verdict.value) == ("ok", "neutral")


async def test_a_promise_is_about_what_its_gate_settled(monkeypatch) -> None:
    panel = await work(STEPS, [Engine("x", unsure), Engine("y", said("neutral"))])
    first, promise = panel.task.tasks[0], GatePromise(agreement=0.9, delta=0.05)
    monkeypatch.setattr(first, "promise", promise)
    await judge_all(panel)
    found = panel.summary(Prices())
    assert found.promised == Promised(agreement=0.9, probability=0.95, samples=75)
    assert found.members[0].promise == GatePromise(agreement=0.9, delta=0.05)
    assert found.members[1].promise is None


async def test_another_gate_asks_only_the_step_that_it_concerns() -> None:
    store, small, large = Store(), Engine("x", unsure), Engine("y", said("pos_praise"))
    await judge_all(await work(STEPS, [small, large], store))
    strict = CascadeConfig(members=(member("small", gate=0.95), member("large")))
    await judge_all(await work(strict, [small, large], store))
    assert (len(small.requests), len(large.requests)) == (100, 100)


# The Python API.


@pytest.fixture
def spec(tmp_path: Path) -> dict:
    def script(name: str, label: str) -> str:
        lines = [{"match": {}, "replies": [{"text": said(label).text}]}]
        return f"scripted:{write_rows(tmp_path / name, lines)}"

    praise = script("praise.jsonl", "pos_praise")
    return {
        "members": [
            {"name": "a", "engine": praise},
            {"name": "b", "engine": praise, "max_tokens": 99},
            {"name": "c", "engine": script("neutral.jsonl", "neutral")},
        ]
    }


ROW = {"query": "q", "answer": "a", "follow_up": "f"}


def test_a_jury_judges_like_a_judge(spec: dict, tmp_path: Path) -> None:
    judge = Judge("feedback", jury=spec, cache=tmp_path / "store.db")
    verdict = judge.judge(ROW)
    assert (verdict.value, verdict.reward) == ("pos_praise", 0.8)
    rows = [ROW | {"query": str(n)} for n in range(5)]
    batch = judge.judge_batch(rows)
    assert [v.index for v in batch] == list(range(5))
    assert list(judge.stream(iter(rows))) == batch
    assert judge.judge_batch(iter(rows)) == batch
    assert asyncio.run(judge.ajudge(ROW)) == verdict
    columns = judge.map_batch({name: [value, value] for name, value in ROW.items()})
    assert columns["plaudit_value"] == ["pos_praise"] * 2
    assert len(judge.render(ROW)) == 3
    again = pickle.loads(pickle.dumps(judge))
    assert again.judge(ROW) == verdict
    judge.close()
    again.close()


def test_generation_parameters_of_a_call_reach_every_member(spec: dict, tmp_path: Path) -> None:
    engine = Engine("x", said("neutral"))
    members = [{"name": "a", "engine": engine}, {"name": "b", "engine": engine, "max_tokens": 9}]
    judge = Judge("feedback", jury={"members": members}, cache=tmp_path / "store.db")
    judge.judge(ROW)
    judge.judge(ROW, temperature=0.5)
    assert sorted(r.sampling.temperature for r in engine.requests) == [0.0, 0.0, 0.5, 0.5]
    judge.close()


def test_a_cascade_judges_like_a_judge_and_is_no_jury(spec: dict) -> None:
    neutral, praise = spec["members"][2], spec["members"][0]
    steps = {"steps": [neutral | {"gate": 0.95}, praise]}
    judge = Judge("feedback", cascade=steps, cache=False)
    verdict = judge.judge(ROW)
    assert (verdict.value, verdict.fields["step"]) == ("pos_praise", "a")
    judge.close()
    with pytest.raises(UsageError, match="not both"):
        Judge("feedback", cascade=steps, jury=spec)


def test_a_record_without_a_panel_is_written_as_before() -> None:
    record = JudgeRecord(
        judge=JudgeConfig(kind="verify"), engine="local", options=JudgeOptions(source="-")
    )
    assert list(msgspec.json.decode(msgspec.json.encode(record))) == ["judge", "engine", "options"]
    panel = msgspec.structs.replace(record, panel=STEPS)
    assert msgspec.json.decode(msgspec.json.encode(panel), type=JudgeRecord) == panel
