"""How a model and its tools talk, chosen before the first rollout."""

from collections.abc import Collection

import msgspec

from plaudit.engines.base import Engine
from plaudit.errors import CallError, UsageError
from plaudit.rollouts.call_probe import probe_calls, shows_tools
from plaudit.rollouts.calls.syntax import FORMS, TAGGED, CallForm
from plaudit.rollouts.calls.syntaxes import lost_marks
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.forms import Form, NativeForm, TextForm
from plaudit.rollouts.tokens.rendering import Renderer
from plaudit.rollouts.tools import ToolSet
from plaudit.types import Json

_DEFAULT: CallForm = "hermes"
_OFTEN: tuple[CallForm, ...] = ("json", "hermes", "llama", "qwen", "mistral")
"""Forms that models write also where their template shows another one of them."""
USUAL_READS: Collection[tuple[CallForm, ...]] = (
    (),
    FORMS,
    TAGGED,
    _OFTEN,
    *((form,) for form in FORMS),
)
"""Forms that are read where nothing but the configuration says so."""
_HEADER_END = "<|message|>"
_CALL: dict[str, Json] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00001",
            "type": "function",
            "function": {"name": "find", "arguments": {"what": "x"}},
        }
    ],
}


class Choice(msgspec.Struct, frozen=True):
    """A form, and what a person should know of the choice."""

    form: Form
    notes: tuple[str, ...] = ()


def choose_form(
    engine: Engine, tools: ToolSet, config: RolloutConfig, renderer: Renderer | None, native: bool
) -> Choice:
    """Choose for an engine that makes the prompts itself.

    Args:
        engine: the engine.
        tools: open.
        config: says which form is wanted.
        renderer: makes token ids of whole conversations, if anything does.
        native: whether the engine's own tool calls may be used.

    Raises:
        UsageError: the engine has no such form.
    """
    specs, wanted = tools.specs, config.tools_as
    if wanted == "native" and not native:
        raise UsageError(f"{engine.uri} takes no tools; leave --tools-as out")
    if not specs:
        return Choice(NativeForm(specs))
    if wanted == "native" or (native and wanted == "auto"):
        return Choice(NativeForm(specs), () if engine.capabilities.token_ids else _lost(renderer))
    return Choice(TextForm(specs, _DEFAULT) if wanted == "auto" else _strict(tools, wanted))


def choose_rendered(
    engine: Engine, tools: ToolSet, config: RolloutConfig, renderer: Renderer
) -> Choice:
    """Choose where prompts are rendered here, by the model's chat template.

    Raises:
        UsageError: the template cannot write a conversation, or the form cannot be read.
    """
    specs, wanted = tools.specs, config.tools_as
    if wanted == "native":
        raise UsageError(f"{engine.uri} takes no tools; leave --tools-as out")
    _check_template(renderer)
    framing: tuple[CallForm, ...] = ("harmony",) if _HEADER_END in renderer.control else ()
    if not specs:
        return Choice(NativeForm(specs, framing))
    # Special tokens come as ids; engines leave them out of texts.
    special = () if engine.capabilities.token_ids else renderer.control
    if wanted != "auto":
        lost = lost_marks([wanted], special)
        if lost:
            raise UsageError(
                f"{engine.uri} gives texts without special tokens, and calls in the form {wanted} "
                f"are marked with some ({', '.join(sorted(lost))}); use --tools-as json"
            )
        return Choice(_strict(tools, wanted, framing))
    if not shows_tools(renderer.chat_template, specs):
        return Choice(_as_text(tools, special))
    return _by_template(tools, renderer, special)


def _by_template(tools: ToolSet, renderer: Renderer, special: Collection[str]) -> Choice:
    """Choose the template's own form where its calls are read back the same."""
    found = probe_calls(renderer.chat_template)
    lost = lost_marks(found.forms, special)
    if found.forms and not lost:
        reads = _OFTEN if found.form in _OFTEN else found.forms
        named = found.names_in_ids
        return Choice(NativeForm(tools.specs, reads, "template", names_in_ids=named))
    problem = found.why or f"the engine leaves its marks out ({', '.join(sorted(lost))})"
    note = (
        f"calls are written as text: the calls of the chat template {renderer.template.name} "
        f"cannot be read back: {problem}"
    )
    return Choice(_as_text(tools, special), (note,))


def _as_text(tools: ToolSet, special: Collection[str]) -> TextForm:
    return TextForm(tools.specs, "json" if lost_marks([_DEFAULT], special) else _DEFAULT)


def _strict(tools: ToolSet, form: CallForm, framing: tuple[CallForm, ...] = ()) -> TextForm:
    """Read one form alone, and the messages of gpt-oss where the model writes some."""
    return TextForm(tools.specs, form, tuple(dict.fromkeys((form, *framing))))


def _check_template(renderer: Renderer) -> None:
    """Refuse a template that cannot write an answer, before anything is asked."""
    try:
        _ = renderer.end
    except CallError as error:
        raise UsageError(f"{error}; use another template") from None


def _lost(renderer: Renderer | None) -> tuple[str, ...]:
    """Return a note where a template leaves calls out, so that their ids cannot be told."""
    if renderer is None:
        return ()
    try:
        renderer.template.check_calls([{"role": "user", "content": "?"}, _CALL])
    except CallError as error:
        return (f"rollouts with tool calls have no token ids: {error}",)
    return ()
