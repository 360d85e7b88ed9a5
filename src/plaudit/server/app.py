"""The HTTP side: paths, forms, refusals."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from plaudit.server.boundary import Boundary, RefusedError, facts, note
from plaudit.server.cohorts import is_whole
from plaudit.server.dialects.base import PlainRoute, ScoringRoute
from plaudit.server.dialects.table import DIALECTS
from plaudit.server.metrics import CONTENT_TYPE
from plaudit.server.native import Body, answer_of, read_batch
from plaudit.server.openapi import describe
from plaudit.server.peers import SNAPSHOT, PeerGoneError, Peers
from plaudit.server.security import Gatekeeper
from plaudit.server.service import Service, Spoken
from plaudit.server.spec import Served

_JSON = "application/json"
_BODY_S = 60.0
"""Seconds within which a body must have come."""

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]
App = web.Server
"""The HTTP side of a service."""
Meant = Callable[[], Served]
"""Returns the reward that a path means."""

encode = msgspec.json.Encoder().encode
_decode_native = msgspec.json.Decoder(Body).decode


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
    peers: Peers | None
    inner: bool

    @property
    def others(self) -> Peers | None:
        """The other processes, where they are asked too."""
        return None if self.inner else self.peers


def make_app(
    service: Service,
    keeper: Gatekeeper,
    *,
    limits: HTTPLimits | None = None,
    version: str = "",
    peers: Peers | None = None,
    inner: bool = False,
) -> App:
    """Return the HTTP server of a service; nothing listens. A loop must be running.

    Paths are looked up in a table. The router and middlewares of aiohttp would cost a tenth of what
    a short request costs.

    Args:
        service: what is served.
        keeper: who may ask.
        limits: what a request may bring.
        version: of plaudit, for the description of the API.
        peers: the other processes of the server, where there are any.
        inner: whether it is them that ask.
    """
    app = _App(service, limits or HTTPLimits(), version, peers, inner)
    routes = {"POST": dict(_scores(app)), "GET": _reports(app)}
    for method, path, handler in _dialects(app):
        routes[method][path] = handler
    respond = functools.partial(_respond, service, routes | {"HEAD": routes["GET"]})
    boundary = Boundary(service, keeper, inner=inner)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await boundary.around(request, respond)

    return web.Server(
        handle,
        request_factory=functools.partial(_request, app.limits.body),
        handler_cancellation=True,
        access_log=None,
    )


def _request(
    most: int, message: Any, payload: Any, protocol: Any, writer: Any, task: "asyncio.Task[None]"
) -> web.BaseRequest:
    """Return a request whose body has at most so many bytes."""
    return web.BaseRequest(
        message, payload, protocol, writer, task, task.get_loop(), client_max_size=most
    )


# Paths


async def _respond(
    service: Service, routes: dict[str, dict[str, Handler]], request: web.BaseRequest
) -> web.Response:
    """Have a request answered by what its path names.

    Raises:
        RefusedError: it names nothing, or is asked by another method.
        NotServedError: it names a reward that there is not.
    """
    path = request.path
    handler = routes.get(request.method, {}).get(path)
    if handler is not None:
        return await handler(request)
    allowed = [method for method, paths in routes.items() if path in paths]
    if allowed:
        note(allow=", ".join(allowed))
        raise RefusedError(405, "refused", "Method Not Allowed")
    raise RefusedError(404, "not_found", _nothing_at(service, path))


def _scores(app: _App) -> Iterator[tuple[str, Handler]]:
    service = app.service
    for name, served in service.rewards.items():
        named = functools.partial(service.named, name)
        yield f"/v1/score/{name}", functools.partial(_native, app, named)
        if served.kind:
            judge = functools.partial(service.judge_of, served.kind)
            yield f"/v1/judge/{served.kind}", functools.partial(_native, app, judge)


def _dialects(app: _App) -> Iterator[tuple[str, str, Handler]]:
    service = app.service
    for spoken in service.spoken.values():
        for route in (*spoken.dialect.scoring, *spoken.dialect.plain):
            method = "GET" if route.form is None else "POST"
            speak = functools.partial(_speak, app, spoken, route, msgspec.json.Decoder(route.form))
            yield method, route.path, functools.partial(speak, service.only)
            for name in service.rewards:
                named = functools.partial(service.named, name)
                yield method, f"/{name}{route.path}", functools.partial(speak, named)


def _reports(app: _App) -> dict[str, Handler]:
    return {
        "/healthz": _health,
        "/readyz": functools.partial(_ready, app),
        "/metrics": functools.partial(_metrics, app),
        "/openapi.json": functools.partial(_describe, app),
        "/v1/watch": functools.partial(_watch, app),
        **({SNAPSHOT: functools.partial(_snapshot, app)} if app.inner else {}),
    }


def _nothing_at(service: Service, path: str) -> str:
    """Return why nothing is served at a path.

    Raises:
        NotServedError: a reward is named that there is not.
    """
    _, *places = path.split("/")
    if places[:-1] == ["v1", "score"]:
        service.named(places[-1])
    if places[:-1] == ["v1", "judge"]:
        service.judge_of(places[-1])
    for name, one in DIALECTS.items():
        ends = any(path.endswith(route.path) for route in (*one.scoring, *one.plain))
        if ends and name not in service.spoken:
            return f"{name} is not served: start with --when-unscored {name}=HOW"
        if ends:
            service.named(places[0])
    spoken, names = ", ".join(service.spoken), ", ".join(service.rewards)
    return f"nothing is served at {path[:200]}; rewards: {names}; dialects: {spoken}"


# Reports


async def _health(request: web.BaseRequest) -> web.Response:
    del request
    return _reply({"status": "ok"})


async def _ready(app: _App, request: web.BaseRequest) -> web.Response:
    troubles, alarms = app.service.troubles, app.service.watch.alarms
    if app.others is not None:
        ready = await app.others.readiness(request.headers)
        troubles = ready.troubles | troubles
        alarms = ready.alarms if alarms is None else alarms
    known = {"troubles": troubles} | ({} if alarms is None else {"alarms": alarms})
    if app.service.draining:
        return _reply({"ready": False, "draining": True, **known}, 503)
    return _reply({"ready": not troubles, **known}, 503 if troubles else 200)


async def _metrics(app: _App, request: web.BaseRequest) -> web.Response:
    found = app.service.snapshot()
    if app.others is not None:
        found = await app.others.metrics(found, request.headers)
    return web.Response(body=found.text().encode(), headers={"Content-Type": CONTENT_TYPE})


async def _snapshot(app: _App, request: web.BaseRequest) -> web.Response:
    """Report to another process, which sums up."""
    del request
    found = app.service.snapshot()
    if app.peers is not None:
        app.peers.keep(found)
    return _reply(found)


async def _watch(app: _App, request: web.BaseRequest) -> web.Response:
    report = app.service.watch.report()
    if app.others is not None and not report:
        return _reply(await app.others.watch_report(request.headers))
    return _reply(report)


async def _describe(app: _App, request: web.BaseRequest) -> web.Response:
    del request
    dialects = [spoken.dialect for spoken in app.service.spoken.values()]
    kinds = {name: one.kind for name, one in app.service.rewards.items()}
    return _reply(describe(dialects, kinds, app.version))


# Scoring


async def _native(app: _App, meant: Meant, request: web.BaseRequest) -> web.Response:
    spoken, served = app.service.spoken["native"], meant()
    note(dialect="native", reward=served.name)
    data = await _body(app, request)
    body = _decoded(_decode_native, data)
    batch = read_batch(body)
    _check_rows(app, len(batch.rows))
    if app.others is not None and served.group is not None and batch.group is not None:
        owner = app.others.owner(batch.group.key)
        if owner != app.others.own and not is_whole(batch.group, batch.rows):
            return await _passed_on(app.others, owner, request, data)
    answers = await app.service.score(
        served, batch.rows, spoken, group=batch.group, deadline=batch.deadline
    )
    note(rows=answers.rows)
    return _reply(answer_of(body, answers.rows, answers.values))


async def _passed_on(
    peers: Peers, owner: int, request: web.BaseRequest, data: bytes
) -> web.Response:
    """Have the worker answer in which the members of a group meet."""
    note(dialect="passed-on", reward="")
    headers = request.headers.copy()
    headers["X-Request-Id"] = facts()["request_id"]
    try:
        reply = await peers.pass_on(owner, request.path, data, headers)
    except PeerGoneError:
        message = "the process in which the group met ended; ask again"
        raise RefusedError(503, "worker_gone", message) from None
    return web.Response(body=reply.body, status=reply.status, content_type=_JSON)


async def _speak(
    app: _App,
    spoken: Spoken,
    route: ScoringRoute | PlainRoute,
    decoder: "msgspec.json.Decoder[Any]",
    meant: Meant,
    request: web.BaseRequest,
) -> web.Response:
    served = meant()
    note(dialect=spoken.dialect.name, reward=served.name)
    body = None if route.form is None else _decoded(decoder.decode, await _body(app, request))
    if isinstance(route, PlainRoute):
        return _reply(route.answer(body))
    rows = route.rows(body)
    _check_rows(app, len(rows))
    answers = await app.service.score(served, rows, spoken)
    note(rows=answers.rows)
    return _reply(route.answer(body, answers))


async def _body(app: _App, request: web.BaseRequest) -> bytes:
    """Read the body of a request.

    Raises:
        RefusedError: it is no JSON, or does not come.
        HTTPRequestEntityTooLarge: it is larger than the server takes.
    """
    headers = request.headers
    if request.content_type != _JSON:
        raise RefusedError(415, "not_json", f"the body must be {_JSON}")
    if headers.get("Content-Encoding", "identity") != "identity":
        raise RefusedError(415, "encoded", "the body must not be compressed")
    if "Expect" in headers:
        await _go_on(request)
    try:
        if request.content.is_eof():  # A short body is there with its header.
            data = request.content.read_nowait()
        else:
            async with asyncio.timeout(_BODY_S):
                data = await request.read()
    except TimeoutError:
        raise RefusedError(408, "slow_body", f"no whole body within {_BODY_S:g} s") from None
    except (web.RequestPayloadError, ConnectionError):
        raise RefusedError(400, "bad_request", "the body ended early") from None
    if len(data) > app.limits.body:
        raise web.HTTPRequestEntityTooLarge(max_size=app.limits.body, actual_size=len(data))
    return data


async def _go_on(request: web.BaseRequest) -> None:
    """Answer a client that sends its body only when it may."""
    if request.headers["Expect"].lower() != "100-continue":
        raise RefusedError(417, "refused", "Expectation Failed")
    transport = request.transport
    if transport is not None and not request.content.is_eof():
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """Decode a body.

    Raises:
        RefusedError: it is no JSON, or has another form.
    """
    try:
        return decode(data)
    except RecursionError:
        raise RefusedError(400, "bad_request", "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, "bad_request", str(error)) from None


def _check_rows(app: _App, count: int) -> None:
    if count > app.limits.rows:
        raise RefusedError(
            413, "too_many_rows", f"{count} rows; a request holds at most {app.limits.rows}"
        )


def _reply(answer: Any, status: int = 200) -> web.Response:
    return web.Response(body=encode(answer), status=status, content_type=_JSON)
