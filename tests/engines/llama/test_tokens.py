"""Token ids and log-probabilities of the embedded engine, against the real model."""

import asyncio
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit._util.loops import run_sync
from plaudit.engines.base import Request, Sampling, Schema, ToolSpec
from plaudit.engines.llama.engine import LlamaEngine
from plaudit.engines.llama.server import places, template_arguments
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, ToolsRefusedError
from plaudit.types import Message
from tests.support.waiting import await_until

CHAT = (Message("user", "Say hi, then count to three."),)
EMOJI = 'root ::= "a 😀😀 ࠀ👍🏽 é" [日-本]'


def ask(prompt="x", ids=(), **sampling):
    fields = {key: sampling.pop(key) for key in ("logprobs", "schema") if key in sampling}
    return Request(
        prompt=prompt,
        prompt_ids=tuple(ids),
        sampling=Sampling(**sampling),
        trace_tokens=True,
        **fields,
    )


@pytest.fixture(scope="module")
def engine(local_weights):
    made = LlamaEngine(EngineURI.parse("local?context=1024"))
    yield made
    run_sync(made.close())


async def shown_alike(engine, ids, token, logprob):
    """Whether judges would be shown a token of this text with this log-probability.

    None: they are not shown it, because it is too rare, or the likeliest is part of a character.
    """
    request = Request(prompt="x", prompt_ids=ids, sampling=Sampling(), logprobs=256)
    shown = (await engine.complete(request)).logprobs
    if not shown or logprob < shown[-1].logprob + 1e-4:
        return None
    text = await engine.tokenizer.decode([token])
    alike = [candidate for candidate in shown if abs(candidate.logprob - logprob) < 1e-4]
    return any(text in (candidate.token, "\ufffd") for candidate in alike)


# ---------------------------------------------------------------- which token is which


@given(st.lists(st.integers(0, 2), max_size=9), st.data())
@settings(deadline=None)
def test_a_place_is_told_only_where_there_is_no_other(ids, data):
    kept = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    true = [place for place, keep in enumerate(kept) if keep]
    some = [ids[place] for place in true]
    ways = [
        way
        for way in itertools.combinations(range(len(ids)), len(some))
        if [ids[place] for place in way] == some
    ]
    for number, reported in enumerate(places(ids, some)):
        alike = {way[number] for way in ways}
        assert reported == (true[number] if len(alike) == 1 else None)


def test_ids_that_are_no_part_have_no_place():
    assert places([1, 2, 3], [3, 1]) == [None, None]
    assert places([], [1]) == [None]


# ---------------------------------------------------------------- exact ids


async def test_R4_every_sampled_token_has_its_id_the_ending_one_too(engine):
    completion = await engine.complete(ask(CHAT, max_tokens=60))
    assert completion.finish_reason == "stop"
    assert completion.token_ids[-1] == engine.tokenizer.metadata.eos_id
    assert len(completion.token_ids) == len(completion.token_logprobs)
    assert completion.usage.output_tokens == len(completion.token_ids)
    assert completion.usage.input_tokens == len(completion.prompt_token_ids)
    assert await engine.tokenizer.decode(completion.token_ids[:-1]) == completion.text
    prompt = await engine.tokenizer.decode(completion.prompt_token_ids)
    assert prompt.endswith("then count to three.<|im_end|>\n<|im_start|>assistant\n")
    untraced = await engine.complete(Request(prompt=CHAT, sampling=Sampling(max_tokens=60)))
    assert untraced.text == completion.text
    assert untraced.usage == completion.usage


async def test_a_reply_that_is_cut_off_has_no_ending_token(engine):
    completion = await engine.complete(ask("Once upon a time", max_tokens=7))
    assert completion.finish_reason == "length" and len(completion.token_ids) == 7
    assert await engine.tokenizer.decode(completion.token_ids) == completion.text


async def test_tokens_that_are_parts_of_a_character_have_ids_and_log_probabilities(engine):
    request = ask("Smile:", max_tokens=60, extra=(("grammar", EMOJI),))
    completion = await engine.complete(request)
    ids = completion.token_ids
    assert len(ids) > len(completion.text) and all(map(math.isfinite, completion.token_logprobs))
    assert (await engine.tokenizer.decode(ids)).startswith(completion.text)
    prompt = completion.prompt_token_ids
    seen = [
        await shown_alike(engine, prompt + ids[:n], ids[n], completion.token_logprobs[n])
        for n in range(len(ids) - 1)
    ]
    assert False not in seen and seen.count(True) >= 5
    assert await engine.complete(request) == completion


async def test_ids_fed_back_give_the_same_reply_from_there_on(engine):
    whole = await engine.complete(ask("Once upon a time", max_tokens=24))
    ids = whole.prompt_token_ids + whole.token_ids[:10]
    rest = await engine.complete(ask(ids=ids, max_tokens=14))
    assert rest.prompt_token_ids == ids
    assert rest.token_ids == whole.token_ids[10:]
    assert rest.token_logprobs == pytest.approx(whole.token_logprobs[10:], abs=2e-2)


async def test_sampling_at_a_temperature_is_told_at_temperature_one(engine):
    request = ask("Once upon a time", max_tokens=12, temperature=1.5, seed=3)
    completion = await engine.complete(request)
    assert await engine.complete(request) == completion
    other = await engine.complete(ask("Once upon a time", max_tokens=12, temperature=1.5, seed=4))
    assert other.token_ids != completion.token_ids
    prompt, first = completion.prompt_token_ids, completion.token_ids[0]
    assert await shown_alike(engine, prompt, first, completion.token_logprobs[0]) in (True, None)


async def test_a_rare_token_is_looked_up_in_all_of_the_vocabulary(engine):
    """At a high temperature nothing is cut off before sampling, and nothing is hidden after."""
    request = ask("Hi", max_tokens=12, temperature=50.0, seed=1)
    completion = await engine.complete(request)
    assert min(completion.token_logprobs) < -12
    assert await engine.tokenizer.decode(completion.token_ids)


async def test_a_stop_string_is_in_the_ids_and_not_in_the_text(engine):
    completion = await engine.complete(ask("Count: one two three", max_tokens=20, stop=(" six",)))
    assert completion.finish_reason == "stop" and not completion.text.endswith(" six")
    assert await engine.tokenizer.decode(completion.token_ids) == completion.text + " six"
    assert len(completion.token_logprobs) == len(completion.token_ids)


async def test_candidates_and_a_schema_go_with_it(engine):
    schema = Schema("answer", msgspec.Raw(b'{"type":"boolean"}'))
    completion = await engine.complete(
        ask("Is it good? In JSON:", logprobs=5, schema=schema, max_tokens=9)
    )
    assert completion.text.strip() in ("true", "false")
    assert len(completion.logprobs) == 5
    values = [candidate.logprob for candidate in completion.logprobs]
    assert values == sorted(values, reverse=True)


async def test_ids_as_a_prompt_without_a_trace(engine):
    ids = await engine.tokenizer.encode("Once upon a time", special=False)
    request = Request(prompt="x", prompt_ids=tuple(ids), sampling=Sampling(max_tokens=5))
    asked_by_text = Request(prompt="Once upon a time", sampling=Sampling(max_tokens=5))
    assert await engine.complete(request) == await engine.complete(asked_by_text)
    tokens = await engine.tokenizer.tokenize(request)
    assert [token.id for token in tokens] == ids and tokens[0].text == "Once"


# ---------------------------------------------------------------- the tokenizer


@pytest.mark.parametrize("text", ["", " a", "Ü 日本 😀\n\n", "<|im_end|>", '{"a": 1}'])
async def test_encoding_and_decoding(engine, text):
    plain = await engine.tokenizer.encode(text, special=False)
    assert await engine.tokenizer.decode(plain) == text
    assert (await engine.tokenizer.encode(text, special=True) == plain) == (text != "<|im_end|>")


async def test_what_cannot_be_encoded_or_decoded(engine):
    tokenizer = engine.tokenizer
    for wrong in (tokenizer.encode("a\ud800b", special=False), tokenizer.decode([10**7])):
        with pytest.raises(CallError):
            await wrong


async def test_the_tokenizer_answers_while_a_reply_is_computed(engine):
    await engine.open()
    long = asyncio.create_task(engine.complete(ask("Once", max_tokens=900)))
    await await_until(lambda: engine.calls, "a call")
    found = await asyncio.gather(
        *(engine.tokenizer.encode(f"word {n}", special=True) for n in range(20))
    )
    assert not long.done()
    assert len({tuple(ids) for ids in found}) == 20
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long


def test_special_texts_of_the_file(engine):
    assert engine.tokenizer.metadata.eos_token == "<|im_end|>"
    assert engine.tokenizer.metadata.bos_token == "<|im_start|>"


# ---------------------------------------------------------------- limits and life


async def test_a_prompt_of_too_many_ids(engine):
    for ids in ([5] * 1025, [5] * 1024):
        with pytest.raises(CallError, match=r"has 102\d tokens and the context holds 1024") as no:
            await engine.complete(ask(ids=ids))
        assert no.value.cause == Cause.CONTEXT_OVERFLOW
    with pytest.raises(CallError, match=r"100\d\d tokens") as no:
        await engine.complete(ask((Message("user", "word " * 10_000),)))
    assert no.value.cause == Cause.CONTEXT_OVERFLOW


@pytest.mark.parametrize(
    "request_", [ask(ids=[10**7]), ask(""), ask("a\ud800b"), ask("a", extra=(("grammar", "("),))]
)
async def test_what_is_rejected(engine, request_):
    with pytest.raises(CallError) as caught:
        await engine.complete(request_)
    assert caught.value.cause == Cause.BAD_REQUEST


async def test_tools_are_refused(engine):
    tool = ToolSpec("search", "", msgspec.Raw(b"{}"))
    request = Request(prompt=CHAT, sampling=Sampling(), tools=(tool,))
    with pytest.raises(ToolsRefusedError, match="write calls as text"):
        await engine.complete(request)


async def cancel_a_long_reply(engine):
    await engine.open()
    task = asyncio.create_task(engine.complete(ask("Once upon", max_tokens=900)))
    await await_until(lambda: engine.calls, "a call")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_reply_frees_the_slot(engine):
    await cancel_a_long_reply(engine)
    assert (await engine.complete(ask("Hi"))).usage.output_tokens == 1
    assert not engine.calls


@pytest.mark.full
async def test_a_cancelled_reply_frees_the_slot_within_seconds(engine):
    await cancel_a_long_reply(engine)
    start = time.perf_counter()
    await engine.complete(ask("Hi"))
    assert time.perf_counter() - start < 4


async def test_a_reply_that_waits_is_cancelled_at_once(engine):
    await engine.open()
    running = asyncio.create_task(engine.complete(ask("Once upon", max_tokens=900)))
    waiting = asyncio.create_task(engine.complete(ask("Then", max_tokens=900)))
    await await_until(lambda: engine.calls, "a call")
    for task in (waiting, running):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await engine.complete(ask("Hi"))).usage.output_tokens == 1


async def test_closing_ends_a_traced_reply(local_weights):
    engine = LlamaEngine(EngineURI.parse("local?context=512"))
    await engine.open()
    task = asyncio.create_task(engine.complete(ask("Once upon", max_tokens=500)))
    await await_until(lambda: engine.calls, "a call")
    await engine.close()
    with pytest.raises(CallError, match="closed") as caught:
        await task
    assert caught.value.retryable
    copy = pickle.loads(pickle.dumps(engine))
    assert (await copy.complete(ask("Hi"))).token_ids
    await copy.close()


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_process_ends_cleanly_in_the_middle_of_a_traced_reply(local_weights, interrupted):
    program = """
        import asyncio, sys, time
        from plaudit._util.loops import background_loop, run_sync
        from plaudit.engines.base import Request, Sampling
        from plaudit.engines.uri import EngineURI
        from plaudit.engines.llama.engine import LlamaEngine
        engine = LlamaEngine(EngineURI.parse("local?context=1024"))
        request = Request(prompt="Once", sampling=Sampling(max_tokens=900), trace_tokens=True)
        run_sync(engine.open())
        print("asking", flush=True)
        if "wait" in sys.argv:
            try:
                run_sync(engine.complete(request))
            except KeyboardInterrupt:
                sys.exit(130)
        asyncio.run_coroutine_threadsafe(engine.complete(request), background_loop())
        time.sleep(0.3)
    """
    arguments = ["wait"] if interrupted else []
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "asking\n"
    if interrupted:
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == (130 if interrupted else 0)


def test_thinking_is_off_unless_the_request_says_else():
    on = (("chat_template_kwargs", {"enable_thinking": True}),)
    assert template_arguments(ask(CHAT), switch=True) == {"enable_thinking": False}
    assert template_arguments(ask(CHAT), switch=False) == {}
    assert template_arguments(ask(CHAT, extra=on), switch=True) == {"enable_thinking": True}
