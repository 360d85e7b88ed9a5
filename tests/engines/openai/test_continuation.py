"""The log-probability of a given text: both forms over a real socket, and never of another text."""

import math
import re

import pytest

from plaudit.engines.base import Completion, TokenLogprob
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.openai.replies import tail_logprob
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError
from plaudit.types import Usage
from tests.support.asking import request
from tests.support.scoring import Scorer, tokens_of
from tests.support.server import FakeOpenAI, error

WORDS = {"praise": 0.5, "correction": 0.25, "one": 0.1}
FORMS = {"vllm": "vllm", "sglang": "echo", "together": "together"}


async def tell(
    scorer: Scorer,
    continuation: str = " praise",
    *,
    prompt: str = "Is it good?\nReaction:",
    scheme: str = "vllm",
    model: str = "m",
    chat_mode: bool = False,
) -> Completion:
    with FakeOpenAI(scorer) as server:
        engine = OpenAIEngine(EngineURI.parse(f"{scheme}:{model}@{server.url}"))
        try:
            return await engine.complete(
                request(prompt, chat_mode=chat_mode, continuation=continuation)
            )
        finally:
            await engine.close()


@pytest.mark.parametrize("scheme", FORMS)
@pytest.mark.parametrize("continuation", [" praise", " correction"])
async def test_each_form_tells_a_word_of_one_token_and_of_two(scheme, continuation):
    scorer = Scorer(WORDS, form=FORMS[scheme])
    reply = await tell(scorer, continuation, scheme=scheme)
    assert reply.text == continuation
    assert reply.logprobs == (
        TokenLogprob(continuation, pytest.approx(math.log(WORDS[continuation.strip()]))),
    )
    tokens = len(tokens_of("Is it good?\nReaction:" + continuation))
    if scheme != "together":
        assert reply.usage == Usage(tokens, 1)  # its cost


async def test_what_is_asked_of_vllm():
    scorer = Scorer(WORDS)
    await tell(scorer)
    (body,) = scorer.asked
    assert (body["prompt"], body["prompt_logprobs"], body["max_tokens"]) == (
        "Is it good?\nReaction: praise", 1, 1
    )  # fmt: skip
    assert "logprobs" not in body


async def test_what_is_asked_of_the_others():
    scorer = Scorer(WORDS, form="echo")
    await tell(scorer, scheme="sglang")
    (body,) = scorer.asked
    assert (body["echo"], body["logprobs"], body["max_tokens"]) == (True, 1, 1)


async def test_in_chat_the_word_begins_the_answer():
    scorer = Scorer(WORDS)
    reply = await tell(scorer, "praise", chat_mode=True)
    assert reply.logprobs == (TokenLogprob("praise", pytest.approx(math.log(0.5))),)
    (body,) = scorer.asked
    assert body["messages"][-1] == {"role": "assistant", "content": "praise"}
    assert (body["add_generation_prompt"], body["continue_final_message"]) == (False, True)


async def test_a_model_whose_chats_begin_with_thoughts_is_not_asked():
    scorer = Scorer(WORDS)
    reply = await tell(scorer, "praise", chat_mode=True, model="Qwen3-8B")
    assert (reply.logprobs, scorer.asked) == (None, [])


UNTOLD = {
    "ignored": Scorer(WORDS, form="ignored"),
    "refused": Scorer(WORDS, form="refused"),
    "joined": Scorer(WORDS, cut=lambda text: re.findall(r":? ?\w+|\s+|[^\w\s]", text)),
    "letters": Scorer(WORDS, cut=lambda text: [text[:-8], text[-8:]]),
}


@pytest.mark.parametrize("name", UNTOLD)
async def test_what_is_not_told_is_not_guessed(name):
    """No echo, or a token that holds the end of the prompt and the beginning of the word."""
    reply = await tell(UNTOLD[name])
    assert reply.logprobs is None
    assert reply.text == ""


@pytest.mark.parametrize("form", ["ignored", "refused"])
async def test_an_echo_that_does_not_come_is_not_guessed(form):
    assert (await tell(Scorer(WORDS, form=form), scheme="sglang")).logprobs is None


async def test_an_endpoint_that_refuses_is_asked_once():
    scorer = Scorer(WORDS, form="refused")
    with FakeOpenAI(scorer) as server:
        engine = OpenAIEngine(EngineURI.parse(f"vllm:m@{server.url}"))
        for _ in range(3):
            reply = await engine.complete(request(chat_mode=False, continuation=" praise"))
            assert reply.logprobs is None
        await engine.close()
    assert len(scorer.asked) == 1
    assert engine.info.notes == ("does not give the log-probability of a given text",)


@pytest.mark.parametrize("form", ["broken", "empty"])
async def test_a_malformed_reply_is_a_failed_call(form):
    with pytest.raises(CallError) as caught:
        await tell(Scorer(WORDS, form=form))
    assert caught.value.cause is Cause.BAD_RESPONSE
    assert caught.value.retryable


async def test_other_errors_stay_what_they_are():

    with FakeOpenAI(lambda body: error(404, "no such model")) as server:
        engine = OpenAIEngine(EngineURI.parse(f"vllm:m@{server.url}"))
        with pytest.raises(EngineUnusableError):
            await engine.complete(request(chat_mode=False, continuation=" praise"))
        await engine.close()


def test_which_engines_can():
    def modes(uri: str) -> tuple[str, ...]:
        return OpenAIEngine(EngineURI.parse(uri)).capabilities.continuations

    assert modes("vllm:m") == ("completion", "chat")
    assert modes("sglang:m") == modes("together:m") == ("completion",)
    assert modes("openai:m") == modes("mistral:m") == modes("openai:m@http://a/v1") == ()


P = "So:"
TAILS = [
    ([("So", None), (":", -1.0), (" one", -2.0)], P, " one", -2.0),
    ([("So", None), (":", -1.0), (" o", -2.0), ("ne", -0.5)], P, " one", -2.5),
    ([("So", None), (":", -1.0), ("\u2581one", -2.0)], P, " one", -2.0),
    ([("So", None), (":", -1.0), ("\u0120one", -2.0)], P, " one", -2.0),
    ([("So", None), (":", -1.0), (" ", -0.5), ("one", -2.0)], P, " one", -2.5),
    # The space is left out by the server, as the token before shows.
    ([("So", None), (":", -1.0), ("one", -2.0)], P, " one", -2.0),
    # The space belongs to the token before: another text.
    ([("So", None), (": ", -1.0), ("one", -2.0)], P, " one", None),
    ([("So", None), (": o", -1.0), ("ne", -2.0)], P, " one", None),
    ([("So", None), (":", -1.0), ("z one", -2.0)], P, " one", None),
    ([("So", None), (":", -1.0), ("one", -2.0)], P, "one", -2.0),
    ([("So", None), (":", -1.0), (" one", -2.0)], P, "one", None),
    ([("a", None), ("\n", -1.0), ("one", -2.0)], None, "one", -2.0),
    ([("a", None), ("\none", -2.0)], None, "one", None),
    ([("a", None), (" one", -2.0)], None, "one", None),
    # Not told, or no log-probability.
    ([("So", None), (":", -1.0), (" one", None)], P, " one", None),
    ([("So", None), (":", -1.0), (" one", math.nan)], P, " one", None),
    ([("So", None), (":", -1.0), (" one", 0.4)], P, " one", None),
    ([("So", None), (":", -1.0), (" one", 0.0000001)], P, " one", 0.0),
    ([(" one", -2.0)], "", " one", None),
    ([], P, " one", None),
]  # fmt: skip


@pytest.mark.parametrize(("scored", "prompt", "continuation", "expected"), TAILS)
def test_the_tail(scored, prompt, continuation, expected):
    assert tail_logprob(scored, prompt, continuation) == expected
