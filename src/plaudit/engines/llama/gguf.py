"""The metadata of GGUF files; tensors are never read.

A file is untrusted: every length it states is checked against the bytes that are really there
before anything is read, and no more than `MAX_HEADER` bytes of it are ever held.
"""

import re
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from plaudit.errors import UsageError

MAX_HEADER = 256 << 20
"""Most bytes of metadata that are read; the largest vocabularies in use need some 15 MB."""
MAX_KEYS = 1 << 16
_CHUNK = 4 << 20
_VERSIONS = (2, 3)

_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: _UINT32,
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: _UINT64,
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_INT32, _STRING, _ARRAY = 5, 8, 9

_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"

Scalar = int | float | bool | str

# Token types of GGUF.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
_MARKUP = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
# llama.cpp turns normal tokens of these shapes into control tokens when it loads a model.
_CONTROL_SHAPED = re.compile(
    r"<[|\uff5c][^<>\s]+[|\uff5c]>|<end_of_(turn|utterance)>|<fim[-_]\w+>|_?<EOT>"
    r"|< EOT >|\[(EOT|EOS)\]"
    r"|▁?<(PRE|SUF|MID)>|<(reponame|repo_name|filename|file_sep|PAD)>"
)


class Vocabulary:
    """The tokens of a model, as its GGUF file lists them."""

    def __init__(self, kind: str, tokens: Sequence[str], types: Sequence[int]) -> None:
        self.kind = kind
        """`gpt2` (byte-level BPE), `llama` (sentencepiece), `bert`, `t5` and so on."""
        self.tokens = tokens
        """Tokens by id, spelled as the file spells them (`Ġthanks`, `▁thanks`)."""
        self.types = types

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def special(self) -> tuple[str, ...]:
        """Texts that the tokenizer turns into special tokens wherever they stand, longest first.

        Control and unknown tokens, user-defined tokens that look like markup (others are plain
        text, such as Gemma's runs of spaces), and normal ones that llama.cpp takes for control.
        """
        found = {t for t, kind in zip(self.tokens, self.types, strict=True) if _special(t, kind)}
        return tuple(sorted(found, key=lambda text: (-len(text), text)))

    @cached_property
    def control(self) -> dict[str, int]:
        """Texts of the tokens that steer the model, such as the one that ends a turn; their ids."""
        found = enumerate(zip(self.tokens, self.types, strict=True))
        return {t: i for i, (t, kind) in found if kind == _CONTROL or _steers(t, kind)}

    @cached_property
    def longest_token_bytes(self) -> int:
        """Bytes of text that the longest token stands for, at least 1."""
        special = max((len(token.encode()) for token in self.special), default=1)
        if self.kind == "gpt2":  # One letter a byte, however many bytes the letter takes.
            return max(special, max(map(len, self.tokens), default=1))
        return max(special, max((len(token.encode()) for token in self.tokens), default=1))

    @property
    def covers_bytes(self) -> bool:
        """Whether every byte of text costs a token its share, so that length bounds tokens."""
        return self.kind in ("gpt2", "llama")


def looks_like_markup(token: str) -> bool:
    """Whether an added token's text is a mark such as `<think>`, rather than a run of spaces."""
    return bool(_MARKUP.fullmatch(token) or _CONTROL_SHAPED.fullmatch(token))


def looks_like_control(token: str) -> bool:
    """Whether llama.cpp takes a token of this text for a control token, whatever its type."""
    return token[-1:] in ">]" and bool(_CONTROL_SHAPED.fullmatch(token))


def _special(token: str, kind: int) -> bool:
    if kind in (_CONTROL, _UNKNOWN):
        return bool(token.strip())
    if kind == _USER_DEFINED:
        return looks_like_markup(token)
    return _steers(token, kind)


def _steers(token: str, kind: int) -> bool:
    return kind == _NORMAL and looks_like_control(token)


class GGUF:
    """The metadata of one GGUF file."""

    def __init__(
        self, path: Path, values: dict[str, Scalar], tokens: list[str], types: Sequence[int]
    ) -> None:
        self.path = path
        self.values = values
        """Every single-valued key of the file, such as `general.name`."""
        self.vocabulary = Vocabulary(self._text("tokenizer.ggml.model"), tokens, types)

    @property
    def architecture(self) -> str:
        """Such as `llama` or `gemma3`; empty where the file does not say."""
        return self._text("general.architecture")

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained on; None where the file does not say."""
        return self._count(f"{self.architecture}.context_length")

    @property
    def chat_template(self) -> str | None:
        """The Jinja chat template; None where there is none."""
        return self._text("tokenizer.chat_template") or None

    @property
    def is_base(self) -> bool:
        """Whether the model has no chat template and so cannot be asked in chat mode."""
        return self.chat_template is None

    @property
    def bos_id(self) -> int | None:
        """Id of the token that begins a text."""
        return self._count("tokenizer.ggml.bos_token_id")

    @property
    def eos_id(self) -> int | None:
        """Id of the token that ends a text."""
        return self._count("tokenizer.ggml.eos_token_id")

    @property
    def bos_token(self) -> str | None:
        """Text of the token that begins a text, as chat templates spell it."""
        return self._token(self.bos_id)

    @property
    def eos_token(self) -> str | None:
        """Text of the token that ends a text, as chat templates spell it."""
        return self._token(self.eos_id)

    @property
    def shards(self) -> int:
        """Number of files that the model is split over."""
        return self._count("split.count") or 1

    def _token(self, id_: int | None) -> str | None:
        tokens = self.vocabulary.tokens
        return tokens[id_] if id_ is not None and id_ < len(tokens) else None

    def _text(self, key: str) -> str:
        value = self.values.get(key, "")
        return value if isinstance(value, str) else ""

    def _count(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) and value >= 0 else None


def read_gguf(path: Path | str) -> GGUF:
    """Read the metadata of a GGUF file; a 49,000-token vocabulary takes some 30 ms.

    Raises:
        UsageError: the file cannot be read, is no GGUF file, is cut short or is malformed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise UsageError(f"cannot read the model file {path}: {error.strerror}") from error


class _Reader:
    """Walks the key-value section, reading only as far as it must."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        self.data = bytearray()
        self.at = 0

    def read(self) -> GGUF:
        keys = self._open()
        values: dict[str, Scalar] = {}
        tokens: list[str] = []
        types: array[int] = array("i")
        for _ in range(keys):
            key = self._string()
            if key in values:
                raise self._bad(f"key {key!r} is there twice")
            kind = self._number(_UINT32)
            if kind == _ARRAY:
                element, count = self._array()
                if key == _TOKENS and element == _STRING:
                    tokens = self._strings(count)
                elif key == _TYPES and element == _INT32:
                    types = self._integers(count)
                else:
                    self._skip(element, count)
            else:
                values[key] = self._scalar(kind)
        return GGUF(self.path, values, tokens, self._typed(tokens, types))

    def _open(self) -> int:
        """Check magic and version; return the number of keys."""
        if self.size < 24 or self._bytes(4) != b"GGUF":
            raise self._bad("it does not begin as one")
        version = self._number(_UINT32)
        if version not in _VERSIONS:
            raise self._bad(f"version {version} is not known (big-endian, or from a newer tool)")
        self._number(_UINT64)  # Tensors, which are not read.
        keys = self._number(_UINT64)
        if keys > min(MAX_KEYS, self.size // 13):
            raise self._bad(f"it claims {keys} keys")
        return keys

    def _bad(self, why: str) -> UsageError:
        return UsageError(
            f"{self.path} is not a usable GGUF file: {why}. Download or convert it again."
        )

    def _need(self, count: int) -> int:
        """Read `count` more bytes; return where they begin and step over them."""
        start, end = self.at, self.at + count
        if end > self.size:
            raise self._bad(f"it is cut short at byte {self.size}")
        if end > MAX_HEADER:
            raise self._bad(f"its metadata is larger than {MAX_HEADER >> 20} MB")
        while len(self.data) < end:
            part = self.file.read(min(max(_CHUNK, end - len(self.data)), self.size))
            if not part:
                raise self._bad(f"it is cut short at byte {len(self.data)}")
            self.data += part
        self.at = end
        return start

    def _bytes(self, count: int) -> bytes:
        start = self._need(count)
        return bytes(self.data[start : self.at])

    def _number(self, form: struct.Struct) -> int:
        start = self._need(form.size)
        return cast("int", form.unpack_from(self.data, start)[0])

    def _string(self) -> str:
        return self._bytes(self._number(_UINT64)).decode("utf-8", "replace")

    def _scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self._string()
        form = _SCALARS.get(kind)
        if form is None:
            raise self._bad(f"value type {kind} is not known")
        return self._number(form)

    def _array(self) -> tuple[int, int]:
        """Read an array's element type and count, checked against the bytes left."""
        element, count = self._number(_UINT32), self._number(_UINT64)
        form = _SCALARS.get(element)
        if form is None and element != _STRING:
            raise self._bad(f"an array of type {element} is not known")
        if count * (form.size if form else 8) > min(self.size, MAX_HEADER) - self.at:
            raise self._bad(f"an array claims {count} elements, more than the file holds")
        return element, count

    def _integers(self, count: int) -> "array[int]":
        values = array("i", self._bytes(4 * count))
        if sys.byteorder == "big":
            values.byteswap()
        return values

    def _strings(self, count: int) -> list[str]:
        found: list[str] = []
        self._walk(count, lambda text: found.append(text.decode("utf-8", "replace")))
        return found

    def _skip(self, element: int, count: int) -> None:
        if element == _STRING:
            self._walk(count, None)
        else:
            self._need(count * _SCALARS[element].size)

    def _walk(self, count: int, take: Callable[[bytearray], None] | None) -> None:
        """Step over `count` strings. The hot loop: 100,000 strings and more a file."""
        data, held, at, read_length = self.data, len(self.data), self.at, _UINT64.unpack_from
        for _ in range(count):
            begin = at + 8
            if begin > held:
                held = self._hold(at, 8)
            end = begin + read_length(data, at)[0]
            if end > held:
                held = self._hold(begin, end - begin)
            if take is not None:
                take(data[begin:end])
            at = end
        self.at = at

    def _hold(self, at: int, count: int) -> int:
        """Read `count` bytes from `at`; return how many bytes are held in all."""
        self.at = at
        self._need(count)
        return len(self.data)

    def _typed(self, tokens: list[str], types: "array[int]") -> Sequence[int]:
        """Return a type for each token; files without types have only normal tokens."""
        if not types:
            return array("i", [_NORMAL]) * len(tokens)
        if len(types) != len(tokens):
            raise self._bad(f"it has {len(tokens)} tokens but {len(types)} token types")
        return types
