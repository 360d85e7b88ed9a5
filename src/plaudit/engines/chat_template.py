"""Chat templates as models ship them: Jinja that makes one text of a conversation.

Rendered as Hugging Face's libraries do it, so that a template gives here what it gives there: the
same whitespace rules, functions and extensions, in a sandbox. A template can still loop for long:
take it from where you take the model.
"""

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from plaudit._util.decoding import decode_json
from plaudit._util.forks import finished_before_a_fork
from plaudit.engines.base import ToolSpec
from plaudit.errors import CallError, Cause, UsageError
from plaudit.prompts.sandbox import BoundedEnvironment
from plaudit.types import Json, Message

MessageLike = Message | Mapping[str, Json]
"""A message, as a value or as the object that templates see."""

_CONFIG = "tokenizer_config.json"
_SOURCE = "chat_template.jinja"
_LEGACY = "chat_template.json"
_MORE = "additional_chat_templates"
_DEFAULT, _WITH_TOOLS = "default", "tool_use"
_REFUSALS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


class ChatTemplate:
    """A model's chat template, or its several named ones.

    Where there is one called `tool_use`, it is taken for conversations with tools.

    Attributes:
        name: what it was read from, for messages.
        tokens: texts of special tokens by the name that templates use, such as `eos_token`.
        digest: 16 hexadecimal digits that identify it.
    """

    def __init__(
        self,
        name: str,
        sources: Mapping[str, str],
        tokens: Mapping[str, str],
        now: datetime.datetime | None = None,
    ) -> None:
        """Compile the sources, given by their names; a single one is called `default`.

        `now` is the time that templates see, by default the time of this call. It stays the same
        as long as the object lives.

        Raises:
            UsageError: a source is no Jinja template.
        """
        self.name = name
        self.tokens = dict(tokens)
        self._time = now or datetime.datetime.now()
        content = msgspec.json.encode([dict(sources), self.tokens], order="sorted")
        self.digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        environment = self._environment()
        try:
            with finished_before_a_fork():  # Jinja compiles under a lock.
                self._templates = {
                    kind: environment.from_string(source) for kind, source in sources.items()
                }
        except TemplateError as error:
            raise _unusable(name, error) from None
        except (RecursionError, SyntaxError, MemoryError):  # Jinja makes Python code of it.
            raise UsageError(f"chat template {name}: it is nested too deeply") from None

    @classmethod
    def load(cls, path: str | Path, now: datetime.datetime | None = None) -> "ChatTemplate":
        """Read a Jinja file, a `tokenizer_config.json` that holds a template, or a model's folder.

        Raises:
            UsageError: the file cannot be read, or holds no template.
        """
        path = Path(path)
        try:
            sources, tokens = _read_folder(path) if path.is_dir() else _read_file(path)
        except OSError as error:
            raise UsageError(f"chat template {path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unusable(path, error) from None
        return cls(str(path), sources, tokens, now)

    def render(
        self,
        messages: Sequence[MessageLike],
        tools: Sequence[ToolSpec] = (),
        *,
        prompt: bool = False,
        begin: bool = False,
    ) -> str:
        """Return a conversation as one text.

        Args:
            messages: the conversation.
            tools: tools that the model can call.
            prompt: whether the header of the model's next message follows.
            begin: whether the text has the token that texts begin with, where the template writes
                one. Servers that take a text put it there themselves.

        Raises:
            CallError: the template refuses it, as some do for roles that they do not know.
        """
        tokens = self.tokens if begin else self.tokens | {"bos_token": ""}
        try:
            return self._chosen(tools).render(
                messages=[_plain(message) for message in messages],
                tools=[_schema(tool) for tool in tools] or None,
                documents=None,
                add_generation_prompt=prompt,
                **tokens,
            )
        except (*_REFUSALS, RecursionError) as error:
            problem = f"the chat template {self.name} refuses the conversation: {error}"
            raise CallError(Cause.BAD_REQUEST, problem) from None

    def _chosen(self, tools: Sequence[ToolSpec]) -> Template:
        if tools and _WITH_TOOLS in self._templates:
            return self._templates[_WITH_TOOLS]
        return self._templates[_DEFAULT]

    def _environment(self) -> BoundedEnvironment:
        environment = BoundedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise  # pyright: ignore[reportArgumentType]
        environment.globals["strftime_now"] = self._time.strftime  # pyright: ignore[reportArgumentType]
        return environment


class _Generation(Extension):
    """Accepts `{% generation %}`, which some templates put around what the model writes."""

    tags: set[str] = {"generation"}  # noqa: RUF012 - as its base declares it.

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Arguments(dict[str, Json]):
    """Arguments of a call. Templates that take them for text get JSON, not Python's notation."""

    def __str__(self) -> str:
        return _to_json(self)


# ---------------------------------------------------------------- reading


def _read_folder(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read a model's folder: a file of its own goes before what the configuration holds."""
    sources: dict[str, str] = {}
    tokens: dict[str, str] = {}
    for name in (_CONFIG, _LEGACY):
        if (folder / name).is_file():
            found, named = _read_config(folder / name)
            sources, tokens = sources | found, tokens | named
    for path in sorted((folder / _MORE).glob("*.jinja")):
        sources[path.stem] = path.read_text(encoding="utf-8")
    if (folder / _SOURCE).is_file():
        sources[_DEFAULT] = (folder / _SOURCE).read_text(encoding="utf-8")
    return _checked(sources), tokens


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read one file; a Jinja file's special tokens come from the configuration beside it."""
    if path.suffix == ".json":
        sources, tokens = _read_config(path)
        return _checked(sources), tokens
    source = path.read_text(encoding="utf-8")
    config = path.parent / _CONFIG
    return {_DEFAULT: source}, _read_config(config)[1] if config.is_file() else {}


def _read_config(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the templates and special tokens of a `tokenizer_config.json`."""
    config: Any = decode_json(path.read_bytes())
    found: Any = config.get("chat_template")
    if isinstance(found, list):
        entries = cast("list[dict[str, str]]", found)
        sources = {entry["name"]: entry["template"] for entry in entries}
    else:
        sources = {} if found is None else {_DEFAULT: found}
    tokens = {
        name: cast("Mapping[str, Any]", token)["content"] if isinstance(token, dict) else token
        for name, token in cast("dict[str, Any]", config).items()
        if name.endswith("_token") and isinstance(token, str | dict)
    }
    return sources, tokens


def _checked(sources: Mapping[str, Any]) -> dict[str, str]:
    if _DEFAULT not in sources:
        named = f" it has: {', '.join(sorted(sources))};" if sources else ""
        raise ValueError(f"there is no default chat template;{named}")
    for source in sources.values():
        if not isinstance(source, str):
            raise TypeError("a chat template must be text")
    return dict(sources)


def _unusable(name: str | Path, error: Exception) -> UsageError:
    return UsageError(
        f"chat template {name}: {type(error).__name__}: {error}; give a Jinja file, or a "
        f"{_CONFIG} that holds a chat_template"
    )


# ---------------------------------------------------------------- what templates see


def _plain(message: MessageLike) -> dict[str, Json]:
    """Return a message as templates expect it: an object, whose calls' arguments are objects."""
    if isinstance(message, Message):
        message = cast("dict[str, Json]", msgspec.to_builtins(message))
    turn: dict[str, Json] = {"content": None, **message}
    if turn.get("tool_calls"):
        turn["tool_calls"] = [_call(call) for call in cast("list[Any]", turn["tool_calls"])]
    return turn


def _call(call: Mapping[str, Json]) -> dict[str, Json]:
    function: Json = call.get("function")
    if not isinstance(function, dict):
        return dict(call)
    function = cast("dict[str, Json]", function)
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        return {**call, "function": function | {"arguments": _Arguments(arguments)}}  # pyright: ignore[reportUnknownArgumentType]
    return dict(call)


def _schema(tool: ToolSpec) -> dict[str, Json]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": msgspec.json.decode(tool.parameters),
    }
    return {"type": "function", "function": function}


def _to_json(
    value: Json,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without the escapes for HTML that Jinja's own filter makes."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> NoReturn:
    """What templates call to refuse a conversation."""
    raise TemplateError(message)
