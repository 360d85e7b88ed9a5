"""Reward models over a real socket: what is sent, what is read, and what is no score."""

import json
import pickle
from pathlib import Path

import pytest

from plaudit.engines.base import Completion, Request, Sampling
from plaudit.engines.chat_template import ChatTemplate
from plaudit.engines.load import load_engine
from plaudit.engines.replicas import Replicas
from plaudit.engines.reward import RewardEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, UsageError
from plaudit.types import Message, Usage
from tests.support.rewarding import FakeReward, classified, embedded, pooled
from tests.support.server import Reply, error

TALK = (Message("user", "hi"), Message("assistant", "hello"))
ASK = Request(prompt=TALK, sampling=Sampling(max_tokens=0, seed=None))
TEMPLATE = """{{ bos_token }}{% for m in messages %}
<|{{ m.role }}|>{{ m.content }}{{ eos_token }}
{% endfor %}
"""


async def score(
    reply, options: str = "", scheme: str = "vllm-rm", ask: Request = ASK
) -> Completion:
    with FakeReward(reply) as server:
        engine = RewardEngine(EngineURI.parse(f"{scheme}:m@{server.url}{options}"))
        try:
            return await engine.complete(ask)
        finally:
            await engine.close()
            score.bodies, score.paths = server.bodies, [r.path for r in server.completions]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.jinja"
    path.write_text(TEMPLATE)
    return path


async def test_vllm_classify():
    reply = await score(classified(1.25))
    assert json.loads(reply.text) == {"scores": [1.25], "label": "LABEL_0"}
    assert reply.usage == Usage(21, 0)
    assert score.paths == ["/classify"]
    assert score.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "hello"},
            ],
            "use_activation": False,
        }
    ]


async def test_further_parameters_are_sent():
    ask = Request(prompt=TALK, sampling=Sampling(extra=(("truncate_prompt_tokens", 4),)))
    await score(classified(1.25), ask=ask)
    assert score.bodies[0]["truncate_prompt_tokens"] == 4


@pytest.mark.parametrize("data", [[1.25], [[0.5], [1.25]]])
async def test_vllm_pooling_of_a_sequence_and_of_tokens(data):
    reply = await score(pooled(data), "?endpoint=pooling")
    assert json.loads(reply.text) == {"scores": [1.25]}
    assert score.paths == ["/pooling"]


@pytest.mark.parametrize("body", [embedded(1.25), [embedded(1.25)]])
async def test_sglang_gets_text(body, template):
    reply = await score(body, f"?chat_template={template}", "sglang-rm")
    assert json.loads(reply.text) == {"scores": [1.25]}
    assert reply.usage == Usage(21, 0)
    assert score.bodies == [{"model": "m", "text": "<|user|>hi\n<|assistant|>hello\n"}]


async def test_a_tokenizer_config_is_a_template_too(tmp_path):
    for end in ("</e>", {"content": "</e>"}):
        path = tmp_path / "tokenizer_config.json"
        path.write_text(json.dumps({"chat_template": TEMPLATE, "eos_token": end}))
        assert (
            ChatTemplate.load(str(path)).render(TALK) == "<|user|>hi</e>\n<|assistant|>hello</e>\n"
        )


@pytest.mark.parametrize(
    "content",
    [
        "{% for %}",
        '{"chat_template": 3}',
        '{"other": 1}',
        '["chat_template"]',
        "{",
        '{"chat_template": null}',
    ],
)
def test_what_is_no_template_is_refused(tmp_path, content):
    path = tmp_path / ("t.json" if content[:2] != "{%" else "t.jinja")
    path.write_text(content)
    with pytest.raises(UsageError, match=f"chat template {path}"):
        ChatTemplate.load(str(path))


def test_a_template_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        ChatTemplate.load(str(tmp_path / "none.jinja"))


@pytest.mark.parametrize(
    "source", ["{{ raise_exception('only user') }}", "{{ messages[9].role.x }}", "{{ 1 / 0 }}"]
)
async def test_a_conversation_that_the_template_refuses_is_a_bad_request(tmp_path, source):
    path = tmp_path / "t.jinja"
    path.write_text(source)
    with pytest.raises(CallError, match="refuses the conversation") as caught:
        await score(embedded(1.0), f"?chat_template={path}", "sglang-rm")
    assert caught.value.cause is Cause.BAD_REQUEST
    assert not caught.value.retryable


def test_a_template_cannot_reach_out(tmp_path):
    path = tmp_path / "t.jinja"
    path.write_text("{{ messages.__class__.__mro__ }}")
    with pytest.raises(CallError):
        ChatTemplate.load(str(path)).render(TALK)


NO_SCORES = {
    "no list": {"object": "list"},
    "empty list": classified(1.0) | {"data": []},
    "two results": classified(1.0) | {"data": [{"probs": [1.0]}, {"probs": [2.0]}]},
    "no scores": classified(),
    "fewer than announced": classified(1.0, num_classes=2),
    "text": classified("1.0"),
    "true": classified(True),
    "nested": classified([1.0]),
    "an object": classified({"score": 1.0}),
    "a number": classified(1.0, probs=1.0),
    "a list at the top": [1.0],
    "an error": {"error": {"message": "no"}},
    "pooled text": pooled("AACgPw=="),
    "pooled nothing": pooled([]),
    "pooled nothing in rows": pooled([[]]),
    "pooled rows and numbers": pooled([1.0, [1.0]]),
    "pooled numbers and rows": pooled([[1.0], 1.0]),
    "pooled too deep": pooled([[[1.0]]]),
    "too large a number": Reply(200, b'{"data": [{"probs": [1e999]}]}'),
    "html": Reply(200, b"<html>busy</html>"),
    "nothing": Reply(200, b""),
    "cut off": Reply(body=classified(1.0), cut=20),
}


@pytest.mark.parametrize("name", NO_SCORES)
async def test_what_is_no_score_is_a_bad_response(name):
    with pytest.raises(CallError) as caught:
        await score(NO_SCORES[name])
    assert caught.value.cause is Cause.BAD_RESPONSE
    assert caught.value.retryable


@pytest.mark.parametrize(
    "body",
    [[], [embedded(1.0), embedded(2.0)], embedded(), embedded("x"), embedded([1.0]), {"a": 1}, "x"],
)
async def test_what_sglang_sends_and_is_no_score_is_a_bad_response(body, template):
    with pytest.raises(CallError) as caught:
        await score(Reply(body=body), f"?chat_template={template}", "sglang-rm")
    assert caught.value.cause is Cause.BAD_RESPONSE


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"null"])
async def test_what_is_no_finite_number_is_kept_as_none(number):
    body = b'{"data": [{"index": 0, "probs": [' + number + b"]}]}"
    reply = await score(Reply(200, body))
    assert json.loads(reply.text) == {"scores": [None]}


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (error(500, "CUDA error"), Cause.SERVER_ERROR),
        (error(429, "slow down"), Cause.RATE_LIMITED),
        (
            error(
                400,
                "This model's maximum context length is 512 tokens. However, your request has 900",
            ),
            Cause.CONTEXT_OVERFLOW,
        ),
        (error(400, "roles must alternate"), Cause.BAD_REQUEST),
        (error(400, "the chat template says: roles must alternate"), Cause.BAD_REQUEST),
    ],
)
async def test_errors_are_those_of_other_endpoints(answer, cause):
    with pytest.raises(CallError) as caught:
        await score(answer)
    assert caught.value.cause is cause


@pytest.mark.parametrize(
    "answer",
    [
        error(404, "Not Found"),
        error(401, "no"),
        error(400, "As of transformers v4.44, default chat template is no longer allowed"),
        Reply(
            422,
            {"detail": [{"loc": ["body", "input"], "msg": "Field required", "type": "missing"}]},
        ),
    ],
)
async def test_what_no_request_can_get_past_ends_the_run(answer):
    with pytest.raises(EngineUnusableError):
        await score(answer)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sglang-rm:m", "chat_template=FILE"),
        ("vllm-rm:m?endpoint=score", "endpoint=score is not"),
        ("vllm-rm:m?chat_template=x", "no option 'chat_template'"),
        ("vllm-rm:m?labels=a:1", "two or more"),
        ("vllm-rm:m?labels=a:1,a:2", "two or more"),
        ("vllm-rm:m?labels=a:1,b", "two or more"),
        ("vllm-rm:m?labels=a:1,:2", "two or more"),
        ("vllm-rm:m?labels=a:1,b:nan", "two or more"),
        ("vllm-rm:m?labels=a:1,b:inf", "two or more"),
        ("vllm-rm:m?labels=a:1,b:x", "two or more"),
        ("vllm-rm:m?logprobs=5", "no option 'logprobs'"),
    ],
)
def test_wrong_uris_are_refused(uri, message):
    with pytest.raises(UsageError, match=message):
        load_engine(uri)


async def test_identity_names_what_decides_the_scores(template):
    async def identity(uri: str) -> str:
        return await load_engine(uri).identify()

    assert await identity("vllm-rm:m?revision=r") == "vllm-rm:m@r"
    assert await identity("vllm-rm:m?endpoint=pooling") == "vllm-rm:m?endpoint=pooling"
    first = await identity(f"sglang-rm:m?chat_template={template}")
    template.write_text(TEMPLATE + "x")
    assert await identity(f"sglang-rm:m?chat_template={template}") != first


async def test_the_model_is_discovered_and_a_v1_is_left_out():
    with FakeReward(classified(2.0), models=["rm"]) as server:
        engine = load_engine(f"vllm-rm:@{server.url}/v1")
        await engine.open()
        assert await engine.identify() == "vllm-rm:rm"
        assert json.loads((await engine.complete(ASK)).text)["scores"] == [2.0]
        await engine.close()


def test_it_pickles_and_has_replicas():
    engine = load_engine("vllm-rm:m?labels=a:0,b:1")
    again = pickle.loads(pickle.dumps(engine))
    assert again.uri == engine.uri
    assert again.capabilities == engine.capabilities
    assert engine.capabilities.labels == (("a", 0.0), ("b", 1.0))
    several = load_engine("vllm-rm:m@http://a:1,http://b:1")
    assert isinstance(several, Replicas)
    assert several.capabilities.scores
