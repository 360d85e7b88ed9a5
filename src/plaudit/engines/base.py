"""What an engine is: something that completes requests, with declared capabilities."""

import re
from typing import Literal, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from plaudit.errors import UsageError
from plaudit.types import Failure, Json, Message, Usage

Mode = Literal["chat", "completion"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "unknown"]

_SCHEME = re.compile(r"[a-z][a-z0-9_-]*")


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do, known before anything is sent."""

    logprobs: int = 0
    """Most log-probabilities of the first token that are asked for; 0: the engine has none."""
    json_schema: bool = False
    """Whether a reply can be constrained to a JSON schema (or to JSON, by the engine's ladder)."""
    continuations: tuple[Mode, ...] = ()
    """Modes in which it can tell the log-probability of a text that a request gives it."""
    scores: bool = False
    """Whether it is a trained reward model or classifier, which writes scores and nothing else."""
    labels: tuple[tuple[str, float], ...] = ()
    """A classifier's outputs by name, and what each is worth as a reward."""
    chat: bool = True
    completion: bool = False
    default_mode: Mode = "chat"
    tools: bool = False
    """Whether it takes tools in chat mode and gives the calls apart from the text."""
    token_ids: bool = False
    """Whether completions carry ids and log-probabilities of the sampled tokens where wanted."""
    token_prompts: bool = False
    """Whether a prompt can be given as token ids (`Request.prompt_ids`)."""
    seed: bool = False
    deterministic: bool = False
    """Whether the same request gives the same completion whatever else is in flight."""
    cacheable: bool = True
    """Whether the engine's identity fixes its weights, so that replies may be stored."""
    concurrency: int | None = None
    """Most requests worth having in flight; None: as many as the caller likes."""
    remote: bool = True
    """Whether requests cross a network and so can hang; only then do time-outs apply."""


class EngineURI(msgspec.Struct, frozen=True):
    """`scheme:[model][@base_url[,base_url...]][?option=value&...]`, taken apart."""

    scheme: str
    model: str = ""
    base_urls: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "EngineURI":
        """Take an engine URI apart.

        Raises:
            UsageError: the text is not of that form, or a base URL carries a password.
        """
        head, _, query = text.partition("?")
        scheme, _, rest = head.partition(":")
        if not _SCHEME.fullmatch(scheme):
            raise UsageError(
                f"{text!r} is not an engine URI; write scheme:model@url, such as local, "
                "gguf:model.gguf or vllm:my-model@http://127.0.0.1:8000/v1"
            )
        model, separator, urls = rest.partition("@http")
        base_urls = tuple(u.rstrip("/") for u in f"http{urls}".split(",")) if separator else ()
        for url in base_urls:
            _check_base_url(url)
        options = tuple(parse_qsl(query, keep_blank_values=True))
        return cls(scheme, model, base_urls, options)

    def __str__(self) -> str:
        at = "@" + ",".join(self.base_urls) if self.base_urls else ""
        colon = ":" if self.model or at else ""
        query = "?" + urlencode(self.options) if self.options else ""
        return f"{self.scheme}{colon}{self.model}{at}{query}"

    def take(self, **known: str) -> dict[str, str]:
        """Return the options by name, with `known` giving the names allowed and their defaults.

        Raises:
            UsageError: an option is not among the known ones.
        """
        given = dict(self.options)
        unknown = sorted(given.keys() - known.keys())
        if unknown:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"engine {self.scheme}: has no option {unknown[0]!r}; it has {names}")
        return known | given


def _check_base_url(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url!r} is not a base URL; write http://host:port/v1")
    if parts.username or parts.password:
        raise UsageError(
            "an engine URI must not hold a password; put the key in the provider's environment "
            "variable, such as OPENAI_API_KEY"
        )


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How a reply is drawn. All of it is part of the request key."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1
    seed: int | None = 0
    stop: tuple[str, ...] = ()
    extra: tuple[tuple[str, Json], ...] = ()
    """Further generation parameters by name, sorted, sent to the engine as they are."""


class Schema(msgspec.Struct, frozen=True):
    """A JSON schema that the reply must follow."""

    name: str
    body: msgspec.Raw
    """The schema as JSON text."""


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model is told of it."""

    name: str
    description: str
    parameters: msgspec.Raw
    """JSON schema of the arguments, an object, as JSON text."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call that a model made."""

    id: str
    """The engine's own, else `call-TURN-NUMBER`; unique within a rollout."""
    name: str
    arguments: str
    """JSON text as the model wrote it: not checked, it may be no JSON at all."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to complete."""

    prompt: str | tuple[Message, ...]
    """Text (completion mode) or messages (chat mode), rendered and escaped."""
    sampling: Sampling
    logprobs: int = 0
    """Log-probabilities of the first token that are wanted; 0: none."""
    options: tuple[str, ...] = ()
    """Words whose log-probabilities are wanted; what is not about them need not be kept."""
    keep: int = 5
    """Candidates of the first token that are kept whatever they are."""
    schema: Schema | None = None
    tools: tuple[ToolSpec, ...] = ()
    """Tools that a model with native tool calls may use, in chat mode. Part of the request key."""
    prompt_ids: tuple[int, ...] = ()
    """The prompt as token ids, sent in place of its text where there are any; `prompt` is then the
    same as text, in completion mode. Part of the request key."""
    trace_tokens: bool = False
    """Whether ids and log-probabilities of every sampled token, and the prompt's ids, are wanted.
    Part of the request key."""
    continuation: str = ""
    """A text whose log-probability after the prompt is wanted, instead of a reply of the model's
    own: the completion's only candidate. Part of the request key where there is one."""
    draw: int = 0
    """Number of the draw; votes and groups differ in it, so they never share a cached reply."""
    sample_id: str = ""
    """The sample that it is asked for. Not part of the request key."""
    shared: int = 0
    """Messages or characters at the prompt's beginning that a run's requests have in common. What
    is computed from them need be computed once only; it changes no result."""
    affinity: str = ""
    """How what follows the shared prefix begins; requests alike in it profit from one server's
    cache. Not part of the request key."""
    turn: str = "main"
    """What it is for within its sample: `main`, `swapped`, `repair`, `prior`; not in the key."""

    @property
    def mode(self) -> Mode:
        """`completion` for a text prompt, `chat` for messages."""
        return "completion" if isinstance(self.prompt, str) else "chat"


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One candidate of the first position."""

    token: str
    """Text of the token, leading space included."""
    logprob: float
    """Natural logarithm of its probability, at temperature 1."""


class PromptToken(msgspec.Struct, frozen=True):
    """One token of a prompt, as the model reads it."""

    id: int
    text: str


class Completion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an engine answered. Stored in the reply cache as it is."""

    text: str
    finish_reason: FinishReason = "stop"
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Candidates of the first token, most probable first; None where none were asked for. Of a
    request with a continuation: that text alone, None where the engine could not tell."""
    logprob_floor: float | None = None
    """The smallest log-probability that the engine showed, where candidates were left out since."""
    token_ids: tuple[int, ...] | None = None
    """Ids of what was sampled, the token that ended the reply included where one did."""
    token_logprobs: tuple[float, ...] | None = None
    """Natural logarithm of the probability of each sampled token, at temperature 1."""
    prompt_token_ids: tuple[int, ...] | None = None
    """Ids of the prompt as the model read it."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that the engine read from the reply, in order; `text` is without them."""
    usage: Usage = Usage()
    problem: Failure | None = None
    """Why it is of no use: refused, filtered, or without what was asked for. Only the reply cache
    has such; there `text` is empty, and where it is asked for it is a `ReplyError` again."""


class ScoreReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reward model's outputs for one conversation; as JSON, the text of its completion."""

    scores: list[float | None]
    """Raw, one an output; null: not a finite number."""
    label: str | None = None
    """What the server calls the greatest one, where it has a name for it."""


class Engine(Protocol):
    """Something that completes requests.

    An engine is cheap to make and picklable: it opens connections or loads weights in `open`, and
    drops them when pickled. It may be used from several event loops, and after a fork.
    """

    @property
    def uri(self) -> str:
        """The engine URI that makes this engine again; holds no secret."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. Known without contacting anything."""
        ...

    async def identify(self) -> str:
        """Return the model's identity: scheme, model and revision, or a file's SHA-256.

        No URL, no secret. Contacts the endpoint only where no model was named.

        Raises:
            EngineUnusableError: the model cannot be found out.
        """
        ...

    async def open(self) -> None:
        """Make ready; called once before the first request, and cheap when repeated.

        Raises:
            EngineUnusableError: no request can succeed (bad key, nothing listens, no weights).
        """
        ...

    async def complete(self, request: Request) -> Completion:
        """Complete one request.

        Raises:
            CallError: no reply came.
            ReplyError: a reply came that is no completion of the model (refused by a filter).
            EngineUnusableError: no further request can succeed.
        """
        ...

    async def close(self) -> None:
        """Free what `open` took; the engine may be opened again."""
        ...
