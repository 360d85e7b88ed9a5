"""Says what is wrong with a configuration: the field, and the values that it can have."""

import re
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from plaudit.errors import ArgumentError, UsageError

T = TypeVar("T")

_PLACE = re.compile(r".* - at `\$\.?(?P<path>[^`]*)`", re.DOTALL)
_SHOWN = 60


def convert(given: Any, form: type[T], **options: Any) -> T:
    """Convert plain values into a configuration.

    Args:
        given: a mapping, or an object with `from_attributes`.
        form: the struct, or another type that msgspec converts to.
        options: of `msgspec.convert`.

    Raises:
        UsageError: a field is missing or of the wrong type, or has a value that is none of its
            choices; the message names the field.
    """
    try:
        return msgspec.convert(given, form, **options)
    except msgspec.ValidationError as error:
        raise UsageError(_explained(str(error), given, form)) from None


def check_choices(options: msgspec.Struct) -> None:
    """Check the fields of a configuration that have a list of choices.

    Raises:
        ArgumentError: one is none of them; the message names the field and its choices.
    """
    for name, choices in _listed(type(options)):
        value = getattr(options, name)
        if isinstance(value, str) and value not in choices:
            raise ArgumentError(name, _none_of(value, choices))


def choices_of(form: Any) -> list[str]:
    """Return the texts that a type lists, in order."""
    return [
        value
        for part in alternatives(form)
        if get_origin(part) is Literal
        for value in get_args(part)
        if isinstance(value, str)
    ]


def alternatives(form: Any) -> Iterator[Any]:
    """Yield the types that a type is a union of."""
    if get_origin(form) in (Union, types.UnionType):
        for part in get_args(form):
            yield from alternatives(part)
    elif get_origin(form) is Annotated:
        yield from alternatives(get_args(form)[0])
    else:
        yield form


@cache
def _listed(form: type[msgspec.Struct]) -> list[tuple[str, list[str]]]:
    """Return the fields that have choices and take no other text."""
    hints = get_type_hints(form, include_extras=True)
    found = ((name, choices_of(hint)) for name, hint in hints.items())
    return [(n, listed) for n, listed in found if listed and str not in alternatives(hints[n])]


def _none_of(value: str, choices: list[str]) -> str:
    *most, last = choices
    allowed = f"{', '.join(most)} or {last}" if most else last
    return f"is {value[:_SHOWN]!r}; it can be {allowed}"


def _explained(message: str, given: Any, form: Any) -> str:
    found = _PLACE.fullmatch(message)
    if found is None:
        return message
    path = found["path"]
    value, choices = _look_up(given, path), _choices(form, path)
    if not choices or not isinstance(value, str) or value in choices:
        return message
    return f"{path} {_none_of(value, choices)}"


def _look_up(given: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(given, Mapping):
            given = cast("Mapping[str, Any]", given).get(name)
        else:
            given = getattr(given, name, None)
    return given


def _choices(form: Any, path: str) -> list[str]:
    """Return the texts that the field at a path can be, in the order in which it lists them."""
    for name in path.split("."):
        parts = [part for part in alternatives(form) if hasattr(part, "__struct_fields__")]
        if not parts:
            return []
        form = get_type_hints(parts[0]).get(name)
    return choices_of(form)
