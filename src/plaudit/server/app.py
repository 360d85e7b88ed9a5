"""The HTTP side: paths, forms, refusals."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from plaudit._util.decoding import decode_json
from plaudit.server.boundary import Boundary, RefusedError, note
from plaudit.server.dialects.base import PlainRoute, ScoringRoute
from plaudit.server.metrics import CONTENT_TYPE
from plaudit.server.native import Body, answer_of, read_batch
from plaudit.server.openapi import describe
from plaudit.server.security import Gatekeeper
from plaudit.server.service import Service, Spoken
from plaudit.server.spec import Served

_JSON = "application/json"
_BODY_S = 60.0
"""Seconds within which a body must have come."""

Handler = Callable[[web.Request], Awaitable[web.Response]]

encode = msgspec.json.Encoder().encode


class HTTPLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may bring."""

    body: int = 32 * 2**20
    """Most bytes of a body."""
    rows: int = 4096
    """Most rows of a request."""


class _App(NamedTuple):
    """What the handlers have in common."""

    service: Service
    limits: HTTPLimits
    version: str


def make_app(
    service: Service, keeper: Gatekeeper, *, limits: HTTPLimits | None = None, version: str = ""
) -> web.Application:
    """Return the application of a service; nothing is started.

    Args:
        service: what is served.
        keeper: who may ask.
        limits: what a request may bring.
        version: of plaudit, for the description of the API.
    """
    limits = limits or HTTPLimits()
    app = _App(service, limits, version)
    made = web.Application(
        client_max_size=limits.body, middlewares=[Boundary(service, keeper).around]
    )
    made.router.add_get("/healthz", functools.partial(_health, app))
    made.router.add_get("/readyz", functools.partial(_ready, app))
    made.router.add_get("/metrics", functools.partial(_metrics, app))
    made.router.add_get("/openapi.json", functools.partial(_describe, app))
    made.router.add_get("/v1/watch", functools.partial(_watch, app))
    made.router.add_post("/v1/score/{name}", functools.partial(_score_named, app))
    made.router.add_post("/v1/judge/{kind}", functools.partial(_judge, app))
    for spoken in service.spoken.values():
        for route in (*spoken.dialect.scoring, *spoken.dialect.plain):
            handler = functools.partial(_speak, app, spoken, route)
            made.router.add_post(route.path, handler)
            made.router.add_post(f"/{{name}}{route.path}", handler)
    return made


# Reports


async def _health(app: _App, request: web.Request) -> web.Response:
    del app, request
    return _reply({"status": "ok"})


async def _ready(app: _App, request: web.Request) -> web.Response:
    del request
    troubles, alarms = app.service.troubles, app.service.watch.alarms
    known = {"troubles": troubles} | ({} if alarms is None else {"alarms": alarms})
    if app.service.draining:
        return _reply({"ready": False, "draining": True, **known}, 503)
    return _reply({"ready": not troubles, **known}, 503 if troubles else 200)


async def _metrics(app: _App, request: web.Request) -> web.Response:
    del request
    text = app.service.metrics.text(app.service.gauges())
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _watch(app: _App, request: web.Request) -> web.Response:
    del request
    return _reply(app.service.watch.report())


async def _describe(app: _App, request: web.Request) -> web.Response:
    del request
    dialects = [spoken.dialect for spoken in app.service.spoken.values()]
    return _reply(describe(dialects, list(app.service.rewards), app.version))


# Scoring


async def _score_named(app: _App, request: web.Request) -> web.Response:
    return await _native(app, request, app.service.named(request.match_info["name"]))


async def _judge(app: _App, request: web.Request) -> web.Response:
    return await _native(app, request, app.service.judge_of(request.match_info["kind"]))


async def _native(app: _App, request: web.Request, served: Served) -> web.Response:
    spoken = app.service.spoken["native"]
    note(dialect="native", reward=served.name)
    body = await _body(request, Body)
    batch = read_batch(body)
    _check_rows(app, len(batch.rows))
    answers = await app.service.score(
        served, batch.rows, spoken, group=batch.group, deadline=batch.deadline
    )
    note(rows=answers.rows)
    return _reply(answer_of(body, answers.rows, answers.values))


async def _speak(
    app: _App, spoken: Spoken, route: ScoringRoute | PlainRoute, request: web.Request
) -> web.Response:
    name = request.match_info.get("name")
    served = app.service.only() if name is None else app.service.named(name)
    note(dialect=spoken.dialect.name, reward=served.name)
    body = await _body(request, route.form)
    if isinstance(route, PlainRoute):
        return _reply(route.answer(body))
    rows = route.rows(body)
    _check_rows(app, len(rows))
    answers = await app.service.score(served, rows, spoken)
    note(rows=answers.rows)
    return _reply(route.answer(body, answers))


async def _body(request: web.Request, form: Any) -> Any:
    """Read and decode the body of a request.

    Raises:
        RefusedError: it is no JSON, or has another form.
    """
    if request.content_type != _JSON:
        raise RefusedError(415, "not_json", f"the body must be {_JSON}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise RefusedError(415, "encoded", "the body must not be compressed")
    try:
        async with asyncio.timeout(_BODY_S):
            data = await request.read()
    except TimeoutError:
        raise RefusedError(408, "slow_body", f"no whole body within {_BODY_S:g} s") from None
    except (web.RequestPayloadError, ConnectionError):
        raise RefusedError(400, "bad_request", "the body ended early") from None
    try:
        return decode_json(data, form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, "bad_request", str(error)) from None


def _check_rows(app: _App, count: int) -> None:
    if count > app.limits.rows:
        raise RefusedError(
            413, "too_many_rows", f"{count} rows; a request holds at most {app.limits.rows}"
        )


def _reply(answer: Any, status: int = 200) -> web.Response:
    return web.Response(body=encode(answer), status=status, content_type=_JSON)
