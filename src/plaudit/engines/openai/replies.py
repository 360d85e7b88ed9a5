"""Replies over OpenAI's protocol, in the shapes in which servers send them."""

import math
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated, NamedTuple

import msgspec

from plaudit.engines.base import Request, TokenLogprob, ToolCall
from plaudit.engines.replies import (
    ABOVE_ZERO,
    as_thought,
    check_logprobs,
    is_logprob,
    made_calls,
    no_logprobs,
    read_counts,
)
from plaudit.types import Json, Usage

_MASKED = -9999.0

_Candidate = tuple[str, float | None]
"""A token and its log-probability; None: unknown."""


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
    text: str | None = None


class ReplyMessage(msgspec.Struct):
    """An assistant message."""

    content: str | list[str | _Part] | None = None
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
            texts = (part if isinstance(part, str) else part.text for part in self.content)
            return "".join(text or "" for text in texts)
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


class Reply(msgspec.Struct, rename={"verbose": "__verbose"}):
    """A reply as a whole, of chat and completion alike."""

    choices: list[Choice] | None = None
    usage: Json = None
    error: Json = None
    object: str | None = None
    prompt: Json = None
    prompt_logprobs: Json = None
    prompt_token_ids: Json = None
    verbose: Json = None
    """llama.cpp's own form of the reply, where it was asked for."""

    @property
    def used(self) -> Usage:
        """Tokens as the server counts them; 0 where it does not say."""
        prompt, written = read_counts(self.usage, "prompt_tokens", "completion_tokens")
        return Usage(prompt or 0, written or 0)


decode_reply = msgspec.json.Decoder(Reply)
"""Decodes a reply's body."""

_by_logprob = attrgetter("logprob")


class FirstPosition(NamedTuple):
    """What a reply shows of the first token."""

    candidates: tuple[TokenLogprob, ...]
    """Most probable first, the sampled one among them."""
    floor: float | None
    """The log-probability that a token has at most that is not among them; None: the smallest."""


def first_position(given: Logprobs | None) -> FirstPosition:
    """Return the candidates of the first token.

    Those that a server masks are left out. So are those whose number is unknown, which may have all
    the probability that the others leave.

    Raises:
        ReplyError: the numbers are no log-probabilities.
    """
    if given is None:
        return FirstPosition((), None)
    sampled, shown = _sampled(given), _shown(given)
    texts = [text for text, _ in shown]
    if len(set(texts)) < len(texts):
        shown = list(dict.fromkeys(shown))  # What a server lists twice is one token.
    if sampled[0] not in texts:
        shown.append(sampled)
    found: list[TokenLogprob] = []
    unknown = False
    for text, logprob in shown:
        if logprob is None or logprob != logprob:  # NaN
            unknown = True
            if logprob is not None and text == sampled[0]:
                raise no_logprobs(f"that of {text[:40]!r}, which was sampled, is not a number")
        elif logprob > _MASKED:
            found.append(TokenLogprob(text, logprob))
    check_logprobs(found)
    found.sort(key=_by_logprob, reverse=True)
    return FirstPosition(tuple(found), _most_hidden(found) if found and unknown else None)


def _most_hidden(found: list[TokenLogprob]) -> float:
    """Return the log-probability of all that is not shown, at least that of the last one."""
    rest = 1 - math.fsum(math.exp(candidate.logprob) for candidate in found)
    last = found[-1].logprob
    return max(last, math.log(rest)) if rest > 0 else last


def _sampled(given: Logprobs) -> _Candidate:
    if given.content:
        return given.content[0].token, given.content[0].logprob
    token = given.tokens[0] if given.tokens else ""
    return token, given.token_logprobs[0] if given.token_logprobs else None


def _shown(given: Logprobs) -> list[_Candidate]:
    if given.content:
        return [(entry.token, entry.logprob) for entry in given.content[0].top_logprobs or ()]
    return list(((given.top_logprobs[0] if given.top_logprobs else None) or {}).items())


# Token ids. vLLM and SGLang send `token_ids` in the choice, and `prompt_token_ids` in the choice or
# in the reply. llama.cpp sends the ids in a form of the reply of its own, without the prompt's.

Ids = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], ...]


class _Verbose(msgspec.Struct):
    tokens: Ids = ()


class TokenUsage(NamedTuple):
    """Tokens of a reply; None where the reply lacks them, or some of them."""

    ids: Ids | None
    logprobs: tuple[float, ...] | None
    prompt_ids: Ids | None
    impossible: bool
    """Whether a log-probability is above 0."""


def read_tokens(reply: Reply, choice: Choice, request: Request) -> TokenUsage:
    """Return the tokens of a reply.

    A list of ids that is shorter than the server's own count lacks some, such as the token that
    ended the reply: it counts as unknown.

    Raises:
        msgspec.ValidationError: the ids are of another shape.
    """
    ids = msgspec.convert(choice.token_ids, Ids | None)
    if ids is None and reply.verbose is not None:
        ids = msgspec.convert(reply.verbose, _Verbose).tokens or None
    (counted,) = read_counts(reply.usage, "completion_tokens")
    if ids is not None and counted is not None and counted != len(ids):
        ids = None
    reported = choice.prompt_token_ids or reply.prompt_token_ids or request.prompt_ids or None
    values = _values(choice.logprobs)
    return TokenUsage(
        ids,
        _logprobs(choice.logprobs, values, ids),
        msgspec.convert(reported, Ids | None),
        any(value is not None and value > 0 and not is_logprob(value) for value in values),
    )


def _values(given: Logprobs | None) -> list[float | None]:
    if given is None:
        return []
    if given.content is not None:
        return [position.logprob for position in given.content]
    return given.token_logprobs or []


def _logprobs(
    given: Logprobs | None, values: list[float | None], ids: Ids | None
) -> tuple[float, ...] | None:
    """Return a log-probability for each id, None where there is not a sound one for each."""
    if given is None or ids is None:
        return None
    spelled = [position.id for position in given.content or ()]
    if any(id_ not in (None, own) for id_, own in zip(spelled, ids, strict=False)):
        return None
    found = tuple(value for value in values if value is not None and is_logprob(value))
    return found if len(found) == len(ids) == len(values) else None


# Tool calls


class _Function(msgspec.Struct):
    name: str
    arguments: Json = None


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


def read_calls(request: Request, message: ReplyMessage) -> tuple[ToolCall, ...]:
    """Return the calls of a reply.

    Raises:
        msgspec.ValidationError: they are of another shape.
    """
    reported = msgspec.convert(message.tool_calls or [], list[_Call])
    return made_calls(
        request, ((call.id, call.function.name, call.function.arguments) for call in reported)
    )


def with_thoughts(message: ReplyMessage) -> str:
    """Return the text of a reply with the thoughts that the server took out of it."""
    thoughts = message.reasoning_content or message.reasoning
    if not isinstance(thoughts, str):
        return message.text
    return f"{as_thought(thoughts)}\n{message.text}"


# Log-probabilities of a given text. Two forms: vLLM's `prompt_logprobs` lists the tokens of the
# prompt, whose end is the text; SGLang and Together echo the prompt as if it had been written. The
# text must begin where a token begins, else the number is about another text.

Scored = Sequence[tuple[str, float | None]]
"""Tokens and their log-probabilities; the first token of a prompt has none."""

_SPACES = str.maketrans({"\u2581": " ", "\u0120": " ", "\u010a": "\n"})
"""What SentencePiece and GPT-2 write for a space and for a new line."""


class _PromptToken(msgspec.Struct):
    logprob: float | None
    rank: int | None = None
    decoded_token: str | None = None


class _EchoLogprobs(msgspec.Struct):
    tokens: list[str]
    token_logprobs: list[float | None]


class _EchoedPrompt(msgspec.Struct):
    logprobs: _EchoLogprobs


def listed_tokens(prompt_logprobs: Json) -> Scored:
    """Return the tokens of vLLM's `prompt_logprobs`, empty where it sent none.

    Each place holds the prompt's own token and, where that is another one, the likeliest, whose
    rank is 1.

    Raises:
        msgspec.ValidationError: they are of another shape.
    """
    places = msgspec.convert(prompt_logprobs, list[dict[str, _PromptToken] | None] | None)
    return [_own(place) for place in places or ()]


def _own(place: dict[str, _PromptToken] | None) -> tuple[str, float | None]:
    if not place:
        return "", None
    own = max(place.values(), key=lambda token: token.rank or 0)
    return own.decoded_token or "", own.logprob


def echoed_prompt(prompt: Json) -> Scored:
    """Return the tokens of the prompt that Together gives back beside the choices.

    Raises:
        msgspec.ValidationError: they are of another shape.
    """
    (echoed,) = msgspec.convert(prompt, tuple[_EchoedPrompt])
    return _pairs(echoed.logprobs.tokens, echoed.logprobs.token_logprobs)


def echoed_tokens(tokens: Sequence[str], logprobs: Sequence[float | None], usage: Usage) -> Scored:
    """Return the tokens of an echoed prompt without those that the model wrote behind it.

    Empty where the reply does not say which those are.
    """
    if len(tokens) != usage.input_tokens + usage.output_tokens:
        return ()
    return _pairs(tokens, logprobs)[: usage.input_tokens]


def _pairs(tokens: Sequence[str], logprobs: Sequence[float | None]) -> Scored:
    if len(tokens) != len(logprobs):
        return ()
    return list(zip(tokens, logprobs, strict=True))


def tail_logprob(scored: Scored, prompt: str | None, continuation: str) -> float | None:
    """Return the log-probability of the tokens at the end that spell a continuation.

    Args:
        scored: the tokens of prompt and continuation.
        prompt: the prompt's text; None where the server made it from messages.
        continuation: what they must spell. Some servers leave out the space that a token begins
            with; that is seen by the token before, which must then be the prompt's end.

    Returns:
        The sum over its tokens, or None: no tokens spell it, since the tokenizer joins its
        beginning with the end of the prompt, or a token's log-probability is unknown.
    """
    text, total = "", 0.0
    for token, logprob, before in _backwards(scored):
        text = token + text
        if logprob is None or not logprob < ABOVE_ZERO:
            return None
        total += logprob
        if text == continuation:
            return min(total, 0.0)
        if text == continuation.lstrip(" ") and _ends(prompt, before):
            return min(total, 0.0)
        if len(text) >= len(continuation):
            return None
    return None


def _backwards(scored: Scored) -> Iterator[tuple[str, float | None, str]]:
    """Give each token from the last one on, with the text of the token before it."""
    texts = [token.translate(_SPACES) for token, _ in scored]
    for i in range(len(scored) - 1, 0, -1):
        yield texts[i], scored[i][1], texts[i - 1]


def _ends(prompt: str | None, token: str) -> bool:
    """Return whether a prompt ends with a token, and not with a space."""
    return bool(prompt and token) and not token[-1].isspace() and str(prompt).endswith(token)
