"""Endpoints that speak OpenAI's protocol: OpenAI itself, vLLM, SGLang, and hosted models.

`openai:MODEL@URL` is also the scheme for every other compatible server, such as llama.cpp's.
"""

import re
from typing import ClassVar, cast

import msgspec
from yarl import URL

from plaudit.engines.base import Completion, EngineInfo, FinishReason, Request, TokenLogprob
from plaudit.engines.http.engine import HTTPEngine
from plaudit.engines.http.errors import ErrorReply, Refusal, Rejected
from plaudit.engines.http.features import Feature, GivenUp
from plaudit.engines.http.transport import TIMEOUTS, Transport, call_timeouts
from plaudit.engines.openai.providers import (
    capabilities_of,
    is_reasoning_model,
    provider_of,
)
from plaudit.engines.openai.replies import (
    Choice,
    Logprobs,
    Reply,
    ReplyMessage,
    Scored,
    decode_reply,
    echoed_prompt,
    echoed_tokens,
    first_position,
    listed_tokens,
    read_calls,
    read_tokens,
    tail_logprob,
    with_thoughts,
)
from plaudit.engines.openai.requests import (
    FEATURES,
    LOGPROBS,
    NO_IDS,
    NO_LOGPROBS,
    NO_THINKING,
    Form,
    Terms,
    add_sampling,
    ask_tokens,
    constrain,
    extend,
    offered,
    refuses_tools,
    sendable,
)
from plaudit.engines.replies import read_finish
from plaudit.engines.uri import EngineURI, whole_option
from plaudit.errors import (
    CallError,
    Cause,
    EngineUnusableError,
    NoLogprobsError,
    ReplyError,
    ToolsRefusedError,
    UsageError,
)
from plaudit.types import Json, Usage

_MOST_LOGPROBS = 1_000_000


class OpenAIEngine(HTTPEngine[Terms, Reply]):
    """An endpoint that speaks OpenAI's protocol.

    URI options: `logprobs=N`, most log-probabilities asked for (0: none); `revision=NAME`, part of
    the identity; `connect_timeout=S` and `first_byte_timeout=S`, seconds for a connection and for
    each wait for bytes. Keys come from the provider's environment variable.
    """

    features: ClassVar[tuple[Feature[Terms], ...]] = FEATURES

    def __init__(self, uri: EngineURI, own_key: str | None = None) -> None:
        """Prepare the engine; nothing is contacted.

        Args:
            uri: scheme, model, base URL and options.
            own_key: the key of a server that this process started; it is not pickled.

        Raises:
            UsageError: unknown scheme or option, more than one URL, or a URL that is none.
        """
        base_url, provider = provider_of(uri)
        options = uri.take(logprobs="", revision="", **TIMEOUTS)
        given, logprobs = options["logprobs"], provider.logprobs
        if given:
            logprobs = whole_option(uri, "logprobs", given, 0, _MOST_LOGPROBS, "20")
        transport = Transport(
            uri.scheme,
            base_url,
            provider.key_variable,
            timeouts=call_timeouts(uri, options),
            own_key=own_key,
        )
        super().__init__(
            uri,
            transport,
            Terms(logprobs, seed=provider.seed, thinking=provider.thinking),
            capabilities_of(provider, uri.model, logprobs),
            revision=options["revision"],
            needs_key=provider.needs_key,
        )
        self._chat_url = transport.url("/chat/completions")
        self._completion_url = transport.url("/completions")
        self._continues: Form | None = provider.continuations
        self._provider = provider

    @property
    def info(self) -> EngineInfo:
        """Address, what the endpoint refused, and whether the model reasons, by its name."""
        off = self._negotiation.terms.thinking
        reasoning = is_reasoning_model(self._served.name, thinking_off=off)
        return msgspec.structs.replace(super().info, reasoning=reasoning)

    async def complete(self, request: Request) -> Completion:
        """Complete one request, or give the log-probability of its continuation.

        Raises:
            CallError: no reply came.
            ReplyError: a filter refused, or log-probabilities were asked for and none came.
            EngineUnusableError: no further request can succeed.
        """
        if not request.continuation:
            return await super().complete(request)
        # A chat's reply begins with thoughts, if empty ones, which a given message lacks.
        thinks = request.mode == "chat" and is_reasoning_model(self._served.name)
        if self._continues is None or thinks:
            return _UNKNOWN
        try:
            return await super().complete(request)
        except Refusal as refusal:
            if not _about_continuations(refusal):
                raise
            self._continues = None
            self._negotiation.notes.append("does not give the log-probability of a given text")
            return _UNKNOWN

    def _url(self, request: Request) -> URL:
        return self._completion_url if isinstance(request.prompt, str) else self._chat_url

    def _body(self, request: Request, terms: Terms) -> dict[str, Json]:
        sampling = request.sampling
        body: dict[str, Json] = {"model": self._served.name, terms.max_tokens: sampling.max_tokens}
        if isinstance(request.prompt, str):
            body["prompt"] = request.prompt_ids or request.prompt
        else:
            body["messages"] = self._messages(request)
            if terms.thinking:
                body["chat_template_kwargs"] = NO_THINKING
        add_sampling(body, sampling, terms)
        if request.logprobs:
            self._ask_logprobs(body, request, terms)
        if request.schema and terms.schema != "text":
            lengths, llama = self._provider.lengths, self._provider.llama
            constrain(body, request.schema, terms.schema, lengths=lengths, llama=llama)
        if request.tools or request.trace_tokens:
            self._ask_rollout(body, request, terms)
        body.update(sampling.extra)
        if request.continuation and self._continues:
            body[terms.max_tokens] = 1  # The fewest that all servers take.
            extend(body, request.continuation, self._continues)
        return body

    def _ask_rollout(self, body: dict[str, Json], request: Request, terms: Terms) -> None:
        if request.tools:
            if "messages" not in body:
                raise UsageError(f'{self.transport.name}: tools need mode="chat"')
            body["tools"] = offered(request.tools)
            body["messages"] = sendable(body["messages"])
        if request.trace_tokens and terms.token_ids:
            ask_tokens(body, llama=self._provider.llama)

    def _ask_logprobs(self, body: dict[str, Json], request: Request, terms: Terms) -> None:
        count = min(request.logprobs, terms.logprobs)
        if not count:
            raise EngineUnusableError(
                f'{self.transport.name} gives no log-probabilities; use readout="json"'
            )
        if isinstance(request.prompt, str) or self._provider.counts_only:
            body["logprobs"] = count
        else:
            body["logprobs"] = True
            body["top_logprobs"] = count

    def _lower(self, terms: Terms, refusal: Refusal, body: dict[str, Json]) -> GivenUp:
        """See `HTTPEngine`; neither tools nor what scores a continuation can be given up."""
        if "tools" in body and refuses_tools(refusal.reply):
            raise ToolsRefusedError(f"{refusal}. {_NO_TOOLS}") from None
        continues = not body.keys().isdisjoint({"echo", "prompt_logprobs"})
        if continues and _about_continuations(refusal):
            raise refusal
        return super()._lower(terms, refusal, body)

    def _final(self, refusal: Refusal, body: dict[str, Json]) -> Exception:
        if "logprobs" in body and LOGPROBS.is_meant_by(refusal.reply):
            return Rejected(str(refusal), "it gives no log-probabilities; use --readout json")
        return refusal

    def _decode(self, content: bytes) -> Reply:
        reply = self.transport.decode(content, decode_reply)
        if not reply.choices and (reply.error or reply.object == "error"):
            raise self.transport.translate(self._error_in_ok(content))
        if not reply.choices:
            raise self.transport.bad_response("sent no choices")
        return reply

    def _error_in_ok(self, content: bytes) -> ErrorReply:
        """Read an error that came with status 200, as gateways and old llama.cpp send it."""
        reply = self.transport.read_error(500, content)
        code = re.match(r"[45]\d\d\b", reply.code)
        return msgspec.structs.replace(reply, status=int(code[0])) if code else reply

    def _completion(self, reply: Reply, request: Request) -> Completion:
        choice = cast("list[Choice]", reply.choices)[0]
        if request.continuation:
            return self._reported(reply, request, reply.used)
        completion = Completion(
            text=self._text(choice, request),
            finish_reason=self._finish_reason(choice.finish_reason),
            usage=reply.used,
        )
        if request.logprobs:
            completion = self._with_logprobs(completion, choice.logprobs)
        try:
            if request.tools:
                completion = _with_calls(completion, choice, request)
            if request.trace_tokens:
                completion = self._with_tokens(completion, reply, request)
        except msgspec.ValidationError as error:
            problem = f"sent tool calls or token ids of an unknown shape: {error}"
            raise self.transport.bad_response(problem) from None
        return completion

    def _with_tokens(self, completion: Completion, reply: Reply, request: Request) -> Completion:
        reported = read_tokens(reply, cast("list[Choice]", reply.choices)[0], request)
        if reported.ids is None:
            self._negotiation.note(NO_IDS)
        if reported.impossible:
            self._negotiation.note(NO_LOGPROBS)
        return msgspec.structs.replace(
            completion,
            token_ids=reported.ids,
            token_logprobs=reported.logprobs,
            prompt_token_ids=reported.prompt_ids,
        )

    def _reported(self, reply: Reply, request: Request, usage: Usage) -> Completion:
        """Return a continuation with its log-probability, or what says that it is unknown."""
        text, prompt = request.continuation, request.prompt
        try:
            scored = _scored(reply, request, usage)
        except msgspec.ValidationError as error:
            problem = f"sent prompt log-probabilities of an unknown shape: {error}"
            raise self.transport.bad_response(problem) from None
        logprob = tail_logprob(scored, prompt if isinstance(prompt, str) else None, text)
        if logprob is None:
            return msgspec.structs.replace(_UNKNOWN, usage=usage)
        return Completion(text=text, logprobs=(TokenLogprob(text, logprob),), usage=usage)

    def _text(self, choice: Choice, request: Request) -> str:
        if isinstance(request.prompt, str):
            if choice.text is None:
                raise self.transport.bad_response("sent a choice without text")
            return choice.text
        message = choice.message
        if message is None:
            raise self.transport.bad_response("sent a choice without message")
        if message.refusal:
            said = self.transport.redact(message.refusal)[:200]
            raise ReplyError(Cause.REFUSED, f"the model refused: {said}")
        if request.tools or request.trace_tokens:
            return with_thoughts(message)
        return message.text

    def _finish_reason(self, given: str | None) -> FinishReason:
        if given == "content_filter":
            raise ReplyError(
                Cause.REFUSED, f"a content filter of {self.transport.name} stopped the reply"
            )
        if given in ("abort", "error"):
            raise CallError(
                Cause.SERVER_ERROR, f"{self.transport.name} broke the reply off", retryable=True
            )
        return read_finish(given)

    def _with_logprobs(self, completion: Completion, given: Logprobs | None) -> Completion:
        try:
            found = first_position(given)
        except ReplyError:
            self._negotiation.note(NO_LOGPROBS)
            raise
        if not found.candidates:
            problem = (
                f"{self.transport.name} sent no log-probabilities although asked; if it never "
                "does, use --readout json"
            )
            if given is None or not (given.content or given.tokens):
                raise NoLogprobsError(problem)
            raise ReplyError(Cause.OPTIONS_NOT_VISIBLE, problem)
        return msgspec.structs.replace(
            completion, logprobs=found.candidates, logprob_floor=found.floor
        )


def _with_calls(completion: Completion, choice: Choice, request: Request) -> Completion:
    calls = read_calls(request, choice.message or ReplyMessage())
    finish = completion.finish_reason
    return msgspec.structs.replace(
        completion,
        tool_calls=calls,
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
    )


_NO_TOOLS = (
    "It takes no tools: have the model write its calls as text, or serve it with a parser of tool "
    "calls (vLLM: --enable-auto-tool-choice --tool-call-parser NAME)"
)

_UNKNOWN = Completion(text="", finish_reason="unknown")
"""A continuation whose log-probability is unknown."""

_CONTINUATION = re.compile(r"echo|prompt_?.?logprobs|continue_final_message", re.IGNORECASE)


def _about_continuations(refusal: Refusal) -> bool:
    return bool(_CONTINUATION.search(f"{refusal.reply.param} {refusal.reply.complaint}"))


def _scored(reply: Reply, request: Request, usage: Usage) -> Scored:
    """Return the tokens of prompt and continuation, as far as a reply has them."""
    choice = cast("list[Choice]", reply.choices)[0]
    if not isinstance(request.prompt, str):
        return listed_tokens(reply.prompt_logprobs)
    if choice.prompt_logprobs is not None:
        return listed_tokens(choice.prompt_logprobs)
    if reply.prompt is not None:
        return echoed_prompt(reply.prompt)
    given = choice.logprobs
    echoed = (choice.text or "").startswith(request.prompt + request.continuation)
    if not echoed or given is None or not given.tokens or not given.token_logprobs:
        return ()
    return echoed_tokens(given.tokens, given.token_logprobs, usage)
