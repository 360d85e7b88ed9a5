"""Tokenizers: text to token ids and back, from a file or from an engine that has the model."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from plaudit.engines.base import ModelTokenizer
from plaudit.engines.llama.gguf import looks_like_control, looks_like_markup
from plaudit.errors import MissingDependencyError, UsageError

_FILE = "tokenizer.json"
LONG = 1 << 16
"""Characters from which on a text is encoded in a thread, so that the loop goes on."""


class Tokenizer(Protocol):
    """What makes token ids of text, exactly as the model's own tokenizer does.

    A *control token* steers the model, such as the one that ends a turn. Its text becomes the token
    wherever it stands, so it must be broken in texts that are not to steer.
    """

    @property
    def identity(self) -> str:
        """Identifies the tokenizer."""
        ...

    @property
    def control(self) -> Mapping[str, int]:
        """Texts of the control tokens, with their ids."""
        ...

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Texts that are tokens of their own wherever they stand, and look like markup.

        Control tokens, and such as `<think>`, which models write and templates do.
        """
        ...

    async def encode(self, text: str) -> list[int]:
        """Return the ids of a text, texts of control tokens read as these; nothing is added."""
        ...

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        ...


class Encoded(msgspec.Struct, frozen=True):
    """A text as ids, with some of its stretches."""

    ids: list[int]
    spans: list[tuple[int, int]]
    """Begin and end of each stretch in tokens; a token that reaches into it belongs to it."""


class FileTokenizer:
    """A tokenizer of the `tokenizers` library, from a `tokenizer.json`."""

    def __init__(self, path: str | Path) -> None:
        """Read the file, or the `tokenizer.json` of a folder.

        Raises:
            MissingDependencyError: the `tokenizers` library is not installed.
            UsageError: there is no such file, or it is no tokenizer.
        """
        path = Path(path)
        self.path = path / _FILE if path.is_dir() else path
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"tokenizer {self.path}: {error.strerror}; give a {_FILE} as the tokenizers "
                "library writes it, or a model's folder that holds one"
            ) from None
        self.identity = f"tokenizer-blake2b:{hashlib.blake2b(data, digest_size=16).hexdigest()}"
        self.native = self._native(data)
        added = {t.content: (i, t) for i, t in self.native.get_added_tokens_decoder().items()}
        self.control: dict[str, int] = {
            text: i for text, (i, t) in added.items() if t.special or looks_like_control(text)
        }
        markup = {text for text in added if looks_like_markup(text)}
        self.special_tokens = tuple(sorted(markup | self.control.keys(), key=_longest_first))

    def _native(self, data: bytes) -> Any:
        try:
            from tokenizers import Tokenizer as Native
        except ImportError:
            raise MissingDependencyError("tokenizers", "tokens") from None
        try:
            native = Native.from_buffer(data)
        except Exception as error:  # The library raises no narrower class.
            raise UsageError(f"{self.path} is not a usable tokenizer: {error}") from None
        native.no_truncation()
        native.no_padding()
        return native

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text; blocks."""
        return self.native.encode(text, add_special_tokens=False).ids

    async def encode(self, text: str) -> list[int]:
        """Return the ids of a text, texts of control tokens read as these; nothing is added."""
        if len(text) < LONG:
            return self.ids(text)
        return await asyncio.to_thread(self.ids, text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text; blocks, and uses all cores."""
        encodings = self.native.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def locate(self, text: str, spans: Sequence[tuple[int, int]]) -> Encoded:
        """Return the ids of a text, and where stretches of it are among them; blocks.

        Args:
            text: any text.
            spans: begin and end of each stretch in characters; what no token stands for is left
                out, and so is a stretch without tokens.
        """
        encoding = self.native.encode(text, add_special_tokens=False)
        found = [_token_span(encoding, begin, end) for begin, end in spans]
        return Encoded(encoding.ids, [span for span in found if span])

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        return self.native.decode(list(ids), skip_special_tokens=False)

    def __reduce__(self) -> tuple[type["FileTokenizer"], tuple[Path]]:
        """Pickle as the path."""
        return FileTokenizer, (self.path,)


class EngineTokenizer:
    """The tokenizer of a model that the embedded engine runs: exact, since it is the engine's."""

    def __init__(self, tokenizer: ModelTokenizer, identity: str) -> None:
        self._tokenizer = tokenizer
        self.identity = identity
        self.control: dict[str, int] = tokenizer.metadata.vocabulary.control
        self.special_tokens = tokenizer.metadata.vocabulary.special

    async def encode(self, text: str) -> list[int]:
        """Return the ids of a text, texts of control tokens read as these; nothing is added."""
        return await self._tokenizer.encode(text, special=True)

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        return await self._tokenizer.decode(ids)


def load_tokenizer(path: str | Path) -> FileTokenizer:
    """Read a tokenizer from a `tokenizer.json`, or from a model's folder that holds one.

    Raises:
        MissingDependencyError: the `tokenizers` library is not installed.
        UsageError: there is no such file, or it is no tokenizer.
    """
    return FileTokenizer(path)


def _token_span(encoding: Any, begin: int, end: int) -> tuple[int, int] | None:
    """Return the tokens that stand for a stretch; some characters, as spaces, may have none."""
    first = _first_token(encoding, range(begin, end))
    last = _first_token(encoding, range(end - 1, begin - 1, -1))
    if first is None or last is None:
        return None
    # A character can be several tokens, each of them some of its bytes.
    while (characters := encoding.token_to_chars(last + 1)) and characters[0] < end:
        last += 1
    return first, last + 1


def _first_token(encoding: Any, places: range) -> int | None:
    """Return the first token of the first character that has one."""
    tokens = map(encoding.char_to_token, places)
    return next((token for token in tokens if token is not None), None)


def _longest_first(text: str) -> tuple[int, str]:
    return (-len(text), text)
