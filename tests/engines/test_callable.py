import asyncio
import pickle
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.engines.base import Completion, Request, Sampling, TokenLogprob
from plaudit.engines.callable import CallableEngine
from plaudit.errors import CallError, Cause, ReplyError
from plaudit.types import Message, Usage


def ask(prompt: Any = "p", **fields: Any) -> Request:
    return Request(prompt=prompt, sampling=Sampling(), **fields)


def shout(prompts: list[str]) -> list[str]:
    return [prompt.upper() for prompt in prompts]


async def complete_all(engine: CallableEngine, prompts: list[Any]) -> list[str]:
    return [c.text for c in await asyncio.gather(*(engine.complete(ask(p)) for p in prompts))]


async def test_concurrent_requests_are_one_batch_and_each_gets_its_own_reply() -> None:
    batches: list[list[str]] = []

    def function(prompts: list[str]) -> list[str]:
        batches.append(prompts)
        return shout(prompts)

    prompts = [f"p{n}" for n in range(10)]
    engine = CallableEngine(function, max_batch=4)
    assert await complete_all(engine, prompts) == shout(prompts)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert await complete_all(engine, ["again"]) == ["AGAIN"]


async def test_one_batch_at_a_time() -> None:
    running, most = 0, 0

    def function(prompts: list[str]) -> list[str]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return shout(prompts)

    await complete_all(CallableEngine(function, max_batch=2, gather=0), [str(n) for n in range(8)])
    assert most == 1


async def test_the_event_loop_stays_free_while_a_function_runs() -> None:
    threads = []

    def function(prompts: list[str]) -> list[str]:
        threads.append(threading.current_thread())
        return shout(prompts)

    await CallableEngine(function).complete(ask())
    assert threads[0] is not threading.current_thread()


async def test_async_functions_and_callables_that_return_awaitables() -> None:
    async def function(prompts: list[str]) -> list[str]:
        await asyncio.sleep(0)
        return shout(prompts)

    class Model:
        async def __call__(self, prompts: list[str]) -> list[str]:
            return shout(prompts)

    assert await complete_all(CallableEngine(function), ["a"]) == ["A"]
    assert await complete_all(CallableEngine(Model()), ["b"]) == ["B"]


async def test_a_chat_function_gets_messages_as_dicts() -> None:
    seen = []

    def function(prompts: list[Any]) -> list[str]:
        seen.extend(prompts)
        return ["x"] * len(prompts)

    engine = CallableEngine(function, mode="chat")
    assert (engine.capabilities.chat, engine.capabilities.completion) == (True, False)
    await engine.complete(ask((Message("system", "s"), Message("user", "u"))))
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert [list(prompt) for prompt in seen] == [messages]


async def test_a_function_that_asks_for_requests_gets_them() -> None:
    def function(prompts: list[str], requests: list[Request]) -> list[str]:
        return [f"{p} {r.draw}" for p, r in zip(prompts, requests, strict=True)]

    assert (await CallableEngine(function).complete(ask("p", draw=3))).text == "p 3"


@pytest.mark.parametrize("replies", [[], ["one"], ["one", "two", "three"]])
async def test_a_wrong_number_of_replies_is_no_reply_for_all(replies) -> None:
    engine = CallableEngine(lambda prompts: replies, name="mine")
    results = await asyncio.gather(
        engine.complete(ask("a")), engine.complete(ask("b")), return_exceptions=True
    )
    for error in results:
        assert isinstance(error, CallError)
        assert error.cause == Cause.BAD_RESPONSE
        assert f"mine returned {len(replies)} replies to 2 prompts" in str(error)


@pytest.mark.parametrize("replies", ["ab", b"ab", {"a": 1, "b": 2}, None, 3, [None, None], [1, 2]])
async def test_what_is_no_list_of_replies_is_refused(replies) -> None:
    engine = CallableEngine(lambda prompts: replies)
    with pytest.raises(CallError):
        await asyncio.gather(engine.complete(ask("a")), engine.complete(ask("b")))


async def test_an_exception_of_the_function_is_a_failed_call_and_the_next_works() -> None:
    fail = True

    def function(prompts: list[str]) -> list[str]:
        if fail:
            raise ZeroDivisionError("by zero")
        return shout(prompts)

    engine = CallableEngine(function, name="mine")
    with pytest.raises(CallError, match="mine raised ZeroDivisionError: by zero") as caught:
        await engine.complete(ask())
    assert (caught.value.cause, caught.value.retryable) == (Cause.SERVER_ERROR, False)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    fail = False
    assert await complete_all(engine, ["x"]) == ["X"]


async def test_errors_of_plaudit_pass_as_they_are() -> None:
    def function(prompts: list[str]) -> list[str]:
        raise ReplyError(Cause.REFUSED, "no")

    with pytest.raises(ReplyError):
        await CallableEngine(function).complete(ask())


def output(text: str, *positions: dict[int, tuple[str | None, float]], reason: Any = "stop") -> Any:
    """What vLLM returns."""
    logprobs = [
        {i: SimpleNamespace(decoded_token=t, logprob=p) for i, (t, p) in position.items()}
        for position in positions
    ]
    one = SimpleNamespace(
        text=text, token_ids=[7, 8], finish_reason=reason, logprobs=logprobs or None
    )
    return SimpleNamespace(outputs=[one], prompt_token_ids=[1, 2, 3])


async def test_an_output_like_vllms_is_read_with_its_log_probabilities() -> None:
    reply = output("yes", {5: (" no", -2.0), 7: (" yes", -0.2), 9: (None, -9.0)}, {1: ("x", -1.0)})
    engine = CallableEngine(lambda prompts: [reply], logprobs=3)
    assert engine.capabilities.logprobs == 3
    completion = await engine.complete(ask())
    assert completion.text == "yes"
    assert completion.logprobs == (
        TokenLogprob(" yes", -0.2), TokenLogprob(" no", -2.0), TokenLogprob("", -9.0)
    )  # fmt: skip
    assert (completion.token_ids, completion.usage) == (None, Usage(3, 2))
    assert completion.finish_reason == "stop"


async def test_ids_and_log_probabilities_of_sampled_tokens() -> None:
    """The sampled token is not always the likeliest, nor the first that is shown."""
    reply = output("yes", {5: ("a", -0.1), 7: ("b", -2.5)}, {8: ("", -0.25)})
    engine = CallableEngine(lambda prompts: [reply], token_ids=True)
    assert engine.capabilities.token_ids and not engine.capabilities.token_prompts
    completion = await engine.complete(ask(trace_tokens=True))
    assert completion.token_ids == (7, 8) and completion.token_logprobs == (-2.5, -0.25)
    assert completion.prompt_token_ids == (1, 2, 3)


class Tensor(list):
    """Like an array or a tensor: its truth is not defined, and its elements are no Python ints."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


async def test_numbers_and_arrays_as_trainers_give_them() -> None:
    reply = output("yes")
    reply.prompt_token_ids = Tensor([1, 2])
    reply.outputs[0].token_ids = Tensor([7, 8])
    reply.outputs[0].logprobs = Tensor([-0.5, -0.25])
    completion = await CallableEngine(lambda prompts: [reply]).complete(ask(trace_tokens=True))
    assert completion.token_ids == (7, 8) and completion.token_logprobs == (-0.5, -0.25)
    assert (completion.prompt_token_ids, completion.logprobs) == ((1, 2), None)


@pytest.mark.parametrize(
    "positions",
    [[], [{7: ("a", -1.0)}], [{7: ("a", -1.0)}, {9: ("b", -1.0)}], [{7: ("a", -1.0)}] * 3],
)
async def test_log_probabilities_that_are_not_of_the_ids_are_none(positions) -> None:
    engine = CallableEngine(lambda prompts: [output("x", *positions)])
    completion = await engine.complete(ask(trace_tokens=True))
    assert completion.token_ids == (7, 8) and completion.token_logprobs is None


async def test_a_text_in_place_of_an_output_has_no_ids() -> None:
    completion = await CallableEngine(shout, token_ids=True).complete(ask(trace_tokens=True))
    assert completion.token_ids is completion.prompt_token_ids is completion.token_logprobs is None


async def test_ids_as_a_prompt_reach_a_function_that_asks_for_requests() -> None:
    def function(prompts: list[str], requests: list[Request]) -> list[Any]:
        replies = [output(f"{list(request.prompt_ids)}") for request in requests]
        for reply in replies:
            reply.prompt_token_ids = None
        return replies

    engine = CallableEngine(function, mode="chat", token_ids=True)
    assert engine.capabilities.token_prompts
    completion = await engine.complete(ask("p", prompt_ids=(4, 5), trace_tokens=True))
    assert completion.text == "[4, 5]" and completion.prompt_token_ids == (4, 5)
    assert completion.usage == Usage(2, 2)


async def test_an_error_in_place_of_a_reply_is_that_requests_alone() -> None:
    def function(prompts: list[str]) -> list[Any]:
        overlong = CallError(Cause.CONTEXT_OVERFLOW, "too long")
        return [overlong if prompt == "long" else prompt for prompt in prompts]

    engine = CallableEngine(function)
    short, long = await asyncio.gather(
        engine.complete(ask("short")), engine.complete(ask("long")), return_exceptions=True
    )
    assert isinstance(short, Completion)
    assert isinstance(long, CallError)
    assert long.cause is Cause.CONTEXT_OVERFLOW


@pytest.mark.parametrize(
    ("reason", "read"),
    [("length", "length"), ("stop", "stop"), (None, "unknown"), ("abort", "unknown")],
)
async def test_the_finish_reason_is_not_ignored(reason, read: str) -> None:
    engine = CallableEngine(lambda prompts: [output("x", reason=reason)])
    completion = await engine.complete(ask())
    assert (completion.finish_reason, completion.logprobs) == (read, None)


async def test_it_pickles_in_use_and_keeps_its_name() -> None:
    engine = CallableEngine(shout, name="mine", max_batch=3)
    await engine.complete(ask("a"))
    again = pickle.loads(pickle.dumps(engine))
    assert (again.uri, await again.identify()) == ("callable:mine", "callable:mine")
    assert await complete_all(again, ["b"]) == ["B"]


async def test_replies_are_not_stored_unless_that_is_asked_for() -> None:
    assert not CallableEngine(shout).capabilities.cacheable
    assert CallableEngine(shout, cache=True).capabilities.cacheable
    assert not CallableEngine(shout).capabilities.remote


def test_it_works_in_several_event_loops() -> None:
    engine = CallableEngine(shout)

    async def use() -> str:
        await engine.open()
        try:
            return (await engine.complete(ask("x"))).text
        finally:
            await engine.close()

    assert [asyncio.run(use()) for _ in range(2)] == ["X", "X"]


async def test_a_caller_that_goes_away_does_not_disturb_the_others() -> None:
    engine = CallableEngine(shout, gather=0.02)
    gone = asyncio.create_task(engine.complete(ask("gone")))
    stays = asyncio.create_task(engine.complete(ask("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).text == "STAYS"
