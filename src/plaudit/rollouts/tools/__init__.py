"""Tools that an agent can call: functions, searches and MCP servers, run without ever raising."""

from plaudit.rollouts.tools.base import Tool, ToolError, ToolResult, ToolSource
from plaudit.rollouts.tools.function import function_tool
from plaudit.rollouts.tools.load import load_tools
from plaudit.rollouts.tools.toolset import ToolSet

__all__ = [
    "Tool",
    "ToolError",
    "ToolResult",
    "ToolSet",
    "ToolSource",
    "function_tool",
    "load_tools",
]
