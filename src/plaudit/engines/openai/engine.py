"""Endpoints that speak OpenAI's protocol: OpenAI itself, vLLM, SGLang, and hosted models.

`openai:MODEL@URL` is also the scheme for every other compatible server, such as llama.cpp's.
"""

import re
from functools import cache
from typing import ClassVar, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from yarl import URL

from plaudit.engines.base import (
    OPENAI_PARAMETERS,
    SERVED_PARAMETERS,
    Capabilities,
    Completion,
    EngineURI,
    FinishReason,
    Mode,
    Request,
    Sampling,
    Schema,
    TokenLogprob,
    whole_option,
)
from plaudit.engines.http.endpoint import Feature, HTTPEngine, place_of
from plaudit.engines.http.errors import ErrorReply, Refusal, Rejected
from plaudit.engines.http.transport import TIMEOUTS, Transport, call_timeouts
from plaudit.engines.openai.continuation import (
    Form,
    Scored,
    echoed_prompt,
    echoed_tokens,
    extend,
    listed_tokens,
    tail_logprob,
)
from plaudit.engines.openai.terms import (
    FEATURES,
    LOGPROBS,
    NO_IDS,
    NO_LOGPROBS,
    SchemaForm,
    Terms,
)
from plaudit.engines.openai.tokens import ask_tokens, read_tokens
from plaudit.engines.openai.tools import offered, read_calls, refuses_tools, sendable, with_thoughts
from plaudit.engines.openai.wire import (
    FINISH,
    Choice,
    Logprobs,
    Reply,
    ReplyMessage,
    decode_reply,
    first_position,
)
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

_GENEROUS = 256
_MOST_LOGPROBS = 1_000_000


class _Provider(NamedTuple):
    """What is known of a scheme."""

    base_url: str
    key_variable: str
    logprobs: int
    """Most log-probabilities that are asked for; 0: it has none."""
    completion: bool = True
    needs_key: bool = True
    seed: str = "seed"
    """Its name for the seed."""
    thinking: bool = False
    """Whether it is told to turn thinking off."""
    continuations: Form | None = None
    """How it is asked for the log-probability of a given text; None: it cannot be."""
    token_ids: bool = False
    """Whether it is asked for token ids."""
    generation: tuple[str, ...] = SERVED_PARAMETERS
    """Generation parameters that it takes."""


_HOSTED = (*OPENAI_PARAMETERS, "top_k", "min_p", "repetition_penalty")
_OPENAI_HOST = "api.openai.com"
_CUSTOM = _Provider("", "OPENAI_API_KEY", _GENEROUS, needs_key=False, token_ids=True)
_PROVIDERS = {
    "openai": _Provider(
        f"https://{_OPENAI_HOST}/v1", "OPENAI_API_KEY", 20, completion=False,
        generation=OPENAI_PARAMETERS,
    ),
    "vllm": _Provider(
        "http://127.0.0.1:8000/v1", "VLLM_API_KEY", _GENEROUS, needs_key=False, thinking=True,
        continuations="prompt_logprobs", token_ids=True,
    ),
    "sglang": _Provider(
        "http://127.0.0.1:30000/v1", "SGLANG_API_KEY", _GENEROUS, needs_key=False, thinking=True,
        continuations="echo", token_ids=True,
    ),
    # The limit of 20 is in Together's published OpenAPI description since June 2025.
    "together": _Provider(
        "https://api.together.xyz/v1", "TOGETHER_API_KEY", 20, continuations="echo",
        generation=_HOSTED,
    ),
    "mistral": _Provider(
        "https://api.mistral.ai/v1", "MISTRAL_API_KEY", 0, completion=False, seed="random_seed",
        generation=OPENAI_PARAMETERS,
    ),
    "gemini": _Provider(
        "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", 0,
        completion=False, generation=OPENAI_PARAMETERS,
    ),
    "grok": _Provider(
        "https://api.x.ai/v1", "XAI_API_KEY", 8, completion=False, generation=OPENAI_PARAMETERS
    ),
    "fireworks": _Provider(
        "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", 5, generation=_HOSTED
    ),
}  # fmt: skip
SCHEMES = tuple(_PROVIDERS)
"""The schemes of engine URIs that `OpenAIEngine` takes."""

_COMPLETION_ONLY = re.compile(r"(davinci|babbage)-002|gpt-3\.5-turbo-instruct")
_REASONING = re.compile(
    r"^(o[1-9](-|$)|gpt-5(?!.*chat)|gpt-oss|grok-3-mini|grok-4(?!.*non-reasoning)|minimax-m[12])"
    r"|deepseek-r1|deepseek-reasoner|qwq|magistral|skywork-or1|openthinker|marco-o1|exaone-deep"
    r"|-thinking|-reasoner|(?<!non)-reasoning"
)
_HYBRID = re.compile(
    r"^(qwen3(?!.*(instruct|coder|base|embedding|reranker|-vl-.*instruct))|glm-4\.[5-9]|glm-5"
    r"|smollm3|hunyuan-a13b)"
)


def _base_name(model: str) -> str:
    return model.rsplit("/", 1)[-1].lower()


def is_reasoning_model(name: str) -> bool:
    """Tell by its name whether a model writes thoughts before its answer, unless told not to.

    Known families only; a name that says nothing counts as not reasoning.
    """
    base = _base_name(name)
    return bool(_REASONING.search(base) or _HYBRID.search(base))


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
        base_url, provider = _place(uri)
        options = uri.take(logprobs="", revision="", **TIMEOUTS)
        logprobs = _count(uri, options["logprobs"], provider.logprobs)
        transport = Transport(
            uri.scheme,
            base_url,
            provider.key_variable,
            bearer,
            timeouts=call_timeouts(uri, options),
            own_key=own_key,
        )
        super().__init__(
            uri,
            transport,
            Terms(logprobs, seed=provider.seed, thinking=provider.thinking),
            _capabilities(provider, uri.model, logprobs),
            revision=options["revision"],
            needs_key=provider.needs_key,
        )
        self._chat_url = transport.url("/chat/completions")
        self._completion_url = transport.url("/completions")
        self._counts_only = uri.scheme == "together"
        self._continues: Form | None = provider.continuations
        self._public = provider is _PROVIDERS["openai"]
        self._custom = provider is _CUSTOM

    @property
    def reasoning(self) -> bool:
        """Whether the model writes thoughts first, and so has no logprob readout in chat mode.

        False where thinking can be turned off and is. Known once the model is.
        """
        base = _base_name(self._model)
        if _REASONING.search(base):
            return True
        return bool(_HYBRID.search(base)) and not self._terms.thinking

    async def complete(self, request: Request) -> Completion:
        """Complete one request, or tell the log-probability of its continuation.

        Raises:
            CallError: no reply came.
            ReplyError: a filter refused, or log-probabilities were asked for and none came.
            EngineUnusableError: no further request can succeed.
        """
        if not request.continuation:
            return await super().complete(request)
        if self._continues is None or self._opens_with_thoughts(request):
            return _UNTOLD
        try:
            return await super().complete(request)
        except Refusal as refusal:
            if not _about_continuations(refusal):
                raise
            self._continues = None
            self._notes.append("does not tell the log-probability of a given text")
            return _UNTOLD

    def _opens_with_thoughts(self, request: Request) -> bool:
        """Whether a chat's reply begins with (empty) thoughts, which a given message lacks."""
        base = _base_name(self._model)
        return request.mode == "chat" and bool(_HYBRID.search(base) or _REASONING.search(base))

    def _url(self, request: Request) -> URL:
        return self._completion_url if isinstance(request.prompt, str) else self._chat_url

    def _body(self, request: Request, terms: Terms) -> dict[str, Json]:
        sampling = request.sampling
        body: dict[str, Json] = {"model": self._model, terms.max_tokens: sampling.max_tokens}
        if isinstance(request.prompt, str):
            body["prompt"] = request.prompt_ids or request.prompt
        else:
            body["messages"] = self._messages(request)
            if terms.thinking:
                body["chat_template_kwargs"] = _NO_THINKING
        _add_sampling(body, sampling, terms)
        if request.logprobs:
            self._ask_logprobs(body, request, terms)
        if request.schema and terms.schema != "text":
            self._constrain(body, request.schema, terms.schema)
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
                raise UsageError(f"{self._transport.name}: tools need --mode chat")
            body["tools"] = offered(request.tools)
            body["messages"] = sendable(body["messages"])
        if request.trace_tokens and terms.token_ids:
            ask_tokens(body, llama=self._custom)

    def _constrain(self, body: dict[str, Json], schema: Schema, form: SchemaForm) -> None:
        shape: Json = _without_lengths(bytes(schema.body)) if self._public else schema.body
        body["response_format"] = _response_format(schema.name, shape, form)
        if self._custom and "prompt" in body and form == "json_schema":
            body["json_schema"] = shape  # llama.cpp ignores response_format in completion mode

    def _ask_logprobs(self, body: dict[str, Json], request: Request, terms: Terms) -> None:
        count = min(request.logprobs, terms.logprobs)
        if not count:
            raise EngineUnusableError(
                f"{self._transport.name} gives no log-probabilities; use --readout json"
            )
        if isinstance(request.prompt, str) or self._counts_only:
            body["logprobs"] = count
        else:
            body["logprobs"] = True
            body["top_logprobs"] = count

    def _lower(
        self, terms: Terms, refusal: Refusal, body: dict[str, Json]
    ) -> tuple[Feature[Terms], dict[str, Json]]:
        """See `HTTPEngine`; what scores a continuation cannot be had in part, nor can tools."""
        if "tools" in body and refuses_tools(refusal.reply):
            raise ToolsRefusedError(f"{refusal}. {_NO_TOOLS}") from None
        if not body.keys().isdisjoint({"echo", "prompt_logprobs"}) and _about_continuations(
            refusal
        ):
            raise refusal
        return super()._lower(terms, refusal, body)

    def _give_up(self, refusal: Refusal, body: dict[str, Json]) -> Exception:
        if "logprobs" in body and LOGPROBS.is_meant_by(refusal.reply):
            return Rejected(str(refusal), "it gives no log-probabilities; use --readout json")
        return refusal

    def _decode(self, content: bytes) -> Reply:
        reply = self._transport.decode(content, decode_reply)
        if not reply.choices and (reply.error or reply.object == "error"):
            raise self._transport.translate(self._error_in_ok(content))
        if not reply.choices:
            raise self._transport.bad_response("sent no choices")
        return reply

    def _error_in_ok(self, content: bytes) -> ErrorReply:
        """Read an error that came with status 200, as gateways and old llama.cpp send it."""
        reply = self._transport.read_error(500, content)
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
            raise self._transport.bad_response(problem) from None
        return completion

    def _with_tokens(self, completion: Completion, reply: Reply, request: Request) -> Completion:
        reported = read_tokens(reply, cast("list[Choice]", reply.choices)[0], request)
        if reported.ids is None:
            self._note(NO_IDS)
        if reported.impossible:
            self._note(NO_LOGPROBS)
        return msgspec.structs.replace(
            completion,
            token_ids=reported.ids,
            token_logprobs=reported.logprobs,
            prompt_token_ids=reported.prompt_ids,
        )

    def _reported(self, reply: Reply, request: Request, usage: Usage) -> Completion:
        """Return a continuation with its log-probability, or what says that it is not told."""
        text, prompt = request.continuation, request.prompt
        try:
            scored = _scored(reply, request, usage)
        except msgspec.ValidationError as error:
            problem = f"sent prompt log-probabilities of an unknown shape: {error}"
            raise self._transport.bad_response(problem) from None
        logprob = tail_logprob(scored, prompt if isinstance(prompt, str) else None, text)
        if logprob is None:
            return msgspec.structs.replace(_UNTOLD, usage=usage)
        return Completion(text=text, logprobs=(TokenLogprob(text, logprob),), usage=usage)

    def _text(self, choice: Choice, request: Request) -> str:
        if isinstance(request.prompt, str):
            if choice.text is None:
                raise self._transport.bad_response("sent a choice without text")
            return choice.text
        message = choice.message
        if message is None:
            raise self._transport.bad_response("sent a choice without message")
        if message.refusal:
            said = self._transport.redact(message.refusal)[:200]
            raise ReplyError(Cause.REFUSED, f"the model refused: {said}")
        if request.tools or request.trace_tokens:
            return with_thoughts(message)
        return message.text

    def _finish_reason(self, given: str | None) -> FinishReason:
        if given == "content_filter":
            raise ReplyError(
                Cause.REFUSED, f"a content filter of {self._transport.name} stopped the reply"
            )
        if given in ("abort", "error"):
            raise CallError(
                Cause.SERVER_ERROR, f"{self._transport.name} broke the reply off", retryable=True
            )
        return FINISH.get(given, "unknown")

    def _with_logprobs(self, completion: Completion, given: Logprobs | None) -> Completion:
        try:
            found = first_position(given)
        except ReplyError:
            self._note(NO_LOGPROBS)
            raise
        if not found.candidates:
            problem = (
                f"{self._transport.name} sent no log-probabilities although asked; if it never "
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

_UNTOLD = Completion(text="", finish_reason="unknown")
"""Stands for a continuation whose log-probability the engine does not tell."""

_CONTINUATION = re.compile(r"echo|prompt_?.?logprobs|continue_final_message", re.IGNORECASE)


def _about_continuations(refusal: Refusal) -> bool:
    return bool(_CONTINUATION.search(f"{refusal.reply.param} {refusal.reply.complaint}"))


def _scored(reply: Reply, request: Request, usage: Usage) -> Scored:
    """Return the tokens of prompt and continuation, as far as a reply tells them."""
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


def bearer(key: str) -> dict[str, str]:
    """Return the header that carries a key; without one, none."""
    return {"Authorization": f"Bearer {key}"} if key else {}


_NO_THINKING = {"enable_thinking": False}


def _add_sampling(body: dict[str, Json], sampling: Sampling, terms: Terms) -> None:
    if terms.temperature:
        body["temperature"] = sampling.temperature
    if terms.top_p:
        body["top_p"] = sampling.top_p
    if terms.seed and sampling.seed is not None:
        body[terms.seed] = sampling.seed
    if sampling.stop:
        body["stop"] = sampling.stop


def _response_format(name: str, shape: Json, form: SchemaForm) -> dict[str, Json]:
    if form == "json_object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": shape, "strict": True},
    }


@cache
def _without_lengths(schema: bytes) -> Json:
    """Return a schema without `maxLength`, which OpenAI's strict schemas do not allow."""
    shape = msgspec.json.decode(schema)
    for field in shape.get("properties", {}).values():
        field.pop("maxLength", None)
    return shape


def _place(uri: EngineURI) -> tuple[str, _Provider]:
    """Return base URL and provider of an engine URI."""
    provider = _PROVIDERS.get(uri.scheme)
    if provider is None:
        raise UsageError(f"engine {uri.scheme}: is not one of {', '.join(SCHEMES)}")
    variable = "OPENAI_BASE_URL" if uri.scheme == "openai" else None
    base_url, given = place_of(uri, provider.base_url, variable)
    if uri.scheme == "openai" and urlsplit(base_url).hostname != _OPENAI_HOST:
        return base_url, _CUSTOM
    return base_url, provider._replace(needs_key=False) if given else provider


def _count(uri: EngineURI, given: str, default: int) -> int:
    return whole_option(uri, "logprobs", given, 0, _MOST_LOGPROBS, "20") if given else default


_CONTINUED: dict[Form | None, tuple[Mode, ...]] = {
    None: (),
    "echo": ("completion",),
    "prompt_logprobs": ("completion", "chat"),
}


def _capabilities(provider: _Provider, model: str, logprobs: int) -> Capabilities:
    old = not provider.completion and bool(_COMPLETION_ONLY.search(model))
    return Capabilities(
        logprobs=logprobs,
        logprobs_promised=False,
        json_schema=True,
        chat=not old,
        completion=provider.completion or old,
        default_mode="completion" if old else "chat",
        seed=True,
        generation=provider.generation,
        continuations=_CONTINUED[provider.continuations],
        tools=not old,
        token_ids=provider.token_ids,
        token_prompts=provider.token_ids,
    )
