"""What stands around each request: who asks, its id, refusals as JSON, counters, one log line."""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec
from aiohttp import web

from plaudit.errors import UsageError
from plaudit.rewarding.rows import ScoredRow
from plaudit.rewarding.unscored import UnscoredError
from plaudit.server.desk import QueueFullError
from plaudit.server.openapi import ErrorBody, RefusalBody
from plaudit.server.security import Gatekeeper
from plaudit.server.service import NotServedError, Service
from plaudit.server.spans import RequestSpans, record, trace_id

_LOG = logging.getLogger("plaudit.server")
_OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no token: they say nothing of rewards."""
_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_ID_HEADER = "X-Request-Id"
_CLOSED = 499
"""Counted where the client was gone before the answer."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

encode = msgspec.json.Encoder().encode


_FACTS: ContextVar[dict[str, Any]] = ContextVar("facts of a request")


def note(**facts: Any) -> None:
    """Keep facts of the request that is answered, for its log line and counters."""
    _FACTS.get().update(facts)


def facts() -> dict[str, Any]:
    """Return the facts of the request that is answered."""
    return _FACTS.get()


class RefusedError(Exception):
    """A request is refused."""

    def __init__(
        self, status: int, type: str, message: str, rows: Sequence[ScoredRow] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.rows = rows


class Boundary:
    """Around every handler; see the module."""

    def __init__(self, service: Service, keeper: Gatekeeper, *, inner: bool = False) -> None:
        """Put a service behind a gatekeeper; reports to other processes are not counted."""
        self._inner = inner
        self._service = service
        self._keeper = keeper
        self._spans = RequestSpans()
        self._process, self._numbers = secrets.token_hex(10), itertools.count(1)

    async def around(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        """Have a request answered, or refused."""
        if not self._spans.wanted:
            return await self._observed(request, handler, None)
        with self._spans.request(request.method, request.headers) as span:
            return await self._observed(request, handler, span)

    async def _observed(
        self, request: web.BaseRequest, handler: Handler, span: Any
    ) -> web.StreamResponse:
        given = request.headers.get(_ID_HEADER, "")
        id = given if given and _ID.fullmatch(given) else self._new_id()
        _FACTS.set({"request_id": id, "dialect": "none", "reward": ""})
        started, status = time.monotonic(), _CLOSED
        self._service.open_requests += 1
        try:
            response = await self._answer(request, handler)
            status = response.status
            response.headers[_ID_HEADER] = id
            response.headers["Server"] = "plaudit"
            return response
        finally:
            self._service.open_requests -= 1
            self._count(request, status, time.monotonic() - started, span)

    def _new_id(self) -> str:
        return f"{self._process}{next(self._numbers):012x}"

    async def _answer(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        try:
            self._check(request)
            return await handler(request)
        except RefusedError as error:
            return _refusal(error)
        except UnscoredError as error:
            note(rows=error.rows)
            status = 502 if error.may_pass else 422
            return _refusal(RefusedError(status, "unscored", str(error), error.rows))
        except web.HTTPException as error:
            return _refusal(_of_http(error))
        except Exception as error:
            return _refusal(_of_error(error))

    def _check(self, request: web.BaseRequest) -> None:
        """Refuse who may not ask.

        Raises:
            RefusedError: the name is forged, the token is wrong, or the server is about to stop.
        """
        if not self._keeper.knows(request.host):
            message = "the server is not asked under this name; --allow-host NAME allows one"
            raise RefusedError(403, "unknown_host", message)
        if request.path in _OPEN:
            return
        if not self._keeper.admits(request.headers.get("Authorization", "")):
            raise RefusedError(401, "unauthorized", "send the token as Bearer, or as a password")
        if self._service.draining and request.method == "POST":
            raise RefusedError(503, "stopping", "the server is about to stop; ask again later")

    def _count(self, request: web.BaseRequest, status: int, seconds: float, span: Any) -> None:
        if self._inner and request.method == "GET":
            return
        facts = _FACTS.get()
        rows: Sequence[ScoredRow] = facts.pop("rows", ())
        metrics = self._service.metrics
        metrics.add("plaudit_requests_total", dialect=facts["dialect"], status=str(status))
        if facts["reward"]:
            metrics.observe(seconds, facts["dialect"])
        if span is None and not _LOG.isEnabledFor(logging.INFO):
            return
        line = {
            "method": request.method,
            "path": request.path,
            **facts,
            "status": status,
            "seconds": round(seconds, 4),
            "rows": len(rows),
            "unscored": sum(row.value is None for row in rows),
        }
        if span is not None:
            record(span, line)
            line["trace_id"] = trace_id(span)
        _LOG.info("request", extra={"facts": line})


def _of_http(error: web.HTTPException) -> RefusedError:
    """Return what a refusal of aiohttp comes to."""
    if error.status == 413:
        return RefusedError(413, "too_large", "the body is larger than the server takes")
    return RefusedError(error.status, "refused", error.reason)


def _of_error(error: Exception) -> RefusedError:
    """Return what an error comes to; one that nobody expected is logged."""
    if isinstance(error, NotServedError):
        return RefusedError(404, "not_found", str(error))
    if isinstance(error, QueueFullError):
        return RefusedError(503, "queue_full", f"{error}; ask again later")
    if isinstance(error, msgspec.ValidationError | UsageError):
        return RefusedError(400, "bad_request", str(error))
    if isinstance(error, RecursionError):
        return RefusedError(400, "bad_request", "the body is nested too deeply")
    _LOG.exception("request %s failed", _FACTS.get()["request_id"])
    return RefusedError(500, "internal", "a defect of the server; its log has more")


def _refusal(error: RefusedError) -> web.Response:
    body = ErrorBody(
        type=error.type,
        message=str(error),
        request_id=_FACTS.get()["request_id"],
        rows=list(error.rows),
    )
    headers = {"WWW-Authenticate": 'Bearer, Basic realm="plaudit"'} if error.status == 401 else {}
    if error.status == 405:
        headers["Allow"] = _FACTS.get()["allow"]
    return web.Response(
        body=encode(RefusalBody(error=body)),
        status=error.status,
        content_type="application/json",
        headers=headers,
    )
