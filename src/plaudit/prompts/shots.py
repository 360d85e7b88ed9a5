"""Shots as files: pools of labelled examples, and the balanced sets that measure priors."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.errors import InputError

_Rows = Sequence[Mapping[str, Any]]
_rows = msgspec.json.Decoder(dict[str, Any])


class PoolRow(msgspec.Struct, frozen=True):
    """One entry of a pool file, not yet checked by a judge."""

    where: str
    """For a person: `file.jsonl:12`."""
    row: dict[str, Any]
    error: str = ""
    """Why it cannot be read; then `row` is empty."""


def load_shots(kind: str) -> tuple[_Rows, str]:
    """Return a judge's built-in shots, input rows with `feedback`, and the hash of their file."""
    return _load(f"{kind}.jsonl")


def load_prior(kind: str) -> tuple[_Rows, str]:
    """Return the balanced set on which a judge's prior is measured, and the hash of its file.

    Empty, with the hash `none`, for a judge that has no such set.
    """
    return _load(f"{kind}.prior.jsonl")


def digest_rows(rows: _Rows) -> str:
    """Return a digest of rows that are given as Python objects."""
    data = msgspec.json.encode(list(rows), order="deterministic")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def shipped_pool(kind: str) -> list[PoolRow]:
    """Return the pool that ships for a judge, from which `--shots N` draws."""
    name = f"{kind}.pool.jsonl"
    rows, _ = _load(name)
    return [PoolRow(f"{name}:{n}", dict(row)) for n, row in enumerate(rows, 1)]


def read_pool(path: str) -> list[PoolRow]:
    """Read a pool file: JSON Lines or a JSON array.

    Raises:
        InputError: the file cannot be read, or has no entries.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"pool {path}: {reason}") from None
    return parse_pool(text, path)


def parse_pool(text: str, name: str) -> list[PoolRow]:
    """Return the entries of a pool's text, JSON Lines or a JSON array.

    Raises:
        InputError: there are no entries; `name` stands in the message.
    """
    read = _array_rows if text.lstrip().startswith("[") else _line_rows
    found = list(read(text, name))
    if not found:
        raise InputError(f"pool {name} is empty: it has no shots")
    return found


def _line_rows(text: str, name: str) -> Iterator[PoolRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _row(line, f"{name}:{number}")


def _array_rows(text: str, name: str) -> Iterator[PoolRow]:
    """Cut an array into its elements, so that each is named by the line on which it begins."""
    decoder, position = json.JSONDecoder(), text.index("[") + 1
    while True:
        position = _skip(text, position)
        if position == len(text) or text[position] == "]":
            return
        where = f"{name}:{text.count(chr(10), 0, position) + 1}"
        try:
            _, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            yield PoolRow(where, {}, f"not JSON: {'nested too deeply' if deep else error}")
            return
        yield _row(text[position:end], where)
        position = end


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n,":
        position += 1
    return position


def _row(text: str, where: str) -> PoolRow:
    try:
        return PoolRow(where, decode_json(text, dict[str, Any]))
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return PoolRow(where, {}, f"not a JSON object: {error}")


def _load(name: str) -> tuple[_Rows, str]:
    path = resources.files("plaudit.prompts") / "pools" / name
    if not path.is_file():
        return (), "none"
    data = path.read_bytes()
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return tuple(_rows.decode(line) for line in data.splitlines() if line.strip()), digest
