"""A stand-in for NeMo's services that speaks their HTTP, on a free port of 127.0.0.1.

It has an entity store, a data store with the calls of the Hugging Face client, a customizer whose
jobs go through a list of statuses, and deployments. It keeps what it was sent, refuses what the
services refuse, and answers wrongly, late or never where it is told to.
"""

import asyncio
import base64
import hashlib
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

NOW = "2026-01-01T00:00:00Z"


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class NemoServices:
    """Enter it to start it; `url` is both hosts' base URL."""

    statuses: list[Any] = field(default_factory=lambda: ["completed"])
    """What is told of a job, one after the other, and then the last: a status, fields of an
    answer, a number for an HTTP status, or None for no answer at all."""
    deployment: list[Any] = field(default_factory=lambda: ["ready"])
    broken: dict[str, int | None] = field(default_factory=dict)
    """By `METHOD path` (or its start): the HTTP status to refuse with; None: no answer at all."""
    large: bool = False
    """Whether files are to go through LFS."""
    output_model: str | None = "space/model@1"

    def __post_init__(self) -> None:
        self.requests: list[Received] = []
        self.namespaces: set[str] = set()
        self.stores: set[str] = set()
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.commits: list[tuple[str, list[str]]] = []
        self.objects: dict[str, bytes] = {}
        self.datasets: dict[str, dict[str, Any]] = {}
        self.jobs: list[dict[str, Any]] = []
        self.deployments: dict[str, dict[str, Any]] = {}
        self.reported: dict[str, int] = defaultdict(int)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def bodies(self, method: str, path: str) -> list[Any]:
        """What came in by a method at a path."""
        return [r.body for r in self.requests if (r.method, r.path) == (method, path)]

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**30, middlewares=[self._keep])
        data, hub = "/v1/datastore/namespaces", "/v1/hf"
        app.add_routes(
            [
                web.post("/v1/namespaces", self._namespace),
                web.post(data, self._store),
                web.get(data + "/{name}", self._store_is_there),
                web.post(hub + "/api/repos/create", self._repository),
                web.post(hub + "/api/datasets/{space}/{name}/preupload/{at}", self._preupload),
                web.post(hub + "/api/datasets/{space}/{name}/commit/{at}", self._commit),
                web.post(hub + "/datasets/{space}/{name}.git/info/lfs/objects/batch", self._batch),
                web.put("/objects/{oid}", self._object),
                web.post("/v1/datasets", self._dataset),
                web.get("/v1/customization/jobs", self._list),
                web.post("/v1/customization/jobs", self._job),
                web.get("/v1/customization/jobs/{id}/status", self._status),
                web.post("/v1/deployment/configs", self._deployment_config),
                web.post("/v1/deployment/model-deployments", self._deploy),
                web.get("/v1/deployment/model-deployments/{space}/{name}", self._deployment_status),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def _stop(self) -> None:
        await self._runner.cleanup()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    @web.middleware
    async def _keep(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Keep a request, and break it if that is wanted."""
        raw = await request.read()
        if request.content_type == "application/x-www-form-urlencoded":
            body: Any = dict(await request.post())
        else:
            body = await request.json() if request.content_type == "application/json" else raw
        self.requests.append(Received(request.method, request.path, dict(request.headers), body))
        called = f"{request.method} {request.path}"
        for start, status in self.broken.items():
            if called.startswith(start):
                return await refuse(status)
        return await handler(request)

    async def _namespace(self, request: web.Request) -> web.Response:
        name = (await request.json())["id"]
        if name in self.namespaces:
            return detail(409, "it exists")
        self.namespaces.add(name)
        return web.json_response({"id": name})

    async def _store(self, request: web.Request) -> web.Response:
        name = str((await request.post())["namespace"])
        if name in self.stores:
            return detail(409, "it exists")
        self.stores.add(name)
        return web.json_response({"namespace": name}, status=201)

    async def _store_is_there(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.stores:
            return detail(404, "no such namespace")
        return web.json_response({"namespace": name})

    async def _repository(self, request: web.Request) -> web.Response:
        body = await request.json()
        repository = f"{body['organization']}/{body['name']}"
        if body["organization"] not in self.stores or body["type"] != "dataset":
            return detail(404, "no such namespace")
        reported = {"url": f"{self.url}/v1/hf/datasets/{repository}"}
        if repository in self.repositories:
            return web.json_response(reported | {"error": "it exists"}, status=409)
        self.repositories[repository] = {}
        return web.json_response(reported)

    async def _preupload(self, request: web.Request) -> web.Response:
        files = (await request.json())["files"]
        mode = "lfs" if self.large else "regular"
        reported = [
            {"path": one["path"], "uploadMode": mode, "shouldIgnore": False} for one in files
        ]
        return web.json_response({"files": reported})

    async def _batch(self, request: web.Request) -> web.Response:
        body = await request.json()
        objects = [
            one | {"actions": {"upload": {"href": f"{self.url}/objects/{one['oid']}"}}}
            for one in body["objects"]
        ]
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _object(self, request: web.Request) -> web.Response:
        data, oid = await request.read(), request.match_info["oid"]
        if hashlib.sha256(data).hexdigest() != oid:
            return detail(422, "its hash is another")
        self.objects[oid] = data
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        repository = "{space}/{name}".format(**request.match_info)
        if repository not in self.repositories:
            return detail(404, "no such repository")
        lines = [json.loads(line) for line in (await request.read()).splitlines()]
        added: list[str] = []
        for value in (line["value"] for line in lines if line["key"] != "header"):
            content = value.get("content")
            data = self.objects[value["oid"]] if content is None else base64.b64decode(content)
            self.repositories[repository][value["path"]] = data
            added.append(value["path"])
        self.commits.append((lines[0]["value"]["summary"], added))
        url = f"{self.url}/v1/hf/datasets/{repository}/commit/1"
        return web.json_response({"commitUrl": url, "commitOid": "1", "success": True})

    async def _dataset(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = f"{body['namespace']}/{body['name']}"
        if name in self.datasets:
            return detail(409, "it exists")
        self.datasets[name] = body
        return web.json_response(body)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _job(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = f"{body['dataset']['namespace']}/{body['dataset']['name']}"
        if name not in self.datasets or not self.repositories.get(name):
            return detail(404, f"no files in data set {name}")
        job = body | {"id": f"cust-{len(self.jobs)}", "output_model": self.output_model}
        self.jobs.append(job)
        return web.json_response(job)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        reported = self._next(request.match_info["id"], self.statuses)
        if reported is None or isinstance(reported, int):
            return await refuse(reported)
        fields = {"status": reported} if isinstance(reported, str) else reported
        return web.json_response({"created_at": NOW, "updated_at": NOW} | fields)

    async def _deployment_config(self, request: web.Request) -> web.Response:
        return web.json_response(await request.json())

    async def _deploy(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.deployments[f"{body['namespace']}/{body['name']}"] = body
        return web.json_response(body | {"url": "", "status_details": {"status": "created"}})

    async def _deployment_status(self, request: web.Request) -> web.StreamResponse:
        name = "{space}/{name}".format(**request.match_info)
        if name not in self.deployments:
            return detail(404, "no such deployment")
        reported = self._next(name, self.deployment)
        if reported is None or isinstance(reported, int):
            return await refuse(reported)
        details = {"status": reported, "description": "as told"}
        return web.json_response(self.deployments[name] | {"url": "", "status_details": details})

    def _next(self, what: str, reported: list[Any]) -> Any:
        number = self.reported[what]
        self.reported[what] += 1
        return reported[min(number, len(reported) - 1)]


async def refuse(status: int | None) -> web.Response:
    if status is None:
        await asyncio.sleep(600)
    return detail(status or 500, "broken on purpose")


def detail(status: int, text: str) -> web.Response:
    return web.json_response({"detail": text}, status=status)
