"""Token ids over OpenAI's protocol, in the forms of vLLM, SGLang and llama.cpp's server.

vLLM and SGLang take `return_token_ids`: `token_ids` then stands in the choice, and
`prompt_token_ids` in the choice or in the reply. llama.cpp takes `return_tokens` and `verbose`, and
tells the ids in a form of the reply of its own, without those of the prompt.
"""

from typing import Annotated, NamedTuple

import msgspec

from plaudit.engines.base import Request
from plaudit.engines.openai.wire import Choice, Logprobs, Reply
from plaudit.engines.replies import is_logprob, read_counts
from plaudit.types import Json

FIELDS = frozenset({"return_token_ids", "return_tokens", "verbose"})
"""What requests ask for ids with."""

Ids = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], ...]


class _Verbose(msgspec.Struct):
    tokens: Ids = ()


class TokenUsage(NamedTuple):
    """What a reply tells of tokens; None where it does not tell it, or not of all of them."""

    ids: Ids | None
    logprobs: tuple[float, ...] | None
    prompt_ids: Ids | None
    impossible: bool
    """Whether a log-probability is above 0."""


def ask_tokens(body: dict[str, Json], llama: bool) -> None:
    """Have a request's body ask for the ids and log-probabilities of all sampled tokens.

    Args:
        body: with a `prompt` or with `messages`; log-probabilities that it asks for stay.
        llama: whether the server may be llama.cpp's.
    """
    body["return_token_ids"] = True
    if llama:
        body["return_tokens"] = body["verbose"] = True
    if "logprobs" not in body:
        body["logprobs"] = 1 if "prompt" in body else True


def read_tokens(reply: Reply, choice: Choice, request: Request) -> TokenUsage:
    """Return what a reply tells of tokens.

    A list of ids that is shorter than the server's own count lacks some, such as the token that
    ended the reply: it counts as not told.

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
