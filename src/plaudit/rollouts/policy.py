"""A model as an agent's policy: what is settled about it before the first rollout."""

import datetime
from collections.abc import Collection
from functools import partial

import msgspec

from plaudit.engines.base import Engine, Sampling, check_generation
from plaudit.engines.llama import LlamaEngine
from plaudit.errors import UsageError
from plaudit.rollouts.call_probe import probe_calls, shows_tools
from plaudit.rollouts.calls.forms import CallForm
from plaudit.rollouts.calls.syntaxes import lost_marks
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.conversation import (
    ChatConversation,
    Conversation,
    RenderedConversation,
    Terms,
)
from plaudit.rollouts.forms import Form, NativeForm, TextForm
from plaudit.rollouts.prompts import Prompts
from plaudit.rollouts.tokens.rendering import Renderer, engine_renderer, load_renderer
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Exactness
from plaudit.types import Json

_DEFAULT_FORM: CallForm = "hermes"
_OFTEN: tuple[CallForm, ...] = ("json", "hermes", "llama", "qwen", "mistral")
"""Forms that models write also where their template shows another one of them."""
_TEMPLATE = "template"
_HEADER_END = "<|message|>"


class Policy:
    """A model, bound to an agent's tools and configuration.

    Attributes:
        uri: the engine's.
        identity: the model's.
        form: how it and the tools talk.
        prompts: what it is told.
        exactness: what its tokens are going to be; None: there are none.
        notes: what a person should know of the way in which the model is asked.
    """

    def __init__(self, identity: str, terms: Terms, config: RolloutConfig, rendered: bool) -> None:
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
            raise UsageError(
                f"{engine.uri} cannot hold a conversation: a rollout needs a model with a chat "
                "template, an endpoint of one, or its --tokenizer with the template"
            )
        native = native and able.tools and not rendered
        form, notes = _settle_form(engine, tools, config, renderer if rendered else None, native)
        if rendered and renderer is not None:
            renderer = renderer.keeping(form.own_marks)
        special = None if rendered else tuple(getattr(engine, "special_tokens", ()))
        terms = Terms(
            uri=engine.uri,
            form=form,
            prompts=Prompts(
                config,
                has_tools=bool(tools.specs),
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
        policy = cls(identity, terms, config, rendered)
        policy.notes = notes
        if terms.exact_only and policy.exactness != "exact":
            raise UsageError(
                f"{engine.uri} tells no token ids of what it samples; leave out --tokens exact"
            )
        return policy

    @property
    def made_of(self) -> Json:
        """All that decides what is asked, and what is written down of it."""
        terms, config = self._terms, self._config
        specs = [(spec.name, spec.description, bytes(spec.parameters)) for spec in self.form.specs]
        # Only where calls are read otherwise than they always were: stored rollouts stay.
        reads = (self.form.reads,) if self._is_own_form else ()
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
            *reads,
        )

    @property
    def _is_own_form(self) -> bool:
        return self.form.name == _TEMPLATE and set(self.form.reads) != set(_OFTEN)

    def begin(self, question: str, draw: int, sample_id: str = "") -> Conversation:
        """Begin a conversation with a question, as number `draw` of those with this question."""
        renderer = self._terms.renderer
        if self._rendered and renderer is not None:
            return RenderedConversation(self._terms, renderer, question, draw, sample_id)
        return ChatConversation(self._terms, question, draw, sample_id)


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
    if isinstance(engine, LlamaEngine) and engine.capabilities.chat:
        return await engine_renderer(engine, now)
    return None


def _renders(engine: Engine, config: RolloutConfig) -> bool:
    """Whether conversations are rendered here: prompts can be ids, or texts are all there is."""
    able = engine.capabilities
    return (able.token_prompts and config.tools_as != "native") or not able.chat


def _settle_form(
    engine: Engine,
    tools: ToolSet,
    config: RolloutConfig,
    renderer: Renderer | None,
    native: bool,
) -> tuple[Form, tuple[str, ...]]:
    """Return how the model and its tools talk, and notes on it."""
    specs, wanted = tools.specs, config.tools_as
    if wanted == "native" and not native:
        raise UsageError(f"{engine.uri} takes no tools; leave --tools-as out")
    framing = _framing(renderer)
    if not specs:
        return NativeForm(specs, framing), ()
    if native and wanted in ("native", "auto"):
        return NativeForm(specs), ()
    # Special tokens come as ids; engines leave them out of texts.
    special = () if renderer is None or engine.capabilities.token_ids else renderer.control
    if wanted not in ("native", "auto"):
        lost = lost_marks([wanted], special)
        if lost:
            raise UsageError(
                f"{engine.uri} gives texts without special tokens, and calls in the form {wanted} "
                f"are marked with some ({', '.join(sorted(lost))}); use --tools-as json"
            )
        return TextForm(specs, wanted, (wanted, *framing)), ()
    own, why = (None, "") if renderer is None else _own_form(renderer, tools, special)
    if own is not None:
        return own, ()
    form: CallForm = "json" if lost_marks([_DEFAULT_FORM], special) else _DEFAULT_FORM
    return TextForm(specs, form), ((why,) if why else ())


def _framing(renderer: Renderer | None) -> tuple[CallForm, ...]:
    """Return the form of gpt-oss where a model writes its messages, whatever form calls have."""
    return ("harmony",) if renderer is not None and _HEADER_END in renderer.control else ()


def _own_form(
    renderer: Renderer, tools: ToolSet, special: Collection[str]
) -> tuple[Form | None, str]:
    """Return the form of the chat template, or why there is none that could be used."""
    if not shows_tools(renderer.chat_template, tools.specs):
        return None, ""
    found = probe_calls(renderer.chat_template)
    lost = lost_marks(found.forms, special)
    if found.forms and not lost:
        forms = _OFTEN if found.form in _OFTEN else found.forms
        named = found.names_in_ids
        return NativeForm(tools.specs, forms, _TEMPLATE, names_in_ids=named), ""
    problem = found.why or f"the engine leaves its marks out ({', '.join(sorted(lost))})"
    return None, (
        f"calls are written as text: the calls of the chat template {renderer.template.name} "
        f"cannot be read back: {problem}"
    )


def _exactness(terms: Terms) -> Exactness | None:
    if terms.tells_ids:
        return "exact"
    return None if terms.renderer is None else "approximate"
