"""Whether the calls that a chat template writes can be read back.

A model writes calls as its template does. Before a run some calls are rendered by the template and
read, in one form after another: a form is taken only where all of them are the same calls again.
"""

from collections.abc import Iterator, Sequence

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError
from plaudit.rollouts.calls.forms import SYNTAXES
from plaudit.rollouts.calls.parsing import open_thought, read_reply
from plaudit.rollouts.calls.reply import ParsedReply
from plaudit.rollouts.calls.syntax import CallForm
from plaudit.rollouts.tokens import conforming
from plaudit.types import Json

_TOOL = "find_places"
_WORD = "Leipzig"
_SAID = "Nothing was found."
_ASKED: dict[str, Json] = {"role": "user", "content": "?"}
_SPEC = ToolSpec(
    _TOOL,
    "Finds places.",
    msgspec.Raw(
        msgspec.json.encode(
            {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "description": "words"},
                    "count": {"type": "integer", "description": "a number"},
                    "share": {"type": "number", "description": "a number"},
                    "deep": {"type": "boolean", "description": "yes or no"},
                    "near": {"type": "boolean", "description": "yes or no"},
                    "limit": {"type": ["integer", "null"], "description": "a number"},
                    "area": {"type": "object", "description": "an area"},
                    "tags": {"type": "array", "description": "words"},
                },
                "required": ["text"],
            }
        )
    ),
)
_CALLS: tuple[tuple[str, dict[str, Json]], ...] = (
    ("a text", {"text": _WORD}),
    ("no arguments", {}),
    ("numbers", {"text": "7", "count": -12, "share": 0.25}),
    ("truth values and null", {"text": "true", "deep": True, "near": False, "limit": None}),
    ("lists and objects", {"area": {"at": [1, {"b": "x, y"}, None, True]}, "tags": ["a", "b: c"]}),
    ("quotes", {"text": 'it\'s "so" `called`', "tags": ["it's", 'a "b"']}),
    ("braces and backslashes", {"text": "}{ ][ )( \\n \\", "tags": ["{}", "\\"]}),
    ("several lines", {"text": "one\n  two\n\nthree\t4"}),
    ("letters of other scripts", {"text": "Größe 灯台 🙂"}),
    ("marks of calls", {"text": 'a <tool_call> {"name": "x"} </tool_call> b'}),
)
"""What is tried, and what it is called in reasons. Simple ones come first."""


class Readable(msgspec.Struct, frozen=True):
    """What was found out about the calls of a chat template."""

    forms: tuple[CallForm, ...] = ()
    """Forms in which its calls are read; none where they cannot be read back."""
    why: str = ""
    """Why there is none."""
    names_in_ids: bool = False
    """Whether the template names a tool only by the id of its call."""

    @property
    def form(self) -> str:
        """The form's name; empty where there is none."""
        return self.forms[0] if self.forms else ""


def shows_tools(template: ChatTemplate, specs: Sequence[ToolSpec]) -> bool:
    """Whether a chat template shows tools to the model."""
    try:
        text = conforming.render(template, [_ASKED], specs, prompt=True)
    except CallError:
        return False
    return all(spec.name in text for spec in specs)


def probe_calls(template: ChatTemplate) -> Readable:
    """Find out in which form, if any, the calls of a chat template are read back as they were."""
    found = _probe(template, "call00001", "call00002")
    if found.forms:
        return found
    named = _probe(template, f"functions.{_TOOL}:0", f"functions.{_TOOL}:1")
    return msgspec.structs.replace(named, names_in_ids=True) if named.forms else found


def _probe(template: ChatTemplate, *ids: str) -> Readable:
    rendering = _Rendering(template)
    try:
        written = [rendering.reply(_turn([made], ids)) for _, made in _CALLS]
        said = rendering.reply({"role": "assistant", "content": _SAID})
    except CallError as error:
        return Readable(why=str(error))
    if not any(_WORD in text for text in written[0]):
        return Readable(why="it leaves calls out")
    reasons: list[tuple[int, str]] = []
    for forms in _candidates():
        trial = _Trial(forms)
        done, why = trial.passed(written, said)
        why = why or trial.together(rendering, ids)
        if not why:
            return Readable(forms)
        reasons.append((done, why))
    return Readable(why=max(reasons, key=lambda reason: reason[0])[1])


def _candidates() -> Iterator[tuple[CallForm, ...]]:
    """Single forms, then each within the messages of gpt-oss."""
    for form in SYNTAXES:
        yield (form,)
    for form in SYNTAXES:
        if form != "harmony":
            yield (form, "harmony")


class _Trial(msgspec.Struct, frozen=True):
    """Reads probes in some forms, of which the first is that of the calls."""

    forms: tuple[CallForm, ...]

    def passed(self, written: Sequence[tuple[str, str]], said: tuple[str, str]) -> tuple[int, str]:
        """Return how many probes were read back, and why the next one was not."""
        for number, ((what, made), text) in enumerate(zip(_CALLS, written, strict=True)):
            if not self._same(self._read(text), [made]):
                return number, _reason(number, what)
        if self._read(said).text != _SAID:
            return len(_CALLS), "an answer does not read back the same"
        return len(_CALLS) + 1, ""

    def together(self, rendering: "_Rendering", ids: Sequence[str]) -> str:
        """Return why two calls at once, or a thought before one, cannot be read; else nothing.

        Templates may take one call at a time: they refuse the second one, or leave it out.
        """
        two, one = [_CALLS[0][1], _CALLS[4][1]], _CALLS[0][1]
        for what, turn, expected in (
            ("two calls in one turn", _turn(two, ids), (two, two[:1])),
            ("a thought", _turn([one], ids) | {"reasoning_content": "Hm."}, ([one],)),
        ):
            try:
                reply = self._read(rendering.reply(turn))
            except CallError:
                continue
            if not any(self._same(reply, calls) for calls in expected):
                return _reason(1, what)
        return ""

    def _read(self, text: tuple[str, str]) -> ParsedReply:
        return read_reply(text[0], tools=[_SPEC], forms=self.forms, in_thought=text[1])

    def _same(self, reply: ParsedReply, made: Sequence[dict[str, Json]]) -> bool:
        own = {self.forms[0], "json"} if self.forms[0] in ("llama", "mistral") else {self.forms[0]}
        return (
            not reply.malformed
            and all(call.name == _TOOL and call.form in own for call in reply.calls)
            and [msgspec.json.decode(call.arguments) for call in reply.calls] == list(made)
        )


def _reason(number: int, what: str) -> str:
    if number == 0:
        return "its calls have a form that is not known"
    return f"calls with {what} do not read back the same"


class _Rendering:
    """Renders replies by one template."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def reply(self, turn: dict[str, Json]) -> tuple[str, str]:
        """Return a reply as a model would write it, and the tag of the thought that it begins in.

        Raises:
            CallError: the template refuses it.
        """
        prompt = self._render([_ASKED], prompt=True)
        whole = self._render([_ASKED, turn])
        begin = _header_end(prompt, whole)
        text = whole[begin:].removesuffix(self._end())
        return text, open_thought(whole[:begin])

    def _end(self) -> str:
        """Return what follows an answer: the token that ends a turn, where there is one."""
        word = "w31zq"
        try:
            text = self._render([_ASKED, {"role": "assistant", "content": word}])
        except CallError:
            return ""
        return text.rpartition(word)[2] if word in text else ""

    def _render(self, chat: conforming.Chat, *, prompt: bool = False) -> str:
        return conforming.render(self._template, chat, [_SPEC], prompt=prompt)


def _header_end(prompt: str, whole: str) -> int:
    """Return where a reply begins in a conversation: after the header that the prompt ends with.

    Where a template writes another header in mid-conversation, such as one without an empty
    thought, the reply begins with the first mark or line that differs.
    """
    pairs = enumerate(zip(prompt, whole, strict=False))
    common = next((place for place, (one, other) in pairs if one != other), len(prompt))
    if whole.startswith(prompt):
        return len(prompt)
    marks = (prompt.rfind(mark, 0, common + 1) for mark in "<[")
    return max(0, prompt.rfind("\n", 0, common) + 1, *marks)


def _turn(made: Sequence[dict[str, Json]], ids: Sequence[str]) -> dict[str, Json]:
    calls = [
        {"id": id_, "type": "function", "function": {"name": _TOOL, "arguments": arguments}}
        for id_, arguments in zip(ids, made, strict=False)
    ]
    return {"role": "assistant", "content": "", "tool_calls": calls}
