"""A model as an agent's policy: what is settled about it before the first rollout."""

import datetime
from functools import partial

import msgspec

from plaudit.engines.base import Engine, Sampling, check_generation, engine_info
from plaudit.errors import UsageError
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.conversation import (
    ChatConversation,
    Conversation,
    ModelTerms,
    RenderedConversation,
)
from plaudit.rollouts.forms import USUAL_READS, Form, choose_form, choose_rendered
from plaudit.rollouts.prompts import Prompts
from plaudit.rollouts.tokens.rendering import Renderer, engine_renderer, load_renderer
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Exactness
from plaudit.types import Json


class Policy:
    """A model, bound to an agent's tools and configuration.

    Attributes:
        uri: the engine's.
        identity: the model's.
        form: how it and the tools talk.
        prompts: what it is shown.
        exactness: what its tokens are going to be; None: there are none.
        notes: what a person should know of the way in which the model is asked.
    """

    def __init__(
        self, identity: str, terms: ModelTerms, config: RolloutConfig, rendered: bool
    ) -> None:
        """Put a policy together; `bind` settles what it is made of."""
        self.uri = terms.uri
        self.identity = identity
        self.form = terms.form
        self.prompts = terms.prompts
        self.exactness = _exactness(terms)
        self._terms = terms
        self._config = config
        self._rendered = rendered
        self.notes: tuple[str, ...] = ()

    @classmethod
    async def bind(
        cls, engine: Engine, tools: ToolSet, config: RolloutConfig, *, native: bool = True
    ) -> "Policy":
        """Settle how an engine's model is asked.

        Args:
            engine: anything that completes.
            tools: open.
            config: the agent's.
            native: whether the engine's own tool calls may be used where it has them.

        Raises:
            UsageError: the engine cannot do what is asked for.
            TemplateError: a prompt template cannot be used.
            MissingDependencyError: a tokenizer is named, and `tokenizers` is not installed.
            EngineUnusableError: the model cannot be found out.
        """
        check_generation(config.generation, engine)
        identity = await engine.identify()
        able = engine.capabilities
        renderer = await _find_renderer(engine, config)
        rendered = renderer is not None and _renders(engine, config)
        if able.scores or not (able.chat or rendered):
            raise _cannot_converse(engine)
        if rendered and renderer is not None:
            chosen = choose_rendered(engine, tools, config, renderer)
            renderer = renderer.keeping(chosen.form.own_marks)
        else:
            chosen = choose_form(engine, tools, config, renderer, native and able.tools)
        has_tools = bool(tools.specs)
        terms = _terms(engine, config, chosen.form, has_tools, renderer, rendered)
        policy = cls(identity, terms, config, rendered)
        policy.notes = chosen.notes
        if terms.exact_only and policy.exactness != "exact":
            raise UsageError(
                f"{engine.uri} returns no token ids of what it samples; leave out --tokens exact"
            )
        return policy

    @property
    def made_of(self) -> Json:
        """All that decides what is asked, and what is written down of it."""
        terms, config = self._terms, self._config
        specs = [(spec.name, spec.description, bytes(spec.parameters)) for spec in self.form.specs]
        return (
            self.identity,
            self.form.name,
            specs,
            self.prompts.system,
            msgspec.to_builtins(terms.sampling(0, config.max_new_tokens)),
            self.exactness,
            None if terms.renderer is None else terms.renderer.identity,
            self._rendered,
            config.max_length,
            # Where replies are read as they always were, stored rollouts stay what they are.
            *(() if self.form.reads in USUAL_READS else (self.form.reads,)),
        )

    def begin(self, question: str, draw: int, sample_id: str = "") -> Conversation:
        """Begin a conversation with a question, as number `draw` of those with this question."""
        renderer = self._terms.renderer
        if self._rendered and renderer is not None:
            return RenderedConversation(self._terms, renderer, question, draw, sample_id)
        return ChatConversation(self._terms, question, draw, sample_id)


def _cannot_converse(engine: Engine) -> UsageError:
    return UsageError(
        f"{engine.uri} cannot hold a conversation: a rollout needs a model with a chat template, "
        "an endpoint of one, or its --tokenizer with the template"
    )


def _terms(
    engine: Engine,
    config: RolloutConfig,
    form: Form,
    has_tools: bool,
    renderer: Renderer | None,
    rendered: bool,
) -> ModelTerms:
    able = engine.capabilities
    special = None if rendered else engine_info(engine).special_tokens
    return ModelTerms(
        uri=engine.uri,
        form=form,
        prompts=Prompts(
            config,
            has_tools=has_tools,
            tools_text=form.tools_text,
            special_tokens=special,
        ),
        sampling=partial(_sampling, config),
        renderer=renderer,
        takes_ids=rendered and able.token_prompts,
        tells_ids=able.token_ids and config.tokens != "off",
        exact_only=config.tokens == "exact",
        max_length=config.max_length,
    )


def _sampling(config: RolloutConfig, draw: int, max_tokens: int) -> Sampling:
    return Sampling(
        temperature=config.sampling_temperature,
        top_p=config.top_p,
        max_tokens=max_tokens,
        seed=None if config.seed is None else config.seed + draw,
        extra=tuple(sorted(config.generation.items())),
    )


async def _find_renderer(engine: Engine, config: RolloutConfig) -> Renderer | None:
    """Return what makes ids of messages: from the user's files, else from the engine's model."""
    if config.tokens == "off":
        return None
    now = datetime.datetime.fromisoformat(config.date) if config.date else None
    if config.tokenizer is not None:
        return load_renderer(config.tokenizer, now)
    if engine_info(engine).tokenizer is not None and engine.capabilities.chat:
        return await engine_renderer(engine, now)
    return None


def _renders(engine: Engine, config: RolloutConfig) -> bool:
    """Whether conversations are rendered here: prompts can be ids, or texts are all there is."""
    able = engine.capabilities
    return (able.token_prompts and config.tools_as != "native") or not able.chat


def _exactness(terms: ModelTerms) -> Exactness | None:
    if terms.tells_ids:
        return "exact"
    return None if terms.renderer is None else "approximate"
