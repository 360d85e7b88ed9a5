"""The description of the API, OpenAPI 3.1, made from the structs that the server decodes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from plaudit.rewarding.rows import ScoredRow
from plaudit.server.dialects.base import Dialect, PlainRoute, ScoringRoute
from plaudit.server.native import Body, RowBatch

_REFS = "#/components/schemas/{name}"
_JSON = "application/json"
_REFUSALS = {
    "400": "The body is no JSON, has other fields, or its rows make no group.",
    "401": "The token is missing or wrong.",
    "404": "There is no such reward.",
    "413": "The body is too large, or has too many rows.",
    "415": "The body is no application/json.",
    "422": "Rows have no value and `error` was chosen; the same request gives the same.",
    "502": "Rows have no value and `error` was chosen; the same request may succeed later.",
    "503": "So many rows wait that no more are taken, or the server is about to stop.",
}


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused."""

    type: str
    message: str
    request_id: str
    rows: list[ScoredRow] = []
    """With `unscored`: the rows, scored and not."""


class RefusalBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of each refusal."""

    error: ErrorBody


def describe(dialects: Sequence[Dialect], kinds: Mapping[str, str], version: str) -> dict[str, Any]:
    """Return the description of a server.

    Args:
        dialects: those that are served.
        kinds: of the judges, by the names of rewards; empty: no judge.
        version: of plaudit.
    """
    routes = [route for one in dialects for route in (*one.scoring, *one.plain)]
    types = [Body, RowBatch, ScoredRow | list[ScoredRow], RefusalBody]
    types += [form for route in routes for form in (_asked(route), route.reply)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFS)
    own, batch, answer, refusal = schemas[:4]
    body = {"anyOf": [batch, *own.get("anyOf", [own])]}
    named, judged = _parameter("name", kinds), _parameter("kind", filter(None, kinds.values()))
    paths = {"/v1/score/{name}": _operation("Score rows", body, answer, refusal, named)}
    if any(kinds.values()):
        paths["/v1/judge/{kind}"] = _operation("Judge rows", body, answer, refusal, judged)
    rest = iter(schemas[4:])
    for route in routes:
        form, reply = next(rest), next(rest)
        asked = None if route.form is None else form
        for path in _paths(route, list(kinds)):
            paths[path] = _operation(_summary(dialects, route), asked, reply, refusal)
    return {
        "openapi": "3.1.0",
        "info": {"title": "plaudit reward server", "version": version},
        "paths": paths | dict(_reports()),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _asked(route: ScoringRoute | PlainRoute) -> Any:
    described = route.described if isinstance(route, ScoringRoute) else None
    return route.form if described is None else described


def _paths(route: ScoringRoute | PlainRoute, names: Sequence[str]) -> Iterator[str]:
    if len(names) == 1:
        yield route.path
    yield from (f"/{name}{route.path}" for name in names)


def _summary(dialects: Sequence[Dialect], route: Any) -> str:
    return next(one.title for one in dialects if route in one.scoring or route in one.plain)


def _parameter(name: str, values: Iterable[str]) -> list[dict[str, Any]]:
    schema = {"type": "string", "enum": sorted(set(values))}
    return [{"name": name, "in": "path", "required": True, "schema": schema}]


def _operation(
    summary: str, body: Any, answer: Any, refusal: Any, parameters: Sequence[Any] = ()
) -> dict[str, Any]:
    responses = {"200": {"description": "Answered.", "content": {_JSON: {"schema": answer}}}}
    for status, text in _REFUSALS.items():
        responses[status] = {"description": text, "content": {_JSON: {"schema": refusal}}}
    found: dict[str, Any] = {
        "summary": summary,
        "responses": responses,
        "security": [{}, {"bearer": []}, {"basic": []}],
    }
    if parameters:
        found["parameters"] = parameters
    if body is None:
        return {"get": found}
    found["requestBody"] = {"required": True, "content": {_JSON: {"schema": body}}}
    return {"post": found}


def _reports() -> Iterator[tuple[str, Any]]:
    for path, text in {
        "/healthz": "The process answers.",
        "/readyz": "Every engine answers; 503: not, or the server is about to stop.",
        "/metrics": "Counters in Prometheus's text format.",
        "/openapi.json": "This description.",
        "/v1/watch": "What the hacking watch saw, by reward.",
    }.items():
        responses = {"200": {"description": text}}
        yield path, {"get": {"summary": text, "responses": responses}}
