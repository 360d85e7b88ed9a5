"""The contract of an engine: requests, completions, capabilities."""

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import msgspec

from plaudit.errors import UsageError
from plaudit.types import Failure, Json, Message, Usage

if TYPE_CHECKING:
    from plaudit.engines.llama.gguf import GGUF

Mode = Literal["chat", "completion"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "unknown"]

SAMPLING = ("temperature", "top_p", "max_tokens", "seed")
"""Generation parameters that have a field of their own in every configuration."""
OPENAI_PARAMETERS = (
    *SAMPLING, "presence_penalty", "frequency_penalty", "logit_bias", "stop", "reasoning_effort",
)  # fmt: skip
SERVED_PARAMETERS = (
    *OPENAI_PARAMETERS, "top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids",
    "ignore_eos", "chat_template_kwargs",
)  # fmt: skip
"""Parameters of servers of open models, those of OpenAI included."""
_OURS = frozenset({"model", "messages", "prompt", "stream"})
"""Fields of every request: a generation parameter of that name would ask something else."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do, known before anything is sent."""

    model: bool = True
    """Whether there is a model that can be asked; only `none:` has none."""
    logprobs: int = 0
    """Most log-probabilities of the first token that are asked for; 0: the engine has none."""
    logprobs_promised: bool = True
    """Whether it gives those that it is asked for; else only its replies show that."""
    json_schema: bool = False
    """Whether a reply can be constrained to a JSON schema (or to JSON, by the engine's ladder)."""
    continuations: tuple[Mode, ...] = ()
    """Modes in which it gives the log-probability of a text that a request holds."""
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
    """A tool as a model sees it."""

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

    @property
    def kind(self) -> "RequestKind":
        """The features that it uses."""
        return RequestKind(
            isinstance(self.prompt, str),
            self.logprobs > 0,
            self.schema is not None,
            self.sampling.seed is not None,
            bool(self.tools),
            self.trace_tokens,
            bool(self.prompt_ids),
            bool(self.continuation),
        )


class RequestKind(NamedTuple):
    """Features of a request: an endpoint may answer requests with some and refuse others."""

    completion: bool
    logprobs: bool
    schema: bool
    seed: bool
    tools: bool
    token_trace: bool
    prompt_ids: bool
    continuation: bool


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
    request with a continuation: that text alone, None where it is unknown."""
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


class ModelTokenizer(Protocol):
    """Tokenizer and chat template of a model whose file an engine has.

    `metadata` reads the file; the methods load the model.

    Raises:
        EngineUnusableError: the file cannot be fetched, read or loaded.
    """

    @property
    def metadata(self) -> "GGUF":
        """Vocabulary and chat template. Blocks while the file is fetched and read."""
        ...

    async def tokenize(self, request: Request) -> list[PromptToken]:
        """Return the tokens of a request's prompt as the model reads them; computes nothing."""
        ...

    async def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of a text, without the token that texts begin with.

        Args:
            text: any text; a part of a prompt gives the ids that it has there only where no token
                spans its ends, as is so beside a special token.
            special: whether a special token's text becomes that token.
        """
        ...

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens; special ones are spelled out, what is not UTF-8 is U+FFFD.

        Raises:
            CallError: an id is not one of the model's.
        """
        ...


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about an engine's model and endpoint, and what its requests met so far."""

    special_tokens: tuple[str, ...] = ()
    """Texts that the model's tokenizer turns into special tokens wherever they stand."""
    reasoning: bool = False
    """Whether the model writes thoughts before its answer in chat mode, and cannot be stopped."""
    base_url: str = ""
    """Address of the endpoint; of several, the first one's. Empty in this process."""
    replicas: tuple["Engine", ...] = ()
    """Engines that share the requests, once the engine is open. Empty: the engine has no parts."""
    replica_count: int = 1
    """Number of endpoints, known before the engine is open."""
    notes: tuple[str, ...] = ()
    """What the endpoint refused and requests now do without; each continues "the endpoint ..."."""
    refused: int = 0
    """Number of requests that were refused for a feature and sent again without it."""
    tokenizer: ModelTokenizer | None = None
    """The model's tokenizer, where the engine has the model's file."""


class Engine(Protocol):
    """Something that completes requests.

    An engine is cheap to make and picklable: it opens connections or loads weights in `open`, and
    drops them when pickled. It may be used from several event loops, and after a fork.

    An engine may also have an attribute `info`, an `EngineInfo`; `engine_info` reads it.
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


def engine_info(engine: Engine) -> EngineInfo:
    """Return the `info` of an engine; the defaults of `EngineInfo` where an engine has none."""
    return getattr(engine, "info", _NO_INFO)


_NO_INFO = EngineInfo()
