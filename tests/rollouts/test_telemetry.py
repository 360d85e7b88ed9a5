"""Spans of rollouts, as a program that listens gets them."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from plaudit.errors import Cause
from plaudit.rollouts import telemetry
from tests.rollouts.acting import Actor, calls, failed, roll_out, search

LOOKED_UP = calls(("c1", "search", '{"query": "secret"}'), ("c2", "seek", "{}"))


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(api, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_rollout_its_turns_and_its_calls_are_spans(listening) -> None:
    await roll_out(Actor(LOOKED_UP, "Swigert."))
    spans = by_name(listening)
    assert set(spans) == {
        "invoke_agent plaudit",
        "chat 1",
        "execute_tool search",
        "execute_tool seek",
    }
    agent = spans["invoke_agent plaudit"]
    assert agent.attributes is not None
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert agent.attributes["gen_ai.conversation.id"] == "q1/0"
    assert agent.attributes["gen_ai.provider.name"] == "actor"
    assert agent.attributes["gen_ai.usage.output_tokens"] == 6
    assert agent.attributes["plaudit.stop_reason"] == "answered"
    for name, span in spans.items():
        assert span.context is not None
        if span is not agent:
            assert span.parent is not None
            assert span.parent.span_id == agent.context.span_id, name
    chat = spans["chat 1"]
    assert chat.kind is api.SpanKind.CLIENT
    assert chat.attributes is not None
    assert chat.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    tool = spans["execute_tool search"]
    assert tool.attributes is not None
    assert tool.attributes["gen_ai.tool.call.id"] == "c1"
    assert tool.status.is_ok
    assert spans["execute_tool seek"].attributes["error.type"] == "unknown_tool"


async def test_what_was_said_is_left_out_unless_it_is_asked_for(
    listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    await roll_out(Actor(LOOKED_UP, "Swigert."))
    scored = repr([dict(span.attributes or {}) for span in listening.get_finished_spans()])
    assert "secret" not in scored
    assert "Swigert" not in scored
    listening.clear()
    monkeypatch.setenv(telemetry.CONTENT, "true")
    await roll_out(Actor(LOOKED_UP, "Swigert."))
    scored = repr([dict(span.attributes or {}) for span in listening.get_finished_spans()])
    assert "found secret" in scored
    assert "Swigert." in scored


async def test_a_failed_request_is_an_error_with_its_cause(listening) -> None:
    await roll_out(Actor(failed(Cause.TIMEOUT)))
    for span in listening.get_finished_spans():
        assert not span.status.is_ok
        assert span.attributes["error.type"] == "timeout"


async def test_without_a_listener_there_are_no_spans() -> None:
    assert telemetry.find_tracer() is None
    trace = await roll_out(Actor("x"), tools=[search])
    assert trace.final_answer == "x"


def test_opentelemetry_is_not_imported_for_it() -> None:
    code = (
        "import sys; import plaudit.rollout; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
