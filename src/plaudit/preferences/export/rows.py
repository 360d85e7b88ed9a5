"""Pairs of a file, read as often as is needed."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from msgspec import Raw

from plaudit._util.paths import possible
from plaudit.errors import InputError
from plaudit.io.blocks import BlockReader
from plaudit.io.partial import close_scratch, scratch_error
from plaudit.io.rows import Row, refused, rejected
from plaudit.preferences.candidate import Id
from plaudit.preferences.margins import scale_of
from plaudit.preferences.texts import response_key
from plaudit.types import Json

_BUFFER = 2**20


class PairRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What of a preference row is exported; see `Preference`."""

    example_id: Id
    turn_id: Id = 0
    prompt: Raw
    chosen: Raw
    rejected: Raw
    margin: float
    chosen_score: float | None = None
    rejected_score: float | None = None
    metadata: Raw = Raw(b"null")


class _Role(msgspec.Struct):
    role: str


_decode = msgspec.json.Decoder(PairRow).decode
_decode_roles = msgspec.json.Decoder(list[_Role]).decode
_decode_role = msgspec.json.Decoder(_Role).decode
_decode_columns = msgspec.json.Decoder(dict[str, Raw]).decode


class PairSource:
    """A source that can be read twice, which standard input cannot unless it is kept."""

    def __init__(self, source: str) -> None:
        """Take the source; what can be read only once is copied to a file without a name.

        Raises:
            InputError: it cannot be read.
            StoreError: there is no room for the copy.
        """
        self.name = "standard input" if source == "-" else source
        """For a person."""
        self._path = source
        self._copy: BinaryIO | None = None
        if source == "-" or _is_stream(source):
            self._copy = self._copied(source)
            self._path = self._copy.name

    def pairs(self, on_reject: Callable[[Row], None]) -> Iterator[tuple[str, PairRow, bytes]]:
        """Yield each pair, where it is, and its line; tell of each row that is none.

        Raises:
            InputError: there is no such source, or it has no rows.
        """
        with self._reader() as blocks:
            for block in blocks:
                if isinstance(block, Row):
                    on_reject(msgspec.structs.replace(block, where=self._where(block.where)))
                    continue
                for where, line in block.rows():
                    try:
                        pair = read_pair(line)
                    except (ValueError, RecursionError, InputError) as error:
                        on_reject(_rejected(self._where(where), line, error))
                    else:
                        yield self._where(where), pair, line

    def close(self) -> None:
        """Drop the copy, where there is one."""
        if self._copy is not None:
            close_scratch(self._copy)

    def _reader(self) -> BlockReader:
        try:
            return BlockReader(self._path)
        except InputError as error:
            raise InputError(self._where(str(error))) from None

    def _where(self, where: str) -> str:
        return where if self._copy is None else where.replace(self._path, self.name, 1)

    def _copied(self, source: str) -> BinaryIO:
        try:
            opened = tempfile.NamedTemporaryFile("w+b", buffering=_BUFFER)  # noqa: SIM115 (see close)
        except OSError as error:
            raise scratch_error(error) from error
        copy = cast(BinaryIO, opened)
        with contextlib.ExitStack() as undo:
            undo.callback(close_scratch, copy)
            try:
                for chunk in self._chunks(source):
                    copy.write(chunk)
                copy.flush()
            except OSError as error:
                raise scratch_error(error) from error
            undo.pop_all()
        return copy

    def _chunks(self, source: str) -> Iterator[bytes]:
        try:
            with _opened(source) as file:
                while chunk := file.read(_BUFFER):
                    yield chunk
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror}") from error


def _opened(source: str) -> "contextlib.AbstractContextManager[BinaryIO]":
    if source == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    return Path(source).open("rb")


def _is_stream(source: str) -> bool:
    path = possible(source)
    return path.exists() and not path.is_file() and not path.is_dir()


def read_pair(line: bytes) -> PairRow:
    """Read a row of preference data.

    Raises:
        ValueError: it is not JSON, or it is no such row.
        InputError: it is one that cannot be learned from.
    """
    line.decode()  # What is copied without being decoded must be UTF-8.
    pair = _decode(line)
    if not scale_of().reaches(pair.margin, 0.0):
        raise InputError(f"margin {pair.margin}: only a pair of which one is better can be learned")
    _check(pair.prompt, "prompt")
    keys = [_key(raw, name) for raw, name in ((pair.chosen, "chosen"), (pair.rejected, "rejected"))]
    if keys[0] == keys[1]:
        raise InputError("'chosen' and 'rejected' say the same")
    return pair


def column_text(line: bytes, pair: PairRow, name: str) -> str | None:
    """Return a column of the row, of its metadata, or of a candidate's metadata, as text.

    None where there is none, or null.
    """
    for columns in _places(line, pair):
        raw = columns.get(name)
        if raw is not None and bytes(raw) != b"null":
            value = msgspec.json.decode(raw)
            return value if isinstance(value, str) else bytes(raw).decode()
    return None


def tools_of(pair: PairRow) -> Raw | None:
    """Return the tools that the model had, as a JSON list; None where the metadata has none."""
    if b'"tools"' not in bytes(pair.metadata):
        return None
    for columns in _metadata(pair):
        raw = columns.get("tools")
        if raw is not None:
            value = msgspec.json.decode(raw)
            if isinstance(value, list) and value:
                return raw
    return None


def _places(line: bytes, pair: PairRow) -> Iterator[dict[str, Raw]]:
    yield _decode_columns(line)
    yield from _metadata(pair)


def _metadata(pair: PairRow) -> Iterator[dict[str, Raw]]:
    own = _object(pair.metadata)
    yield own
    for name in ("chosen", "rejected"):
        yield _object(own.get(name))


def _object(raw: Raw | None) -> dict[str, Raw]:
    if raw is None or bytes(raw)[:1] != b"{":
        return {}
    return _decode_columns(raw)


def _key(raw: Raw, name: str) -> bytes:
    _check(raw, name)
    key = response_key(raw)
    if not key:
        raise InputError(f"{name!r} is empty")
    return key


def _check(raw: Raw, name: str) -> None:
    """Check that it is a text, a message, or messages."""
    start = bytes(raw)[:1]
    if start == b'"':
        return
    try:
        if start == b"[":
            found = bool(_decode_roles(raw))
        else:
            found = bool(start == b"{" and _decode_role(raw))
    except msgspec.ValidationError as error:
        raise InputError(f"{name!r} is neither text nor messages: {error}") from None
    if not found:
        kind: Json = msgspec.json.decode(raw)
        reported = "an empty list" if kind == [] else f"{type(kind).__name__}"
        raise InputError(f"{name!r} must be text or messages, not {reported}")


def _rejected(where: str, line: bytes, error: Exception) -> Row:
    if isinstance(error, (InputError, msgspec.ValidationError)):
        return refused(0, where, line, str(error))
    return rejected(0, where, line, error)
