"""Pairs of a file, read as often as is needed."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from msgspec import Raw

from plaudit._util.paths import possible
from plaudit.errors import InputError
from plaudit.io.blocks import BlockReader
from plaudit.io.places import is_special
from plaudit.io.rows import Row, refused, rejected
from plaudit.io.scratch import close_scratch, scratch_error
from plaudit.preferences.formats.base import renamed
from plaudit.preferences.formats.rows import PairRow, read_pair
from plaudit.preferences.margins import scale_of
from plaudit.preferences.texts import response_key
from plaudit.types import Json

_BUFFER = 2**20


class _Role(msgspec.Struct):
    role: str


_decode_roles = msgspec.json.Decoder(list[_Role]).decode
_decode_role = msgspec.json.Decoder(_Role).decode
_decode_columns = msgspec.json.Decoder(dict[str, Raw]).decode


class PairSource:
    """A source of pairs that can be read twice; standard input is copied for that."""

    def __init__(self, source: str, columns: Mapping[str, str] | None = None) -> None:
        """Open the source; one that can be read only once is copied to a temporary file.

        Args:
            source: a file, or `-`.
            columns: see `ReadOptions.columns`.

        Raises:
            InputError: it cannot be read.
            StoreError: there is no room for the copy.
        """
        self.name = "standard input" if source == "-" else source
        """For a person."""
        self._path = source
        self._columns = columns or {}
        self._copy: BinaryIO | None = None
        if source == "-" or is_special(possible(source)):
            self._copy = self._copied(source)
            self._path = self._copy.name

    def pairs(self, on_reject: Callable[[Row], None]) -> Iterator[tuple[str, PairRow, bytes]]:
        """Yield each pair, its place, and its line; call `on_reject` for each other row.

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
                        line.decode()  # What is copied without being decoded must be UTF-8.
                        pair = checked_pair(renamed(line, self._columns))
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


def checked_pair(line: bytes) -> PairRow:
    """Return a pair that can be exported.

    Raises:
        ValueError: it is not JSON, or it is no pair.
        InputError: nothing can be learned from it.
    """
    pair = read_pair(line)
    if pair.margin is not None and not scale_of().reaches(pair.margin, 0.0):
        raise InputError(f"margin {pair.margin}: only a pair of which one is better can be learned")
    sides = (("prompt", pair.prompt), ("chosen", pair.chosen), ("rejected", pair.rejected))
    for name, raw in sides:
        _check(raw, name)
    keys = {name: response_key(raw) for name, raw in sides[1:]}
    for name, key in keys.items():
        if not key:
            raise InputError(f"{name!r} is empty")
    if keys["chosen"] == keys["rejected"]:
        raise InputError("'chosen' and 'rejected' say the same")
    return pair


def column_text(line: bytes, pair: PairRow, name: str) -> str | None:
    """Return a column of the row, of its metadata, or of the metadata of a candidate, as text.

    None where there is none, or null.
    """
    for columns in (_decode_columns(line), *_metadata(pair)):
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


def _metadata(pair: PairRow) -> Iterator[dict[str, Raw]]:
    own = _object(pair.metadata)
    yield own
    for name in ("chosen", "rejected"):
        yield _object(own.get(name))


def _object(raw: Raw | None) -> dict[str, Raw]:
    if raw is None or bytes(raw)[:1] != b"{":
        return {}
    return _decode_columns(raw)


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
