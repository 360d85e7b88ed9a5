"""Any trace gives a finite number in the stated range, or None with a cause; nothing raises."""

import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.correctness import Correctness, CorrectnessOptions, Grader
from plaudit.rollouts.rewards.measures import ChunkHit, SearchEffort
from plaudit.rollouts.rewards.spec import MEASURES, load_rewards
from plaudit.rollouts.trace import CallRecord, Question, Score, StopReason, Trace, Turn
from plaudit.rollouts.traces import read_trace
from plaudit.types import Message
from tests.rollouts.rewards.playing import PASSAGE, RIGHT, Found, Judge, rollout, verdict
from tests.support.examples import drawn

SEEDS = [
    "", " ", ":", RIGHT, PASSAGE, "Thought process:", "<think>", "</think>", "<tool_call>{",
    "1,200", "Grade: correct", "\u2060", "飛行士", "a" * 300, "yes", "\x00", "[[check]]",
    "Error during",
]  # fmt: skip
TEXTS = st.sampled_from(SEEDS) | st.text(max_size=40)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CHUNKS = st.lists(
    st.fixed_dictionaries({"chunk_id": st.sampled_from(["c1", "c2", ""]) | JSON}), max_size=4
)
STATUSES = st.sampled_from(
    ["ok", "malformed", "unknown_tool", "invalid_arguments", "timeout", "raised", "bad_result"]
)
IDS = st.sampled_from(["a", "b", "c", ""])
RECORDS = st.builds(
    CallRecord, id=IDS, turn=st.integers(-1, 9), name=TEXTS, arguments=JSON, status=STATUSES,
    data=CHUNKS | JSON,
)  # fmt: skip
CALLS = st.dictionaries(st.sampled_from(["id", "function", "name", "arguments"]), JSON, max_size=3)
PARTS = st.dictionaries(st.sampled_from(["type", "text"]), JSON, max_size=2)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.none() | TEXTS | st.lists(PARTS, max_size=2),
    tool_calls=st.none() | st.lists(CALLS, max_size=3),
    tool_call_id=st.none() | IDS,
)
QUESTIONS = st.builds(
    Question,
    id=IDS,
    question=TEXTS,
    answer=st.none() | TEXTS | st.lists(TEXTS, max_size=3),
    chunk_ids=st.lists(st.sampled_from(["c1", "c2", "", " "]), max_size=3),
    supporting_text=st.none() | TEXTS,
)
TURNS = st.builds(Turn, text=TEXTS, reasoning=TEXTS, answer=TEXTS, calls=st.lists(IDS, max_size=3))
TRACES = st.builds(
    Trace,
    id=TEXTS,
    question=st.none() | QUESTIONS,
    messages=st.lists(MESSAGES, max_size=6),
    turns=st.lists(TURNS, max_size=4),
    tool_calls=st.lists(RECORDS, max_size=5),
    stop_reason=st.none() | st.sampled_from(StopReason),
    final_answer=st.none() | TEXTS,
)

REWARDS: list[Reward] = [
    Correctness(CorrectnessOptions(by="rules"), Grader()),
    *(measure() for measure in MEASURES.values()),
    ChunkHit(grade="rank"),
    ChunkHit(grade="share", by="text"),
    SearchEffort(best=1, zero=2, tools=("",)),
    load_rewards({"rewards": {"correctness": {"by": "rules"}, **{n: {} for n in MEASURES}}}),
]
many = settings(
    deadline=None, max_examples=drawn(200), suppress_health_check=[HealthCheck.too_slow]
)


def is_sound(reward: Reward, score: Score) -> bool:
    if score.value is None:
        return score.cause is not None and bool(score.reason)
    in_range = reward.low - 1e-9 <= score.value <= reward.high + 1e-9
    return score.cause is None and math.isfinite(score.value) and in_range


@many
@given(trace=TRACES)
async def test_any_trace_gives_a_number_in_range_or_none(trace: Trace) -> None:
    for reward in REWARDS:
        score = await reward.score(trace)
        assert is_sound(reward, score), reward.name
        assert await reward.score(trace) == score


@settings(many, max_examples=drawn(40))
@given(trace=TRACES, reply=st.sampled_from([verdict(), verdict("incorrect"), "?"]) | TEXTS)
async def test_any_trace_and_any_reply_of_a_judge_give_a_number_in_range_or_none(
    trace: Trace, reply: str
) -> None:
    reward = Correctness(CorrectnessOptions(), Judge(reply).grader)
    score = await reward.score(trace)
    await reward.close()
    assert is_sound(reward, score)
    if score.value == 1.0:
        assert reply == verdict() or trace.final_answer


@many
@given(trace=TRACES)
async def test_what_was_broken_off_is_never_a_number(trace: Trace) -> None:
    broken = msgspec.structs.replace(trace, stop_reason=StopReason.FAILED)
    for reward in REWARDS:
        assert (await reward.score(broken)).value is None


ROWS = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES, min_size=1, max_size=6)},
    optional={
        "question": TEXTS.filter(str.strip),
        "reference": TEXTS,
        "chunk_ids": st.just(["c1"]),
    },
)


@many
@given(row=ROWS)
async def test_any_plain_chat_gives_a_number_in_range_or_none(row: dict[str, Any]) -> None:
    try:
        (trace,) = read_trace(msgspec.json.decode(msgspec.json.encode(row)))
    except InputError:
        return
    for reward in REWARDS:
        assert is_sound(reward, await reward.score(trace)), reward.name


@many
@given(text=TEXTS, results=st.lists(TEXTS, max_size=3))
async def test_tool_results_never_raise_what_the_model_did_not_write(text, results) -> None:
    """Without an answer and without a call of its own nothing is paid, whatever tools said."""
    scored = [Message("tool", f"{text} {RIGHT} {result}") for result in results]
    trace = Trace(
        id="t", question=Question(id="q", question="Who?", answer=RIGHT, chunk_ids=["c1"]),
        messages=[Message("user", "Who?"), *scored], stop_reason=StopReason.MAX_TURNS,
    )  # fmt: skip
    for reward in REWARDS[:5]:
        score = await reward.score(trace)
        assert score.value in (0.0, None)


LETTERS = random.Random(0)
HUGE = {
    "words": " ".join("".join(LETTERS.choices("abcdefghij", k=5)) for _ in range(1_600_000)),
    "spaces": " " * 10_000_000,
    "one word": "a" * 10_000_000,
    "signs": "<" * 10_000_000,
    "openings": "let me think the " * 600_000,
    "commas": "1," * 5_000_000,
    "tags": "<think>" * 1_400_000,
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("place", ["result", "answer", "thoughts", "query"])
async def test_ten_megabytes_hold_nothing_up(name: str, place: str) -> None:
    text = HUGE[name]
    trace = {
        "result": lambda: rollout(Found(text=text)),
        "answer": lambda: rollout(Found(), answer=text),
        "thoughts": lambda: rollout(Found(), thoughts=text),
        "query": lambda: rollout(Found(query=text)),
    }[place]()
    for reward in REWARDS:
        assert is_sound(reward, await reward.score(trace)), reward.name
