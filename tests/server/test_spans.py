"""Spans of requests, as a program that listens gets them."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from plaudit.server.running import JSONLines
from tests.support.serving import RIGHT, RULES, UNKNOWN, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(api, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


async def test_a_request_is_a_span_within_its_clients_trace(
    listening: InMemorySpanExporter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "plaudit.server")
    headers = {"traceparent": PARENT, "X-Request-Id": "step-7"}
    async with serving(RULES, folder=tmp_path) as client:
        found = await client.post("/v1/score/rewards", [RIGHT, UNKNOWN], headers=headers)
        lost = await client.post("/v1/score/rewrads", RIGHT)
    assert (found.status, lost.status) == (200, 404)
    scored, unknown = listening.get_finished_spans()
    assert scored.name == "POST /v1/score/rewards"
    assert scored.kind is api.SpanKind.SERVER
    assert scored.parent is not None and scored.context is not None
    assert f"{scored.context.trace_id:032x}" == TRACE
    given = dict(scored.attributes or {})
    assert given["http.response.status_code"] == 200
    assert given["plaudit.request_id"] == "step-7"
    assert (given["plaudit.rows"], given["plaudit.unscored"]) == (2, 1)
    assert (given["plaudit.dialect"], given["plaudit.reward"]) == ("native", "rewards")
    assert RIGHT["prompt"] not in str(given)
    assert (unknown.name, unknown.parent) == ("POST", None)
    line = json.loads(JSONLines().format(caplog.records[0]))
    assert (line["trace_id"], line["request_id"]) == (TRACE, "step-7")


async def test_nobody_listens_and_no_span_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "plaudit.server")
    async with serving(RULES, folder=tmp_path) as client:
        await client.post("/v1/score/rewards", RIGHT, headers={"traceparent": PARENT})
    (line,) = [json.loads(JSONLines().format(one)) for one in caplog.records]
    assert "trace_id" not in line
