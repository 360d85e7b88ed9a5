"""A real MCP server for the tests, run as a process: `mcp_server.py [stdio | http PORT]`."""

import asyncio
import os
import sys

from mcp.server import MCPServer

server = MCPServer("plaudit-test", version="1.2")


@server.tool()
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def echo(text: str) -> str:
    """Say the same."""
    return text


@server.tool()
def fail(text: str) -> str:
    """Fail."""
    raise ValueError(text)


@server.tool()
async def wait(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "waited"


@server.tool()
def die() -> str:
    """End the server's process in the middle of the call."""
    os._exit(3)


@server.tool()
def pid() -> int:
    """Tell the process."""
    return os.getpid()


@server.tool()
def variable(name: str) -> str:
    """Tell an environment variable."""
    return os.environ.get(name, "unset")


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        print("starting", file=sys.stderr)
        server.run("stdio")
