"""Rows and samples of Python programs as plain values: texts that can be written, plain numbers."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from plaudit.errors import InputError
from plaudit.judges import rows
from plaudit.judges.content import read_content
from plaudit.types import Json, PairSample, ResponseSample, Sample

S = TypeVar("S", bound=Sample)

_encode = msgspec.json.Encoder().encode


def plain_row(row: Mapping[Any, Any]) -> dict[str, Json]:
    """Return a row with plain text and numbers for those of NumPy and of other libraries.

    Raises:
        InputError: a text holds half of a character, which no file can hold; names the field.
    """
    if type(row) is dict and _is_plain(row):
        return cast("dict[str, Json]", row)
    items = cast("Mapping[Any, Any]", row).items()
    return {_plain(name, "a name"): _plain(value, repr(name)) for name, value in items}


def plain_sample(sample: S) -> S:
    """Return a sample with plain text and numbers, and with text for content.

    Raises:
        InputError: a text holds half of a character, content cannot be read, or there is nothing to
            judge; names the field.
    """
    if not _is_plain(sample):
        sample = _plain_struct(sample, "")
    replace = msgspec.structs.replace
    if isinstance(sample, ResponseSample):
        sample = replace(sample, prompt=read_content(sample.prompt, "prompt"))
    if isinstance(sample, PairSample):
        a = read_content(sample.conversation_a, "conversation_a")
        b = read_content(sample.conversation_b, "conversation_b")
        sample = replace(sample, conversation_a=a, conversation_b=b)
    rows.refuse_blank(sample)
    return sample


def _is_plain(value: Any) -> bool:
    try:
        _encode(value)
    except (TypeError, ValueError):
        return False
    except RecursionError:
        raise InputError("nested too deeply") from None
    return True


def _plain(value: Any, where: str) -> Any:
    """Return a value of plain types; what is neither text, number nor collection stays as it is."""
    if isinstance(value, str):
        return _plain_text(value, where)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_plain(name, where): _plain(inner, f"{where}.{name!r}") for name, inner in items}
    if isinstance(value, list | tuple):
        found = [_plain(inner, f"{where}[{n}]") for n, inner in enumerate(cast("list[Any]", value))]
        return found if isinstance(value, list) else tuple(found)
    if isinstance(value, msgspec.Struct):
        return _plain_struct(value, where)
    if hasattr(value, "dtype") and callable(getattr(value, "tolist", None)):  # of NumPy, or alike
        return _plain(value.tolist(), where)
    return value


def _plain_struct(value: Any, where: str) -> Any:
    prefix = f"{where}." if where else ""
    fields = {
        name: _plain(getattr(value, name), f"{prefix}{name}") for name in value.__struct_fields__
    }
    return msgspec.structs.replace(value, **fields)


def _plain_text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = ascii(value[error.start])
        raise InputError(
            f"{where} holds half a character ({half}, a lone surrogate) at character "
            f"{error.start + 1}; no file and no request can hold it"
        ) from None
    return str.__str__(value)
