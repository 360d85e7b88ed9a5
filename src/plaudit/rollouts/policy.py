"""A model as an agent's policy: how it is asked, and how one conversation with it goes on."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from plaudit.engines.base import Completion, Engine, Request, Sampling
from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import EmptyMaskError, EngineUnusableError, UsageError
from plaudit.rollouts.call_forms import CallForm
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.forms import Call, Form, NativeForm, TextForm, as_openai
from plaudit.rollouts.prompts import Prompts
from plaudit.rollouts.rendering import Renderer
from plaudit.rollouts.tokenizer import load_tokenizer
from plaudit.rollouts.tokens import TokenLog
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Exactness, Tokens, Turn
from plaudit.types import Json, Message, Usage

_DEFAULT_FORM: CallForm = "hermes"


class Conversation(Protocol):
    """One rollout's conversation with the model.

    Attributes:
        messages: the conversation in the OpenAI format, calls and results as they were made.
    """

    messages: list[Message]

    def request(self, max_tokens: int) -> Request:
        """Return the request for the model's next reply, of at most so many tokens."""
        ...

    async def take(self, completion: Completion) -> tuple[Turn, Sequence[Call]]:
        """Take the reply; return it as a turn, and the calls that it makes.

        Raises:
            CallError: the engine told nonsense of its tokens.
        """
        ...

    async def answer(self, answers: Sequence[Message]) -> None:
        """Tell the model the results of its calls: messages with role `tool`, in their order."""
        ...

    async def tokens(self) -> Tokens | None:
        """Return the token ids so far; None where they are not known, or nothing was sampled."""
        ...


class Policy:
    """A model, bound to an agent's tools and configuration.

    Attributes:
        identity: the model's.
        form: how it and the tools talk.
        exactness: what its tokens are; None: there are none.
        notes: what was settled, for a person.
    """

    def __init__(
        self,
        engine: Engine,
        identity: str,
        form: Form,
        prompts: Prompts,
        config: RolloutConfig,
    ) -> None:
        """Put a policy together; `bind` settles what it is made of."""
        self.engine = engine
        self.identity = identity
        self.form = form
        self.prompts = prompts
        self.config = config
        self.renderer: Renderer | None = None
        if engine.capabilities.token_prompts and config.tokenizer is not None:
            self.renderer = Renderer(
                load_tokenizer(config.tokenizer), ChatTemplate.load(config.tokenizer)
            )
        able = engine.capabilities
        self.exactness: Exactness | None = (
            "exact" if able.token_ids and config.tokens != "off" else None
        )
        self.notes: list[str] = []

    @property
    def made_of(self) -> Json:
        """All that decides what is asked, and what is written down of it."""
        config = self.config
        return (
            self.identity,
            self.form.name,
            [(spec.name, spec.description, bytes(spec.parameters)) for spec in self.form.specs],
            self.prompts.system,
            msgspec.to_builtins(self.sampling(0, config.max_new_tokens)),
            self.exactness,
            config.max_length,
        )

    @classmethod
    async def bind(cls, engine: Engine, tools: ToolSet, config: RolloutConfig) -> "Policy":
        """Settle how an engine's model is asked.

        Args:
            engine: anything that completes.
            tools: open.
            config: the agent's.

        Raises:
            UsageError: the engine cannot do what is asked for.
            TemplateError: a prompt template cannot be used.
            EngineUnusableError: the model cannot be found out.
        """
        identity = await engine.identify()
        able = engine.capabilities
        by_ids = able.token_prompts and config.tokenizer is not None
        if able.scores or not (able.chat or by_ids):
            raise UsageError(
                f"{engine.uri} cannot hold a conversation: a rollout needs a model with a chat "
                "template, or an endpoint of one"
            )
        form = _settle_form(engine, tools, config)
        special = tuple(getattr(engine, "special_tokens", ()))
        prompts = Prompts(
            config,
            has_tools=bool(tools.specs),
            tools_text=form.tools_text,
            special_tokens=special,
        )
        return cls(engine, identity, form, prompts, config)

    async def begin(self, question: str, draw: int, sample_id: str = "") -> Conversation:
        """Begin a conversation with a question, as number `draw` of those with this question."""
        if self.renderer is None:
            return ChatConversation(self, question, draw, sample_id)
        from plaudit.rollouts.token_conversation import TokenConversation

        return await TokenConversation(self, self.renderer, question, draw, sample_id).start()

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return what the model is shown of results; they cannot speak as anything else."""
        form, prompts = self.form, self.prompts
        escape = prompts.escape_rare if form.escapes else prompts.escape
        safe = [msgspec.structs.replace(one, content=escape(one.text)) for one in answers]
        return form.results(safe)

    def sampling(self, draw: int, max_tokens: int) -> Sampling:
        """Return how a reply of a draw is sampled."""
        config = self.config
        return Sampling(
            temperature=config.sampling_temperature,
            top_p=config.top_p,
            max_tokens=max_tokens,
            seed=None if config.seed is None else config.seed + draw,
            extra=tuple(sorted(config.generation.items())),
        )


def _settle_form(engine: Engine, tools: ToolSet, config: RolloutConfig) -> Form:
    specs, wanted = tools.specs, config.tools_as
    native = engine.capabilities.tools
    if wanted == "native" and not native:
        raise UsageError(f"{engine.uri} takes no tools; leave --tools-as out")
    if not specs or wanted == "native" or (wanted == "auto" and native):
        return NativeForm(specs)
    if wanted == "auto":
        return TextForm(specs, _DEFAULT_FORM, strict=False)
    return TextForm(specs, wanted, strict=True)


class ChatConversation:
    """A conversation in chat mode: the engine makes token ids of the messages."""

    def __init__(self, policy: Policy, question: str, draw: int, sample_id: str) -> None:
        """Begin with the policy's prompts."""
        prompts = policy.prompts
        opening = [Message("system", prompts.system)] if prompts.system else []
        self.messages: list[Message] = [*opening, Message("user", prompts.user(question))]
        self._policy = policy
        self._sent = list(self.messages)
        self._shared = len(opening)
        self._draw = draw
        self._sample_id = sample_id
        self._turn = 0
        self._log = TokenLog() if policy.exactness == "exact" else None

    def request(self, max_tokens: int) -> Request:
        """Return the request for the next reply."""
        policy = self._policy
        return Request(
            prompt=tuple(self._sent),
            sampling=policy.sampling(self._draw, max_tokens),
            tools=policy.form.specs,
            trace_tokens=self._log is not None,
            draw=self._draw,
            sample_id=self._sample_id,
            shared=self._shared,
            turn=str(self._turn),
        )

    async def take(self, completion: Completion) -> tuple[Turn, Sequence[Call]]:
        """Take the reply."""
        self._note_tokens(completion)
        form = self._policy.form
        read = form.read(completion, self._turn)
        self._turn += 1
        self._sent.append(form.said(completion, read))
        calls = [as_openai(call) for call in read.calls] or None
        self.messages.append(Message("assistant", read.answer or None, tool_calls=calls))
        turn = Turn(
            text=completion.text,
            reasoning=read.reasoning,
            answer=read.answer,
            finish_reason=completion.finish_reason,
            calls=[call.id for call in read.calls],
            usage=_usage(completion),
        )
        return turn, read.calls

    async def answer(self, answers: Sequence[Message]) -> None:
        """Tell the model the results of its calls."""
        self.messages += answers
        self._sent += self._policy.results(answers)

    async def tokens(self) -> Tokens | None:
        """Return the ids as the engine told them."""
        if self._log is None:
            return None
        return _finished(self._log, "exact", self._policy.config.max_length)

    def _note_tokens(self, completion: Completion) -> None:
        log = self._log
        if log is None:
            return
        if completion.prompt_token_ids is None or completion.token_ids is None:
            self._log = None  # A trace with gaps would be of no use.
            if self._policy.config.tokens == "exact":
                raise EngineUnusableError(f"{self._policy.engine.uri} tells no token ids")
            return
        log.observe(completion.prompt_token_ids)
        log.sampled(completion.token_ids, completion.token_logprobs)


def _usage(completion: Completion) -> Usage:
    """Return the usage, its output counted where there are ids."""
    if completion.token_ids is None:
        return completion.usage
    return Usage(completion.usage.input_tokens, len(completion.token_ids))


def _finished(log: TokenLog, exactness: Exactness, max_length: int | None) -> Tokens | None:
    """Return what was written down; None where nothing in it was sampled."""
    if max_length is not None:
        log.truncate(max_length)
    try:
        return log.finish(exactness)
    except EmptyMaskError:
        return None
