"""What an engine is: something that completes requests, with declared capabilities."""

import difflib
import re
from collections.abc import Iterable
from typing import Literal, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from plaudit.errors import UsageError
from plaudit.types import Failure, Json, Message, Usage

Mode = Literal["chat", "completion"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "unknown"]

_SCHEME = re.compile(r"[a-z][a-z0-9_-]*")
_NAME = re.compile(r"\w+")
_FILES = frozenset({"local", "gguf", "hf", "scripted", "none"})
"""Schemes of this process: an `@` belongs to the path of a file, and there is no base URL."""
_URL_OF_FILE = re.compile(r"@[^/]*//")
_MOST_DIGITS = 20
_AT = "%40"
"""How an `@` is written in the name of a model."""


SAMPLING = ("temperature", "top_p", "max_tokens", "seed")
"""Generation parameters that have a field of their own in every configuration."""
OPENAI_PARAMETERS = (
    *SAMPLING, "presence_penalty", "frequency_penalty", "logit_bias", "stop", "reasoning_effort",
)  # fmt: skip
SERVED_PARAMETERS = (
    *OPENAI_PARAMETERS, "top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids",
    "ignore_eos", "chat_template_kwargs",
)  # fmt: skip
"""What servers of open models take beside those of OpenAI."""
_OURS = frozenset({"model", "messages", "prompt", "stream"})
"""What a request says itself: a generation parameter of that name would ask something else."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do, known before anything is sent."""

    model: bool = True
    """Whether there is a model that can be asked; only `none:` has none."""
    logprobs: int = 0
    """Most log-probabilities of the first token that are asked for; 0: the engine has none."""
    logprobs_promised: bool = True
    """Whether it gives those that it is asked for; else only its replies can show."""
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
    generation: tuple[str, ...] = SAMPLING
    """Generation parameters that it takes, by name."""
    closed: bool = False
    """Whether it would drop any other parameter silently, so that such a one is refused."""
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

        What follows the first `@` is base URLs and nothing else; `%40` in the name of a model
        stands for an `@`. Models that are files have paths, in which `@` and `%40` are themselves.

        Raises:
            UsageError: the text is not of that form, or what follows `@` is no base URL or holds a
                password. The message quotes nothing that could be one.
        """
        head, _, query = text.partition("?")
        scheme, _, rest = head.partition(":")
        if not _SCHEME.fullmatch(scheme):
            shown = "what was given" if "@" in text or "//" in text else repr(text)
            raise UsageError(
                f"{shown} is not an engine URI; write scheme:model@url, such as local, "
                "gguf:model.gguf or vllm:my-model@http://127.0.0.1:8000/v1"
            )
        options = tuple(parse_qsl(query, keep_blank_values=True))
        if scheme in _FILES:
            if _URL_OF_FILE.search(rest):
                raise UsageError(f"engine {scheme}: runs in this process and takes no URL")
            return cls(scheme, rest, (), options)
        model, separator, urls = rest.partition("@")
        base_urls = _base_urls(scheme, urls) if separator else ()
        return cls(scheme, model.replace(_AT, "@"), base_urls, options)

    def __str__(self) -> str:
        model = self.model if self.scheme in _FILES else self.model.replace("@", _AT)
        at = "@" + ",".join(self.base_urls) if self.base_urls else ""
        colon = ":" if model or at else ""
        query = "?" + urlencode(self.options) if self.options else ""
        return f"{self.scheme}{colon}{model}{at}{query}"

    def take(self, **known: str) -> dict[str, str]:
        """Return the options by name, with `known` giving the names allowed and their defaults.

        Raises:
            UsageError: an option is not among the known ones.
        """
        given = dict(self.options)
        unknown = sorted(given.keys() - known.keys())
        if unknown:
            names = ", ".join(sorted(known)) or "none"
            name = repr(unknown[0]) if _NAME.fullmatch(unknown[0]) else "of that name"
            raise UsageError(f"engine {self.scheme}: has no option {name}; it has {names}")
        return known | given


def check_generation(names: Iterable[str], engine: "Engine") -> None:
    """Refuse generation parameters that an engine would drop, or that would change what is asked.

    Raises:
        UsageError: the parameter, and those that the engine takes.
    """
    able = engine.capabilities
    for name in names:
        if name in _OURS:
            raise UsageError(f"generation: {name!r} is not a parameter; plaudit sets it itself")
        if able.closed and name not in able.generation:
            raise UsageError(
                f"generation: {engine.uri} has no parameter {name!r}"
                f"{similar(name, able.generation)}; it has {', '.join(able.generation)}"
            )


def similar(name: str, known: Iterable[str]) -> str:
    """Return a question that names what a mistyped name may stand for; empty where nothing may."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def whole_option(
    uri: EngineURI, name: str, text: str, least: int, most: int, usual: str = ""
) -> int:
    """Read an option of an engine URI that is a whole number.

    Raises:
        UsageError: it is none, or out of range.
    """
    if text.isdecimal() and len(text) < _MOST_DIGITS and least <= int(text) <= most:
        return int(text)
    raise UsageError(
        f"engine {uri.scheme}: {name} must be a whole number from {least} to {most}, not "
        f"{text[:_MOST_DIGITS]!r}" + (f"; write {name}={usual}" if usual else "")
    )


def _base_urls(scheme: str, text: str) -> tuple[str, ...]:
    """Return the base URLs that follow the `@` of an engine URI."""
    urls = text.split(",")
    where = f"engine {scheme}: what follows @"
    advice = f"write {scheme}:MODEL@http://host:port/v1, and {_AT} for an @ in the model's name"
    several = len(urls) > 1
    return tuple(
        check_base_url(url, f"{where} (URL {number})" if several else where, advice)
        for number, url in enumerate(urls, 1)
    )


def check_base_url(url: str, where: str, advice: str = "write http://host:port/v1") -> str:
    """Return a base URL with its scheme in lower case, and without a slash at the end.

    Args:
        url: what may be one. It is never quoted: a password may stand anywhere in it.
        where: what holds it, as the message says.
        advice: what to write instead.

    Raises:
        UsageError: it is no HTTP URL, or holds a password, a query or a fragment.
    """
    problem = problem_of_url(url)
    if problem is None and ("?" in url or "#" in url):
        problem = "it holds a query or a fragment, and paths are added to it"
    if problem is None:
        scheme, separator, rest = url.partition("://")
        return f"{scheme.lower()}{separator}{rest}".rstrip("/")
    if problem == PASSWORD:
        raise UsageError(
            f"{where} must not hold a password; put the key in the provider's environment "
            "variable, such as OPENAI_API_KEY"
        )
    raise UsageError(f"{where} is not a base URL: {problem}; {advice}")


PASSWORD = "it holds a password"


def problem_of_url(url: str) -> str | None:
    """Say what is wrong with an HTTP URL, without quoting it; `PASSWORD` where it holds one."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            return PASSWORD
        host, port = parts.hostname, parts.port
    except ValueError:  # A bracket without its pair, a port that is no number.
        return "its host or its port cannot be read"
    if parts.scheme not in ("http", "https") or "://" not in url:
        return "it does not begin with http:// or https://"
    if not host or port == 0:
        return "it names no host, or the port 0"
    if any(char.isspace() or not char.isprintable() for char in url):
        return "it holds a space or a character that cannot be printed"
    return None


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
