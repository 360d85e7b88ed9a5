"""Token ids over OpenAI's protocol, against a server of ours."""

import asyncio

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.llama.engine import LlamaEngine
from plaudit.engines.llama.native import Settings, default_threads, make_server
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause
from plaudit.types import Message, Usage
from tests.support.server import FakeOpenAI, chat, completion, error

IDS, PROMPT, LOGPROBS = [5, 2**31, 2], [1, 9, 9, 7], [-0.5, -1.25, -0.125]
PIECES = ["a", "b", ""]


def ask(chat_mode=True, ids=(), **fields):
    prompt = (Message("user", "hi"),) if chat_mode else "hi"
    return Request(
        prompt=prompt,
        prompt_ids=tuple(ids),
        sampling=Sampling(max_tokens=9),
        trace_tokens=True,
        **fields,
    )


def content(logprobs=LOGPROBS, ids=(None,) * 9):
    """Log-probabilities as chats have them, and llama.cpp in both modes."""
    return {
        "content": [
            {"token": piece, "logprob": logprob, "top_logprobs": []} | ({"id": id_} if id_ else {})
            for piece, logprob, id_ in zip(PIECES, logprobs, ids, strict=False)
        ]
    }


def maps(logprobs=LOGPROBS):
    """Log-probabilities as vLLM's and SGLang's completions have them."""
    tops = [{piece: logprob} for piece, logprob in zip(PIECES, logprobs, strict=False)]
    return {"tokens": PIECES, "token_logprobs": logprobs, "top_logprobs": tops}


def choosing(reply, **choice):
    """A reply with these fields in its choice."""
    reply["choices"][0] |= choice
    return reply


def of_vllm_chat(**choice):
    choice = {"token_ids": IDS, "logprobs": content()} | choice
    return choosing(chat("ab"), **choice) | {"prompt_token_ids": PROMPT}


def of_completion(**choice):
    choice = {"token_ids": IDS, "prompt_token_ids": PROMPT, "logprobs": maps()} | choice
    return choosing(completion("ab"), **choice)


SHAPES = {
    "vllm, chat": (True, of_vllm_chat()),
    "vllm and sglang, completion": (False, of_completion()),
    "sglang, chat": (
        True,
        choosing(chat("ab"), token_ids=IDS, prompt_token_ids=PROMPT, logprobs=content()),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_ids_and_log_probabilities(engines, name):
    chat_mode, reply = SHAPES[name]
    with FakeOpenAI(reply) as server:
        reported = await engines(server).complete(ask(chat_mode))
    body = server.bodies[0]
    assert body["return_token_ids"] is True and "top_logprobs" not in body
    assert body["logprobs"] == (True if chat_mode else 1)
    assert "verbose" not in body and "return_tokens" not in body
    assert reported.token_ids == tuple(IDS) and reported.token_logprobs == tuple(LOGPROBS)
    assert reported.prompt_token_ids == tuple(PROMPT) and reported.usage == Usage(12, 3)
    assert reported.logprobs is None and reported.text == "ab"


async def test_llama_cpp_tells_them_in_a_form_of_its_own(engines):
    reply = choosing(completion("ab"), logprobs=content(ids=IDS))
    reply["__verbose"] = {"tokens": IDS, "content": "ab", "prompt": "hi"}
    with FakeOpenAI(reply) as server:
        engine = engines(server, scheme="openai")
        reported = await engine.complete(ask(False, ids=PROMPT))
        assert server.bodies[0]["verbose"] is server.bodies[0]["return_tokens"] is True
        assert server.bodies[0]["prompt"] == PROMPT
        assert (reported.token_ids, reported.token_logprobs) == (tuple(IDS), tuple(LOGPROBS))
        assert reported.prompt_token_ids == tuple(PROMPT)
        # It has no log-probability for a token that is a part of a character.
        reply["choices"][0]["logprobs"] = content(ids=[5, 2])
        reported = await engine.complete(ask(False))
        assert reported.token_ids == tuple(IDS) and reported.token_logprobs is None
        assert reported.prompt_token_ids is None and not engine.info.notes


async def test_ids_as_a_prompt(engines):
    with FakeOpenAI(of_completion()) as server:
        engine = engines(server)
        traced = await engine.complete(ask(False, ids=PROMPT))
        plain = Request(prompt="hi", prompt_ids=(1, 9), sampling=Sampling())
        untraced = await engine.complete(plain)
    assert [body["prompt"] for body in server.bodies] == [PROMPT, [1, 9]]
    assert [received.path for received in server.completions] == ["/v1/completions"] * 2
    assert traced.token_ids == tuple(IDS)
    assert untraced.token_ids is untraced.prompt_token_ids is untraced.token_logprobs is None


async def test_candidates_of_the_first_token_go_with_it(engines):
    top = [{"token": "a", "logprob": -0.5}, {"token": "z", "logprob": -2.0}]
    shown = content()
    shown["content"][0]["top_logprobs"] = top
    with FakeOpenAI(of_vllm_chat(logprobs=shown)) as server:
        reported = await engines(server).complete(ask(logprobs=2))
    assert server.bodies[0]["top_logprobs"] == 2 and server.bodies[0]["logprobs"] is True
    assert [candidate.token for candidate in reported.logprobs] == ["a", "z"]
    assert reported.token_logprobs == tuple(LOGPROBS)


@pytest.mark.parametrize(
    "reply",
    [
        chat("ab"),
        choosing(chat("ab"), token_ids=None),
        choosing(chat("ab"), token_ids=IDS[:2], logprobs=content()),
        choosing(chat("ab"), token_ids=[]),
    ],
)
async def test_R4_ids_that_are_not_there_or_not_all_are_none(engines, reply, caplog):
    """A list without the token that ended the reply would teach a model never to end."""
    with FakeOpenAI(reply) as server:
        engine = engines(server)
        for _ in range(2):
            reported = await engine.complete(ask())
            assert (reported.token_ids, reported.token_logprobs) == (
                None,
                None,
            ) and reported.text == "ab"
    assert engine.info.notes == ("gives no token ids",)
    assert caplog.text.count("gives no token ids") == 1


@pytest.mark.parametrize(
    "shown",
    [
        None,
        content(LOGPROBS[:2]),
        content([-0.5, None, -0.125]),
        content(ids=[5, 6, 2]),
        {"tokens": PIECES, "token_logprobs": LOGPROBS[:2]},
        {},
    ],
)
async def test_log_probabilities_that_are_not_of_the_ids_are_none(engines, shown):
    with FakeOpenAI(of_vllm_chat(logprobs=shown)) as server:
        reported = await engines(server).complete(ask())
    assert reported.token_ids == tuple(IDS) and reported.token_logprobs is None


async def test_log_probabilities_that_are_no_numbers_are_none(engines):
    for number in (float("nan"), float("-inf")):
        with FakeOpenAI(of_vllm_chat(logprobs=content([-0.5, number, -0.1]))) as server:
            assert (await engines(server).complete(ask())).token_logprobs is None


@pytest.mark.parametrize("ids", [[1, "a", 2], "abc", [1.5, 1, 1], {"a": 1}])
async def test_ids_of_an_unknown_shape(engines, ids):
    with (
        FakeOpenAI(of_vllm_chat(token_ids=ids)) as server,
        pytest.raises(CallError, match="unknown shape") as caught,
    ):
        await engines(server).complete(ask())
    assert caught.value.cause is Cause.BAD_RESPONSE


@pytest.mark.parametrize("field", ["return_token_ids", "verbose", "logprobs"])
async def test_what_a_server_refuses_is_not_asked_again(engines, field):
    def strict(body):
        if field in body:
            return error(400, f"Unrecognized request argument supplied: {field}")
        return "ab"

    with FakeOpenAI(strict) as server:
        engine = engines(server, scheme="openai")
        replies = await asyncio.gather(*(engine.complete(ask()) for _ in range(9)))
        assert engine.info.refused == 1 and engine.info.notes == ("gives no token ids",)
    assert {reply.token_ids for reply in replies} == {None}


async def test_fewer_candidates_do_not_cost_the_ids(engines):
    def strict(body):
        if body["top_logprobs"] > 20:
            said = f"Requested sample logprobs of {body['top_logprobs']}, which is greater than"
            return error(400, f"{said} max allowed: 20")
        return of_vllm_chat()

    with FakeOpenAI(strict) as server:
        reported = await engines(server).complete(ask(logprobs=256))
    assert server.bodies[-1]["top_logprobs"] == 20 and reported.token_ids == tuple(IDS)


async def test_a_prompt_that_is_too_long_keeps_its_cause(engines):
    said = (
        "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 "
        "input tokens"
    )
    with (
        FakeOpenAI(error(400, said, param="input_tokens")) as server,
        pytest.raises(CallError) as caught,
    ):
        await engines(server).complete(ask(False, ids=[1] * 5000))
    assert caught.value.cause is Cause.CONTEXT_OVERFLOW and not caught.value.retryable


async def test_a_real_server_of_llama_cpp_tells_what_the_embedded_engine_tells(local_weights):
    settings = Settings(context=512, threads=default_threads())
    server = await asyncio.to_thread(make_server, local_weights, settings, "127.0.0.1")
    there = OpenAIEngine(EngineURI.parse(f"openai:m@{server.listening_address}/v1"))
    here = LlamaEngine(EngineURI.parse("local?context=512"))
    try:
        own = await here.complete(ask())
        chat = await there.complete(ask())
        assert (chat.token_ids, chat.text) == (own.token_ids, own.text)
        assert chat.token_logprobs == pytest.approx(own.token_logprobs, abs=2e-2)
        from_ids = await there.complete(ask(False, ids=own.prompt_token_ids))
        assert from_ids.token_ids == own.token_ids
        assert from_ids.prompt_token_ids == own.prompt_token_ids and not there.info.notes
    finally:
        await there.close()
        await here.close()
        del server
