"""Rewards as TRL calls them. That TRL really calls them so is tested in tests/contracts."""

import asyncio
import inspect
import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import EngineUnusableError, UsageError
from plaudit.integrations.trl import as_trl_reward
from plaudit.rollouts.rewards.base import scored
from plaudit.rollouts.trace import Score, StopReason, Trace

QUESTION = [{"role": "user", "content": "Where was the rope?"}]
RULES = {"rewards": {"correctness": {"by": "rules", "undecided": 0.0}}}
PARTS = {
    "rewards": {
        "correctness": {"by": "rules", "undecided": 0.0},
        "format": {"weight": 0.5, "calls": "optional"},
    }
}


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]


def answer_length(trace: Trace) -> float | None:
    return None if trace.final_answer is None else float(len(trace.final_answer))


async def call(reward: Any, completions: list[Any], **columns: Any) -> list[float | None]:
    """Call a reward with everything that TRL passes."""
    return await reward(
        prompts=[QUESTION] * len(completions),
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        trainer_state=object(),
        **columns,
    )


async def test_a_function_gives_one_value_a_row_and_None_stays_None() -> None:
    reward = as_trl_reward(answer_length)
    assert await call(reward, [said("boat"), said(""), said("the boat")]) == [4.0, None, 8.0]


def test_it_is_a_real_function_with_a_telling_name() -> None:
    """TRL of some versions sees an async reward by `inspect.iscoroutinefunction` alone."""
    reward = as_trl_reward(answer_length)
    assert inspect.iscoroutinefunction(reward)
    assert inspect.isfunction(reward)
    assert reward.__name__ == "answer_length"
    assert as_trl_reward(answer_length, name="length").__name__ == "length"
    assert as_trl_reward(RULES).__name__ == "total"


def test_a_specification_is_called_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "strict.toml"
    path.write_text('[rewards.correctness]\nby = "rules"\n')
    assert as_trl_reward(path).__name__ == as_trl_reward(str(path)).__name__ == "strict"
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        as_trl_reward(tmp_path / "nowhere.toml")


async def test_columns_arrive_as_lists() -> None:
    completions = [said("The boat."), said("The boat."), said("The boat.")]
    found = await call(
        as_trl_reward(RULES),
        completions,
        answer=["boat", "sledge", None],
        chunk_ids=[["a"], [], None],
    )
    assert found == [1.0, 0.0, None]


async def test_a_column_that_is_no_list_of_rows_is_left_alone() -> None:
    seen: list[Trace] = []
    reward = as_trl_reward(lambda trace: seen.append(trace) or 1.0, name="look")
    await call(reward, [said("a"), said("b")], answer=["x", "y"], shared="one text", few=[1])
    assert [trace.question.metadata for trace in seen if trace.question] == [{}, {}]


async def test_plain_texts_are_understood() -> None:
    reward = as_trl_reward(RULES)
    found = await reward(
        prompts=["Where was the rope?"] * 2,
        completions=["the boat", "no idea"],
        answer=["boat"] * 2,
    )
    assert found == [1.0, 0.0]


async def test_a_trace_in_a_column_counts_and_not_what_is_said_to_be_the_completion() -> None:
    """TRL shows the rollout function's tool results as if the model had written them."""
    trace = Trace(id="q/0", messages=[], final_answer="In the tent.")
    found = await call(
        as_trl_reward(answer_length), [said("[1] It was in the boat. In the tent.")], trace=[trace]
    )
    assert found == [12.0]


async def test_a_rollout_that_was_broken_off_has_no_reward() -> None:
    trace = Trace(id="q/0", messages=[], final_answer="x", stop_reason=StopReason.DEADLINE)
    assert await call(as_trl_reward(lambda trace: 1.0, name="one"), [said("x")], trace=[trace]) == [
        None
    ]


async def test_a_row_that_is_no_chat_has_no_reward(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = await call(as_trl_reward(answer_length), [said("boat"), None, [{"role": "?"}]])
    assert found == [4.0, None, None]
    assert "must be text or a list of messages" in caplog.text


async def test_a_function_that_raises_gives_no_number() -> None:
    def fragile(trace: Trace) -> float:
        return 1 / len(trace.final_answer or "")

    assert await call(as_trl_reward(fragile), [said(""), said("ab")]) == [None, 0.5]


async def test_an_empty_batch_is_answered_with_an_empty_list() -> None:
    assert await call(as_trl_reward(answer_length), []) == []


async def test_parts_and_reasons_are_logged() -> None:
    columns: dict[str, list[Any]] = defaultdict(list)
    metrics: dict[str, float] = {}
    found = await call(
        as_trl_reward(PARTS, name="quality"),
        [said("The boat."), said("The sledge."), said("x")],
        answer=["boat", "boat", None],
        log_extra=lambda name, values: columns[name].extend(values),
        log_metric=metrics.__setitem__,
    )
    assert found == [1.5, 0.5, None]
    assert columns["quality/correctness"] == [1.0, 0.0, None]
    assert columns["quality/format"] == [1.0, 1.0, 1.0]
    assert "no reference" in columns["quality/reason"][2]
    assert metrics["quality/unscored"] == pytest.approx(1 / 3)
    assert metrics["quality/correctness/mean"] == 0.5
    assert metrics["quality/format/mean"] == 1.0


async def test_a_reward_object_is_asked_as_it_is() -> None:
    class Fixed:
        name, low, high, identity = "fixed", 0.0, 1.0, "fixed"

        async def score(self, trace: Trace) -> Score:
            return scored(0.25, "always")

        async def close(self) -> None: ...

    reward = as_trl_reward(Fixed())
    assert reward.__name__ == "fixed"
    assert await call(reward, [said("x")]) == [0.25]


async def test_an_engine_that_can_answer_nothing_ends_the_training() -> None:
    def unusable(trace: Trace) -> float:
        raise EngineUnusableError("the key is wrong")

    with pytest.raises(EngineUnusableError, match="the key is wrong"):
        await call(as_trl_reward(unusable), [said("x")])


def test_it_works_in_several_loops_and_threads() -> None:
    reward = as_trl_reward(RULES)
    for _ in range(2):
        assert asyncio.run(call(reward, [said("boat")], answer=["boat"])) == [1.0]
