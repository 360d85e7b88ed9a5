"""How a model sees its tools, makes calls, and gets their results; and which way is chosen."""

import re
from collections.abc import Collection, Sequence

import msgspec

from plaudit.engines.base import Completion, Engine, ToolCall, ToolSpec
from plaudit.errors import CallError, UsageError
from plaudit.rollouts.call_probe import probe_calls, shows_tools
from plaudit.rollouts.calls.forms import describe_tools, lost_marks, own_marks, tool_answer
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.calls.reply import MalformedCall, ParsedReply, WrittenCall
from plaudit.rollouts.calls.syntax import FORMS, TAGGED, CallForm
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.tokens.conforming import sample_call
from plaudit.rollouts.tokens.rendering import Renderer
from plaudit.rollouts.tools import ToolSet
from plaudit.types import Json, Message

Call = ToolCall | MalformedCall
"""A call that a model made, readable or not."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class Read(msgspec.Struct, frozen=True):
    """What a reply says."""

    reasoning: str
    """Its thoughts, without their tags."""
    answer: str
    """The text outside of thoughts and calls, trimmed."""
    calls: tuple[Call, ...] = ()
    framed: bool = False
    """Whether thoughts and answer stood in messages with headers."""


class Form:
    """One way in which a model and its tools talk."""

    name: str
    """`native`, `hermes` and so on."""
    specs: tuple[ToolSpec, ...] = ()
    """Tools that requests carry."""
    tools_text: str = ""
    """What the system prompt must say of the tools; empty where it need not."""
    escapes: bool = False
    """Whether `results` breaks the special tokens that are known everywhere."""
    reads: tuple[CallForm, ...]
    """Forms of calls that are read from the text."""
    own_marks: tuple[str, ...] = ()
    """Marks that plaudit itself writes into prompts."""

    def read(self, completion: Completion, turn: int, in_thought: str = "") -> Read:
        """Read a reply; `in_thought`: the tag that ends the thought in which its prompt ended."""
        raise NotImplementedError

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply as the message that the model is shown from then on."""
        raise NotImplementedError

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return what the model is shown of its calls' results, messages with role `tool`."""
        return list(answers)


class NativeForm(Form):
    """The engine, or the model's own template, shows the tools; calls have a place of their own.

    Some servers leave a call in the text, where they cannot read it or do not look for any; so
    calls between tags are read from the text as well.
    """

    def __init__(
        self,
        specs: Sequence[ToolSpec],
        forms: Collection[CallForm] | None = None,
        name: str = "native",
        *,
        names_in_ids: bool = False,
    ) -> None:
        """Offer these tools.

        Args:
            specs: the tools.
            forms: forms that are read from the text; None: all that marks begin.
            name: the form's.
            names_in_ids: whether the template names a tool only by the id of its call.
        """
        self.name = name if specs else "none"
        self.specs = tuple(specs)
        self.reads = tuple(forms if forms is not None else TAGGED if specs else ())
        self._names_in_ids = names_in_ids

    def read(self, completion: Completion, turn: int, in_thought: str = "") -> Read:
        """Read a reply."""
        forms = () if completion.tool_calls else self.reads
        found = read_reply(
            completion.text, tools=self.specs, forms=forms, turn=turn, in_thought=in_thought
        )
        calls = completion.tool_calls or found.attempts
        return Read(found.reasoning, found.text, calls, found.framed)

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply with its thoughts, which the template shows or leaves out."""
        whole = completion.tool_calls or not (read.calls or read.framed)
        text = completion.text if whole else read.answer
        calls = [self._shown(call) for call in read.calls]
        return Message("assistant", text or (None if calls else ""), tool_calls=calls or None)

    def _shown(self, call: Call) -> dict[str, Json]:
        shown = _sendable(call)
        return shown | {"id": _naming_id(call)} if self._names_in_ids else shown


class TextForm(Form):
    """The system prompt shows the tools, calls stand in the text, a user message has results."""

    escapes = True

    def __init__(
        self, specs: Sequence[ToolSpec], form: CallForm, reads: tuple[CallForm, ...] = FORMS
    ) -> None:
        """Show at least one tool, with calls in a form; `reads` are the forms that are read."""
        self.name = form
        self.tools_text = describe_tools(specs, form)
        self._tools = tuple(specs)
        self._form: CallForm = form
        self.reads = reads
        self.own_marks = own_marks(form)

    def read(self, completion: Completion, turn: int, in_thought: str = "") -> Read:
        """Read a reply."""
        found: ParsedReply = read_reply(
            completion.text, tools=self._tools, forms=self.reads, turn=turn, in_thought=in_thought
        )
        return Read(found.reasoning, found.text, found.attempts, found.framed)

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply as it was written."""
        del read
        return Message("assistant", completion.text)

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return one user message with all of them."""
        return [tool_answer(self._form, answers)]


def written(call: Call) -> str:
    """Return the arguments of a call, or all of one that cannot be read, as they were written."""
    return call.text if isinstance(call, MalformedCall) else call.arguments


def as_openai(call: Call) -> dict[str, Json]:
    """Return a call in the OpenAI format, as it was written."""
    return _openai(call, call.name, written(call))


def _sendable(call: Call) -> dict[str, Json]:
    """Return a call as servers accept it: they refuse names and arguments that are broken."""
    name = _NOT_IN_NAMES.sub("_", call.name)[:64] or "unreadable"
    return _openai(call, name, written(call) if _is_object(written(call)) else "{}")


def _naming_id(call: Call) -> str:
    """Return an id that names the tool, as Kimi's do: the model's own, or one that is new."""
    if isinstance(call, WrittenCall) and call.written_id:
        return call.written_id
    turn, number = map(int, call.id.split("-")[1:])
    return f"functions.{_sendable(call)['function']['name']}:{turn * 1000 + number}"


def _openai(call: Call, name: str, arguments: str) -> dict[str, Json]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False


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


class FormChoice(msgspec.Struct, frozen=True):
    """A form, and what a person should know of the choice."""

    form: Form
    notes: tuple[str, ...] = ()


def choose_form(
    engine: Engine, tools: ToolSet, config: RolloutConfig, renderer: Renderer | None, native: bool
) -> FormChoice:
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
        return FormChoice(NativeForm(specs))
    if wanted == "native" or (native and wanted == "auto"):
        return FormChoice(
            NativeForm(specs), () if engine.capabilities.token_ids else _lost(renderer)
        )
    return FormChoice(TextForm(specs, _DEFAULT) if wanted == "auto" else _strict(tools, wanted))


def choose_rendered(
    engine: Engine, tools: ToolSet, config: RolloutConfig, renderer: Renderer
) -> FormChoice:
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
        return FormChoice(NativeForm(specs, framing))
    # Special tokens come as ids; engines leave them out of texts.
    special = () if engine.capabilities.token_ids else renderer.control
    if wanted != "auto":
        lost = lost_marks([wanted], special)
        if lost:
            raise UsageError(
                f"{engine.uri} gives texts without special tokens, and calls in the form {wanted} "
                f"are marked with some ({', '.join(sorted(lost))}); use --tools-as json"
            )
        return FormChoice(_strict(tools, wanted, framing))
    if not shows_tools(renderer.chat_template, specs):
        return FormChoice(_as_text(tools, special))
    return _by_template(tools, renderer, special)


def _by_template(tools: ToolSet, renderer: Renderer, special: Collection[str]) -> FormChoice:
    """Choose the template's own form where its calls are read back the same."""
    found = probe_calls(renderer.chat_template)
    lost = lost_marks(found.forms, special)
    if found.forms and not lost:
        reads = _OFTEN if found.form in _OFTEN else found.forms
        named = found.names_in_ids
        return FormChoice(NativeForm(tools.specs, reads, "template", names_in_ids=named))
    problem = found.why or f"the engine leaves its marks out ({', '.join(sorted(lost))})"
    note = (
        f"calls are written as text: the calls of the chat template {renderer.template.name} "
        f"cannot be read back: {problem}"
    )
    return FormChoice(_as_text(tools, special), (note,))


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
    """Return a note where a template leaves calls out, so that their ids are unknown."""
    if renderer is None:
        return ()
    try:
        renderer.template.check_calls(
            [
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": "", "tool_calls": [sample_call()]},
            ]
        )
    except CallError as error:
        return (f"rollouts with tool calls have no token ids: {error}",)
    return ()
