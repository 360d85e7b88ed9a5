"""Replies of llama.cpp as it gives them in this process: streamed, chunk by chunk."""

import msgspec

from plaudit.engines.base import Completion, FinishReason, Request, TokenLogprob
from plaudit.errors import CallError, Cause
from plaudit.types import Usage


class Candidate(msgspec.Struct):
    """One candidate of a position."""

    token: str
    logprob: float


class Token(msgspec.Struct):
    """One token that was sampled."""

    id: int
    top_logprobs: list[Candidate] = []


class _Logprobs(msgspec.Struct):
    content: list[Token] | None = None


class _Said(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    text: str = ""
    delta: _Said | None = None
    message: _Said | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class Counts(msgspec.Struct):
    """Tokens of a request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ServerError(msgspec.Struct):
    """What llama.cpp says of a request that it refuses."""

    message: str = ""
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _Chunk(msgspec.Struct):
    """One piece of a streamed reply, of completion and chat alike."""

    choices: list[_Choice] = []
    usage: Counts | None = None
    error: ServerError | None = None


class Call:
    """One request while it is computed, and its reply as it grows."""

    def __init__(self) -> None:
        self.cancelled = False
        self.text: list[str] = []
        self.tokens: list[Token] = []
        self.finish = "unknown"
        self.counts = Counts()
        self.error: ServerError | None = None
        self.broken: Exception | None = None

    def take(self, chunk: bytes) -> bool:
        """Take one chunk; return whether to stop. Called by llama.cpp, so it must not raise."""
        try:
            self._take(_decode(chunk))
        except Exception as error:  # Would be lost in native code; raised again by `reply`.
            self.broken = error
        return self.cancelled or self.broken is not None

    def _take(self, chunk: _Chunk) -> None:
        self.error = chunk.error or self.error
        self.counts = chunk.usage or self.counts
        for choice in chunk.choices:
            said = choice.delta or choice.message
            self.text.append((said.content or "") if said else choice.text)
            if choice.logprobs and choice.logprobs.content:
                self.tokens += choice.logprobs.content
            self.finish = choice.finish_reason or self.finish

    def cancel(self) -> None:
        """Have the next chunk be the last."""
        self.cancelled = True

    def check(self) -> None:
        """Raise unless the reply is whole."""
        if self.error is not None:
            raise refused(self.error)
        if self.cancelled:
            raise closed()
        if self.broken is not None or self.finish == "unknown":
            why = self.broken or "no finish reason"
            raise CallError(Cause.BAD_RESPONSE, f"llama.cpp's reply is incomplete: {why}")

    def completion(self, request: Request) -> Completion:
        """The whole reply."""
        known: dict[str, FinishReason] = {
            "stop": "stop",
            "length": "length",
            "tool_calls": "tool_calls",
        }
        # Streamed text is held back until a character is whole, and then has its last id only.
        whole = len(self.tokens) == self.counts.completion_tokens
        return Completion(
            text="".join(self.text),
            finish_reason=known.get(self.finish, "unknown"),
            logprobs=_candidates(self.tokens, request.logprobs),
            token_ids=tuple(token.id for token in self.tokens) if whole else None,
            usage=Usage(self.counts.prompt_tokens, self.counts.completion_tokens),
        )


_decode = msgspec.json.Decoder(_Chunk).decode


def closed() -> CallError:
    """Return what a request ends with whose model is closed."""
    return CallError(Cause.CONNECTION, "the model was closed meanwhile", retryable=True)


def not_unicode(error: UnicodeEncodeError) -> CallError:
    """Return what is said of a prompt with lone surrogates."""
    return CallError(Cause.BAD_REQUEST, f"the prompt is not Unicode text: {error}")


def refused(error: ServerError) -> CallError:
    """Return what a refusal means."""
    if error.type == "exceed_context_size_error":
        return overflow(f"{error.n_prompt_tokens}", error.n_ctx)
    cause = Cause.BAD_REQUEST if error.type == "invalid_request_error" else Cause.SERVER_ERROR
    return CallError(cause, f"llama.cpp: {error.message}")


def overflow(tokens: str, context: int) -> CallError:
    """Return what is said of a prompt that is too long."""
    return CallError(
        Cause.CONTEXT_OVERFLOW,
        f"the prompt has {tokens} tokens and the context holds {context}; nothing was cut. Take a "
        "larger context (?context=N, as far as the model was trained), fewer shots, or another "
        "model",
    )


def _candidates(tokens: list[Token], wanted: int) -> tuple[TokenLogprob, ...] | None:
    if not wanted or not tokens:
        return None
    return tuple(TokenLogprob(c.token, c.logprob) for c in tokens[0].top_logprobs[:wanted])
