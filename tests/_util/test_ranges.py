import math
from typing import Annotated

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit._util.ranges import FINITE, WHOLE, Range, check_number, check_ranges, check_values
from plaudit.errors import ArgumentError
from tests.support.examples import drawn


class Options(msgspec.Struct):
    share: Annotated[float | None, Range(0, 1)] = None
    seconds: Annotated[float, Range(0, 10, above=True)] = 1.0
    count: Annotated[int, Range(1, 5)] = 1
    chance: Annotated[float, Range(0, 1, below=True)] = 0.5
    target: Annotated[float, Range(0, 1, above=True, below=True)] = 0.5
    free: int = 0


def test_a_field_is_checked_against_its_range_and_named() -> None:
    check_ranges(Options(share=None, seconds=10, count=5, free=10**30))
    for wrong, says in [
        (Options(share=-0.1), "share must be in 0..1, not -0.1"),
        (Options(share=math.nan), "share must be in 0..1, not nan"),
        (Options(seconds=0), "seconds must be more than 0 and at most 10, not 0"),
        (Options(chance=1), "chance must be at least 0 and less than 1, not 1"),
        (Options(target=1), "target must be more than 0 and less than 1, not 1"),
        (Options(count=6), "count must be in 1..5, not 6"),
        (Options(count=10**24), "count must be in 1..5, not a number of 80 bits"),
        (Options(count=True), "count must be in 1..5, not True"),
    ]:
        with pytest.raises(ArgumentError) as caught:
            check_ranges(wrong)
        assert str(caught.value) == says


def test_the_command_line_names_the_option() -> None:
    with pytest.raises(ArgumentError) as caught:
        check_number("max_tokens", 0, Range(1, 9))
    assert caught.value.as_option == "--max-tokens must be in 1..9, not 0"
    assert ArgumentError("-k", "is wrong").as_option == "-k is wrong"


@settings(max_examples=drawn(50), derandomize=True, deadline=None)
@given(st.integers() | st.floats())
def test_a_number_is_in_the_range_or_an_argument_error(value: float) -> None:
    allowed = WHOLE if isinstance(value, int) else FINITE
    fits = -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)
    assert (value in allowed) == fits


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": [1, {"b": math.inf}]}, "generation must hold finite numbers, not inf"),
        ({"a": (math.nan,)}, "finite numbers, not nan"),
        ({"a": -(2**63) - 1}, "at most 64 bits, not -9223372036854775809"),
        ({"\ud83d": 1}, "lone surrogate"),
        ({"a": ["\ud83d"]}, "lone surrogate"),
    ],
)
def test_what_json_cannot_carry_is_named(value: object, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        check_values("generation", value)


def test_values_may_be_nested_but_not_without_end() -> None:
    check_values("generation", {"schema": {"a": [{"b": [None, True, "x", 2**63 - 1, 0.5]}]}})
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ArgumentError, match="nested more than 64 levels"):
        check_values("generation", deep)
