"""Chat templates as models ship them, for servers that apply none."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from plaudit.errors import CallError, Cause, UsageError
from plaudit.types import Message


class ChatTemplate:
    """A Jinja file, or a `tokenizer_config.json` that holds a template.

    Attributes:
        digest: 16 hexadecimal digits that tell it from others.
    """

    def __init__(self, path: str) -> None:
        """Read and compile it.

        Raises:
            UsageError: the file cannot be read, or holds no template.
        """
        self._path = path
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(f"chat template {path}: {error.strerror}") from None
        self.digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        self._template, self._end = self._compile(data)

    def _compile(self, data: bytes) -> tuple[Template, str]:
        """Return the template, and the token that ends a turn."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise  # pyright: ignore[reportArgumentType]
        try:
            config: Any = msgspec.json.decode(data) if self._path.endswith(".json") else {}
            source = config["chat_template"] if config else data.decode()
            end = config.get("eos_token") or ""
            end = cast("Mapping[str, Any]", end)["content"] if isinstance(end, dict) else end
            return environment.from_string(source), end
        except (ValueError, TypeError, KeyError, AttributeError, TemplateError) as error:
            raise UsageError(
                f"chat template {self._path}: {type(error).__name__}: {error}; give a Jinja file, "
                "or a tokenizer_config.json that holds a chat_template"
            ) from None

    def render(self, messages: Sequence[Message]) -> str:
        """Return a conversation as one text, without the token that tokenizers begin texts with.

        Raises:
            CallError: the template refuses it, as some do for roles that they do not know.
        """
        try:
            return self._template.render(
                messages=msgspec.to_builtins(messages),
                add_generation_prompt=False,
                bos_token="",
                eos_token=self._end,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            problem = f"the chat template {self._path} refuses the conversation: {error}"
            raise CallError(Cause.BAD_REQUEST, problem) from None


def _raise(message: str) -> NoReturn:
    """What templates call to refuse a conversation."""
    raise TemplateError(message)
