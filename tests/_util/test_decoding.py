import tomllib

import msgspec
import pytest

from plaudit._util.decoding import decode_json, decode_toml

DEEP = "[" * 100_000


def test_what_is_nested_too_deeply_is_malformed() -> None:
    with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
        decode_json(DEEP)
    with pytest.raises(tomllib.TOMLDecodeError, match="nested too deeply"):
        decode_toml(f"x = {DEEP}")


def test_a_number_of_too_many_digits_is_malformed() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        decode_toml(f"x = {'9' * 5000}")


def test_all_else_is_decoded_as_usual() -> None:
    assert decode_json('{"a": [1]}') == {"a": [1]}
    assert decode_json(b"[1]", list[int]) == [1]
    assert decode_toml("a = [1]") == {"a": [1]}
    with pytest.raises(msgspec.ValidationError):
        decode_json("1", str)
