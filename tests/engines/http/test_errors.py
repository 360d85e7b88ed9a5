import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from plaudit.engines.http.echo import without_echo
from plaudit.engines.http.errors import ErrorReply, Refusal, Unreachable
from plaudit.engines.http.transport import Transport
from plaudit.errors import CallError, Cause, EngineUnusableError, MissingDependencyError, ReplyError
from tests.support.asking import failure, request
from tests.support.server import Reply, error


@pytest.mark.parametrize(
    ("status", "cause", "retryable"),
    [
        (400, Cause.BAD_REQUEST, False),
        (406, Cause.BAD_REQUEST, False),
        (408, Cause.TIMEOUT, True),
        (409, Cause.SERVER_ERROR, True),
        (410, Cause.BAD_REQUEST, False),
        (413, Cause.BAD_REQUEST, False),
        (422, Cause.BAD_REQUEST, False),
        (425, Cause.SERVER_ERROR, True),
        (429, Cause.RATE_LIMITED, True),
        (500, Cause.SERVER_ERROR, True),
        (501, Cause.SERVER_ERROR, True),
        (502, Cause.SERVER_ERROR, True),
        (503, Cause.SERVER_ERROR, True),
        (504, Cause.SERVER_ERROR, True),
        (524, Cause.SERVER_ERROR, True),
        (529, Cause.SERVER_ERROR, True),
    ],
)
async def test_status_gives_cause(status, cause, retryable):
    caught = await failure(error(status, "something is off"))
    assert isinstance(caught, CallError)
    assert (caught.cause, caught.retryable) == (cause, retryable)
    assert "something is off" in str(caught)
    assert "vllm at http://127.0.0.1" in str(caught)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "VLLM_API_KEY"),
        (402, "no credit"),
        (403, "VLLM_API_KEY"),
        (404, "check the model's name"),
        (405, "check the model's name"),
        (307, "redirects are not followed"),
    ],
)
async def test_status_ends_the_run(status, advice):
    caught = await failure(error(status, "no"))
    assert isinstance(caught, EngineUnusableError)
    assert advice in str(caught)


@pytest.mark.parametrize("status", [400, 429])
async def test_no_credit_ends_the_run(status):
    caught = await failure(error(status, "You exceeded your quota", code="insufficient_quota"))
    assert isinstance(caught, EngineUnusableError)
    assert "credit" in str(caught)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
async def test_retry_after(headers, seconds):
    caught = await failure(error(429, "slow down", headers=headers))
    assert isinstance(caught, CallError)
    assert caught.retry_after == seconds


async def test_retry_after_date():
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    caught = await failure(error(503, "busy", headers={"Retry-After": then}))
    assert isinstance(caught, CallError)
    assert caught.retry_after is not None
    assert 25 < caught.retry_after <= 30
    past = await failure(error(429, "x", headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    assert isinstance(past, CallError)
    assert past.retry_after == 0


OVERFLOWS = {
    "vllm": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested "
            "5060 tokens (4036 in the messages, 1024 in the completion). Please reduce",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        (5060, 4096),
    ),
    "vllm, newer": (
        400,
        {
            "error": {
                "message": "'max_tokens' or 'max_completion_tokens' is too large: 3072. This "
                "model's maximum context length is 2048 tokens and your request has 100 input "
                "tokens (3072 > 2048 - 100).",
                "code": 400,
            }
        },
        (100, 2048),
    ),
    "vllm, prompt alone": (
        400,
        {
            "error": {
                "message": "The decoder prompt (length 5000) is longer than the maximum model "
                "length of 4096."
            }
        },
        (5000, 4096),
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        (14429, 8192),
    ),
    "llama.cpp, as 500": (
        500,
        {
            "error": {
                "code": 500,
                "message": "the request exceeds the available context size.",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 1407,
                "n_ctx": 256,
            }
        },
        (1407, 256),
    ),
    "llama.cpp, in the text": (
        400,
        {
            "error": {
                "message": "request (14429 tokens) exceeds the available context size (8192 "
                "tokens), try increasing it"
            }
        },
        (14429, 8192),
    ),
    "openai": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. However, your "
                "messages resulted in 9001 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        (9001, 8192),
    ),
    "openai, newer": (
        400,
        {
            "error": {
                "message": "Input tokens exceed the configured limit of 272000 tokens. Your "
                "messages resulted in 300000 tokens.",
                "code": "context_length_exceeded",
            }
        },
        (300000, 272000),
    ),
    "anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 208310 tokens > 200000 maximum",
            },
        },
        (208310, 200000),
    ),
    "anthropic, with max_tokens": (
        400,
        {
            "error": {
                "message": "input length and `max_tokens` exceed context limit: 188240 + 21333 > "
                "200000, decrease input length"
            }
        },
        (209573, 200000),
    ),
    "sglang": (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 "
            "tokens).",
            "type": "BadRequestError",
            "code": 400,
        },
        (61709, 40960),
    ),
    "sglang, sum": (
        400,
        {
            "message": "Requested token count exceeds the model's maximum context length of 4096 "
            "tokens. You requested a total of 4320 tokens: 1320 tokens from the input messages"
        },
        (4320, 4096),
    ),
    "sglang, memory": (
        400,
        {
            "message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 "
            "tokens)."
        },
        (160062, 59862),
    ),
    "mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with "
            "32768 maximum context length",
            "code": "3051",
        },
        (40000, 32768),
    ),
}


@pytest.mark.parametrize("name", OVERFLOWS)
async def test_context_overflow(name):
    status, body, (needed, limit) = OVERFLOWS[name]
    caught = await failure(Reply(status, body))
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.CONTEXT_OVERFLOW
    assert not caught.retryable
    assert str(needed) in str(caught)
    assert str(limit) in str(caught)
    assert "nothing was cut" in str(caught)


WORDS = "insufficient_quota content_filter context_length_exceeded, the prompt is too long"


@pytest.mark.parametrize("status", [400, 403, 413, 422, 429, 500])
async def test_defect_44_words_of_the_request_mean_nothing(status):
    plain = await failure(error(status, "cannot parse 'x'"), request("x"))
    quoted = await failure(error(status, f"cannot parse '{WORDS}'"), request(WORDS))
    assert type(quoted) is type(plain)
    assert getattr(quoted, "cause", None) == getattr(plain, "cause", None)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("context_length_exceeded", Cause.CONTEXT_OVERFLOW),
        ("content_filter", Cause.REFUSED),
        ("insufficient_quota", None),
    ],
)
async def test_a_code_counts_whatever_the_request_says(code, cause):
    caught = await failure(error(400, f"no {code}", code=code), request(WORDS))
    assert getattr(caught, "cause", None) == cause
    assert isinstance(caught, EngineUnusableError) == (cause is None)


async def test_context_overflow_without_numbers():
    caught = await failure(error(400, "Too long", code="context_length_exceeded"))
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.CONTEXT_OVERFLOW
    assert "Too long" in str(caught)


async def test_error_with_status_200():
    caught = await failure({"error": {"message": "boom", "code": 503}})
    assert isinstance(caught, CallError)
    assert (caught.cause, caught.retryable) == (Cause.SERVER_ERROR, True)
    body = OVERFLOWS["llama.cpp"][1]
    caught = await failure(body)
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.CONTEXT_OVERFLOW


async def test_content_filter_refuses():
    caught = await failure(error(400, "filtered", code="content_filter"))
    assert isinstance(caught, ReplyError)
    assert caught.cause is Cause.REFUSED


@pytest.mark.parametrize("status", [400, 500, 502])
@pytest.mark.parametrize(
    "body", [b"<html>x</html>", b"", b"\x00\xff", b"[1, {}]", b'{"error": []}', b'{"detail": [3]}']
)
async def test_odd_error_bodies(status, body):
    assert isinstance(await failure(Reply(status, body)), CallError)


async def test_error_text_is_quoted_short():
    caught = await failure(error(500, "spam \x1b[31m\n" * 1000))
    assert len(str(caught)) < 300
    assert str(caught).isprintable()


async def test_unknown_error_shapes_are_read():
    transport = Transport("vllm", "http://h", "VLLM_API_KEY", lambda key: {})
    body = b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "no"}]}'
    reply = transport.read_error(422, body)
    assert (reply.param, reply.code, reply.message) == ("seed", "extra_forbidden", "seed: no")
    nested = transport.read_error(422, b'{"message": {"detail": [{"loc": ["body", "x", 1]}]}}')
    assert nested.param == "x"
    refusal = transport.translate(ErrorReply(status=403, message="may not request logprobs"))
    assert isinstance(refusal, Refusal)


@pytest.mark.parametrize(
    "caught",
    [
        CallError(Cause.TIMEOUT, "slow", retryable=True, retry_after=2.5, attempts=3),
        ReplyError(Cause.REFUSED, "no"),
        MissingDependencyError("pyarrow", "parquet"),
        Unreachable(Cause.CONNECTION, "nobody there", retryable=True),
        Refusal(Cause.BAD_REQUEST, "no seed", ErrorReply(status=400, param="seed")),
    ],
    ids=lambda caught: type(caught).__name__,
)
def test_errors_survive_pickling_and_copying(caught):
    for again in (pickle.loads(pickle.dumps(caught)), copy.copy(caught)):
        assert type(again) is type(caught)
        assert str(again) == str(caught)
        assert vars(again) == vars(caught)


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
