"""Against a real server of our own, in a process of its own, over both transports."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from plaudit.engines.base import ToolCall
from plaudit.errors import UsageError
from plaudit.rollouts.tools import Tool, ToolSet, load_tools
from plaudit.rollouts.tools.mcp import McpServer
from plaudit.rollouts.trace import CallRecord
from tests.support.waiting import await_until

SERVER = str(Path(__file__).with_name("mcp_server.py"))
COMMAND = [sys.executable, SERVER]


async def one(tools: ToolSet, name: str, arguments: object = None) -> tuple[CallRecord, str]:
    text = msgspec.json.encode(arguments or {}).decode()
    record, message = await tools.run(ToolCall("c", name, text), 0)
    assert isinstance(message.content, str)
    return record, message.content


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def servers() -> list[int]:
    """Processes of the server that this process has."""
    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and SERVER in child.cmdline()
    ]


async def gone(pid: int) -> bool:
    await await_until(lambda: not alive(pid), f"the end of {pid}")
    return True


async def test_tools_of_a_server_process_are_called_and_checked() -> None:
    async with load_tools([f"mcp:{sys.executable} {SERVER}"], max_result_chars=100) as tools:
        specs = {spec.name: spec for spec in tools.specs}
        assert specs["add"].description == "Add two numbers."
        assert msgspec.json.decode(specs["add"].parameters)["required"] == ["a"]
        record, content = await one(tools, "add", {"a": 1})
        assert (record.status, content, record.data) == ("ok", "3", {"result": 3})
        record, content = await one(tools, "add", {"a": "x"})
        assert record.status == "invalid_arguments"
        record, content = await one(tools, "fail", {"text": "no such page"})
        assert (record.status, content[:7]) == ("declined", "Error: ")
        assert "fail" in content
        record, content = await one(tools, "echo", {"text": "x" * 2_000_000})
        assert (record.status, record.truncated, record.data) == ("ok", True, None)
        assert content.endswith("[cut here: 100 of 2,000,000 characters are shown]")
        pid = int((await one(tools, "pid"))[1])
        identity = tools.identity
    assert await gone(pid)
    async with ToolSet([McpServer(COMMAND)], max_result_chars=100) as tools:
        assert tools.identity == identity


async def test_a_call_over_its_time_is_given_up_and_the_server_goes_on() -> None:
    class Hurried(McpServer):
        async def open(self) -> list[Tool]:
            tools = await super().open()
            for tool in tools:
                if tool.spec.name == "wait":
                    tool.timeout = 0.5  # type: ignore[attr-defined]
            return tools

    async with ToolSet([Hurried(COMMAND)], timeout=60) as tools:
        assert (await one(tools, "add", {"a": 1}))[0].status == "ok"
        assert (await one(tools, "wait", {"seconds": 30}))[0].status == "timeout"
        assert (await one(tools, "add", {"a": 1}))[1] == "3"


async def test_a_server_that_dies_half_way_is_reported_and_started_again() -> None:
    async with ToolSet([McpServer(COMMAND)]) as tools:
        first = int((await one(tools, "pid"))[1])
        calls = [ToolCall("a", "wait", '{"seconds": 30}'), ToolCall("b", "die", "{}")]
        done = await tools.run_all(calls, 0)
        assert [record.status for record, _ in done] == ["raised", "raised"]
        assert all("went away" in str(message.content) for _, message in done)
        assert await gone(first)
        answers = await asyncio.gather(*(one(tools, "pid") for _ in range(5)))
        pids = {content for _, content in answers}
        assert len(pids) == 1
        assert pids != {str(first)}


async def test_a_server_that_cannot_come_back_is_said_at_once(tmp_path: Path) -> None:
    script, starts = tmp_path / "server.py", tmp_path / "starts"
    script.write_text(Path(SERVER).read_text())
    async with ToolSet([McpServer([sys.executable, str(script)], pause=600)]) as tools:
        script.write_text(
            f"open({str(starts)!r}, 'a').write('x')\nraise SystemExit('the licence has run out')"
        )
        await one(tools, "die")
        for _ in range(2):
            record, content = await one(tools, "pid")
            assert record.status == "raised"
            assert "cannot be reached" in content
            assert "the licence has run out" in content
        assert starts.read_text() == "x"  # Not started again so soon.


async def test_a_server_that_is_stopped_from_outside_is_started_again() -> None:
    async with ToolSet([McpServer(COMMAND)]) as tools:
        pid = int((await one(tools, "pid"))[1])
        os.kill(pid, signal.SIGKILL)
        assert await gone(pid)
        statuses = [(await one(tools, "pid"))[0].status for _ in range(2)]
        assert statuses in (["raised", "ok"], ["ok", "ok"])


async def test_a_set_that_is_closed_while_a_server_starts_again_leaves_none_behind() -> None:
    async with ToolSet([McpServer(COMMAND)]) as tools:
        await one(tools, "die")
        call = asyncio.ensure_future(one(tools, "pid"))
        await await_until(servers, "the start of a server")
    assert servers() == []
    record, content = await call
    assert (record.status, content) == ("raised", "Error: it was cancelled")


async def test_a_server_gets_only_the_variables_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    async with ToolSet([McpServer(COMMAND, env={"PAGE": "4"}, prefix="my_")]) as tools:
        assert (await one(tools, "my_variable", {"name": "OPENAI_API_KEY"}))[1] == "unset"
        assert (await one(tools, "my_variable", {"name": "PAGE"}))[1] == "4"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], "cannot be reached: FileNotFoundError"),
        ([sys.executable, "-c", "raise SystemExit('bad key')"], "it wrote: bad key"),
        (
            [
                sys.executable,
                "-c",
                "print('hello', flush=True); input(); import time; time.sleep(60)",
            ],
            "no answer within 1 seconds",
        ),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "no answer within 1 seconds"),
    ],
)
async def test_a_server_that_cannot_be_used_is_said(command: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        async with ToolSet([McpServer(command, patience=1 if "within" in message else 60)]):
            pytest.fail("it was opened")


async def test_two_servers_with_one_tool_name_need_a_prefix() -> None:
    with pytest.raises(UsageError, match=r"two tools are called 'add'.*give a server a prefix"):
        await ToolSet([McpServer(COMMAND), McpServer(COMMAND)]).open()


async def test_only_some_tools_of_a_server_may_be_taken() -> None:
    async with ToolSet([McpServer(COMMAND, only=["add"], prefix="my_")]) as tools:
        assert [spec.name for spec in tools.specs] == ["my_add"]
    with pytest.raises(UsageError, match="has no tool 'subtract'; it has add, echo"):
        await McpServer(COMMAND, only=["add", "subtract"]).open()
    assert servers() == []


def test_a_server_serves_the_event_loop_that_opened_it() -> None:
    tools = ToolSet([McpServer(COMMAND)])

    async def use() -> str:
        async with tools:
            return (await one(tools, "add", {"a": 1}))[1]

    assert [asyncio.run(use()) for _ in range(2)] == ["3", "3"]


# ---------------------------------------------------------------- over HTTP


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(port: int) -> Iterator[None]:
    """Run the server over HTTP."""
    process = subprocess.Popen(
        [*COMMAND, "http", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


async def test_tools_of_a_server_over_http_are_called(port: int) -> None:
    server = McpServer(f"http://127.0.0.1:{port}/mcp", pause=0.0)
    with pytest.raises(UsageError, match=rf"http://127\.0\.0\.1:{port}/mcp cannot be reached"):
        await server.open()
    tools = ToolSet([server])
    with serving(port):
        await tools.open()
        assert (await one(tools, "add", {"a": 1}))[1] == "3"
        first = (await one(tools, "pid"))[1]
    for _ in range(2):
        record, content = await one(tools, "pid")
        assert record.status == "raised"
        assert "went away" in content or "cannot be reached" in content
    with serving(port):
        record, content = await one(tools, "pid")
        assert (record.status, content == first) == ("ok", False)
    await tools.close()


async def test_headers_go_with_every_request(port: int) -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        server = McpServer(
            f"http://127.0.0.1:{port}/mcp", headers={"Authorization": "Bearer abc"}, patience=60
        )
        with pytest.raises(UsageError, match="cannot be reached") as caught:
            await server.open()
    assert seen
    assert all(b"authorization: bearer abc" in head.lower() for head in seen)
    assert "abc" not in str(caught.value)
