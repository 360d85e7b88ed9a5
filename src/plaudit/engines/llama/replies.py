"""Requests and replies of llama.cpp in this process: replies are streamed, chunk by chunk."""

import msgspec

from plaudit.engines.base import SAMPLING, Completion, Request, TokenLogprob
from plaudit.engines.replies import read_finish
from plaudit.errors import CallError, Cause
from plaudit.types import Json, Usage

THINKING_SWITCH = "enable_thinking"
"""What chat templates of hybrid models call it."""

PARAMETERS = (
    *SAMPLING, "top_k", "min_p", "typical_p", "top_n_sigma", "min_keep", "samplers",
    "presence_penalty", "frequency_penalty", "repeat_penalty", "repeat_last_n",
    "dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n",
    "dry_sequence_breakers", "xtc_probability", "xtc_threshold", "mirostat", "mirostat_tau",
    "mirostat_eta", "dynatemp_range", "dynatemp_exponent", "adaptive_target", "adaptive_decay",
    "logit_bias", "ignore_eos", "grammar", "stop", "chat_template_kwargs",
)  # fmt: skip
"""Generation parameters of llama.cpp's server, which ignores all others."""


def streamed_body(request: Request, reuse: bool, no_thinking: bool) -> bytes:
    """Return a request as an OpenAI-compatible llama.cpp server takes it, streamed.

    At least one log-probability is asked for, because token ids come with them only. A request is
    streamed, which is what makes it stoppable.
    """
    sampling = request.sampling
    body: dict[str, Json] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "cache_prompt": reuse,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = sampling.stop
    if isinstance(request.prompt, str):
        prompt = request.prompt_ids or request.prompt
        body |= {"prompt": prompt, "logprobs": max(1, request.logprobs)}
    else:
        body |= {"messages": request.prompt}
        body |= {"logprobs": True, "top_logprobs": max(1, request.logprobs)}
    if no_thinking:
        body["chat_template_kwargs"] = {THINKING_SWITCH: False}
    if request.schema is not None:
        body |= _constraint(request)
    return msgspec.json.encode(body | dict(sampling.extra))


def _constraint(request: Request) -> dict[str, Json]:
    """What constrains the reply; llama.cpp ignores `response_format` in completion mode."""
    assert request.schema is not None
    if request.mode == "completion":
        return {"json_schema": request.schema.body}
    schema = {"name": request.schema.name, "schema": request.schema.body, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


class TokenCandidate(msgspec.Struct):
    """One candidate of a position."""

    token: str
    logprob: float


class Token(msgspec.Struct):
    """One token that was sampled."""

    id: int
    top_logprobs: list[TokenCandidate] = []


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
    """The error with which llama.cpp refuses a request."""

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
        # Streamed text is held back until a character is whole, and then has its last id only.
        whole = len(self.tokens) == self.counts.completion_tokens
        return Completion(
            text="".join(self.text),
            finish_reason=read_finish(self.finish),
            logprobs=_candidates(self.tokens, request.logprobs),
            token_ids=tuple(token.id for token in self.tokens) if whole else None,
            usage=Usage(self.counts.prompt_tokens, self.counts.completion_tokens),
        )


_decode = msgspec.json.Decoder(_Chunk).decode


def closed() -> CallError:
    """Return the error for a request whose model is closed."""
    return CallError(Cause.CONNECTION, "the model was closed meanwhile", retryable=True)


def not_unicode(error: UnicodeEncodeError) -> CallError:
    """Return the error for a prompt with lone surrogates."""
    return CallError(Cause.BAD_REQUEST, f"the prompt is not Unicode text: {error}")


def refused(error: ServerError) -> CallError:
    """Return the error for a refusal."""
    if error.type == "exceed_context_size_error":
        return overflow(f"{error.n_prompt_tokens}", error.n_ctx)
    cause = Cause.BAD_REQUEST if error.type == "invalid_request_error" else Cause.SERVER_ERROR
    return CallError(cause, f"llama.cpp: {error.message}")


def overflow(tokens: str, context: int) -> CallError:
    """Return the error for a prompt that is too long."""
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
