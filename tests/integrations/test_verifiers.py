"""Rewards as verifiers calls them; tests/contracts has the installed one."""

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.verifiers import as_verifiers_reward, row_of_trace
from plaudit.rewarding.unscored import UnscoredError
from tests.support.peers import Model, verifiers_trace

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


async def test_a_trace_gets_its_reward_and_metrics() -> None:
    reward = as_verifiers_reward(RULES, name="sums")
    trace = verifiers_trace(ASKED, [said("4")], answer="4")
    assert await reward(trace=trace) == 1
    assert trace.metrics == {"sums": 1, "sums/correctness": 1, "sums/unscored": 0}
    assert reward.__name__ == "sums"


async def test_a_trace_without_a_value_is_counted_and_raises() -> None:
    trace = verifiers_trace(ASKED, [said("4")])
    with pytest.raises(UnscoredError, match="no_reference"):
        await as_verifiers_reward(RULES, name="sums")(trace=trace)
    assert trace.metrics == {"sums/unscored": 1}
    number = as_verifiers_reward(RULES, name="sums", when_unscored=-0.5)
    assert await number(trace=trace) == -0.5
    assert trace.metrics == {"sums/unscored": 1}


def test_a_choice_that_verifiers_cannot_carry_is_refused() -> None:
    with pytest.raises(UsageError, match="verifiers cannot carry null"):
        as_verifiers_reward(RULES, when_unscored="null")


def test_fields_of_every_task_are_no_columns() -> None:
    row = row_of_trace(verifiers_trace(ASKED, [said("4")], answer="4", name="sum 1", level=2))
    assert set(row) == {"prompt", "completion", "answer", "level"}


def test_calls_and_thoughts_become_those_of_the_openai_format() -> None:
    function = {"name": "search", "arguments": "{}"}
    call = {"id": "c", "type": "function", "function": function}
    wrote = [
        said("") | {"tool_calls": [call], "reasoning_content": "Let me look."},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
        said("4"),
    ]
    first, result, last = row_of_trace(verifiers_trace(ASKED, wrote))["completion"]
    assert first["tool_calls"] == [call]
    assert first["reasoning_content"] == "Let me look."
    assert (result["role"], last["content"]) == ("tool", "4")


async def test_a_trace_in_which_nothing_was_sampled_has_no_value() -> None:
    for trace in (
        verifiers_trace(ASKED, [], answer="4"),
        Model(**vars(verifiers_trace(ASKED, [], answer="4")) | {"branches": []}),
    ):
        trace.record_metrics = lambda found: None
        with pytest.raises(UnscoredError):
            await as_verifiers_reward(RULES)(trace=trace)
