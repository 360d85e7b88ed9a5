"""Replies of servers that speak OpenAI's protocol, in the shapes in which they are sent."""

from operator import attrgetter

import msgspec

from plaudit.engines.base import FinishReason, TokenLogprob
from plaudit.types import Json

_MASKED = -9999.0
_INFINITE = float("inf")


class _Top(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float | None = None


class _Position(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    top_logprobs: list[_Top] | None = None
    id: int | None = None


class Logprobs(msgspec.Struct):
    """Both shapes: `content` (chat, llama.cpp) and maps keyed by text (vLLM, Together)."""

    content: list[_Position] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None


class _Part(msgspec.Struct):
    text: str = ""


class ReplyMessage(msgspec.Struct):
    """An assistant message."""

    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: Json = None
    reasoning: Json = None
    """The thoughts, where the server takes them out of the text."""
    reasoning_content: Json = None
    """What other servers call it."""

    @property
    def text(self) -> str:
        """The content as text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Choice(msgspec.Struct):
    """One of the replies that a request may ask for; here always the only one."""

    message: ReplyMessage | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    token_ids: Json = None
    prompt_token_ids: Json = None
    prompt_logprobs: Json = None


class Counts(msgspec.Struct):
    """Tokens as the server counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Reply(msgspec.Struct, rename={"verbose": "__verbose"}):
    """A reply as a whole, of chat and completion alike."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: Json = None
    object: str | None = None
    prompt: Json = None
    prompt_logprobs: Json = None
    prompt_token_ids: Json = None
    verbose: Json = None
    """llama.cpp's own form of the reply, where it was asked for."""


decode_reply = msgspec.json.Decoder(Reply)
"""Decodes a reply's body."""

FINISH: dict[str | None, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
"""What the finish reasons of all servers mean."""

_by_logprob = attrgetter("logprob")


def first_position(given: Logprobs | None) -> tuple[TokenLogprob, ...]:
    """Return the candidates of the first token, the sampled one among them, most probable first.

    Candidates that a server masks, or whose number is none, are left out.
    """
    found = _first_shown(given) if given else []
    found = [entry for entry in found if _MASKED < entry.logprob < _INFINITE]
    found.sort(key=_by_logprob, reverse=True)
    return tuple(found)


def _first_shown(given: Logprobs) -> list[TokenLogprob]:
    if given.content:
        first = given.content[0]
        token, logprob = first.token, first.logprob
        shown = first.top_logprobs or ()
        top = [TokenLogprob(e.token, e.logprob) for e in shown if e.logprob is not None]
    else:
        token = given.tokens[0] if given.tokens else ""
        logprob = given.token_logprobs[0] if given.token_logprobs else None
        entries = (given.top_logprobs[0] if given.top_logprobs else None) or {}
        top = [TokenLogprob(text, value) for text, value in entries.items() if value is not None]
    if logprob is not None and all(entry.token != token for entry in top):
        top.append(TokenLogprob(token, logprob))
    return top
