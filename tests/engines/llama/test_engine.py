import asyncio
import json
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request

import msgspec
import pytest

from plaudit._util.loops import run_sync
from plaudit.engines.base import Request, Sampling, Schema
from plaudit.engines.llama.catalogue import known_model
from plaudit.engines.llama.engine import LlamaEngine
from plaudit.engines.llama.gguf import read_gguf
from plaudit.engines.llama.native import Settings, default_threads, make_server
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, UsageError
from plaudit.types import Message
from tests.support.waiting import await_until

SCHEMA = Schema(
    "answer",
    msgspec.Raw(
        b'{"type":"object","properties":{"good":{"type":"boolean"}},"required":["good"],'
        b'"additionalProperties":false}'
    ),
)
PREFIX = "How did the user react: wrong, confused or thanks?\n\n" + "".join(
    f"User: {said}\nReaction: {reaction}\n\n"
    for said, reaction in [
        ("No, I asked for Python.", "wrong"),
        ("What do you mean by that?", "confused"),
        ("Perfect, that works!", "thanks"),
    ]
)


def engine_of(uri):
    return LlamaEngine(EngineURI.parse(uri))


def ask(prompt, **kwargs):
    fields = {key: kwargs.pop(key) for key in ("logprobs", "schema") if key in kwargs}
    if not isinstance(prompt, str):
        prompt = tuple(Message(*pair) for pair in prompt)
    return Request(prompt=prompt, sampling=Sampling(**kwargs), **fields)


@pytest.fixture(scope="module")
def engine(local_weights):
    made = engine_of("local?context=1024")
    yield made
    run_sync(made.close())


@pytest.fixture(scope="module")
def prompts():
    rng = random.Random(3)
    words = ["no", "thanks", "wrong", "again", "fix", "the code", "é", "日本", "12", "{}", "why"]
    made = [
        f"{PREFIX}User: {' '.join(rng.choices(words, k=size))}\nReaction:"
        for size in (1, 2, 5, 12, 45)
    ]
    return [*made, made[0] + " wrong", PREFIX[:40], "thanks"]


# ---------------------------------------------------------------- without weights


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


async def test_local_is_known_without_its_weights(no_weights):
    engine = engine_of("local")
    sha = known_model("smollm2-135m-instruct").sha256
    assert await engine.identify() == f"gguf-sha256:{sha}"
    assert "<|im_start|>" in engine.info.special_tokens and not engine.info.reasoning
    able = engine.capabilities
    assert (able.default_mode, able.chat, able.completion) == ("completion", True, True)
    assert (able.logprobs, able.json_schema, able.token_ids, able.seed) == (256, True, True, True)
    assert (able.deterministic, able.concurrency, able.remote) == (True, 1, False)
    assert engine.uri == "local"


async def test_what_changes_the_numbers_is_declared(no_weights):
    for option, identity in [
        ("slots=4", "?slots=4"),
        ("prefix=on", "?prefix=on"),
        ("gpu_layers=9", "?gpu_layers=9"),
        ("slots=4&prefix=on", "?slots=4&prefix=on"),
    ]:
        engine = engine_of(f"local?{option}")
        assert (await engine.identify()).endswith(identity)
        assert not engine.capabilities.deterministic
    assert engine.capabilities.concurrency == 4
    for option in ("threads=1", "context=512", "logprobs=20", "prefix=off"):
        engine = engine_of(f"local?{option}")
        assert "?" not in await engine.identify() and engine.capabilities.deterministic


async def test_weights_that_cannot_be_had(no_weights):
    with pytest.raises(EngineUnusableError, match="plaudit models pull smollm2-135m-instruct"):
        await engine_of("local").open()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("local:gpt-5", "known are smollm2"),
        ("gguf:", "write gguf:PATH"),
        ("hf:", "write hf:OWNER"),
        ("hf:owner/repo", "write hf:OWNER"),
        ("local?slots=0", "slots must be a whole number from 1"),
        ("local?context=many", "context must be a whole number"),
        ("local?prefix=maybe", "prefix must be auto, on or off"),
        ("local?contxt=1", "has no option 'contxt'"),
        ("local?revision=x", "has no option 'revision'"),
    ],
)
def test_wrong_uris(uri, said):
    with pytest.raises(UsageError, match=said):
        assert engine_of(uri).capabilities.chat


# ---------------------------------------------------------------- files that are no models


@pytest.fixture
def base_model(tmp_path):
    """A GGUF file of metadata alone, without a chat template."""
    path = tmp_path / "base.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + b"\0" * 64)
    return path


async def test_a_base_model_refuses_chat(base_model):
    engine = engine_of(f"gguf:{base_model}")
    assert engine.capabilities.default_mode == "completion" and not engine.capabilities.chat
    with pytest.raises(UsageError, match=r"mode=.completion"):
        await engine.complete(ask([("user", "hi")]))


async def test_files_that_cannot_be_loaded(base_model, local_weights, tmp_path, capfd):
    whole = local_weights.read_bytes()
    header = tmp_path / "header.gguf"
    header.write_bytes(whole[: 4 << 20])
    text = tmp_path / "text.gguf"
    text.write_text("not a model")
    for path in (base_model, header, text, tmp_path / "nothing.gguf", tmp_path):
        with pytest.raises(EngineUnusableError, match=str(path)):
            await engine_of(f"gguf:{path}").open()
    with pytest.raises(EngineUnusableError):
        await engine_of(f"gguf:{text}").identify()
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- asking


async def test_one_token_with_its_distribution(engine):
    completion = await engine.complete(ask(PREFIX + "User: great!\nReaction:", logprobs=50))
    assert completion.finish_reason == "length" and completion.usage.output_tokens == 1
    assert len(completion.logprobs) == 50
    values = [candidate.logprob for candidate in completion.logprobs]
    assert values == sorted(values, reverse=True) and values[0] < 0
    assert completion.logprobs[0].token == completion.text
    assert completion.token_ids == (engine.tokenizer.metadata.vocabulary.tokens.index("Ġthanks"),)
    assert completion.usage.input_tokens > 50


async def test_no_log_probabilities_unless_asked(engine):
    extra = (("grammar", 'root ::= " one two three four"'),)
    request = ask("Count:", max_tokens=20, stop=(" three",), extra=extra)
    completion = await engine.complete(request)
    assert completion.logprobs is None and completion.text == " one two"
    assert completion.finish_reason == "stop"


async def test_chat_and_completion_follow_a_schema(engine):
    for prompt in ("Is it good? In JSON:", [("user", "Is it good? Answer in JSON.")]):
        request = ask(prompt, schema=SCHEMA, max_tokens=40)
        first = await engine.complete(request)
        await engine.complete(ask("in between"))
        assert await engine.complete(request) == first
        if first.finish_reason == "stop":
            assert isinstance(json.loads(first.text)["good"], bool)


async def test_chat(engine):
    completion = await engine.complete(ask([("user", "Say hi")], logprobs=3, max_tokens=8))
    assert completion.text and len(completion.logprobs) == 3
    assert len(completion.token_ids) == 8


async def test_token_ids_are_all_or_none(engine):
    extra = (("grammar", 'root ::= "😀😀"'),)
    completion = await engine.complete(ask("Smile: ", max_tokens=20, extra=extra))
    assert completion.text == "😀😀" and completion.token_ids is None


async def test_the_seed_and_the_temperature_count(engine):
    async def said(seed):
        request = ask("Once upon a time", temperature=1.5, seed=seed, max_tokens=12)
        return (await engine.complete(request)).text

    assert await said(1) == await said(1) != await said(2)


# ---------------------------------------------------------------- determinism


async def test_a_prompt_gives_the_same_numbers_always(engine, prompts):
    seen = {}
    for round_ in range(2):
        order = list(prompts)
        random.Random(round_).shuffle(order)
        for prompt in order:
            completion = await engine.complete(ask(prompt, logprobs=256))
            assert seen.setdefault(prompt, completion) == completion
    together = await asyncio.gather(*(engine.complete(ask(p, logprobs=256)) for p in prompts))
    assert together == [seen[prompt] for prompt in prompts]
    cold = engine_of("local?context=512&threads=1&prefix=off")
    for prompt in prompts[-4:]:
        assert await cold.complete(ask(prompt, logprobs=256)) == seen[prompt]
    long = ask(prompts[3], schema=SCHEMA, max_tokens=30)
    assert await cold.complete(long) == await engine.complete(long)
    await cold.close()


async def test_http_gives_the_same_numbers(engine, local_weights, prompts):
    settings = Settings(context=1024, threads=default_threads())
    server = await asyncio.to_thread(make_server, local_weights, settings, "127.0.0.1")
    try:
        for prompt in prompts[3:6]:
            body = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": 100}
            body |= {"top_p": 1, "seed": 0}
            reply = await asyncio.to_thread(
                post, f"{server.listening_address}/v1/completions", body
            )
            over_http = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            here = (await engine.complete(ask(prompt, logprobs=100))).logprobs
            assert [(c["token"], c["logprob"]) for c in over_http] == [
                (c.token, c.logprob) for c in here
            ]
    finally:
        del server


@pytest.mark.parametrize(
    "prompt", ["Where? Über ß 火\n", [("system", "be good"), ("user", "why?")]]
)
async def test_the_tokens_of_a_prompt_are_those_that_the_model_reads(engine, prompt):
    tokens = await engine.tokenizer.tokenize(ask(prompt))
    assert len(tokens) == (await engine.complete(ask(prompt))).usage.input_tokens
    text = "".join(token.text for token in tokens)
    if isinstance(prompt, str):
        assert text.startswith("Where? ")
        assert tokens[0].text == "Where"
    else:
        assert "<|im_start|>user\nwhy?<|im_end|>" in text
    assert all(token.id >= 0 for token in tokens)


async def test_the_engine_itself_answers_nobody_over_http(local_weights):
    server = await asyncio.to_thread(make_server, local_weights, Settings(context=256))
    url = f"{server.listening_address}/v1/completions"
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        await asyncio.to_thread(post, url, {"prompt": "a", "max_tokens": 1})
    caught.value.close()


async def test_defect_55_no_page_in_a_browser_may_read_what_it_answers(local_weights):
    server = await asyncio.to_thread(make_server, local_weights, Settings(context=256))
    page = urllib.request.Request(
        f"{server.listening_address}/health", headers={"Origin": "http://a.b"}
    )
    with await asyncio.to_thread(urllib.request.urlopen, page) as reply:
        assert not reply.headers.get("Access-Control-Allow-Origin")


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("prompt", ["word " * 2000, [("user", "word " * 2000)]])
async def test_a_prompt_that_is_too_long(engine, prompt):
    with pytest.raises(CallError, match=r"has 20\d\d tokens and the context holds 1024; nothing"):
        await engine.complete(ask(prompt))


@pytest.mark.parametrize("chat", [False, True])
async def test_a_huge_prompt_is_refused_at_once(engine, chat):
    await engine.open()
    text = "word " * 2_000_000
    with pytest.raises(CallError, match="at least 123456 tokens") as caught:  # Not one was made.
        await engine.complete(ask([("user", text)] if chat else text))
    assert caught.value.cause == Cause.CONTEXT_OVERFLOW and not caught.value.retryable


@pytest.mark.parametrize("prompt", ["", "a\ud800b", ()])
async def test_a_prompt_that_is_no_text(engine, prompt):
    with pytest.raises(CallError) as caught:
        await engine.complete(ask(prompt))
    assert caught.value.cause == Cause.BAD_REQUEST


async def test_what_llama_cpp_rejects(engine):
    with pytest.raises(CallError, match=r"llama\.cpp") as caught:
        await engine.complete(ask("a", extra=(("grammar", "root ::= ("),)))
    assert caught.value.cause == Cause.BAD_REQUEST


# ---------------------------------------------------------------- life


async def test_the_loop_stays_free_and_a_cancelled_request_ends(engine):
    await engine.open()
    task = asyncio.create_task(engine.complete(ask("Once upon", max_tokens=900)))
    await await_until(lambda: engine.calls, "a call")
    (call,) = engine.calls
    for count in range(1, 6):  # The loop gets its turn between two tokens.
        await await_until(lambda count=count: len(call.text) > count, f"token {count}")
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.complete(ask("Hi"))
    assert len(call.text) < 900


async def test_closing_ends_what_is_in_flight_and_the_engine_opens_again(local_weights):
    engine = engine_of("local?context=512")
    await asyncio.gather(engine.open(), engine.open())
    task = asyncio.create_task(engine.complete(ask("Once upon", max_tokens=400)))
    await asyncio.sleep(0.3)
    await engine.close()
    with pytest.raises(CallError, match="closed") as caught:
        await task
    assert caught.value.retryable
    await engine.close()
    assert (await engine.complete(ask("Hi"))).usage.output_tokens == 1
    await engine.close()


async def test_slots_answer_together(local_weights):
    engine = engine_of(f"gguf:{local_weights}?context=256&slots=2")
    assert engine.capabilities.default_mode == "chat"
    assert (await engine.identify()).endswith("?slots=2")
    replies = await asyncio.gather(*(engine.complete(ask(f"{n} and", max_tokens=8)) for n in "abc"))
    assert [reply.usage.output_tokens for reply in replies] == [8, 8, 8]
    await engine.close()


def test_a_pickled_engine_has_no_model(engine):
    run_sync(engine.open())
    copy = pickle.loads(pickle.dumps(engine))
    assert copy.uri == engine.uri and copy.capabilities == engine.capabilities
    request = ask("The end", logprobs=20)
    assert run_sync(copy.complete(request)) == run_sync(engine.complete(request))
    run_sync(copy.close())


def test_special_tokens_are_those_of_the_file(engine, local_weights):
    assert engine.info.special_tokens == read_gguf(local_weights).vocabulary.special


# ---------------------------------------------------------------- the end of the process

PROGRAM = """
import asyncio, os, sys
from plaudit._util.loops import background_loop, run_sync
from plaudit.engines.base import Request, Sampling
from plaudit.engines.uri import EngineURI
from plaudit.engines.llama.engine import LlamaEngine
engine = LlamaEngine(EngineURI.parse("local?context=1024"))
def request(n):
    return Request(prompt="Once upon a time", sampling=Sampling(max_tokens=n), logprobs=2)
run_sync(engine.open())
"""


def program(text, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM + textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_process_ends_cleanly_and_says_nothing(local_weights):
    process = program(
        """
        run_sync(engine.complete(request(2)))
        asyncio.run_coroutine_threadsafe(engine.complete(request(900)), background_loop())
        """
    )
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_an_interrupt_ends_a_long_reply(local_weights):
    process = program(
        """
        import threading, time
        calls = []
        def tell():
            while not calls or not calls[0].text:
                calls[:] = engine.calls
                time.sleep(0.01)
            print("asking", flush=True)
        threading.Thread(target=tell, daemon=True).start()
        try:
            run_sync(engine.complete(request(900)))
        except KeyboardInterrupt:
            sys.exit(130 if len(calls[0].text) < 900 else 1)
        """
    )
    assert process.stdout.readline() == "asking\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=100) == ("", "")
    assert process.returncode == 130


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_loads_the_model_itself(local_weights):
    process = program(
        """
        child = os.fork()
        completion = run_sync(engine.complete(request(3)))
        print(completion.text, completion.logprobs, flush=True)
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(run_sync(engine.complete(request(3))).text)
            sys.exit(status)
        run_sync(engine.close())
        """
    )
    out, err = process.communicate(timeout=60)
    first, second, third = out.splitlines()
    assert first == second and first.startswith(third) and err == ""
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_that_asks_nothing_ends(local_weights):
    process = program(
        """
        child = os.fork()
        if not child:
            sys.exit(7)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 7
