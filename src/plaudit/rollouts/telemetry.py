"""OpenTelemetry spans of rollouts, by its conventions for generative AI.

A rollout is `invoke_agent`, each request to the model `chat` and each tool call `execute_tool`
within it. Spans are made only where the program has configured a tracer provider, which nothing
here does but `exporting`. What was said is part of them only where the variable
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`.
"""

import os
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, ReplyError
from plaudit.rollouts.trace import CallRecord, Trace
from plaudit.types import Message

AGENT = "plaudit"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_PROVIDERS = {"claude": "anthropic", "mistral": "mistral_ai"}
"""Names that the conventions have for what a scheme is called here."""


class Spans:
    """Makes the spans of one rollout; none where nobody listens."""

    def __init__(self, uri: str, identity: str) -> None:
        scheme = uri.partition(":")[0]
        self._tracer = find_tracer()
        self._content = os.environ.get(CONTENT, "").lower() == "true"
        self._model = {
            "gen_ai.provider.name": _PROVIDERS.get(scheme, scheme),
            "gen_ai.request.model": identity.partition(":")[2] or identity,
        }

    @contextmanager
    def rollout(self, id: str) -> Generator["_Reported"]:
        """The span of the whole rollout."""
        details = {"gen_ai.agent.name": AGENT, "gen_ai.conversation.id": id}
        with self._span("invoke_agent", AGENT, "INTERNAL", self._model | details) as span:
            yield span

    @contextmanager
    def chat(self, request: Request) -> Generator["_Reported"]:
        """The span of one request, with all its retries."""
        sampling = request.sampling
        details: dict[str, Any] = {
            "gen_ai.request.temperature": sampling.temperature,
            "gen_ai.request.top_p": sampling.top_p,
            "gen_ai.request.max_tokens": sampling.max_tokens,
        }
        if sampling.seed is not None:
            details["gen_ai.request.seed"] = sampling.seed
        if self._content:
            details["gen_ai.input.messages"] = _messages(request)
        name = self._model["gen_ai.request.model"]
        with self._span("chat", name, "CLIENT", self._model | details) as span:
            yield span

    def tools(self, answered: Iterable[tuple[CallRecord, Message]], began_ns: int) -> None:
        """The spans of calls that ran side by side from a time on."""
        if self._tracer is None:
            return
        for record, message in answered:
            details = {"gen_ai.tool.name": record.name, "gen_ai.tool.type": "function"}
            details["gen_ai.tool.call.id"] = record.id
            if record.status != "ok":
                details["error.type"] = record.status
            if self._content:
                details["gen_ai.tool.call.arguments"] = _json(record.arguments)
                details["gen_ai.tool.call.result"] = message.text
            span = self._tracer.start_span(
                f"execute_tool {record.name}",
                attributes={"gen_ai.operation.name": "execute_tool", **details},
                start_time=began_ns,
            )
            if record.status != "ok":
                _fail(span, message.text)
            span.end(began_ns + round(record.seconds * 1e9))

    @contextmanager
    def _span(
        self, operation: str, name: str, kind: str, details: Mapping[str, Any]
    ) -> Generator["_Reported"]:
        if self._tracer is None:
            yield _Reported(None, self._content)
            return
        api = sys.modules["opentelemetry.trace"]
        attributes = {"gen_ai.operation.name": operation, **details}
        with self._tracer.start_as_current_span(
            f"{operation} {name}",
            kind=api.SpanKind[kind],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _Reported(span, self._content)
            except (CallError, ReplyError) as error:
                span.set_attribute("error.type", error.cause.value)
                _fail(span, str(error))
                raise


class _Reported:
    """A span that records what came of it."""

    def __init__(self, span: Any, content: bool) -> None:
        self._span = span
        self._content = content

    def replied(self, completion: Completion) -> None:
        """Record what the model answered."""
        if self._span is None:
            return
        self._usage(completion.usage.input_tokens, completion.usage.output_tokens)
        self._span.set_attribute("gen_ai.response.finish_reasons", [completion.finish_reason])
        if self._content:
            said = {"role": "assistant", "parts": [{"type": "text", "content": completion.text}]}
            self._span.set_attribute("gen_ai.output.messages", _json([said]))

    def ended(self, trace: Trace) -> None:
        """Record how the rollout ended."""
        if self._span is None:
            return
        self._usage(trace.usage.input_tokens, trace.usage.output_tokens)
        self._span.set_attribute("plaudit.stop_reason", str(trace.stop_reason))
        if trace.error is not None:
            self._span.set_attribute("error.type", trace.error.cause.value)
            _fail(self._span, trace.error.message)

    def _usage(self, input_tokens: int, output_tokens: int) -> None:
        self._span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
        self._span.set_attribute("gen_ai.usage.output_tokens", output_tokens)


def find_tracer() -> Any:
    """Return a tracer of the provider that the program has configured; None where it has none."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:  # A program that configures a provider has imported it.
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    return provider.get_tracer("plaudit")


@contextmanager
def exporting() -> Generator[None]:
    """Export spans over OTLP, to where the variables `OTEL_EXPORTER_OTLP_...` say.

    A provider that is configured already is used as it is.

    Raises:
        MissingDependencyError: the extra `otel` is not installed.
    """
    if find_tracer() is not None:
        yield
        return
    api, sdk, export, otlp, resources = (
        load_package(f"opentelemetry.{module}", "otel")
        for module in (
            "trace",
            "sdk.trace",
            "sdk.trace.export",
            "exporter.otlp.proto.http.trace_exporter",
            "sdk.resources",
        )
    )
    named = resources.Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", AGENT)})
    provider = sdk.TracerProvider(resource=named)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    api.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def now_ns() -> int:
    """Return the time as spans count it."""
    return time.time_ns()


def _fail(span: Any, message: str) -> None:
    api = sys.modules["opentelemetry.trace"]
    span.set_status(api.Status(api.StatusCode.ERROR, message[:200]))


def _messages(request: Request) -> str:
    if isinstance(request.prompt, str):
        return _json([{"role": "user", "parts": [{"type": "text", "content": request.prompt}]}])
    return _json(
        [
            {"role": message.role, "parts": [{"type": "text", "content": message.text}]}
            for message in request.prompt
        ]
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
