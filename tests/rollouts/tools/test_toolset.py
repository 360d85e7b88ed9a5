import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.engines.base import ToolCall, ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.tools import Tool, ToolError, ToolResult, ToolSet, function_tool
from plaudit.rollouts.trace import CallRecord
from plaudit.types import Json, Message
from tests.support.examples import drawn


def call(name: str, arguments: str = "{}", number: int = 0) -> ToolCall:
    return ToolCall(f"call-0-{number}", name, arguments)


async def one(tools: ToolSet, name: str, arguments: str = "{}") -> tuple[CallRecord, str]:
    record, message = await tools.run(call(name, arguments), 4)
    assert (message.role, message.tool_call_id) == ("tool", "call-0-0")
    assert (record.id, record.turn, record.name) == ("call-0-0", 4, name)
    assert isinstance(message.content, str)
    msgspec.json.encode((record, message))  # What a trace holds must be writable.
    return record, message.content


def add(a: int, b: int = 2, how: Literal["sum", "mean"] = "sum") -> float:
    """Add numbers."""
    return a + b if how == "sum" else (a + b) / 2


# ---------------------------------------------------------------- what becomes of a call


async def test_a_call_is_answered_under_its_id() -> None:
    record, content = await one(ToolSet([add]), "add", '{"a": 1, "how": "mean"}')
    assert content == "1.5"
    assert (record.status, record.arguments) == ("ok", {"a": 1, "how": "mean"})
    assert (record.truncated, record.data) == (False, None)
    assert record.seconds >= 0


async def test_data_goes_to_the_record_and_not_to_the_model() -> None:
    def search() -> ToolResult:
        return ToolResult("two chunks", ["c1", "c2"])

    record, content = await one(ToolSet([search]), "search")
    assert (content, record.data) == ("two chunks", ["c1", "c2"])


@pytest.mark.parametrize(
    ("name", "arguments", "status", "scored"),
    [
        ("add", "", "invalid_arguments", '"a" is a required property'),
        ("add", '{"a": "1"}', "invalid_arguments", 'a: "1" is not of type "integer"'),
        ("add", '{"a": 1, "how": "max"}', "invalid_arguments", "how:"),
        ("add", '{"a": 1, "z": 2}', "invalid_arguments", "'z'"),
        ("add", '{"a": 3.0}', "invalid_arguments", "do not fit"),
        ("add", "[1]", "malformed", "must be a JSON object"),
        ("add", '"1"', "malformed", "must be a JSON object"),
        ("add", '{"a": 1', "malformed", "not JSON"),
        ("add", "{'a': 1}", "malformed", "not JSON"),
        ("add", '{"a": NaN}', "malformed", "not JSON"),
        ("add", '{"a": "\ud800"}', "malformed", "not JSON"),
        ("add", "[" * 100_000, "malformed", "not JSON"),
        ("multiply", '{"a": 1}', "unknown_tool", "there is no tool 'multiply'; there are: add"),
        ("", "{}", "unknown_tool", "there is no tool ''"),
    ],
)
async def test_the_model_reads_what_cannot_be_called(
    name: str, arguments: str, status: str, scored: str
) -> None:
    record, content = await one(ToolSet([add]), name, arguments)
    assert record.status == status
    assert content.startswith("Error: ")
    assert scored in content


async def test_the_model_reads_why_a_call_could_not_be_read() -> None:
    reply = read_reply('<tool_call>{"name": "add", "arguments": {</tool_call>', turn=4)
    ((record, message),) = await ToolSet([add]).run_all(reply.attempts, 4)
    assert (record.status, record.name, record.id) == ("malformed", "add", "call-4-0")
    assert record.arguments == '<tool_call>{"name": "add", "arguments": {</tool_call>'
    assert message == Message(
        role="tool", content="Error: its JSON is broken", tool_call_id="call-4-0"
    )


class Strange:
    """A tool that does as it is configured."""

    def __init__(self, does: Any, **more: Any) -> None:
        self.spec = ToolSpec("strange", "", msgspec.Raw(b'{"type":"object"}'))
        self.identity = "strange"
        self._does = does
        self.__dict__.update(more)

    async def call(self, arguments: Mapping[str, Json]) -> Any:
        result = self._does()
        return await result if asyncio.iscoroutine(result) else result


def raising(error: BaseException) -> Any:
    def does() -> None:
        raise error

    return does


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    ("error", "scored"),
    [
        (ValueError("no such page"), "Error: ValueError: no such page"),
        (ValueError(), "Error: ValueError"),
        (SystemExit(3), "Error: SystemExit: 3"),
        (asyncio.CancelledError(), "Error: it was cancelled"),
        (TimeoutError("slow"), "Error: TimeoutError: slow"),
        (BaseExceptionGroup("several", [ValueError("a")]), "Error: ExceptionGroup: several (1 sub"),
        (Unprintable(), "Error: Unprintable"),
        (ToolError("the index is gone", "raised"), "Error: the index is gone"),
        (ValueError("a\ud800b"), "Error: ValueError: a?b"),
    ],
)
async def test_the_model_reads_what_a_tool_raises_without_a_traceback(
    error: BaseException, scored: str
) -> None:
    record, content = await one(ToolSet([Strange(raising(error))]), "strange")
    assert record.status == "raised"
    assert record.tool_failed
    assert content.startswith(scored)
    assert "Traceback" not in content
    assert "File" not in content


async def test_defect_21_what_a_tool_answers_to_a_call_is_no_fault_of_the_tool() -> None:
    error = ToolError("ask for a page first")
    record, content = await one(ToolSet([Strange(raising(error))]), "strange")
    assert (record.status, record.tool_failed) == ("declined", False)
    assert content == "Error: ask for a page first"


async def test_the_text_of_an_error_is_cut() -> None:
    _, content = await one(ToolSet([Strange(raising(ValueError("x" * 100_000)))]), "strange")
    assert len(content) < 600


class Endless:
    def __repr__(self) -> str:
        return "endless"


@pytest.mark.parametrize(
    "result",
    [
        b"bytes",
        None,
        "text, not a ToolResult",
        ToolResult(b"bytes"),  # type: ignore[arg-type]
        ToolResult("lone \ud800 surrogate"),
        ToolResult("text", data=Endless()),
        ToolResult("text", data="x" * 1_100_000),
        ToolResult("text", data={"a": {1: {object()}}}),
    ],
)
async def test_a_result_that_cannot_be_kept_is_a_bad_result(result: Any) -> None:
    record, content = await one(ToolSet([Strange(lambda: result)]), "strange")
    assert record.status == "bad_result"
    assert content.startswith("Error: it")


async def test_bytes_of_a_function_are_a_bad_result() -> None:
    def read() -> bytes:
        return b"\x00\x01"

    record, content = await one(ToolSet([read]), "read")
    assert (record.status, content) == (
        "bad_result",
        "Error: it returned a bytes that is neither text nor JSON",
    )


async def test_a_result_of_ten_megabytes_is_cut_with_a_note_at_the_cut() -> None:
    def read() -> str:
        return "x" * 10_000_000

    record, content = await one(ToolSet([read], max_result_chars=100), "read")
    assert (record.status, record.truncated) == ("ok", True)
    assert content == "x" * 100 + "\n[cut here: 100 of 10,000,000 characters are shown]"


# ---------------------------------------------------------------- time and threads


async def test_R3_a_tool_that_hangs_ends_at_its_time_out() -> None:
    async def forever() -> str:
        await asyncio.sleep(60)
        return "late"

    release = threading.Event()

    def blocked() -> str:
        release.wait(100)  # It never answers in time.
        return "late"

    for tool in (forever, blocked):
        record, content = await one(ToolSet([tool], timeout=0.1), tool.__name__)
        assert record.status == "timeout"
        assert content == "Error: it did not answer within 0.1 seconds"
        assert record.seconds >= 0.1
    release.set()


async def test_a_tool_that_does_not_heed_its_cancellation_is_given_up() -> None:
    released = asyncio.Event()

    async def stubborn() -> ToolResult:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody reads this")

    tools = ToolSet([Strange(stubborn)], timeout=0.05)
    record, _ = await one(tools, "strange")
    assert record.status == "timeout"
    released.set()
    await asyncio.sleep(0.01)


async def test_a_tool_may_have_a_time_out_of_its_own() -> None:
    async def nap() -> str:
        await asyncio.sleep(0.1)
        return "awake"

    assert (await one(ToolSet([nap], timeout=0.01), "nap"))[0].status == "timeout"
    assert (await one(ToolSet([function_tool(nap, timeout=60)], timeout=0.01), "nap"))[1] == "awake"


async def test_R3_calls_run_side_by_side_and_are_answered_in_order() -> None:
    here, there = asyncio.Barrier(20), threading.Barrier(20)

    async def nap(seconds: float) -> str:
        await here.wait()  # Passed when all twenty run.
        await asyncio.sleep(seconds)
        return str(seconds)

    def work(seconds: float) -> str:
        there.wait(60)
        time.sleep(seconds)
        return str(seconds)

    tools = ToolSet([nap, work], timeout=60)
    seconds = [0.03, 0.02, 0.01, 0.0] * 5
    for name in ("nap", "work"):
        calls = [call(name, f'{{"seconds": {s}}}', n) for n, s in enumerate(seconds)]
        done = await tools.run_all(calls, 0)
        assert [message.content for _, message in done] == [str(s) for s in seconds]
        assert [record.id for record, _ in done] == [made.id for made in calls]
    assert await tools.run_all([], 0) == []


async def test_no_more_calls_run_at_a_time_than_allowed() -> None:
    running = most = 0

    async def nap() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return "x"

    await ToolSet([nap], max_concurrency=3).run_all([call("nap", number=n) for n in range(20)], 0)
    assert most == 3


async def test_tools_that_hang_leave_room_for_others() -> None:
    release = threading.Event()

    def hang() -> str:
        release.wait(60)
        return "late"

    tools = ToolSet([function_tool(hang, timeout=0.1), add], timeout=60, max_concurrency=4)
    await tools.run_all([call("hang", number=n) for n in range(12)], 0)
    record, content = await one(tools, "add", '{"a": 1}')
    assert (record.status, content) == ("ok", "3")
    release.set()


def test_a_tool_that_hangs_does_not_hold_up_the_exit() -> None:
    program = """
        import asyncio, time
        from plaudit.engines.base import ToolCall
        from plaudit.rollouts.tools import ToolSet
        def hang() -> str:
            time.sleep(600)
            return ""
        async def main():
            return await ToolSet([hang], timeout=0.1).run(ToolCall("c", "hang", "{}"), 0)
        print(asyncio.run(main())[0].status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("timeout\n", "")


async def test_cancelling_a_call_cancels_its_tool() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def nap() -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise
        return "x"

    task = asyncio.ensure_future(ToolSet([nap]).run(call("nap"), 0))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended.wait()


def test_a_set_may_be_used_from_several_event_loops() -> None:
    async def nap() -> str:
        await asyncio.sleep(0.001)
        return "x"

    tools = ToolSet([nap], max_concurrency=2)
    for _ in range(2):
        done = asyncio.run(tools.run_all([call("nap", number=n) for n in range(9)], 0))
        assert [record.status for record, _ in done] == ["ok"] * 9


# ---------------------------------------------------------------- what a set offers


def test_specs_are_in_the_order_given_and_the_identity_follows_them() -> None:
    def other() -> str:
        return "x"

    tools = ToolSet([add, other])
    assert [spec.name for spec in tools.specs] == ["add", "other"]
    assert tools.identity == ToolSet([add, other]).identity
    identities = {
        tools.identity,
        ToolSet([add]).identity,
        ToolSet([add, function_tool(other, name="another")]).identity,
        ToolSet([other, add]).identity,
    }
    assert len(identities) == 4
    assert ToolSet().specs == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ToolSet([add, add]), "two tools are called 'add'"),
        (lambda: ToolSet([function_tool(add, name="a tool")]), "cannot be called 'a tool'"),
        (lambda: ToolSet([function_tool(add, name="x" * 65)]), "at most 64"),
        (lambda: ToolSet([add], timeout=0), "timeout must be more than 0"),
        (lambda: ToolSet([add], max_result_chars=0), "max_result_chars must be at least 1"),
        (lambda: ToolSet([add], max_concurrency=0), "max_concurrency must be at least 1"),
        (lambda: ToolSet([ToolSet([add])]), "a tool set cannot be a tool of another"),
        (lambda: ToolSet([3]), "3 is no function"),  # type: ignore[list-item]
    ],
)
def test_a_set_that_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    "schema",
    [
        b'{"type": "objekt"}',
        b"[]",
        b"no json",
        b'{"properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}',
        b'{"properties": {"a": {"$ref": "file:///etc/hostname"}}}',
    ],
)
def test_a_schema_that_is_none_or_would_be_fetched_is_refused(schema: bytes) -> None:
    tool = Strange(lambda: None, spec=ToolSpec("strange", "", msgspec.Raw(schema)))
    with pytest.raises(UsageError, match="'strange' are no JSON schema"):
        ToolSet([tool])


async def test_a_hostile_pattern_does_not_hang_the_check() -> None:
    schema = b'{"type":"object","properties":{"a":{"type":"string","pattern":"^(a|a)*$(?=b)"}}}'
    tool = Strange(lambda: ToolResult("x"), spec=ToolSpec("strange", "", msgspec.Raw(schema)))
    await one(ToolSet([tool]), "strange", '{"a": "' + "a" * 5000 + '!"}')  # Else for ever.


class Source:
    """Has one tool while it is open."""

    def __init__(self, tool: Tool, fails: bool = False) -> None:
        self.name = "a source"
        self._tool = tool
        self._fails = fails
        self.log: list[str] = []

    async def open(self) -> list[Tool]:
        self.log.append("open")
        if self._fails:
            raise UsageError("cannot be opened")
        return [self._tool]

    async def close(self) -> None:
        self.log.append("close")


async def test_a_source_is_open_while_its_set_is() -> None:
    source = Source(function_tool(add))
    tools = ToolSet([source, function_tool(add, name="plus")])
    with pytest.raises(UsageError, match="a source are known once the set is open"):
        _ = tools.specs
    assert (await one(tools, "plus", '{"a": 1}'))[1] == "3"
    for _ in range(2):
        async with tools:
            await tools.open()
            assert [spec.name for spec in tools.specs] == ["plus", "add"]
            assert (await one(tools, "add", '{"a": 1}'))[1] == "3"
    assert source.log == ["open", "close"] * 2


async def test_where_one_source_fails_the_others_are_closed() -> None:
    fine, failing = Source(function_tool(add)), Source(function_tool(add), fails=True)
    with pytest.raises(UsageError, match="cannot be opened"):
        async with ToolSet([fine, failing]):
            pytest.fail("it was opened")
    assert fine.log == ["open", "close"]
    with pytest.raises(UsageError, match="two tools are called 'add' of a source; rename one"):
        await ToolSet([add, fine]).open()


# ---------------------------------------------------------------- any call

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=drawn(60), deadline=None)
@given(
    name=st.sampled_from(["add", "no", ""]) | st.text(max_size=5),
    arguments=st.text(max_size=30)
    | st.dictionaries(st.sampled_from(["a", "b", "how", "x"]), json_values).map(
        lambda value: msgspec.json.encode(value).decode()
    ),
)
def test_no_call_makes_it_raise(name: str, arguments: str) -> None:
    record, message = asyncio.run(ToolSet([add]).run(call(name, arguments), 0))
    assert record.status in ("ok", "malformed", "unknown_tool", "invalid_arguments", "raised")
    assert message.tool_call_id == "call-0-0"
    msgspec.json.encode((record, message))
