import asyncio
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.scripted import ScriptedEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.types import Message, Usage


def engine_of(path: Path, *lines: Any) -> ScriptedEngine:
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    return ScriptedEngine(EngineURI.parse(f"scripted:{path}"))


def line(reply: Any, **match: str) -> dict[str, Any]:
    replies = reply if isinstance(reply, list) else [reply]
    return {"match": match, "replies": [{"text": r} if isinstance(r, str) else r for r in replies]}


def ask(prompt: Any = "hello", **fields: Any) -> Request:
    return Request(prompt=prompt, sampling=Sampling(), **fields)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "script.jsonl"


async def test_the_reply_is_chosen_by_what_is_asked(path: Path) -> None:
    engine = engine_of(
        path,
        line("by sample", sample_id="s1"),
        line("by turn", turn="prior"),
        line("by both", contains="hello", turn="swapped"),
        line("by text", contains="hello"),
        line("else"),
    )
    expected = {
        "by sample": ask(sample_id="s1"),
        "by turn": ask(turn="prior"),
        "by both": ask(turn="swapped"),
        "by text": ask((Message("system", "x"), Message("user", "oh hello"))),
        "else": ask("good bye"),
    }
    for text, request in expected.items():
        assert (await engine.complete(request)).text == text


async def test_the_reply_is_chosen_by_draw_and_never_by_order_of_arrival(path: Path) -> None:
    engine = engine_of(path, line(["a", "b", "c"]))
    draws = [4, 0, 2, 1, 0, 3]
    replies = await asyncio.gather(*(engine.complete(ask(draw=draw)) for draw in draws))
    assert [reply.text for reply in replies] == ["b", "a", "c", "b", "a", "a"]


async def test_log_probabilities_come_most_probable_first(path: Path) -> None:
    engine = engine_of(path, line({"text": "a", "logprobs": {"b": -2.0, "a": -0.1}}))
    assert engine.capabilities.logprobs == 20
    completion = await engine.complete(ask())
    assert [(c.token, c.logprob) for c in completion.logprobs] == [("a", -0.1), ("b", -2.0)]
    assert engine_of(path, line("x")).capabilities.logprobs == 0


async def test_a_delay_is_waited_for_and_a_finish_reason_is_given(path: Path) -> None:
    engine = engine_of(path, line({"text": "x", "delay": 0.05, "finish_reason": "length"}))
    begun = time.perf_counter()
    completion = await engine.complete(ask("one two three"))
    assert time.perf_counter() - begun >= 0.045
    assert completion.finish_reason == "length"
    assert completion.usage.input_tokens == 3


async def test_tool_calls_are_given_apart_from_the_text(path: Path) -> None:
    calls = [
        {"name": "search", "arguments": {"q": "日本"}},
        {"name": "search", "arguments": "{broken", "id": "mine"},
        {"name": "now"},
    ]
    engine = engine_of(path, line({"text": "Let me see.", "tool_calls": calls}))
    assert engine.capabilities.tools
    completion = await engine.complete(ask((Message("user", "x"),), turn="2"))
    assert (completion.text, completion.finish_reason) == ("Let me see.", "tool_calls")
    assert [(call.id, call.name, call.arguments) for call in completion.tool_calls] == [
        ("call-2-0", "search", '{"q":"日本"}'),
        ("mine", "search", "{broken"),
        ("call-2-2", "now", "{}"),
    ]
    assert not engine_of(path, line("x")).capabilities.tools


async def test_turns_and_what_tools_answered_choose_the_reply(path: Path) -> None:
    engine = engine_of(
        path,
        line("by result", contains="chunk-7"),
        line(["first, draw 0", "first, draw 1"], turn="0"),
        line("later"),
    )
    question = Message("user", "Where?")
    found = Message("tool", [{"type": "text", "text": "chunk-7: there"}], tool_call_id="a")
    for content, turn, draw, said in [
        ((question,), "0", 1, "first, draw 1"),
        ((question, Message("tool", "nothing", tool_call_id="a")), "1", 1, "later"),
        ((question, Message("assistant"), found), "1", 0, "by result"),
    ]:
        assert (await engine.complete(ask(content, turn=turn, draw=draw))).text == said


async def test_token_ids_come_where_they_are_wanted(path: Path) -> None:
    reply = {"text": "a", "token_ids": [5, 2], "token_logprobs": [-0.5, -0.1]}
    engine = engine_of(path, line(reply | {"prompt_token_ids": [1, 9]}, turn="0"), line(reply))
    able = engine.capabilities
    assert able.token_ids and able.token_prompts
    first = await engine.complete(ask(turn="0", trace_tokens=True))
    assert (first.token_ids, first.token_logprobs) == ((5, 2), (-0.5, -0.1))
    assert first.prompt_token_ids == (1, 9) and first.usage == Usage(2, 2)
    second = await engine.complete(ask(turn="1", trace_tokens=True, prompt_ids=(1, 9, 5, 2, 8)))
    assert second.prompt_token_ids == (1, 9, 5, 2, 8) and second.usage == Usage(5, 2)
    untraced = await engine.complete(ask(turn="0"))
    assert untraced.token_ids is untraced.prompt_token_ids is None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("timeout", CallError),
        ("rate_limited", CallError),
        ("refused", ReplyError),
        ("cut_off", ReplyError),
        ("unusable", EngineUnusableError),
        ("no_such_cause", UsageError),
    ],
)
async def test_scripted_errors(path: Path, name: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await engine_of(path, line({"error": name})).complete(ask())
    if error in (CallError, ReplyError):
        assert caught.value.cause == Cause(name)


async def test_a_request_that_no_line_matches_gets_no_reply(path: Path) -> None:
    with pytest.raises(CallError, match=r"no line of the script .*'s9'"):
        await engine_of(path, line("x", sample_id="s1")).complete(ask(sample_id="s9"))


async def test_the_identity_is_the_content_of_the_script(path: Path, tmp_path: Path) -> None:
    one = engine_of(path, line("x"))
    assert await one.identify() == await engine_of(tmp_path / "other.jsonl", line("x")).identify()
    assert await one.identify() != await engine_of(path, line("y")).identify()
    assert str(path) not in await one.identify()


async def test_it_pickles(path: Path) -> None:
    engine = pickle.loads(pickle.dumps(engine_of(path, line("x"))))
    path.unlink()
    await engine.open()
    assert (await engine.complete(ask())).text == "x"
    await engine.close()


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "[]",
        "{}",
        '{"match": {}}',
        '{"match": {}, "replies": []}',
        '{"match": {"contians": "x"}, "replies": [{"text": "x"}]}',
        '{"match": {}, "replies": [{"txt": "x"}]}',
        '{"match": {}, "replies": [{"text": "x", "finish_reason": "tired"}]}',
        '{"match": {}, "replies": [{"text": 3}]}',
        '{"match": {}, "replies": [{"tool_calls": [{"arguments": {}}]}]}',
        '{"match": {}, "replies": [{"tool_calls": [{"name": "f", "arguments": 3}]}]}',
        '{"match": {}, "replies": [{"token_ids": [1], "token_logprobs": [-1.0, -2.0]}]}',
        '{"match": {}, "replies": [{"token_logprobs": [-1.0]}]}',
    ],
)
def test_a_malformed_script_is_refused_with_its_line(path: Path, text: str) -> None:
    path.write_text('\n{"match": {}, "replies": [{"text": "x"}]}\n' + text)
    with pytest.raises(UsageError, match=r"script\.jsonl:3"):
        ScriptedEngine(EngineURI.parse(f"scripted:{path}"))


def test_a_script_that_is_not_there_is_refused(tmp_path) -> None:
    for name in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="script"):
            ScriptedEngine(EngineURI.parse(f"scripted:{name}"))


def test_it_has_no_options(path: Path) -> None:
    path.write_text("")
    with pytest.raises(UsageError, match="no option 'slots'"):
        ScriptedEngine(EngineURI.parse(f"scripted:{path}?slots=2"))
