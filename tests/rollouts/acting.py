"""A model whose every turn is known, and what it takes to roll it out."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from plaudit.corpus.questions import Question
from plaudit.engines.base import Capabilities, Completion, EngineInfo, Request, ToolCall
from plaudit.errors import CallError
from plaudit.rollouts.agent import Agent
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.policy import Policy
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Trace
from plaudit.types import Usage

Reply = str | Completion | Exception
QUESTION = Question(id="q1", question="Who flew?", answer="Swigert, the gold answer")


class Actor:
    """An engine that gives its replies turn by turn; what it was asked is kept."""

    uri = "actor:"

    def __init__(self, *replies: Reply, delay: float = 0.0, **able: Any) -> None:
        self.replies = replies
        self.delay = delay
        self.requests: list[Request] = []
        given = {"chat": True, "tools": True, "cacheable": False, **able}
        self.capabilities = Capabilities(**given)
        self.info = EngineInfo(special_tokens=("<|im_start|>", "<|im_end|>", "<|odd_one|>"))

    async def identify(self) -> str:
        return "actor:1"

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        if self.delay:
            await asyncio.sleep(self.delay)
        reply = self.replies[int(request.turn)]
        if isinstance(reply, Exception):
            raise reply
        return said(reply) if isinstance(reply, str) else reply

    @property
    def prompts(self) -> list[list[dict[str, Any]]]:
        """The messages of each request."""
        return [msgspec.to_builtins(request.prompt) for request in self.requests]


def said(text: str, tokens: int | None = None, **fields: Any) -> Completion:
    """A reply of the model; a word is a token."""
    return Completion(text=text, usage=Usage(10, tokens or len(text.split())), **fields)


def calls(*made: tuple[str, str, str], text: str = "", tokens: int = 5) -> Completion:
    """A reply that makes calls, each given as id, name and arguments."""
    found = tuple(ToolCall(*call) for call in made)
    return said(text, tokens, tool_calls=found, finish_reason="tool_calls")


def search(query: str) -> str:
    """Search the documents.

    Args:
        query: words to look for.
    """
    return f"found {query}"


def config(**fields: Any) -> RolloutConfig:
    return RolloutConfig(date="2026-11-21", **fields)


async def roll_out(
    engine: Actor,
    tools: Sequence[Callable[..., Any]] = (search,),
    question: Question = QUESTION,
    draw: int = 0,
    limits: dict[str, Any] | None = None,
    **fields: Any,
) -> Trace:
    """Roll out one question."""
    toolset = ToolSet(tools, **(limits or {}))
    settings = config(**fields)
    agent = Agent(await Policy.bind(engine, toolset, settings), toolset, settings)
    return await agent.run(question, draw, engine.complete)


def failed(cause: Any) -> CallError:
    return CallError(cause, f"it failed: {cause}", attempts=3)
