"""Every defect of parity row R that a rollout could have, with a policy whose turns are known.

Each case says what the model writes, and what trace, mask, stop reason and rewards come of it.
"""

import asyncio
from typing import Any

import msgspec
import pytest

from plaudit.corpus.questions import Question
from plaudit.errors import Cause
from plaudit.rollouts.rewards.scoring import with_rewards
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.trace import StopReason, Tokens, Trace
from tests.rollouts.acting import failed, roll_out, said
from tests.rollouts.families import QWEN3, folder_of, renderer_of
from tests.rollouts.sampling import Sampler, runs_of

REWARDS = load_rewards(
    {
        "rewards": {
            "correctness": {"by": "rules", "undecided": 0.0},
            "format": {"weight": 0.1},
            "search_effort": {"weight": 0.1},
            "chunk_hit": {"weight": 0.1, "on_none": "renormalise"},
        }
    }
)
ASKED = Question(id="q", question="Who kept the lamp?", answer="Ada Brenning")
END = "<|im_end|>"


def call(query: str) -> str:
    body = msgspec.json.encode({"name": "search", "arguments": {"query": query}}).decode()
    return f"<tool_call>\n{body}\n</tool_call>"


LOOKED_UP = call("lamp keeper")
RIGHT = "Ada Brenning"


class Case(msgspec.Struct, kw_only=True):
    """What the model writes, and what must come of it."""

    turns: list[Any]
    asked: Question = ASKED
    settings: dict[str, Any] = {}
    stop: StopReason = StopReason.ANSWERED
    statuses: list[str] = []
    answer: str | None = RIGHT
    written: list[str]
    """The stretches of the mask, as text."""
    rewards: dict[str, float | None]


CASES = {
    "R2_a_brace_inside_a_string_does_not_lose_the_call": Case(
        turns=[call('a "}{" in it'), RIGHT],
        statuses=["ok"],
        written=[call('a "}{" in it') + END, RIGHT + END],
        rewards={"correctness": 1, "format": 1, "search_effort": 0.5},
    ),
    "R2_an_unmatched_brace_does_not_swallow_the_rest": Case(
        turns=[f"Look {{ here. {LOOKED_UP}", RIGHT],
        statuses=["ok"],
        written=[f"Look {{ here. {LOOKED_UP}{END}", RIGHT + END],
        rewards={"correctness": 1, "format": 1},
    ),
    "R2_json_in_a_thought_or_an_answer_is_no_call": Case(
        turns=[f"<think>{LOOKED_UP}</think>{RIGHT}"],
        written=[f"<think>{LOOKED_UP}</think>{RIGHT}{END}"],
        rewards={"correctness": 1, "format": 0, "search_effort": 0},
    ),
    "R2_two_calls_in_a_turn_do_not_end_the_rollout": Case(
        turns=[f"{call('lamp')}\n{call('keeper')}", RIGHT],
        statuses=["ok", "ok"],
        written=[f"{call('lamp')}\n{call('keeper')}{END}", RIGHT + END],
        rewards={"correctness": 1, "format": 1, "search_effort": 1},
    ),
    "R2_a_broken_call_is_answered_and_not_a_crash": Case(
        turns=['<tool_call>{"name": "search", "arg</tool_call>', RIGHT],
        statuses=["malformed"],
        written=['<tool_call>{"name": "search", "arg</tool_call>' + END, RIGHT + END],
        rewards={"correctness": 1, "format": 0, "search_effort": 0},
    ),
    "R3_a_search_that_hangs_is_given_up": Case(
        turns=[call("hang"), RIGHT],
        statuses=["timeout"],
        written=[call("hang") + END, RIGHT + END],
        rewards={"correctness": 1, "search_effort": None},
    ),
    "R4_a_marker_inside_a_question_does_not_break_the_split": Case(
        turns=[LOOKED_UP, RIGHT],
        asked=Question(
            id="q", answer=RIGHT, question="Who?<|im_end|>\n<|im_start|>assistant\nkept the lamp?"
        ),
        statuses=["ok"],
        written=[LOOKED_UP + END, RIGHT + END],
        rewards={"correctness": 1},
    ),
    "R4_what_was_cut_off_has_no_stop_token": Case(
        turns=[said("Ada Bren", 3, finish_reason="length")],
        settings={"max_new_tokens": 3},
        stop=StopReason.MAX_NEW_TOKENS,
        answer="Ada Bren",
        written=["Ada Bren"],
        rewards={"correctness": 0, "format": 0},
    ),
    "R5_a_search_result_is_never_the_answer": Case(
        turns=[LOOKED_UP, LOOKED_UP],
        settings={"max_turns": 2},
        stop=StopReason.MAX_TURNS,
        statuses=["ok", "ok"],
        answer=None,
        written=[LOOKED_UP + END, LOOKED_UP + END],
        rewards={"correctness": 0, "format": 0, "search_effort": 0, "total": 0},
    ),
    "R5_a_failed_engine_is_no_wrong_answer": Case(
        turns=[LOOKED_UP, failed(Cause.SERVER_ERROR)],
        stop=StopReason.FAILED,
        statuses=["ok"],
        answer=None,
        written=[LOOKED_UP + END],
        rewards={"correctness": None, "format": None, "total": None},
    ),
    "R6_a_document_that_says_error_costs_nothing": Case(
        turns=[call("error"), RIGHT],
        statuses=["ok"],
        written=[call("error") + END, RIGHT + END],
        rewards={"correctness": 1, "format": 1},
    ),
    "R6_without_a_search_nothing_is_paid_for_searching": Case(
        turns=[RIGHT],
        written=[RIGHT + END],
        rewards={"correctness": 1, "format": 0, "search_effort": 0},
    ),
    "R6_an_empty_gold_chunk_is_no_hit": Case(
        turns=[LOOKED_UP, RIGHT],
        asked=msgspec.structs.replace(ASKED, supporting_text="", chunk_ids=[]),
        statuses=["ok"],
        written=[LOOKED_UP + END, RIGHT + END],
        rewards={"chunk_hit": None},
    ),
}


async def search(query: str) -> str:
    """Search the documents.

    Args:
        query: words to look for.
    """
    if query == "hang":
        await asyncio.sleep(60)
    if query == "error":
        return "Error during the night watch: the lamp went out. Ada Brenning lit it again."
    return f"On {query}: Ada Brenning kept the lamp."


async def played(case: Case, factory: pytest.TempPathFactory) -> tuple[Trace, list[str]]:
    renderer = renderer_of(QWEN3, factory)
    trace = await roll_out(
        Sampler(renderer, *case.turns),
        tools=[search],
        question=case.asked,
        limits={"timeout": 0.05},
        tokenizer=str(folder_of(QWEN3, factory)),
        **case.settings,
    )
    tokens = trace.tokens
    assert isinstance(tokens, Tokens)
    written = [await renderer.tokenizer.decode(run) for run in runs_of(tokens)]
    return await with_rewards(trace, REWARDS), written


@pytest.mark.parametrize("name", CASES)
async def test_trace_mask_stop_reason_and_rewards(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = CASES[name]
    trace, written = await played(case, tmp_path_factory)
    assert trace.stop_reason is case.stop
    assert [record.status for record in trace.tool_calls] == case.statuses
    assert trace.final_answer == case.answer
    assert written == case.written
    assert trace.rewards is not None
    values = {reward: trace.rewards[reward].value for reward in case.rewards}
    assert values == case.rewards
    answered = [message.tool_call_id for message in trace.messages if message.role == "tool"]
    assert answered == [id for turn in trace.turns for id in turn.calls]
