"""The viewer over HTTP: pages made on the server, each state a URL."""

import functools
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from plaudit.errors import InputError, PlauditError, UsageError
from plaudit.server.security import Gatekeeper
from plaudit.viewer import compare_pages, label_pages, row_pages, saving
from plaudit.viewer.labelling import LabelOptions
from plaudit.viewer.library import Library
from plaudit.viewer.prompts import SentPrompts
from plaudit.viewer.site import NotFoundError, Site, static_text

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOG = logging.getLogger("plaudit.viewer")
_STATIC = {"viewer.css": "text/css", "viewer.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Door(NamedTuple):
    """Who may look."""

    keeper: Gatekeeper
    token: str


def make_app(
    library: Library,
    token: str,
    names: tuple[str, ...] | None = (),
    options: LabelOptions | None = None,
) -> web.Application:
    """Return the application of the viewer; nothing is started.

    Args:
        library: what is looked at.
        token: the first page's URL holds it, and a cookie the requests after it.
        names: under which the viewer may be asked, besides those of this machine; None: any.
        options: how people label.
    """
    site = Site(library, options or LabelOptions(), {}, SentPrompts())
    door = _Door(Gatekeeper(token if names is None else None, names or ()), token)
    made = web.Application(middlewares=[web.middleware(functools.partial(_around, door, site))])
    pages: Mapping[str, Callable[[Site, web.Request], Awaitable[web.StreamResponse]]] = {
        "/": row_pages.show_home,
        "/run/{name}": row_pages.show_run,
        "/d/{slug}": row_pages.show_table,
        "/d/{slug}/rows.jsonl": saving.save_lines,
        "/d/{slug}/pages.zip": saving.save_pages,
        "/d/{slug}/{row:[0-9]+}": row_pages.show_row,
        "/d/{slug}/{row:[0-9]+}.json": row_pages.show_raw,
        "/d/{slug}/{row:[0-9]+}/prompt": row_pages.show_asked,
        "/compare": compare_pages.show_choose,
        "/compare/{first}/{second}": compare_pages.show_compare,
        "/compare/{first}/{second}/{row:[0-9]+}": compare_pages.show_flip,
        "/label/{slug}": label_pages.show_label,
        "/static/{name}": _static,
    }
    for path, handler in pages.items():
        made.router.add_get(path, functools.partial(handler, site))
    made.router.add_post("/label/{slug}", functools.partial(label_pages.take_answer, site))

    made.on_response_prepare.append(_send_headers)

    async def close(app: web.Application) -> None:
        del app
        await site.prompts.close()

    made.on_cleanup.append(close)
    return made


# Around every page


async def _around(
    door: _Door, site: Site, request: web.Request, handler: Handler
) -> web.StreamResponse:
    try:
        response = _refused(door, request) or await handler(request)
    except web.HTTPException as error:
        response = site.problem(error.status, error.reason)
    except NotFoundError as error:
        response = site.problem(404, str(error))
    except (UsageError, InputError) as error:
        response = site.problem(400, str(error))
    except PlauditError as error:
        response = site.problem(500, str(error))
    except Exception:
        _LOG.exception("a page of the viewer failed")
        response = site.problem(500, "A defect of plaudit: what went wrong is on its terminal.")
    return response


async def _send_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers.update(_HEADERS)


def _refused(door: _Door, request: web.Request) -> web.Response | None:
    """Return the answer to who may not look, or who comes for the first time."""
    if not door.keeper.knows(request.host):
        return web.Response(status=403, text="the viewer is not asked under this name")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        return web.Response(status=403, text="another site asks")
    cookie = _cookie(request)
    given = request.query.get("token", "")
    if hmac.compare_digest(given.encode(), door.token.encode()):
        left = request.rel_url.with_query(
            [(name, text) for name, text in request.query.items() if name != "token"]
        )
        answer = web.Response(status=303, headers={"Location": str(left)})
        answer.set_cookie(cookie, door.token, httponly=True, samesite="Strict")
        return answer
    if not hmac.compare_digest(request.cookies.get(cookie, "").encode(), door.token.encode()):
        return web.Response(
            status=401, text="open the URL that `plaudit view` printed: it holds a token"
        )
    return None


def _cookie(request: web.Request) -> str:
    """Return the name of the cookie; cookies do not know ports, so it does."""
    return f"plaudit_view_{urlsplit(f'//{request.host}').port or 80}"


async def _static(site: Site, request: web.Request) -> web.StreamResponse:
    del site
    name = request.match_info["name"]
    if name not in _STATIC:
        raise NotFoundError(f"there is no {name}")
    return web.Response(text=static_text(name), content_type=_STATIC[name])
