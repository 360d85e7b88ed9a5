"""One row of an input: what it holds, or why it cannot be read."""

import re
from typing import Any, cast

import msgspec

_KINDS: dict[type, str] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}

decode = msgspec.json.Decoder().decode
decode_row = msgspec.json.Decoder(dict[str, Any]).decode
"""Returns a row; raises ValueError or RecursionError for what is no JSON object."""


class Sizes(msgspec.Struct, frozen=True):
    """How much of a source is read at a time, in bytes; tests set smaller ones."""

    row: int = 256 * 2**20
    """A longer line or array element is rejected."""
    document: int = 64 * 2**20
    """An object written over many lines is looked for within so many bytes."""
    head: int = 2**20
    """Of a first line, so much is read to see what it is."""
    chunk: int = 2**18


SIZES = Sizes()


class Row(msgspec.Struct, frozen=True):
    """One row of the input."""

    number: int
    """Counts from 0; blank lines do not count, rejected rows do."""
    where: str
    """For a person: `file.jsonl:12`, `file.json, element 3` or `file.parquet, row 3`, from 1."""
    data: dict[str, Any] | None
    """The row; None if it was rejected."""
    error: str | None = None
    """Why it was rejected; does not repeat `where`."""
    text: str = ""
    """The first 200 characters of a rejected row."""


class Position:
    """How far a source has been read. Apart, so that a dropped reader closes its file at once."""

    def __init__(self, sizes: Sizes = SIZES) -> None:
        """Begin at the start."""
        self.bytes_read = 0
        self.sizes = sizes


def rejected(number: int, where: str, raw: bytes, error: Exception, most: int = SIZES.row) -> Row:
    """Return the row for what could not be decoded; one over `most` bytes is too long."""
    return refused(number, where, raw, _explain(raw, error, most))


def refused(number: int, where: str, raw: bytes, problem: str) -> Row:
    """Return the row for what was decoded and cannot be used, with its beginning."""
    return Row(number, where, None, problem, excerpt(raw))


def excerpt(raw: bytes | bytearray) -> str:
    """Return the first 200 characters."""
    return bytes(raw[:1000]).decode("utf-8", "replace").strip()[:200]


_AT_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)")
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def _explain(raw: bytes, error: Exception, most: int) -> str:
    """Return for a person why `raw` is not a row."""
    if isinstance(error, msgspec.ValidationError):
        try:
            kind = _KINDS.get(type(cast("object", decode(raw))), "another value")
            return f"not a JSON object but {kind}"
        except (ValueError, RecursionError) as wrong:
            error = wrong
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if len(raw) > most:
        return f"longer than {most >> 20} MiB"
    nul = raw.find(b"\0")
    if nul >= 0:
        column = _column(raw, nul)
        return f"NUL byte at column {column} (was the file cut off while it was written?)"
    try:
        raw.decode()
    except UnicodeDecodeError as wrong:
        return f"invalid UTF-8 at byte {wrong.start + 1}"
    return _explain_syntax(raw, str(error))


def _explain_syntax(raw: bytes, message: str) -> str:
    lone = _LONE_SURROGATE.search(raw)
    if lone and ("surrogate" in message or "truncated" in message):
        return (
            f"half a character ({lone.group().decode()}, a lone surrogate) "
            f"at column {_column(raw, lone.start())}"
        )
    found = _AT_BYTE.fullmatch(message)
    if found is None:
        reason = "it ends too early" if "truncated" in message else message
        return f"not JSON: {reason} at column {_column(raw, len(raw.rstrip()))}"
    byte = int(found[2])
    reason = found[1]
    if raw.startswith((b"NaN", b"Infinity"), byte):
        reason = "NaN and Infinity are not JSON numbers,"
    return f"not JSON: {reason} at column {_column(raw, byte)}"


def _column(raw: bytes, byte: int) -> int:
    return len(raw[:byte].decode("utf-8", "replace")) + 1
