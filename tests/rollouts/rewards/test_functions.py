"""A user's own reward: whatever it does, a number in its range comes out, or None with a cause."""

import asyncio
import math
import sys
import textwrap
import threading
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy
import pytest

from plaudit.errors import CallError, Cause, EngineUnusableError, UsageError
from plaudit.rollouts.rewards.functions import FunctionOptions, FunctionReward, load_function
from plaudit.rollouts.trace import Score, Tokens, Trace, Unscored
from plaudit.types import Message
from tests.rollouts.rewards.playing import Found, chunks, is_no_number, question, rollout


def reward(function, **options) -> FunctionReward:
    return FunctionReward("mine", function, FunctionOptions(function="m:f", **options))


async def score(returned, **options) -> Score:
    return await reward(lambda trace: returned, **options).score(rollout())


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (0.5, 0.5), (1, 1.0), (-3, -3.0), (Fraction(1, 4), 0.25),
        (numpy.float32(0.5), 0.5), (numpy.int64(2), 2.0), ({"value": 0.5}, 0.5),
        (Score(value=0.5), 0.5),
    ],
)  # fmt: skip
async def test_numbers_in_any_dress_are_values(returned, value: float) -> None:
    found = await score(returned)
    assert (found.value, found.cause) == (value, None)
    assert type(found.value) is float


@pytest.mark.parametrize(
    "returned",
    [
        math.nan, math.inf, -math.inf, "0.5", [0.5], (1.0, 2.0), object(), 1j, {}, {"score": 1},
        {"value": "1"}, {"value": math.nan}, {"value": 1, "reason": 3}, {"value": 1, "notes": ""},
        {"value": 1, "components": [1]}, Score(value=math.nan), {3: 4}, b"1", numpy.ones(3),
        True, False, numpy.True_, {"value": True}, Score(value=True),
    ],
    ids=lambda value: "object" if type(value) is object else repr(value),
)  # fmt: skip
async def test_what_is_no_number_is_none(returned) -> None:
    assert is_no_number(await score(returned), "bad_result")


async def test_defect_30_true_is_no_number_and_the_reason_says_so() -> None:
    found = await score(answered := True)
    assert answered and "it is True, which is no number; return 1.0 or 0.0" in found.reason
    parts = (await score({"value": 1, "components": {"a": True}})).components
    assert is_no_number(parts["a"], "bad_result")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_defect_30_a_function_cannot_change_the_trace(asynchronous: bool) -> None:
    def spoil(trace: Trace) -> float:
        trace.messages.append(Message("assistant", "forged"))
        trace.messages[1].tool_calls[0]["function"]["name"] = "forged"
        trace.tool_calls[0].data.append("forged")
        trace.tool_calls[0].arguments["query"] = "forged"
        trace.turns.clear()
        trace.question.metadata["forged"] = True
        trace.tokens.mask[0] = trace.tokens.ids[0] = 9
        trace.rewards["forged"] = Score(value=1.0)
        return 1.0

    async def spoil_too(trace: Trace) -> float:
        return spoil(trace)

    tokens = Tokens(ids=[1], mask=[1], logprobs=[-0.5], exactness="exact", prompt_length=0)
    given = msgspec.structs.replace(
        rollout(Found(data=chunks("c1")), asked=question(metadata={})), tokens=tokens, rewards={}
    )
    before = msgspec.json.encode(given)
    found = await reward(spoil_too if asynchronous else spoil).score(given)
    assert found.value == 1.0
    assert msgspec.json.encode(given) == before


async def test_none_is_none_and_keeps_its_reason() -> None:
    assert is_no_number(await score(None), "none_returned")
    found = await score({"value": None, "reason": "no dictionary"})
    assert (found.value, found.cause, found.reason) == (None, "none_returned", "no dictionary")
    own = Score(value=None, reason="no gold", cause=Unscored.NO_GOLD)
    assert await score(own) == own


async def test_components_are_kept_and_checked() -> None:
    found = await score({"value": 1, "reason": "fine", "components": {"a": 0.5, "b": math.nan}})
    assert (found.value, found.reason) == (1.0, "fine")
    assert found.components["a"].value == 0.5
    assert is_no_number(found.components["b"], "bad_result")


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), KeyError("x"), RecursionError(), StopIteration(), SystemExit(3),
     CallError(Cause.TIMEOUT, "no reply"), UsageError("no")],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_exception_is_no_number(error, asynchronous: bool) -> None:
    def fails(trace: Trace) -> float:
        raise error

    async def fails_later(trace: Trace) -> float:
        await asyncio.sleep(0)
        raise error

    found = await reward(fails_later if asynchronous else fails).score(rollout())
    assert is_no_number(found, "raised")
    assert found.cause.broken


async def test_an_engine_that_can_answer_nothing_is_passed_on() -> None:
    async def asks(trace: Trace) -> float:
        raise EngineUnusableError("bad key")

    with pytest.raises(EngineUnusableError):
        await reward(asks).score(rollout())


async def test_a_long_message_is_cut() -> None:
    def fails(trace: Trace) -> float:
        raise ValueError("x" * 10_000)

    assert len((await reward(fails).score(rollout())).reason) <= 200


@pytest.mark.parametrize("value", [-0.1, 1.1, 100])
async def test_a_value_out_of_its_range_is_no_number(value: float) -> None:
    assert is_no_number(await score(value, low=0, high=1), "bad_result")
    assert (await score(1, low=0, high=1)).value == 1.0


async def test_async_functions_and_awaitables_are_awaited() -> None:
    async def later(trace: Trace) -> float:
        await asyncio.sleep(0)
        return 0.25

    assert (await reward(later).score(rollout())).value == 0.25
    assert (await reward(lambda trace: later(trace)).score(rollout())).value == 0.25


async def test_a_function_that_hangs_is_left_behind() -> None:
    async def hangs(trace: Trace) -> float:
        await asyncio.sleep(60)
        return 1.0

    release = threading.Event()
    for slow in (hangs, lambda trace: release.wait(100)):
        found = await reward(slow, timeout=0.05).score(rollout())
        assert is_no_number(found, "timed_out")
    release.set()


async def test_a_time_out_of_its_own_is_an_exception_of_its_own() -> None:
    def times_out(trace: Trace) -> float:
        raise TimeoutError("the database")

    assert is_no_number(await reward(times_out).score(rollout()), "raised")


async def test_slow_functions_run_side_by_side() -> None:
    together = threading.Barrier(20)  # Passed when all twenty run.
    slow = reward(lambda trace: float(together.wait(60) >= 0))
    scores = await asyncio.gather(*(slow.score(rollout()) for _ in range(20)))
    assert [one.value for one in scores] == [1.0] * 20


async def test_further_arguments_are_passed() -> None:
    def scaled(trace: Trace, by: float, plus: float = 0.0) -> float:
        return by + plus

    assert (await reward(scaled, arguments={"by": 2, "plus": 1}).score(rollout())).value == 3.0
    assert is_no_number(await reward(scaled).score(rollout()), "raised")


@pytest.mark.parametrize(
    "options", [{"low": 1, "high": 1}, {"low": 2, "high": 1}, {"timeout": 0}, {"low": math.nan}]
)
def test_ranges_and_limits_that_make_no_sense_are_refused(options) -> None:
    with pytest.raises(UsageError):
        reward(len, **options)


def write(folder: Path, name: str, code: str) -> None:
    (folder / name).write_text(textwrap.dedent(code), encoding="utf-8")


def test_a_function_of_a_file_is_found_beside_the_specification(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", "def half(trace):\n    return 0.5\nclass A:\n    b = half\n")
    function, code = load_function("mine.py:half", tmp_path)
    assert function(None) == 0.5
    assert load_function("mine.py:A.b", tmp_path)[0](None) == 0.5
    assert len(code) == 32


def test_the_hash_is_that_of_the_source(tmp_path: Path) -> None:
    hashes = set()
    for n in range(2):
        folder = tmp_path / str(n)
        folder.mkdir()
        write(folder, "mine.py", f"def f(trace):\n    return {n}\n")
        hashes.add(load_function("mine.py:f", folder)[1])
    assert len(hashes) == 2


def test_a_function_of_a_module_is_imported() -> None:
    assert load_function("math:isfinite", Path())[0] is math.isfinite


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("mine", "names no function"),
        ("mine:", "names no function"),
        (":f", "names no function"),
        ("none.py:f", "no file"),
        ("no_such_module_at_all:f", "no module"),
        ("math:no_such_name", "has no 'no_such_name'"),
        ("math:pi", "is no function but of type float"),
        ("broken.py:f", "ZeroDivisionError"),
        ("badly.py:f", "SyntaxError"),
    ],
)
def test_what_cannot_be_imported_is_named(named: str, why: str, tmp_path: Path) -> None:
    write(tmp_path, "broken.py", "1 / 0")
    write(tmp_path, "badly.py", "def f(:")
    before = set(sys.modules)
    with pytest.raises(UsageError, match=why):
        load_function(named, tmp_path)
    assert not [name for name in set(sys.modules) - before if "broken" in name or "badly" in name]
