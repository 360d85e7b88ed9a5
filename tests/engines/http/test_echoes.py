"""What a server quotes of a request says nothing about its error."""

import json

import pytest

from plaudit.engines.http.errors import without_echo


def sent(text: str, **fields) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "org/my-model-7B", "messages": messages, **fields}).encode()


@pytest.mark.parametrize(
    ("text", "message", "left"),
    [
        ("the prompt is too long", "Bad input: 'The prompt is too long'!", "Bad input: '…'!"),
        ("a\nb\tc d", "cannot parse a b c d, sorry", "cannot parse …, sorry"),
        ("insufficient_quota", "bad: 'insufficient_quota'", "bad: '…'"),
        ("so insufficient_quota it is", "I read insufficient_quota", "I read …"),
        ("it is not", "temperature is not supported", "temperature is not supported"),
        ("anything else", "prompt is too long: 9 > 8", "prompt is too long: 9 > 8"),
        ("max_tokens of org", "max_tokens is too large", "max_tokens is too large"),
        ("who?", "no model `org/my-model-7B`", "no model `org/my-model-7B`"),
        ("ünï côdé text", "no: ÜNÏ CÔDÉ TEXT", "no: …"),
    ],
)  # fmt: skip
def test_what_stands_in_the_request_is_left_out(text: str, message: str, left: str) -> None:
    assert without_echo(message, sent(text, max_tokens=1)) == left


@pytest.mark.parametrize("body", [b"", b"no json", b"3", b"[" * 2000 + b"]" * 2000, b'{"a": 1}'])
def test_odd_requests_quote_nothing(body: bytes) -> None:
    assert without_echo("the prompt is too long", body) == "the prompt is too long"
