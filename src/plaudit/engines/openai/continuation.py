"""The log-probability of a given text, over OpenAI's protocol.

Two forms: `prompt_logprobs` (vLLM, in both modes) lists the tokens of the prompt, of which the text
is then the end; `echo` (SGLang, Together) gives the prompt back as if it had been written. Either
way the text must begin where a token begins, else the number is about another text.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from plaudit.types import Json, Message, Usage

Form = Literal["prompt_logprobs", "echo"]
"""How a server is asked."""

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


def extend(body: dict[str, Json], continuation: str, form: Form) -> None:
    """Turn the body of a request into one that asks about a continuation.

    Args:
        body: with a `prompt`, or with `messages`, to which a partial assistant message is added.
        continuation: the text; put behind the prompt as it is.
        form: how the server is asked.
    """
    if "prompt" in body:
        body["prompt"] += continuation
    else:
        body["messages"] = [*body["messages"], Message("assistant", continuation)]
        body["add_generation_prompt"] = False
        body["continue_final_message"] = True
    if form == "echo":
        body["echo"] = True
        body["logprobs"] = 1
    else:
        body["prompt_logprobs"] = 1


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
        if logprob is None or not logprob < _ABOVE_ZERO:
            return None
        total += logprob
        if text == continuation:
            return min(total, 0.0)
        if text == continuation.lstrip(" ") and _ends(prompt, before):
            return min(total, 0.0)
        if len(text) >= len(continuation):
            return None
    return None


_ABOVE_ZERO = 1e-3
"""A log-probability is at most 0; so much is rounding."""


def _backwards(scored: Scored) -> Iterator[tuple[str, float | None, str]]:
    """Give each token from the last one on, with the text of the token before it."""
    texts = [token.translate(_SPACES) for token, _ in scored]
    for i in range(len(scored) - 1, 0, -1):
        yield texts[i], scored[i][1], texts[i - 1]


def _ends(prompt: str | None, token: str) -> bool:
    """Return whether a prompt ends with a token, and not with a space."""
    return bool(prompt and token) and not token[-1].isspace() and str(prompt).endswith(token)
