import asyncio
import pickle
import re

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError
from plaudit.sending.pool import Pool, SendPolicy
from tests.support.asking import ASK, SCHEMA, TOO_MANY_LOGPROBS, TOP, ask, engine_at, request
from tests.support.server import FakeOpenAI, Reply, chat, error
from tests.support.waiting import await_until


async def test_opens_again_after_close():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)
        for _ in range(2):
            await engine.open()
            await engine.complete(ASK)
            await engine.close()


def test_pickled():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)
        copy = pickle.loads(pickle.dumps(engine))
        assert copy.uri == engine.uri
        assert asyncio.run(copy.complete(ASK)).text == "yes"


async def test_unsendable_text():
    with FakeOpenAI() as server:
        with pytest.raises(CallError) as caught:
            await ask(server, Request(prompt="\ud800", sampling=Sampling()))
        assert caught.value.cause is Cause.BAD_REQUEST


# Negotiation


def picky(body):
    """A server that refuses one thing after another."""
    if body.get("response_format", {}).get("type") == "json_schema":
        return error(400, "response_format type json_schema is not supported")
    if "response_format" in body:
        return error(422, "json_object not supported", param="response_format")
    if "seed" in body:
        detail = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]
        return Reply(422, {"detail": detail})
    if "max_tokens" in body:
        return error(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if "temperature" in body:
        return error(
            400,
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the "
            "default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    if "top_p" in body:
        return error(400, "Unsupported parameter: 'top_p' is not supported with this model.")
    if "chat_template_kwargs" in body:
        return error(400, "chat_template is not supported for Mistral tokenizers.")
    if body.get("top_logprobs", 0) > 20:
        return error(400, TOO_MANY_LOGPROBS.format(asked=body["top_logprobs"], limit=20))
    return chat("yes", TOP)


async def test_everything_is_negotiated_once(engines):
    ask = request(logprobs=256, schema=SCHEMA)
    with FakeOpenAI(picky) as server:
        engine = engines(server)
        replies = await asyncio.gather(*(engine.complete(ask) for _ in range(50)))
        assert {reply.text for reply in replies} == {"yes"}
        assert engine.info.refused == 8
        assert len(server.bodies) == 50 + 8
    assert server.bodies[-1].keys() == {
        "model",
        "messages",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
    }
    assert len(engine.info.notes) == 8


async def test_other_kinds_negotiate_for_themselves(engines):
    with FakeOpenAI(picky) as server:
        engine = engines(server)
        await engine.complete(request())
        await asyncio.gather(*(engine.complete(request(schema=SCHEMA)) for _ in range(20)))
        assert engine.info.refused == 5 + 2
        assert len(server.bodies) == 1 + 20 + engine.info.refused


async def test_slow_first_reply_holds_nobody_up(engines):
    async def reply(body):
        await await_until(lambda: len(server.completions) == 20, "20 requests at once")
        return "x"

    with FakeOpenAI(reply) as server:
        engine = engines(server)
        await asyncio.gather(*(engine.complete(request()) for _ in range(20)))
        assert server.peak == 20


async def test_failing_first_request_settles_nothing(engines):
    answers = iter([error(500, "down"), error(429, "busy")])

    def reply(body):
        return next(answers, None) or picky(body)

    with FakeOpenAI(reply) as server:
        engine = engines(server)
        results = await asyncio.gather(
            *(engine.complete(request()) for _ in range(10)), return_exceptions=True
        )
        assert sum(isinstance(result, CallError) for result in results) == 2
        assert engine.info.refused == 5
        assert len(server.bodies) == 10 + 5


async def test_what_is_no_refusal_is_not_negotiated(engines):
    with FakeOpenAI(error(400, "temperature must be between 0 and 2", param="temperature")) as s:
        engine = engines(s)
        with pytest.raises(CallError) as caught:
            await engine.complete(request(sampling=Sampling(temperature=5)))
        assert caught.value.cause is Cause.BAD_REQUEST
        assert len(s.bodies) == 1
        assert not engine.info.notes


async def test_nothing_is_given_up_for_good_unless_it_helped(engines):
    bad = {"bad": True}

    def reply(body):
        if "bad" in body["messages"][-1]["content"]:
            return error(400, "unsupported seed, or not: the prompt is what we dislike")
        return "fine"

    with FakeOpenAI(reply) as server:
        engine = engines(server)
        with pytest.raises(CallError):
            await engine.complete(request(f"{bad}"))
        await engine.complete(request())
        assert server.bodies[-1]["seed"] == 0
        assert not engine.info.notes


# Identity, discovery, preflight


@pytest.mark.parametrize(
    ("model", "options", "identity"),
    [
        ("m", "", "vllm:m"),
        ("org/m:1", "?revision=abc", "vllm:org/m:1@abc"),
        ("", "", "vllm:found me"),
    ],
)
async def test_identity(model, options, identity, engines):
    with FakeOpenAI(models=["found me"]) as server:
        engine = engines(server, model=model, options=options)
        assert await engine.identify() == identity
        await engine.complete(request())
        assert len(server.requests) == (1 if model else 2)
        assert server.bodies[0]["model"] == (model or "found me")


async def test_discovery_asks_once(engines):
    with FakeOpenAI() as server:
        engine = engines(server, model="")
        await asyncio.gather(*(engine.complete(request()) for _ in range(10)))
        assert len(server.requests) == 11


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["a", "b"]}, "2 models.*: a, b$"),
        ({"models": [f"m{i}" for i in range(99)]}, "99 models.*m9, …$"),
        ({"models": []}, "lists none"),
        ({"models_reply": Reply(200, b"<html>")}, "is no list of models .*sent no JSON: <html>"),
        ({"models_reply": {"data": "none"}}, "is no list of models .*unknown shape"),
        ({"models_reply": Reply(404, b"")}, "answered 404: nothing"),
        ({"models_reply": error(500, "loading")}, "answered 500: loading"),
        ({"models_reply": error(429, "slow down")}, "answered 429: slow down"),
        ({"models_reply": {"data": [{"no": "id"}]}}, "lists none"),
        ({"key": "k"}, "VLLM_API_KEY"),
    ],
)
async def test_defect_13_discovery_fails(options, message, engines):
    with FakeOpenAI(**options) as server:
        engine = engines(server, model="")
        for call in (engine.identify(), engine.open(), engine.complete(request())):
            with pytest.raises(EngineUnusableError, match=re.compile(message)) as caught:
                await call
            assert server.url in str(caught.value)


async def test_discovery_of_nothing_names_the_url():
    engine = OpenAIEngine(EngineURI.parse("vllm:@http://127.0.0.1:9/v1"))
    with pytest.raises(EngineUnusableError, match=r"http://127\.0\.0\.1:9/v1/models"):
        await engine.identify()
    await engine.close()


NO_SUCH_MODEL = {
    "404": error(404, "The model `m` does not exist.", type="NotFoundError", code=404),
    "400, with a code": error(400, "no", code="model_not_found"),
    "400, with a field": error(400, "Invalid value", param="model"),
    "400, in the text": error(400, "m is not a valid model ID"),
    "422, in the text": error(422, "Invalid model name passed in: model=m"),
}


@pytest.mark.parametrize("name", NO_SUCH_MODEL)
async def test_defect_13_an_unknown_model_is_refused_and_the_listed_ones_are_named(name, engines):
    with FakeOpenAI(NO_SUCH_MODEL[name], models=["a", "b"]) as server:
        pool = Pool(engines(server), SendPolicy())
        with pytest.raises(EngineUnusableError, match=r"it lists a, b$"):
            await pool.complete(request("my model is an m"))
        assert pool.sent == len(server.bodies) == 2  # The request, and harmless text.


async def test_a_model_that_is_not_listed_may_be_an_alias(engines):
    with FakeOpenAI("yes", models=["a", "b"]) as server:
        pool = Pool(engines(server), SendPolicy())
        assert (await pool.complete(request())).text == "yes"


async def test_a_refused_text_about_models_is_its_samples_failure(engines):
    def reply(body):
        if "bad" in body["messages"][-1]["content"]:
            return error(400, "m is a model that I do not like to read of")
        return "yes"

    with FakeOpenAI(reply, models=["a", "b"]) as server:
        pool = Pool(engines(server), SendPolicy())
        with pytest.raises(CallError) as caught:
            await pool.complete(request("bad"))
        assert caught.value.cause is Cause.BAD_REQUEST


async def test_list_of_models_alone(engines):
    with FakeOpenAI(models_reply=[{"id": "only"}]) as server:
        assert await engines(server, "together", model="").identify() == "together:only"


@pytest.mark.parametrize(
    "models_reply",
    [Reply(404, b""), Reply(405, b""), Reply(500, b"x"), Reply(200, b"<html>"), Reply(302, b"")],
)
async def test_preflight_goes_on(models_reply, engines):
    with FakeOpenAI(models_reply=models_reply) as server:
        engine = engines(server)
        await engine.open()
        await engine.open()
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_preflight_refuses_bad_key(status, engines):
    with (
        FakeOpenAI(models_reply=error(status, "who are you?")) as server,
        pytest.raises(EngineUnusableError, match="VLLM_API_KEY"),
    ):
        await engines(server).open()


async def test_preflight_waits_for_a_restart(engines, monkeypatch):
    pause = asyncio.sleep
    with FakeOpenAI() as server:
        engine = engines(server)
        server.stop()

        async def restart(seconds):
            if seconds:
                await asyncio.to_thread(server.start)
            await pause(0)

        monkeypatch.setattr(asyncio, "sleep", restart)
        await engine.open()
