"""A reward server on a real socket, in the event loop of the test."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from plaudit.rewarding.unscored import read_choice
from plaudit.server.app import HTTPLimits, make_app
from plaudit.server.desk import DeskLimits
from plaudit.server.running import Address, listening
from plaudit.server.security import Gatekeeper
from plaudit.server.service import DialectChoices, Service, choose_dialects
from plaudit.server.spec import ServeDefaults, load_spec
from plaudit.server.watch.plan import make_watch

RULES = '[rewards.correctness]\nby = "rules"\n'
RIGHT = {"prompt": "What is 2 + 2?", "completion": "4", "answer": "4"}
WRONG = {"prompt": "What is 2 + 2?", "completion": "5", "answer": "4"}
UNKNOWN = {"prompt": "Who kept the lamp?", "completion": "Ada Brenning"}


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """Asks a server."""

    def __init__(self, address: Address, service: Service, session: aiohttp.ClientSession) -> None:
        self.address, self.service, self.session = address, service, session

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        given = options if body is None else {"json": body, **options}
        return await self._ask("POST", path, given)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self._ask("GET", path, options)

    async def _ask(self, method: str, path: str, options: Mapping[str, Any]) -> Answer:
        async with self.session.request(method, self.address.url + path, **options) as reply:
            json = reply.content_type == "application/json"
            body = await (reply.json() if json else reply.text())
            return Answer(reply.status, body, reply.headers)


@asynccontextmanager
async def serving(
    spec: str | Path,
    *dialects: str,
    folder: Path | None = None,
    when_unscored: str | None = None,
    token: str | None = None,
    engine: Any = None,
    cache: bool | str = False,
    desk: DeskLimits | None = None,
    http: HTTPLimits | None = None,
    processes: int = 2,
    drain: float = 5.0,
    port: int = 0,
) -> AsyncGenerator[Client]:
    """Serve SPEC, a path or the text of one in `folder`."""
    if isinstance(spec, str):
        assert folder is not None
        path = folder / "rewards.toml"
        path.write_text(spec, encoding="utf-8")
        spec = path
    found = load_spec(spec, ServeDefaults(engine=engine, cache=cache, processes=processes))
    choice = None if when_unscored is None else read_choice(when_unscored)
    spoken = choose_dialects(found, DialectChoices(names=dialects, when_unscored=choice))
    service = Service(found.rewards, spoken, desk or DeskLimits(), make_watch(found))
    app = make_app(service, Gatekeeper(token), limits=http, version="test")
    address = Address("127.0.0.1", port)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        listening(service, app, address, drain=drain) as address,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield Client(address, service, session)
