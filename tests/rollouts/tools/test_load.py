import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plaudit.engines.base import ToolCall
from plaudit.errors import MissingDependencyError, UsageError
from plaudit.rollouts.tools import function_tool, load_tools
from plaudit.rollouts.tools import mcp as mcp_tools
from plaudit.rollouts.tools.load import recorded


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_tools.py"
    path.write_text(
        "from plaudit.rollouts.tools import function_tool\n"
        "def shout(text: str) -> str:\n"
        "    '''Say it loudly.'''\n"
        "    return text.upper()\n"
        "whisper = function_tool(str.lower, name='whisper') if False else None\n"
        "ready = function_tool(shout, name='ready')\n"
        "count = 3\n"
    )
    return path


async def test_functions_tools_and_texts_make_a_set(file: Path) -> None:
    tools = load_tools(
        [add, function_tool(add, name="plus"), f"{file}:shout", f"{file}:ready"], timeout=3.0
    )
    assert [spec.name for spec in tools.specs] == ["add", "plus", "shout", "ready"]
    _, message = await tools.run(ToolCall("c", "shout", '{"text": "hi"}'), 0)
    assert message.content == "HI"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FILE:count", "is a int, neither a function nor a tool"),
        ("FILE:none", "has no 'none'; it has"),
        ("FILE:function_tool", "parameter 'function' is a"),
        ("search", "write search:INDEX"),
        ("search:", "search:INDEX"),
        ("search:index?k=0", r"write search:INDEX or search:INDEX\?k=NUMBER"),
        ("search:index?k=two", "k=NUMBER"),
        ("search:index?deep=1", "k=NUMBER"),
        ("mcp:", "names no server"),
        ("mcp:server 'unclosed", "cannot be split"),
        ("mcp:http://", "is no URL of an MCP server"),
        ("mcp:https://me:secret@host/mcp", "must not hold a password"),
        ("mcp:HTTPS://me:secret@host/mcp", "must not hold a password"),
        ("mcp:htp://me:secret@host/mcp", "must not hold a password"),
        ("mcp:htp://host/mcp?key=secret", "is no URL of an MCP server"),
        ("mcp:http://[::1/mcp?key=secret", "is no URL of an MCP server"),
    ],
)
def test_a_text_that_names_no_tool_is_refused(text: str, message: str, file: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_tools([text.replace("FILE", str(file))])
    assert "secret" not in str(caught.value)


def test_defect_46_a_run_keeps_no_query_of_a_tools_url() -> None:
    assert recorded("mcp:https://host/mcp?key=secret") == "mcp:https://host/mcp?…"
    assert recorded("search:notes.index?k=3") == "search:notes.index?k=3"


def test_a_search_gives_two_chunks_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def search_tool(index: str, k: int) -> Any:
        asked.append((index, k))
        return function_tool(add, name=f"search{len(asked)}")

    corpus = ModuleType("plaudit.rollouts.tools.search")
    corpus.search_tool = search_tool  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plaudit.rollouts.tools.search", corpus)
    load_tools(["search:my/index", "search:C:/other?k=5"])
    assert asked == [("my/index", 2), ("C:/other", 5)]


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_tools, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'plaudit\[mcp\]'"):
        load_tools(["mcp:server"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mcp:python server.py --key SECRET", "MCP server python server.py"),
        ("mcp:/usr/bin/npx -y package SECRET", "MCP server npx"),
        ("mcp:env KEY=SECRET server", "MCP server env"),
        ("mcp:https://host/mcp?key=SECRET", "MCP server https://host/mcp"),
        ("mcp+http://host:1/mcp", "MCP server http://host:1/mcp"),
    ],
)
def test_a_server_is_named_without_what_could_be_a_secret(text: str, name: str) -> None:
    assert mcp_tools.mcp_source(text).name == name
