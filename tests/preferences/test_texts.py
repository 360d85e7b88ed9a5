"""When two pieces of JSON say the same."""

import pytest
from msgspec import Raw

from plaudit.preferences.texts import same_text_key


@pytest.mark.parametrize("odd", [b"[1e999]", b'{"n": -1e400}', b"[" * 3000 + b"]" * 3000])
def test_what_cannot_be_decoded_is_compared_as_it_is_written(odd: bytes) -> None:
    assert same_text_key(Raw(odd)) == same_text_key(Raw(odd)) != b""
    assert same_text_key(Raw(odd)) != same_text_key(Raw(b"[1]"))
