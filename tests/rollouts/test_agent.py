"""The loop: what each turn leads to, and why each rollout ends."""

import asyncio

import pytest

from plaudit.engines.base import Completion
from plaudit.errors import Cause, EngineUnusableError, ReplyError
from plaudit.rollouts.trace import StopReason
from tests.rollouts.acting import QUESTION, Actor, calls, failed, roll_out, said
from tests.support.clock import virtual_time

LOOKED_UP = calls(("c1", "search", '{"query": "swigert"}'))


def roles(trace) -> list[str]:
    return [message.role for message in trace.messages]


async def test_a_rollout_goes_on_until_there_is_an_answer() -> None:
    actor = Actor(LOOKED_UP, "<think>So it was him.</think>Jack Swigert.")
    trace = await roll_out(actor)
    assert trace.stop_reason is StopReason.ANSWERED
    assert trace.final_answer == "Jack Swigert."
    assert trace.turns[1].reasoning == "So it was him."
    assert trace.turns[1].text == "<think>So it was him.</think>Jack Swigert."
    assert roles(trace) == ["system", "user", "assistant", "tool", "assistant"]
    assert trace.messages[3].content == "found swigert"
    assert trace.messages[3].tool_call_id == "c1"
    assert [call.status for call in trace.tool_calls] == ["ok"]
    assert trace.usage.output_tokens == 5 + 5
    assert (trace.id, trace.group, trace.draw) == ("q1/0", "q1", 0)


async def test_R2_two_calls_in_a_turn_do_not_end_the_rollout() -> None:
    two = calls(("a", "search", '{"query": "one"}'), ("b", "search", '{"query": "two"}'))
    trace = await roll_out(Actor(two, "Both."))
    assert trace.final_answer == "Both."
    assert [m.content for m in trace.messages if m.role == "tool"] == ["found one", "found two"]


async def test_R3_calls_run_side_by_side_and_are_answered_in_order() -> None:
    running = most = 0

    async def slow(name: str) -> str:
        """Wait."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05 if name == "a" else 0.01)
        running -= 1
        return name

    three = calls(*((n, "slow", f'{{"name": "{n}"}}') for n in "abc"))
    trace = await roll_out(Actor(three, "done"), tools=[slow])
    assert most == 3
    assert [m.content for m in trace.messages if m.role == "tool"] == ["a", "b", "c"]
    assert trace.timing is not None
    assert trace.timing.tools > 0


async def test_R3_a_search_that_hangs_is_answered_with_an_error() -> None:
    async def hang() -> str:
        """Hang."""
        await asyncio.sleep(60)
        return ""

    trace = await roll_out(
        Actor(calls(("h", "hang", "{}")), "I gave up."), tools=[hang], limits={"timeout": 0.05}
    )
    assert trace.tool_calls[0].status == "timeout"
    assert trace.final_answer == "I gave up."


async def test_R5_when_the_loop_ends_on_a_tool_result_there_is_no_answer() -> None:
    trace = await roll_out(Actor(LOOKED_UP, LOOKED_UP), max_turns=2)
    assert trace.stop_reason is StopReason.MAX_TURNS
    assert roles(trace)[-1] == "tool"
    assert trace.final_answer is None


async def test_R5_text_beside_a_call_is_no_answer() -> None:
    beside = calls(("c1", "search", '{"query": "x"}'), text="The answer is 42.")
    trace = await roll_out(Actor(beside), max_turns=1)
    assert trace.final_answer is None
    assert trace.turns[0].answer == "The answer is 42."


async def test_R5_a_failed_engine_is_no_wrong_answer() -> None:
    trace = await roll_out(Actor(LOOKED_UP, failed(Cause.TIMEOUT)))
    assert trace.stop_reason is StopReason.FAILED
    assert trace.error is not None
    assert (trace.error.cause, trace.error.attempts) == (Cause.TIMEOUT, 3)
    assert trace.final_answer is None
    assert roles(trace)[-1] == "tool"


async def test_an_engine_that_is_unusable_ends_the_run() -> None:
    with pytest.raises(EngineUnusableError):
        await roll_out(Actor(EngineUnusableError("no key")))


@pytest.mark.parametrize(
    "refusal",
    [
        ReplyError(Cause.REFUSED, "the filter"),
        said("Well,", finish_reason="content_filter"),
    ],
)
async def test_a_reply_that_was_kept_back_is_refused(refusal) -> None:
    trace = await roll_out(Actor(refusal))
    assert trace.stop_reason is StopReason.REFUSED
    assert trace.final_answer is None


async def test_only_what_the_model_wrote_counts_for_its_tokens() -> None:
    actor = Actor(calls(("c1", "search", '{"query": "a b c"}'), tokens=60), said("An answer.", 30))
    trace = await roll_out(actor, max_new_tokens=100)
    assert [request.sampling.max_tokens for request in actor.requests] == [100, 40]
    assert trace.stop_reason is StopReason.ANSWERED


async def test_no_turn_is_begun_without_tokens_left() -> None:
    trace = await roll_out(
        Actor(calls(("c", "search", '{"query": "a"}'), tokens=100)), max_new_tokens=100
    )
    assert trace.stop_reason is StopReason.MAX_NEW_TOKENS
    assert trace.tool_calls[0].status == "ok"


async def test_a_turn_cut_inside_a_call_is_malformed() -> None:
    cut = said('I look it up. <tool_call>{"name": "search", "argu', 50, finish_reason="length")
    trace = await roll_out(Actor(cut, tools=False), max_new_tokens=50)
    assert trace.stop_reason is StopReason.MAX_NEW_TOKENS
    assert [call.status for call in trace.tool_calls] == ["malformed"]
    assert trace.final_answer is None
    answered = [m.tool_call_id for m in trace.messages if m.role == "tool"]
    assert answered == trace.turns[0].calls


async def test_an_answer_that_was_cut_is_what_the_model_wrote() -> None:
    trace = await roll_out(Actor(said("It was", 50, finish_reason="length")), max_new_tokens=50)
    assert (trace.stop_reason, trace.final_answer) == (StopReason.MAX_NEW_TOKENS, "It was")


async def test_a_thought_that_was_cut_is_no_answer() -> None:
    cut = said("<think>It may be", 50, finish_reason="length")
    trace = await roll_out(Actor(cut), max_new_tokens=50)
    assert trace.final_answer is None
    assert trace.turns[0].reasoning == "It may be"


async def test_calls_beyond_the_limit_are_refused_and_end_the_rollout() -> None:
    three = calls(*((f"c{n}", "search", f'{{"query": "{n}"}}') for n in range(3)))
    trace = await roll_out(Actor(LOOKED_UP, three), max_tool_calls=2)
    assert trace.stop_reason is StopReason.MAX_TOOL_CALLS
    assert [c.status for c in trace.tool_calls] == ["ok", "ok", "over_limit", "over_limit"]
    assert len([m for m in trace.messages if m.role == "tool"]) == 4


async def test_as_many_calls_as_the_limit_leave_room_for_an_answer() -> None:
    trace = await roll_out(Actor(LOOKED_UP, "Swigert."), max_tool_calls=1)
    assert trace.stop_reason is StopReason.ANSWERED


@virtual_time
async def test_the_deadline_ends_a_slow_engine() -> None:
    async def search(query: str) -> str:
        """Search."""
        return f"found {query}"

    trace = await roll_out(Actor(LOOKED_UP, "late", delay=20), tools=[search], deadline=30)
    assert trace.stop_reason is StopReason.DEADLINE
    assert trace.final_answer is None
    assert len(trace.turns) == 1
    assert trace.error is None


@virtual_time
async def test_the_deadline_ends_a_slow_tool_and_its_call_is_answered() -> None:
    async def hang() -> str:
        """Hang."""
        await asyncio.sleep(60)
        return ""

    trace = await roll_out(Actor(calls(("h", "hang", "{}"))), tools=[hang], deadline=30)
    assert trace.stop_reason is StopReason.DEADLINE
    assert [call.status for call in trace.tool_calls] == ["timeout"]
    assert trace.messages[-1].tool_call_id == "h"


async def test_a_full_context_is_a_limit_after_the_first_turn_and_a_failure_before() -> None:
    full = failed(Cause.CONTEXT_OVERFLOW)
    trace = await roll_out(Actor(LOOKED_UP, full))
    assert (trace.stop_reason, trace.error) == (StopReason.CONTEXT_FULL, None)
    trace = await roll_out(Actor(full))
    assert trace.stop_reason is StopReason.FAILED
    assert trace.error is not None
    assert trace.error.cause is Cause.CONTEXT_OVERFLOW


class SmallContext(Actor):
    """A server that refuses what may not fit."""

    async def complete(self, request) -> Completion:
        if request.sampling.max_tokens > 300:
            self.requests.append(request)
            raise failed(Cause.CONTEXT_OVERFLOW)
        return await super().complete(request)


async def test_a_shorter_reply_is_asked_for_before_the_context_counts_as_full() -> None:
    actor = SmallContext("Swigert.")
    trace = await roll_out(actor, max_new_tokens=1000)
    assert trace.final_answer == "Swigert."
    assert [request.sampling.max_tokens for request in actor.requests] == [1000, 500, 250]
    actor = SmallContext(said("Swig", 250, finish_reason="length"))
    trace = await roll_out(actor, max_new_tokens=1000)
    assert trace.stop_reason is StopReason.CONTEXT_FULL


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (("c", "search", "{broken"), "malformed"),
        (("c", "search", "[1]"), "malformed"),
        (("c", "seek", '{"query": "x"}'), "unknown_tool"),
        (("c", "search", '{"q": "x"}'), "invalid_arguments"),
        (("c", "", ""), "unknown_tool"),
    ],
)
async def test_a_bad_call_is_answered_under_its_id_and_the_rollout_goes_on(call, status) -> None:
    actor = Actor(calls(call), "Never mind.")
    trace = await roll_out(actor)
    assert trace.stop_reason is StopReason.ANSWERED
    assert [(c.id, c.status) for c in trace.tool_calls] == [("c", status)]
    tool = trace.messages[3]
    assert tool.tool_call_id == "c"
    assert tool.text.startswith("Error: ")
    assert trace.messages[2].tool_calls is not None
    assert trace.messages[2].tool_calls[0]["function"]["arguments"] == call[2]
    sent = actor.prompts[1][2]["tool_calls"][0]["function"]  # what servers accept
    assert sent["name"]
    assert sent["arguments"].startswith("{")
    assert sent["arguments"].endswith("}")


async def test_the_policy_never_sees_the_gold_answer() -> None:
    gold = QUESTION.references[0]
    for native in (True, False):
        actor = Actor(LOOKED_UP, "x", tools=native)
        await roll_out(actor)
        assert actor.requests
        assert all(gold not in repr(request) for request in actor.requests)


async def test_draws_differ_in_seed_and_draw() -> None:
    for draw in (0, 3):
        actor = Actor("x")
        trace = await roll_out(actor, draw=draw, samples_per_question=4, seed=7)
        (request,) = actor.requests
        assert (request.draw, request.sampling.seed) == (draw, 7 + draw)
        assert request.affinity == "q1"  # one server's cache holds what a group has in common
        assert request.sampling.temperature == 1.0
        assert trace.id == f"q1/{draw}"


async def test_without_tools_a_question_is_one_turn() -> None:
    actor = Actor("Swigert.")
    trace = await roll_out(actor, tools=[])
    assert trace.final_answer == "Swigert."
    assert actor.requests[0].tools == ()
    assert "tool" not in actor.prompts[0][0]["content"]


async def test_hostile_tools_end_in_typed_outcomes() -> None:
    def raises() -> str:
        """Raise."""
        raise SystemExit("out")

    def returns_bytes() -> bytes:
        """Return bytes."""
        return b"\xff"

    def floods() -> str:
        """Return ten megabytes."""
        return "x" * 10_000_000

    tools = [raises, returns_bytes, floods]
    made = calls(*((f"c{n}", tool.__name__, "{}") for n, tool in enumerate(tools)))
    trace = await roll_out(Actor(made, "Enough."), tools=tools)
    assert [call.status for call in trace.tool_calls] == ["raised", "bad_result", "ok"]
    assert [call.truncated for call in trace.tool_calls] == [False, False, True]
    assert max(len(message.text) for message in trace.messages) < 20_000
    assert trace.final_answer == "Enough."
