"""The tools of an agent: calls are checked, limited, run side by side, and always answered."""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Self, cast
from weakref import WeakKeyDictionary

import msgspec

from plaudit._util import aio
from plaudit._util.options import Help
from plaudit._util.ranges import COUNT, SECONDS, Range, check_ranges
from plaudit.engines.base import ToolCall, ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.calls.reply import MalformedCall
from plaudit.rollouts.tools.base import (
    ArgumentCheck,
    Tool,
    ToolError,
    ToolResult,
    ToolSource,
    checked,
    clean,
    cut,
    described,
    error_text,
)
from plaudit.rollouts.tools.function import function_tool
from plaudit.rollouts.trace import CallRecord
from plaudit.types import Json, Message

Offered = Tool | ToolSource | Callable[..., Any]
"""What a tool set takes: tools, what has tools while it is open, and functions."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ToolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What calls of tools may take and give."""

    timeout: Annotated[
        float,
        Range(0, SECONDS, above=True),
        Help("Most seconds of a tool call.", "Agent", "S", ("--tool-timeout",), rare=True),
    ] = 30.0
    """Unless a tool has a limit of its own."""
    max_result_chars: Annotated[
        int, COUNT, Help("Longer tool results are cut.", "Agent", rare=True)
    ] = 16_000
    """There is a note at the cut."""
    max_concurrency: Annotated[int, COUNT] = 64
    """Most calls that run at a time; others wait, outside of their time."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)


class ToolSet:
    """Tools by name. Running a call never raises: what fails is the tool's answer to the model.

    The status of a call says whose fault it was: see `CallStatus` and `TOOL_FAULTS`.

    A set with sources, such as MCP servers, knows its tools only while it is open
    (`async with tools:`); one of tools and functions is always ready. It may be used from several
    event loops, unless it has sources.

    The content of an answer is the tool's own text: untrusted, and not escaped.
    """

    def __init__(
        self,
        tools: Iterable[Offered] = (),
        *,
        timeout: float = 30.0,
        max_result_chars: int = 16_000,
        max_concurrency: int = 64,
    ) -> None:
        """Gather tools.

        Args:
            tools: their names must differ.
            timeout: seconds that one call may take, unless its tool has a limit of its own.
            max_result_chars: longer results are cut, with a note at the cut.
            max_concurrency: most calls that run at a time; others wait, outside of their time.

        Raises:
            UsageError: two tools have one name, or a model cannot be shown a tool.
            ArgumentError: a limit is out of range.
        """
        self._limits = ToolLimits(
            timeout=timeout, max_result_chars=max_result_chars, max_concurrency=max_concurrency
        )
        self._room: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._room = WeakKeyDictionary()
        self._given_up: set[asyncio.Future[Any]] = set()
        self._sources: list[ToolSource] = []
        self._opened = False
        self._fixed: dict[str, _Entry] = {}
        for tool in tools:
            self._take(tool)
        self._tools = dict(self._fixed)

    def _take(self, tool: Offered) -> None:
        if isinstance(tool, ToolSet):
            raise UsageError("a tool set cannot be a tool of another; give its tools")
        if hasattr(tool, "open"):
            self._sources.append(cast("ToolSource", tool))
        elif hasattr(tool, "spec"):
            _add(self._fixed, cast("Tool", tool), "")
        else:
            _add(self._fixed, function_tool(cast("Callable[..., Any]", tool)), "")

    # ------------------------------------------------------------ what it offers

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What a model is shown, in the order given.

        Raises:
            UsageError: the set has sources and is not open.
        """
        return tuple(entry.tool.spec for entry in self._ready().values())

    @property
    def identity(self) -> str:
        """A hash of names, descriptions, schemas and what the tools' results depend on.

        How long results may be is part of it; how long calls may take is not.

        Raises:
            UsageError: the set has sources and is not open.
        """
        parts = [(entry.tool.spec, entry.tool.identity) for entry in self._ready().values()]
        identity = self._limits.max_result_chars, parts
        return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()

    def _ready(self) -> "dict[str, _Entry]":
        if self._sources and not self._opened:
            names = ", ".join(source.name for source in self._sources)
            raise UsageError(f"the tools of {names} are known once the set is open: async with")
        return self._tools

    # ------------------------------------------------------------ lifetime

    async def open(self) -> None:
        """Open the sources; cheap when repeated.

        Raises:
            UsageError: a source cannot be used, or two tools have one name. None is left open.
        """
        if self._opened:
            return
        found = dict(self._fixed)
        try:
            for source in self._sources:
                for tool in await source.open():
                    _add(found, tool, source.name)
        except BaseException:
            await self.close()
            raise
        self._tools, self._opened = found, True

    async def close(self) -> None:
        """Close the sources; the set may be opened again."""
        self._opened = False
        for source in reversed(self._sources):
            await source.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ------------------------------------------------------------ calls

    async def run_all(
        self, calls: Sequence[ToolCall | MalformedCall], turn: int
    ) -> list[tuple[CallRecord, Message]]:
        """Run calls side by side; they are answered in their order. Never raises.

        Args:
            calls: of one turn, readable or not.
            turn: index of the turn that made them.
        """
        if not calls:
            return []
        return await aio.together((self.run(call, turn) for call in calls), ())

    async def run(self, call: ToolCall | MalformedCall, turn: int) -> tuple[CallRecord, Message]:
        """Run one call. Never raises, except that it can be cancelled.

        Args:
            call: as the model made it; what could not be read is answered with what is wrong.
            turn: index of the turn that made it.

        Returns:
            What became of the call, and the message with role `tool` that answers it.
        """
        begun, status, data, truncated = time.monotonic(), "ok", None, False
        arguments: Json = clean(call.text if isinstance(call, MalformedCall) else call.arguments)
        try:
            if isinstance(call, MalformedCall):
                raise ToolError(call.why, "malformed")
            arguments = _object(call.arguments)
            entry = self._named(call.name)
            entry.check(arguments)
            async with self._slot():
                begun = time.monotonic()
                result = await self._answer(entry.tool, arguments)
            content, truncated = cut(result.content, self._limits.max_result_chars)
            data = result.data
        except ToolError as error:
            status, content = error.status, error_text(str(error))
        except Exception as error:  # Of the tool's own properties, or of a schema that misleads.
            status, content = "raised", error_text(described(error))
        record = CallRecord(
            id=call.id,
            turn=turn,
            name=clean(call.name),
            arguments=arguments,
            status=status,
            data=data,
            truncated=truncated,
            seconds=time.monotonic() - begun,
        )
        return record, Message("tool", content, tool_call_id=call.id)

    def _named(self, name: str) -> "_Entry":
        entry = self._tools.get(name)
        if entry is None:
            names = ", ".join(self._tools) or "none"
            raise ToolError(f"there is no tool {name!r}; there are: {names}", "unknown_tool")
        return entry

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        return self._room.setdefault(loop, asyncio.Semaphore(self._limits.max_concurrency))

    async def _answer(self, tool: Tool, arguments: dict[str, Json]) -> ToolResult:
        """Call a tool in a task of its own, which is given up when its time is over.

        Raises:
            ToolError: there is no result that a model could read.
        """
        seconds = getattr(tool, "timeout", None) or self._limits.timeout
        task = asyncio.ensure_future(_guarded(tool, arguments))
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self._give_up(task)
            raise
        if not done:
            self._give_up(task)
            raise ToolError(f"it did not answer within {seconds:g} seconds", "timeout")
        if task.cancelled():
            raise ToolError("it was cancelled", "raised")
        return checked(task.result())

    def _give_up(self, task: asyncio.Future[Any]) -> None:
        """Cancel a task without waiting, since it may not heed it; keep it until it has ended."""
        self._given_up.add(task)
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()


class _Entry(msgspec.Struct, frozen=True):
    """A tool of the set with the check of its arguments."""

    tool: Tool
    check: ArgumentCheck
    source: str


def _add(tools: dict[str, _Entry], tool: Tool, source: str) -> None:
    name = tool.spec.name
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a tool cannot be called {name!r}: take at most 64 letters, digits, _, - and ."
        )
    if name in tools:
        places = " and ".join(f"of {place}" for place in (tools[name].source, source) if place)
        raise UsageError(
            f"two tools are called {name!r} {places}".rstrip()
            + "; rename one, or give a server a prefix"
        )
    tools[name] = _Entry(tool, ArgumentCheck(tool.spec), source)


def _object(text: str) -> dict[str, Json]:
    """Read arguments; no text at all are no arguments, as engines give them."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ToolError(f"the arguments are not JSON: {error}", "malformed") from error
    if not isinstance(value, dict):
        raise ToolError("the arguments must be a JSON object", "malformed")
    return cast("dict[str, Json]", value)


async def _guarded(tool: Tool, arguments: dict[str, Json]) -> ToolResult:
    """Call a tool; what it raises becomes a `ToolError`."""
    try:
        return await tool.call(arguments)
    except (asyncio.CancelledError, KeyboardInterrupt, ToolError):
        raise
    except BaseException as error:  # A tool may raise anything, and `sys.exit` must not end a run.
        raise ToolError(described(error), "raised") from error
