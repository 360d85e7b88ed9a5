"""OpenTelemetry spans of requests, by its conventions for HTTP servers; none where nobody listens.

A span is a child of the client's own, where the request has a `traceparent`. No text of a row is
part of it.
"""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from plaudit.rollouts.telemetry import find_tracer

_UNKNOWN, _SERVER_ERROR = 404, 500


class RequestSpans:
    """Makes a span for each request."""

    def __init__(self) -> None:
        """Look for a tracer provider that the program has configured."""
        self._tracer = find_tracer()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._tracer is not None

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
        """Return the span of a request, which is the current one in its context."""
        from opentelemetry.propagate import extract

        return self._tracer.start_as_current_span(
            method,
            context=extract({name.lower(): value for name, value in headers.items()}),
            kind=sys.modules["opentelemetry.trace"].SpanKind.SERVER,
            record_exception=False,
        )


def trace_id(span: Any) -> str:
    """Return the id of a span's trace, as logs have it."""
    return f"{span.get_span_context().trace_id:032x}"


def record(span: Any, facts: Mapping[str, Any]) -> None:
    """Record what the log line of a request says: method, path, status and others."""
    rest = dict(facts)
    method, path, status = rest.pop("method"), rest.pop("path"), rest.pop("status")
    if status != _UNKNOWN:  # Others may be named by a path, since there are few.
        span.update_name(f"{method} {path}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("url.path", path)
    span.set_attribute("http.response.status_code", status)
    for name, value in rest.items():
        span.set_attribute(f"plaudit.{name}", value)
    if status >= _SERVER_ERROR:
        api = sys.modules["opentelemetry.trace"]
        span.set_status(api.Status(api.StatusCode.ERROR))
