"""Ranges of numbers, stated once: on the fields of a configuration.

::

    class Options(msgspec.Struct):
        votes: Annotated[int, Range(1, 1000)] = 1

        def __post_init__(self) -> None:
            check_ranges(self)
"""

import math
import sys
from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from plaudit.errors import ArgumentError

WHOLE_64 = 2**63 - 1
"""The largest whole number that formats and servers keep."""
WHOLE_32 = 2**31 - 1
SECONDS = 1e9
"""Most seconds of a time limit."""
_DEEPEST = 64


class Range(NamedTuple):
    """Numbers that a field may hold, both ends included."""

    least: float
    most: float
    above: bool = False
    """Whether `least` itself is excluded."""
    below: bool = False
    """Whether `most` itself is excluded."""
    name: str = ""
    """What such a number is called, where the ends would say less."""

    def __str__(self) -> str:
        if self.name:
            return self.name
        if not self.above and not self.below:
            return f"in {_shown(self.least)}..{_shown(self.most)}"
        first, last = "more than" if self.above else "at least", "less than" * self.below
        return f"{first} {self.least:g} and {last or 'at most'} {_shown(self.most)}"

    def __contains__(self, value: object) -> bool:
        """Whether a number is in the range; NaN is in none."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if (self.above and value == self.least) or (self.below and value == self.most):
            return False
        return self.least <= value <= self.most


TEMPERATURES = Range(0, 100)
WHOLE = Range(-WHOLE_64 - 1, WHOLE_64, name="a whole number in -2^63..2^63-1")
FINITE = Range(-sys.float_info.max, sys.float_info.max, name="a finite number")
FROM_ZERO = Range(0, sys.float_info.max, name="a number of 0 or more")


def at_least(least: int) -> Range:
    """Return the range of whole numbers from `least` up."""
    return Range(least, WHOLE_64, name=f"at least {least}")


COUNT = at_least(1)


def check_ranges(options: msgspec.Struct) -> None:
    """Check the numbers of a configuration against the ranges of its fields; None is not a number.

    Raises:
        ArgumentError: one is out of range, or NaN; the message names the field and its range.
    """
    for name, allowed in _ranges(type(options)):
        value = getattr(options, name)
        if isinstance(value, int | float):
            check_number(name, value, allowed)


def check_number(name: str, value: float, allowed: Range) -> None:
    """Check one number.

    Raises:
        ArgumentError: it is out of range, or NaN.
    """
    if value not in allowed:
        raise ArgumentError(name, f"must be {allowed}, not {_shown(value)}")


def check_values(name: str, value: Any, depth: int = 0) -> None:
    """Check that JSON can carry a value as it is: finite, within 64 bits, not nested too deeply.

    Raises:
        ArgumentError: it cannot; the message names the argument.
    """
    if depth > _DEEPEST:
        raise ArgumentError(name, f"must not be nested more than {_DEEPEST} levels deep")
    match value:
        case dict():
            inner: list[Any] = [*value.keys(), *value.values()]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            for item in inner:
                check_values(name, item, depth + 1)
        case list() | tuple():
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                check_values(name, item, depth + 1)
        case float() if not math.isfinite(value):
            raise ArgumentError(name, f"must hold finite numbers, not {value}")
        case int() if not -WHOLE_64 - 1 <= value <= WHOLE_64:
            raise ArgumentError(
                name, f"must hold whole numbers of at most 64 bits, not {_shown(value)}"
            )
        case str() if not _is_text(value):
            raise ArgumentError(name, "must hold text without a lone surrogate (half an emoji)")
        case _:
            pass


@cache
def _ranges(form: type[msgspec.Struct]) -> tuple[tuple[str, Range], ...]:
    hints = get_type_hints(form, include_extras=True)
    return tuple(
        (name, found)
        for name, hint in hints.items()
        for found in get_args(hint)
        if isinstance(found, Range)
    )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: float) -> str:
    """Return a number for a message; a long one by its size."""
    if isinstance(value, int):
        bits = value.bit_length()
        return str(value) if bits <= 64 else f"a number of {bits} bits"
    return f"{value:g}" if abs(value) < WHOLE_32 else str(value)
