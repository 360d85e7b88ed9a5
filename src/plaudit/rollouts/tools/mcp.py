"""Tools of MCP servers, through the official SDK: started as a process, or reached over HTTP."""

import asyncio
import contextlib
import os
import shlex
import time
from collections import deque
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from plaudit._util import aio
from plaudit.engines.base import ToolSpec
from plaudit.engines.uri import PASSWORD, problem_of_url
from plaudit.errors import MissingDependencyError, UsageError
from plaudit.rollouts.tools.base import MOST_DATA_BYTES, Tool, ToolError, ToolResult, described
from plaudit.types import Json

if TYPE_CHECKING:
    import mcp.types
    from mcp import Client
    from mcp.client import Transport
    from mcp.types import CallToolResult

_MOST_PAGES = 100
"""Pages of a server's list of tools that are read."""
_LINES_KEPT = 5
"""Lines of a server's standard error that an error message shows."""


def mcp_source(text: str) -> "McpServer":
    """Return the server that a text names: `mcp:COMMAND ARGUMENTS`, or `mcp:` before a URL.

    `mcp+http://...` is the same as `mcp:http://...`. A command is split as a shell does.

    Raises:
        UsageError: it names no server.
        MissingDependencyError: the SDK is not installed.
    """
    rest = text.removeprefix("mcp+" if text.startswith("mcp+") else "mcp:").strip()
    if "://" in rest.partition(" ")[0]:
        return McpServer(rest)
    try:
        command = shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"{text}: the command cannot be split: {error}") from error
    return McpServer(command)


class McpServer:
    """A source of tools: a Model Context Protocol server.

    A server given by its command is started by `open` and stopped by `close`, with everything that
    it started. It gets the environment's harmless variables only, such as PATH and HOME, and those
    of `env`. One that goes away half-way is started, or reached, again by the next call.
    """

    def __init__(
        self,
        server: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        only: Collection[str] = (),
        prefix: str = "",
        patience: float = 30.0,
        pause: float = 10.0,
    ) -> None:
        """Name a server; nothing is started yet.

        Args:
            server: a URL (streamable HTTP), or a program and its arguments.
            env: further environment variables of a program.
            headers: headers of every request to a URL, such as an authorization.
            only: the tools that are taken, by the server's own names; all where empty.
            prefix: put before each tool's name.
            patience: seconds that the server may take until it answers.
            pause: seconds after a failed connection in which none is tried again.

        Raises:
            UsageError: no program is named, or the URL is none or holds a password.
            MissingDependencyError: the SDK is not installed.
        """
        if find_spec("mcp") is None:
            raise MissingDependencyError("mcp", "mcp")
        if not server:
            raise UsageError("mcp: names no server; write mcp:COMMAND ARGUMENTS or mcp:https://...")
        if isinstance(server, str):
            _check_url(server)
        self._server = server
        self._env = dict(env or {})
        self._headers = dict(headers or {})
        self._only = frozenset(only)
        self._prefix = prefix
        self._patience = patience
        self._pause = pause
        self._connection: _Connection | None = None
        self._connect = aio.Once(self._reach)
        self._failed = (0.0, "")
        self.name = f"MCP server {_shown(server)}"

    async def open(self) -> list[Tool]:
        """Start or reach the server and return its tools.

        Raises:
            UsageError: it cannot be started or reached, does not speak the protocol, or lacks a
                tool that was asked for.
        """
        try:
            await self._connect()
            return self._chosen(await self._listed())
        except ToolError as error:
            await self.close()
            raise UsageError(str(error)) from error

    async def close(self) -> None:
        """Stop the server, or leave it."""
        await self._connect.reset()
        connection, self._connection = self._connection, None
        self._failed = (0.0, "")
        if connection is not None:
            await connection.close()

    async def call(self, name: str, arguments: Mapping[str, Json]) -> "CallToolResult":
        """Call a tool of the server, which is reached again where it went away.

        Raises:
            ToolError: it went away, or cannot be reached.
        """
        await self._connect()
        connection = self._connection
        if connection is None:
            raise ToolError(f"{self.name} is closed", "raised")
        try:
            return await connection.here().call_tool(name, dict(arguments))
        except (
            Exception
        ) as error:  # What the SDK raises for a lost connection differs by transport.
            if _refuses_arguments(error):
                raise ToolError(described(error), "invalid_arguments") from error
            if not connection.lost(error):
                raise
            if connection is self._connection:
                self._connect.done = False
            raise ToolError(f"{self.name} went away: {described(error)}", "raised") from error

    async def _reach(self) -> None:
        """Connect, and soon after a failure say only that it failed."""
        when, why = self._failed
        if why and time.monotonic() - when < self._pause:
            raise ToolError(why, "raised")
        if self._connection is not None:
            await self._connection.close()
        errors = _Errors()
        try:
            self._connection = await _Connection.to(self._transport(errors), self._patience)
        except Exception as error:  # Programs, networks and the SDK's parsing fail in many ways.
            why = f"{self.name} cannot be reached: {_leaf(error)}{errors.shown()}"
            self._failed = (time.monotonic(), why)
            raise ToolError(why, "raised") from error
        self._failed = (0.0, "")

    async def _listed(self) -> "list[mcp.types.Tool]":
        """Ask the server for its tools, page by page."""
        assert self._connection is not None
        client = self._connection.here()
        found: list[mcp.types.Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            try:
                page = await asyncio.wait_for(client.list_tools(cursor=cursor), self._patience)
            except Exception as error:  # As many as in `_reach`.
                why = f"{self.name} does not list its tools: {_leaf(error)}"
                raise ToolError(why, "raised") from error
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    def _chosen(self, listed: "Sequence[mcp.types.Tool]") -> list[Tool]:
        assert self._connection is not None
        about = self._connection.here().server_info
        version = f"{about.name} {about.version}" if about else "unnamed"
        missing = self._only - {tool.name for tool in listed}
        if missing:
            names = ", ".join(tool.name for tool in listed) or "none"
            why = f"{self.name} has no tool {min(missing)!r}; it has {names}"
            raise ToolError(why, "raised")
        return [
            _McpTool(self, tool, self._prefix, f"mcp:{version}/{tool.name}")
            for tool in listed
            if not self._only or tool.name in self._only
        ]

    def _transport(self, errors: "_Errors") -> "Transport":
        if isinstance(self._server, str):
            return _over_http(self._server, self._headers)
        return _as_process(self._server, self._env, errors)


class _McpTool:
    """One tool of a server."""

    def __init__(
        self, server: McpServer, tool: "mcp.types.Tool", prefix: str, identity: str
    ) -> None:
        self._server = server
        self._name = tool.name
        schema = msgspec.Raw(msgspec.json.encode(tool.input_schema))
        self.spec = ToolSpec(prefix + tool.name, tool.description or "", schema)
        self.identity = identity

    async def call(self, arguments: Mapping[str, Json]) -> ToolResult:
        """Call the tool on its server."""
        result = await self._server.call(self._name, arguments)
        text = "\n".join(_block(block) for block in result.content)
        if result.is_error:  # The protocol's way to let the model correct itself.
            raise ToolError(text or "the tool failed without saying why")
        if not text and result.structured_content is not None:
            text = msgspec.json.encode(result.structured_content).decode()
        return ToolResult(text, _small(result.structured_content))


def _refuses_arguments(error: Exception) -> bool:
    """Say whether a server answered that the arguments are wrong, which is the model's fault."""
    from mcp import MCPError
    from mcp.types import INVALID_PARAMS

    return isinstance(error, MCPError) and error.code == INVALID_PARAMS


def _small(data: Json) -> Json:
    """Return structured content for rewards, unless it is too large to be kept in a trace."""
    return data if len(msgspec.json.encode(data)) <= MOST_DATA_BYTES else None


def _block(block: Any) -> str:
    """Return what a model can read of a part of a result."""
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        return f"[{block.name}: {block.uri}]"
    if block.type == "resource" and hasattr(block.resource, "text"):
        return block.resource.text
    kind = getattr(block, "mime_type", None) or getattr(block, "type", "content")
    return f"[{kind}: not shown]"


# ---------------------------------------------------------------- connections


class _Connection:
    """A client in a task of its own: the SDK's scopes must end in the task that began them."""

    def __init__(self, client: "Client", task: asyncio.Task[None], closing: asyncio.Event) -> None:
        self._client = client
        self._task = task
        self._closing = closing
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def to(cls, transport: "Transport", patience: float) -> "_Connection":
        """Connect.

        Raises:
            Exception: whatever went wrong, a `TimeoutError` among it.
        """
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        closing = asyncio.Event()
        task = asyncio.create_task(_keep(transport, ready, closing))
        try:
            await asyncio.wait({task, ready}, timeout=patience, return_when="FIRST_COMPLETED")
            if ready.done():
                return cls(ready.result(), task, closing)
            raise TimeoutError(f"no answer within {patience:g} seconds")
        except BaseException:
            task.cancel()
            await asyncio.wait({task})
            raise

    def here(self) -> "Client":
        """Return the client, in the event loop that it belongs to."""
        if asyncio.get_running_loop() is not self._loop:
            raise ToolError("the server was opened in another event loop", "raised")
        return self._client

    def lost(self, error: Exception) -> bool:
        """Say whether an error means that the connection is gone."""
        import anyio
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        gone = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)
        closed = isinstance(error, MCPError) and error.code == CONNECTION_CLOSED
        return closed or isinstance(error, gone) or self._task.done()

    async def close(self) -> None:
        """Disconnect; a process is stopped."""
        self._closing.set()
        await asyncio.wait({self._task})


async def _keep(
    transport: "Transport", ready: "asyncio.Future[Client]", closing: asyncio.Event
) -> None:
    from mcp import Client

    try:
        async with Client(transport) as client:
            ready.set_result(client)
            await closing.wait()
    except Exception as error:  # The waiting caller raises it; later calls notice by themselves.
        if not ready.done():
            ready.set_exception(error)


@contextlib.asynccontextmanager
async def _as_process(
    command: Sequence[str], env: Mapping[str, str], errors: "_Errors"
) -> AsyncGenerator[Any]:
    from mcp import StdioServerParameters, stdio_client

    program, *arguments = command
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(env))
    with errors.pipe() as pipe:
        async with stdio_client(parameters, errlog=pipe) as streams:
            pipe.close()  # The server alone has it now, so that it ends with the server.
            yield streams


@contextlib.asynccontextmanager
async def _over_http(url: str, headers: Mapping[str, str]) -> AsyncGenerator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    timeout = httpx2.Timeout(30.0, read=300.0)
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=timeout) as http,
        streamable_http_client(url, http_client=http) as streams,
    ):
        yield streams


class _Errors:
    """The last lines of what a server writes to its standard error."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def pipe(self) -> Any:
        """Return a file whose lines are kept, until all who have it have closed it."""
        reading, writing = os.pipe()
        aio.in_thread(lambda: self._read(reading))
        return os.fdopen(writing, "w")

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, errors="replace") as lines:
            while line := lines.readline(_LINE_CHARS):
                self._lines.append(line.rstrip())

    def shown(self) -> str:
        """Return the lines for an error message."""
        return "; it wrote: " + " / ".join(self._lines) if self._lines else ""


_LINE_CHARS = 300


# ---------------------------------------------------------------- names and messages


def _check_url(url: str) -> None:
    problem = problem_of_url(url)
    if problem == PASSWORD:
        raise UsageError("the URL of an MCP server must not hold a password; give it in a header")
    if problem is not None:
        raise UsageError(
            f"what follows mcp: is no URL of an MCP server: {problem}; write mcp:https://HOST/PATH"
        )


def _shown(server: str | Sequence[str]) -> str:
    """Name a server without what could be a secret: options, and a URL's query."""
    if isinstance(server, str):
        parts = urlsplit(server)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"
    first = [word for word in server[1:2] if "=" not in word and not word.startswith("-")]
    return " ".join([Path(server[0]).name, *first])


def _leaf(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return described(error)  # pyright: ignore[reportUnknownArgumentType]
