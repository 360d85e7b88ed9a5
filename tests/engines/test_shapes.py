"""Every engine against the shapes of replies that servers send, and against bodies of any shape."""

import asyncio
import copy
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.engines.base import Completion
from plaudit.engines.llama.replies import Call
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError, ReplyError
from plaudit.judges.readout import read_options
from tests.support.examples import drawn
from tests.support.server import FakeAny, Reply
from tests.support.shapes import BROKEN, FORMS, SHAPES, Form


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "chat.jinja"
    path.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[FakeAny]:
    with FakeAny() as running:
        yield running


@pytest.fixture
def asking(server: FakeAny, template: Path, monkeypatch: pytest.MonkeyPatch):
    """Answers a form with a body, and returns the completion."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TOGETHER_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with asyncio.Runner() as runner:

        def complete(form: Form, reply: Any) -> Completion:
            body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            server.reply = Reply(200, body)
            engine = form.engine.replace("TEMPLATE", str(template))
            return runner.run(replace(form, engine=engine).complete(server.root))

        yield complete


def fields_of(completion: Completion, names: Any) -> dict[str, Any]:
    """The named fields, with log-probabilities and usage as tuples."""
    found = {name: getattr(completion, name) for name in names}
    if found.get("logprobs") is not None:
        found["logprobs"] = tuple((c.token, c.logprob) for c in found["logprobs"])
    if "usage" in found:
        found["usage"] = (completion.usage.input_tokens, completion.usage.output_tokens)
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_good_reply_is_read_whole(asking, name: str) -> None:
    form = FORMS[name]
    assert fields_of(asking(form, form.reply), form.read) == form.read


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_has_its_outcome(asking, name: str) -> None:
    shape = SHAPES[name]
    if shape.becomes == "ok":
        assert fields_of(asking(FORMS[shape.form], shape.reply), shape.read) == shape.read
        return
    with pytest.raises((CallError, ReplyError)) as caught:
        asking(FORMS[shape.form], shape.reply)
    assert outcome(caught.value) == shape.becomes


def outcome(error: PlauditError) -> str:
    assert isinstance(error, CallError | ReplyError)
    return f"{'failed' if isinstance(error, CallError) else 'invalid'} {error.cause}"


@pytest.mark.parametrize("name", FORMS)
def test_defect_45_what_is_no_reply_fails_its_own_request(asking, name: str) -> None:
    for what, body in BROKEN.items():
        with pytest.raises(CallError) as caught:
            asking(FORMS[name], body)
        assert caught.value.cause is Cause.BAD_RESPONSE, what
        assert len(str(caught.value)) < 500


# Bodies of any shape

NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.sampled_from([-1, 0, 9.0, 2**31, 2**62, 2**63, 2**64, -(2**63), 10**30, 710.0, 1e308]),
)
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["\ud800", "x\udc00", "9", "-0.1", "\0"]))
NAMES = st.sampled_from(["choices", "message", "content", "text", "logprobs", "usage", "error"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, TEXTS), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with something else at a place."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@st.composite
def bodies(draw: Any, good: Any) -> bytes:
    """Bytes, JSON of any shape, and good replies with something odd in one to three places."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=40))
    if kind == 1:
        return json.dumps(draw(VALUES)).encode()
    for _ in range(draw(st.integers(1, 3))):
        good = put(good, draw(st.sampled_from(list(places(good)))), draw(VALUES))
    body = json.dumps(good).encode()
    if kind == 2:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(min_size=1, max_size=2)) + body[at:]
    return body


BOUNDED = settings(
    max_examples=drawn(25),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", FORMS)
def test_defect_45_whatever_a_body_holds_the_outcome_is_typed(asking, name: str) -> None:
    form = FORMS[name]

    @BOUNDED
    @given(bodies(form.reply))
    def check(body: bytes) -> None:
        try:
            completion = asking(form, body)
        except (CallError, ReplyError):
            return
        check_sound(completion)

    check()


def check_sound(completion: Completion) -> None:
    """A completion can be stored, and its numbers can be true."""
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(completion), type=Completion)
    assert repr(stored) == repr(completion)
    completion.text.encode()
    assert 0 <= completion.usage.input_tokens + completion.usage.output_tokens < 2**62
    shown = completion.logprobs or ()
    assert math.fsum(math.exp(c.logprob) for c in shown) <= 1.06
    for logprob in completion.token_logprobs or ():
        assert -math.inf < logprob <= 0.001
    try:
        bounds = read_options(completion, ("yes", "no"))
    except ReplyError:
        return
    assert all(0 <= p <= 1.06 for p in (*bounds.low, *bounds.high))


def test_defect_01_whatever_a_list_of_models_holds_the_run_ends_with_an_error_or_a_model(
    server: FakeAny,
) -> None:
    good = {"object": "list", "data": [{"id": "m", "object": "model"}]}

    async def identify() -> str:
        engine = OpenAIEngine(EngineURI.parse(f"vllm:@{server.url}"))
        try:
            return await engine.identify()
        finally:
            await engine.close()

    with asyncio.Runner() as runner:

        @BOUNDED
        @given(bodies(good))
        def check(body: bytes) -> None:
            server.models_reply = Reply(200, body)
            try:
                assert runner.run(identify())
            except EngineUnusableError as error:
                assert server.url in str(error)

        check()


CHUNK = {"choices": [{"text": "x", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}


@BOUNDED
@given(st.lists(bodies(CHUNK), max_size=3))
def test_defect_45_whatever_llama_cpp_streams_the_outcome_is_typed(chunks: list[bytes]) -> None:
    call = Call()
    for chunk in chunks:
        if call.take(chunk):
            break
    try:
        call.check()
    except CallError:
        return
    check_sound(call.completion(FORMS["openai chat"].request))
