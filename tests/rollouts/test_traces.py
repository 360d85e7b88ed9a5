"""Trace files: what is written is read again; what is not a trace is reported with its place."""

import io
from pathlib import Path

import msgspec
import pyarrow
import pyarrow.parquet
import pytest

from plaudit.corpus.questions import Question
from plaudit.errors import InputError, StoreError
from plaudit.rollouts.trace import SCHEMA, Tokens, Trace
from plaudit.rollouts.traces import read_trace, read_traces, write_traces
from plaudit.types import Message
from tests.rollouts.acting import Actor, calls, roll_out

PLAIN = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]}


TOKENS = {
    "ids": [1, 2], "mask": [0, 1], "logprobs": [None, -1.0], "exactness": "exact",
    "prompt_length": 1,
}  # fmt: skip


def one(row) -> Trace:
    (trace,) = read_trace(row, 0)
    return trace


async def a_trace(draw: int = 0) -> Trace:
    actor = Actor(calls(("c", "search", '{"query": "é \\u0000"}')), "<think>hm</think>Swigert.")
    trace = await roll_out(actor, draw=draw)
    tokens = Tokens(
        ids=[1, 2, 3], mask=[0, 1, 1], logprobs=[None, -0.5, None], exactness="exact",
        prompt_length=1,
    )  # fmt: skip
    return msgspec.structs.replace(trace, tokens=tokens)


async def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    traces = [await a_trace(draw) for draw in range(3)]
    path = tmp_path / "traces.jsonl"
    assert write_traces(traces, path) == 3
    assert list(read_traces(path)) == traces
    first = msgspec.json.decode(path.read_bytes().splitlines()[0])
    assert list(first)[:5] == ["id", "question_id", "group", "draw", "question"]
    assert first["schema"] == SCHEMA


async def test_a_table_holds_the_same(tmp_path: Path) -> None:
    trace = await a_trace()
    texts = {"messages", "turns", "tool_calls", "tokens", "question", "usage", "timing", "error"}
    row = {
        name: msgspec.json.encode(value).decode() if name in texts else value
        for name, value in msgspec.to_builtins(trace).items()
        if value is not None and value != {}
    }
    path = tmp_path / "traces.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    assert list(read_traces(path)) == [trace]


def test_reading_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = b"".join(msgspec.json.encode(PLAIN) + b"\n" for _ in range(3)) + b"{broken\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(endless)))
    traces = read_traces("-")
    assert [next(traces).id for _ in range(3)] == ["row-0", "row-1", "row-2"]
    with pytest.raises(InputError, match=r"standard input:4: not JSON"):
        next(traces)


def test_a_plain_chat_is_a_trace_without_tokens() -> None:
    trace = one(PLAIN)
    assert trace.final_answer == "Me."
    assert (trace.tokens, trace.stop_reason, trace.question) == (None, None, None)
    assert [turn.text for turn in trace.turns] == ["Me."]


def test_thoughts_of_a_plain_chat_are_not_its_answer() -> None:
    said = "<think>She asks. It is 4, or 5?</think>It is 4."
    chat = [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": said}]
    trace = one({"messages": chat, "id": 7})
    assert (trace.id, trace.final_answer) == ("7", "It is 4.")
    assert trace.messages[1] == Message("assistant", "It is 4.")
    assert trace.turns[0].text == said
    assert trace.turns[0].reasoning == "She asks. It is 4, or 5?"


def test_R5_a_chat_that_ends_on_a_tool_result_or_a_call_has_no_answer() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    asked = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
    ]
    found = [*asked, {"role": "tool", "content": "Swigert", "tool_call_id": "c"}]
    assert one({"messages": asked}).final_answer is None
    assert one({"messages": found}).final_answer is None
    written = '<tool_call>{"name": "search", "arguments": {}}</tool_call>'
    chat = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": written}]
    assert one({"messages": [*chat, {"role": "user", "content": "Swigert"}]}).final_answer is None
    thanked = [*PLAIN["messages"], {"role": "user", "content": "Thanks."}]
    assert one({"messages": thanked}).final_answer == "Me."


def test_columns_beside_a_chat_are_its_question() -> None:
    row = PLAIN | {"answer": ["Me", "I"], "chunk_ids": ["c1"], "question_id": "q", "draw": 2}
    trace = one(row)
    assert trace.question == Question(id="q", question="Who?", answer=["Me", "I"], chunk_ids=["c1"])
    assert (trace.question_id, trace.group, trace.draw) == ("q", "q", 2)
    assert one(PLAIN | {"reference": "Me"}).question == Question(
        id=one(PLAIN | {"reference": "Me"}).question_id, question="Who?", answer="Me"
    )
    nested = one(PLAIN | {"question": {"id": "q", "question": "Who?", "answer": "Me"}})
    assert nested.question == Question(id="q", question="Who?", answer="Me")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "'messages' is missing"),
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "role 'judge'"),
        ({"schema": SCHEMA + 1, "id": "x", "messages": []}, "upgrade"),
        ({"schema": "1", "id": "x", "messages": []}, "'schema'"),
        ({"schema": True, "id": "x", "messages": []}, "'schema'"),
        ({"schema": 1, "id": "x"}, "messages"),
        ({"schema": 1, "id": "x", "messages": "no"}, "'messages' is text"),
        ({"schema": 1, "id": "x", "messages": [], "stop_reason": "tired"}, "tired"),
        (
            {"schema": 1, "id": "x", "messages": [], "tokens": TOKENS | {"mask": [1]}},
            "1 in the mask",
        ),
        ({"schema": 1, "id": "x", "messages": [], "tokens": TOKENS | {"prompt_length": 3}}, "of 3"),
        (PLAIN | {"draw": "first"}, "draw"),
        (PLAIN | {"answer": {"a": 1}}, "answer"),
    ],
)
def test_what_is_no_trace_is_reported_with_its_place(tmp_path: Path, row, problem) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(msgspec.json.encode(PLAIN) + b"\n" + msgspec.json.encode(row) + b"\n")
    traces = read_traces(path)
    next(traces)
    with pytest.raises(InputError) as caught:
        next(traces)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert problem in str(caught.value)


def test_malformed_rows_can_be_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    good = msgspec.json.encode(PLAIN)
    path.write_bytes(b"\n".join([good, b"{", b'{"messages": 1}', good]) + b"\n")
    rejected = []
    traces = list(read_traces(path, lambda where, error: rejected.append((where, str(error)))))
    assert [trace.id for trace in traces] == ["row-0", "row-3"]
    assert [where for where, _ in rejected] == [f"{path}:2", f"{path}:3"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text("before")

    def broken():
        yield one(PLAIN)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_traces(broken(), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StoreError):
        write_traces([], tmp_path / "nowhere" / "traces.jsonl")
