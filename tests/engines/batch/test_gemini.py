"""Gemini's batches: OpenAI's forms on one side, those of `generateContent` on the other."""

import json
from typing import Any

import pytest

from plaudit.engines.batch.gemini import GeminiBatches
from plaudit.engines.load import load_engine
from plaudit.errors import CallError, UsageError


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> GeminiBatches:
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    return GeminiBatches(load_engine("gemini:gemini-2.5-flash"))  # pyright: ignore[reportArgumentType]


def row(client: GeminiBatches, **body: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": [{"type": "text", "text": text} for text in ("2+", "2?")]},
        {"role": "assistant", "content": "4"},
    ]  # fmt: skip
    sent = {"model": "gemini-2.5-flash", "messages": messages, **body}
    found = json.loads(client.line("k", json.dumps(sent).encode()))
    assert found["key"] == "k"
    return found["request"]


def test_messages_become_contents(client: GeminiBatches) -> None:
    request = row(client)
    assert request["systemInstruction"] == {"parts": [{"text": "Judge."}]}
    assert request["contents"] == [
        {"role": "user", "parts": [{"text": "2+2?"}]},
        {"role": "model", "parts": [{"text": "4"}]},
    ]


def test_parameters_have_gemini_names(client: GeminiBatches) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    request = row(
        client, temperature=0.5, top_p=0.9, max_tokens=7, stop="x", seed=3, reasoning_effort="low",
        response_format=form,
    )  # fmt: skip
    assert request["generationConfig"] == {
        "temperature": 0.5, "topP": 0.9, "maxOutputTokens": 7, "stopSequences": ["x"], "seed": 3,
        "thinkingConfig": {"thinkingBudget": 1024}, "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }  # fmt: skip


def test_a_parameter_without_a_counterpart_is_refused_by_name(client: GeminiBatches) -> None:
    with pytest.raises(UsageError, match="logit_bias"):
        row(client, logit_bias={})


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("OTHER", "other")],
)
def test_replies_become_chat_completions(client: GeminiBatches, reason: str, finish: str) -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "fo"}, {"text": "ur"}]
    used = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}
    reply = {
        "candidates": [{"content": {"parts": parts}, "finishReason": reason}],
        "usageMetadata": used,
    }
    line = client.read(json.dumps({"key": "k", "response": reply}).encode())
    body = json.loads(line.body)
    assert body["choices"][0]["message"]["content"] == "four"
    assert body["choices"][0]["finish_reason"] == finish
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 5}


def test_a_status_in_place_of_a_reply_is_an_error(client: GeminiBatches) -> None:
    line = client.read(b'{"key": "k", "error": {"code": 8, "message": "quota"}}')
    assert isinstance(line.error, CallError) and line.error.cause == "rate_limited"


def test_a_blocked_prompt_is_filtered(client: GeminiBatches) -> None:
    reply = {"promptFeedback": {"blockReason": "SAFETY"}}
    line = client.read(json.dumps({"key": "k", "response": reply}).encode())
    assert json.loads(line.body)["choices"][0]["finish_reason"] == "content_filter"
