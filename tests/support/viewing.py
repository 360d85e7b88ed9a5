"""The viewer on a real socket, in the event loop of the test."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from plaudit.viewer.app import make_app
from plaudit.viewer.labelling import LabelOptions
from plaudit.viewer.library import Library, OpenStore

TOKEN = "a-token-of-the-tests"


class Answer(NamedTuple):
    status: int
    text: str
    body: bytes
    headers: Mapping[str, str]


class Viewer:
    """Asks a viewer, with its cookie unless `session` is another."""

    def __init__(self, url: str, library: Library, session: aiohttp.ClientSession) -> None:
        self.url, self.library, self.session = url, library, session

    @property
    def slugs(self) -> list[str]:
        return list(self.library.documents)

    @property
    def first(self) -> str:
        return f"/d/{self.slugs[0]}"

    async def get(self, path: str, **options: Any) -> Answer:
        return await self._ask("GET", path, options)

    async def post(self, path: str, **data: str) -> Answer:
        return await self._ask("POST", path, {"data": data})

    async def page(self, path: str) -> str:
        answer = await self.get(path)
        assert answer.status == 200, answer.text
        return answer.text

    async def _ask(self, method: str, path: str, options: Mapping[str, Any]) -> Answer:
        async with self.session.request(method, self.url + path, **options) as reply:
            body = await reply.read()
            return Answer(reply.status, body.decode(errors="replace"), body, reply.headers)


@asynccontextmanager
async def viewing(
    *things: str | Path,
    options: LabelOptions | None = None,
    open_store: OpenStore | None = None,
    known: bool = True,
) -> AsyncGenerator[Viewer]:
    """Look at files; `known`: the token was given once already."""
    library = Library(open_store)
    for thing in things:
        library.add(str(thing))
    runner = web.AppRunner(make_app(library, TOKEN, (), options), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            viewer = Viewer(url, library, session)
            if known:
                assert (await viewer.get(f"/?token={TOKEN}")).status == 200
            yield viewer
    finally:
        await runner.cleanup()
        library.close()
