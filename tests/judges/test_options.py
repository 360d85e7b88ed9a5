"""Options of one call: what is obeyed, what is refused, and what reaches the server."""

import asyncio
import json
import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge, UsageError, Verdict
from plaudit.judges.feedback import REWARDS
from plaudit.rollouts import rollout
from tests.support.server import FakeAnthropic, FakeOpenAI, completion

ROW = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}
REPLY = json.dumps({"rationale": "r", "label": "neg_correction", "confidence": 0.9})


@pytest.fixture
def server() -> Generator[FakeOpenAI]:
    with FakeOpenAI(REPLY) as running:
        yield running


@pytest.fixture
def judge_at(tmp_path: Path) -> Generator[Callable[..., Judge]]:
    """Make judges at a server; they are closed at the end."""
    made: list[Judge] = []

    def make(server: FakeOpenAI, scheme: str = "vllm", **config: Any) -> Judge:
        options = {"readout": "json", "cache": tmp_path / "store.sqlite"} | config
        made.append(Judge("feedback", engine=f"{scheme}:m@{server.url}", **options))
        return made[-1]

    yield make
    for judge in made:
        judge.close()


def ways(judge: Judge) -> list[Callable[..., Verdict]]:
    """Every way to judge one row in Python."""
    columns = {name: [value] for name, value in ROW.items()}

    def awaited(ask: Callable[..., Any]) -> Callable[..., Verdict]:
        async def run(options: dict[str, Any]) -> Verdict:
            try:
                found = await ask(**options)
                return found[0] if isinstance(found, list) else found
            finally:
                await judge.aclose()

        return lambda **options: asyncio.run(run(options))

    async def streamed(**options: Any) -> list[Verdict]:
        return [verdict async for verdict in judge.astream([ROW], **options)]

    return [
        lambda **options: judge.judge(ROW, **options),
        lambda **options: judge.judge_batch([ROW], **options)[0],
        lambda **options: next(judge.stream([ROW], **options)),
        lambda **options: judge.map_batch(columns, **options) and judge.judge(ROW, **options),
        awaited(lambda **options: judge.ajudge(ROW, **options)),
        awaited(lambda **options: judge.ajudge_batch([ROW], **options)),
        awaited(streamed),
    ]


def test_defect_03_what_decides_is_obeyed_for_the_call_and_costs_no_request(
    server: FakeOpenAI, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(server)
    plain = judge.judge(ROW)
    assert (plain.status, plain.reward) == ("ok", -0.8)
    for way in ways(judge):
        gated = way(gate=0.99)
        assert (gated.status, gated.reward, gated.confidence) == ("abstained", None, 0.9)
        assert gated.error is not None and gated.error.cause == "below_gate"
        mapped = way(reward_map=dict.fromkeys(REWARDS, -0.25))
        assert (mapped.status, mapped.reward) == ("ok", -0.25)
    assert judge.judge(ROW) == plain
    (body,) = server.bodies
    assert body.keys().isdisjoint({"gate", "reward_map", "calibration"})


def test_defect_03_a_calibration_of_a_call_must_be_one_of_this_judge(
    server: FakeOpenAI, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(server)
    with pytest.raises(UsageError, match=r"fitted\.json cannot be read"):
        judge.judge(ROW, calibration="nowhere/fitted.json")
    assert server.bodies == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"readout": "logprob"}, "readout= is no option of one call"),
        ({"mode": "chat"}, "mode= is no option of one call"),
        ({"swap": False}, "swap= is no option of one call"),
        ({"prior": "none"}, "prior= is no option of one call"),
        ({"template": "mine.jinja"}, "template= is no option of one call"),
        ({"engine": "local"}, "engine= is no option of one call"),
        ({"jury": "jury.toml"}, "jury= is no option of one call"),
        ({"model": "x"}, "no option 'model': name it in the engine URI"),
        ({"stream": True}, "no option 'stream': replies are read whole"),
        ({"api_key": "x"}, "no option 'api_key': keys come from the environment"),
        ({"temprature": 1}, r"no option 'temprature' \(did you mean 'temperature'\?\)"),
        ({"gait": 0.9}, r"no option 'gait' \(did you mean 'gate'\?\)"),
        ({"foo": 1}, r"others as generation=\{'foo': ...\}"),
        ({"generation": {"stream": True}}, "'stream' is not a parameter; plaudit sets it itself"),
        ({"generation": {"model": "x"}}, "'model' is not a parameter; plaudit sets it itself"),
        ({"generation": "top_k=3"}, "generation= takes a dict"),
    ],
)
def test_defect_03_all_else_is_refused_by_name_and_nothing_is_sent(
    server: FakeOpenAI, judge_at: Callable[..., Judge], options: dict[str, Any], says: str
) -> None:
    judge = judge_at(server)
    for way in ways(judge):
        with pytest.raises(UsageError, match=says):
            way(**options)
    assert server.bodies == []


def test_defect_03_declared_parameters_are_sent_and_others_through_generation(
    server: FakeOpenAI, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(server, top_k=9, generation={"min_p": 0.1})
    judge.judge(ROW, temperature=0.5, top_k=40, generation={"guided_choice": ["a"]})
    (body,) = server.bodies
    assert body.keys() >= {"temperature", "top_k", "guided_choice", "min_p"}
    assert (body["temperature"], body["top_k"], body["min_p"]) == (0.5, 40, 0.1)
    assert body["guided_choice"] == ["a"]


def test_defect_03_each_engine_declares_its_own_parameters() -> None:
    with pytest.raises(UsageError, match="Of generation parameters openai:m declares presence_"):
        Judge("feedback", engine="openai:m", top_k=3)
    with FakeAnthropic(REPLY) as claude:
        judge = Judge("feedback", engine=f"claude:m@{claude.root}", cache=False)
        with pytest.raises(UsageError, match="no option 'min_p'"):
            judge.judge(ROW, min_p=0.1)
        with pytest.raises(UsageError, match="no option 'gates'"):
            Judge("feedback", engine=f"claude:m@{claude.root}", gates=0.1)
        assert claude.bodies == []
    with FakeOpenAI("x") as served:
        rewarding = Judge("pointwise", engine=f"vllm-rm:m@{served.root}", cache=False)
        with pytest.raises(UsageError, match="has no generation parameter 'temperature'"):
            rewarding.judge({"prompt": "a", "response": "b"}, temperature=1)


def test_defect_03_the_embedded_engine_refuses_what_it_would_drop() -> None:
    judge = Judge("feedback", cache=False)
    says = r"generation: local has no parameter 'temprature' \(did you mean 'temperature'\?\)"
    with pytest.raises(UsageError, match=says):
        judge.judge(ROW, generation={"temprature": 1})
    with pytest.raises(UsageError, match=says):
        Judge("feedback", generation={"temprature": 1}, cache=False).judge(ROW)
    with pytest.raises(UsageError, match=says):
        rollout("local", ["2+2?"], generation={"temprature": 1}, cache=False)


def test_defect_03_another_gate_does_not_measure_the_prior_again(
    judge_at: Callable[..., Judge],
) -> None:
    words = {" praise": 0.5, " correction": 0.3, " neutral": 0.1, " next": 0.04}
    words |= {" requirement": 0.02, " confusion": 0.02, " unrelated": 0.02}
    shown = completion(" praise", [(word, math.log(p)) for word, p in words.items()])
    with FakeOpenAI(lambda body: shown) as server:
        judge = judge_at(server, readout="logprob", mode="completion", cache=False, gate=0)
        judge.judge(ROW)
        asked = len(server.completions)
        assert asked > 1
        gated = judge.judge(ROW, gate=1)
        assert len(server.completions) == asked + 1
    assert gated.status == "abstained"
