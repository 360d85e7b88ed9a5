"""What workers that share a port ask each other: metrics, health, and members of groups."""

import asyncio
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec

from plaudit.server.metrics import Snapshot, joined
from plaudit.server.workers import Worker

_REPORT_S = 1.0
"""Seconds within which another worker must report; one that is replaced just then does not."""
_PASSED_ON = ("Authorization", "Content-Type", "Host", "X-Request-Id", "traceparent", "tracestate")
_REPORTED = (200, 503)
_URL = "http://worker"
SNAPSHOT = "/snapshot"
"""Where a worker reports its metrics to the others."""

T = TypeVar("T")


class PeerGoneError(Exception):
    """Another worker ended before it answered."""


class PeerReply(NamedTuple):
    """What another worker answered."""

    status: int
    body: bytes


class Readiness(msgspec.Struct, frozen=True):
    """What a worker says of its health."""

    troubles: dict[str, str] = {}
    alarms: dict[str, list[str]] | None = None


class Peers:
    """The workers of a server, from the place of one of them."""

    def __init__(self, worker: Worker) -> None:
        """Know the others; nothing is asked."""
        self._worker = worker
        self._sessions: dict[int, aiohttp.ClientSession] = {}

    @property
    def own(self) -> int:
        """The number of this worker."""
        return self._worker.number

    def owner(self, key: str) -> int:
        """Return the worker to which the members of a group go."""
        return zlib.crc32(key.encode("utf-8", "surrogatepass")) % self._worker.workers

    async def pass_on(
        self, number: int, path: str, body: bytes, headers: Mapping[str, str]
    ) -> PeerReply:
        """Have a request answered by another worker.

        Raises:
            PeerGoneError: it ended before it answered.
        """
        kept = {name: headers[name] for name in _PASSED_ON if name in headers}
        return await self._ask(number, "POST", path, data=body, headers=kept)

    async def metrics(self, own: Snapshot, headers: Mapping[str, str]) -> Snapshot:
        """Return the metrics of all workers as one."""
        self.keep(own)
        found = await self._reports(SNAPSHOT, headers, Snapshot)
        last = [one or self._kept(number) for number, one in found.items()]
        return joined([own, *(one for one in last if one is not None)])

    def keep(self, own: Snapshot) -> None:
        """Keep what this worker reports, so that counters never fall when another replaces it."""
        path = self._worker.kept(self.own)
        with open(path + ".new", "wb") as file:
            file.write(msgspec.json.encode(own.counters))
        os.replace(path + ".new", path)

    def before(self) -> Snapshot | None:
        """Return what the process before this one reported last, in the same place."""
        return self._kept(self.own)

    def _kept(self, number: int) -> Snapshot | None:
        with suppress(FileNotFoundError), open(self._worker.kept(number), "rb") as file:
            return msgspec.json.decode(file.read(), type=Snapshot)
        return None

    async def readiness(self, headers: Mapping[str, str]) -> Readiness:
        """Return why rewards are not ready for others, and the alarms of the one that watches."""
        troubles: dict[str, str] = {}
        alarms: dict[str, list[str]] | None = None
        for one in (await self._reports("/readyz", headers, Readiness)).values():
            if one is not None:
                troubles |= one.troubles
                alarms = alarms if one.alarms is None else one.alarms
        return Readiness(troubles, alarms)

    async def watch_report(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return what the worker that watches saw."""
        found = await self._reports("/v1/watch", headers, dict[str, Any])
        return next((one for one in found.values() if one), dict[str, Any]())

    async def close(self) -> None:
        """Close the connections to the others."""
        for session in self._sessions.values():
            await session.close()

    async def _reports(
        self, path: str, headers: Mapping[str, str], form: type[T]
    ) -> dict[int, T | None]:
        """Return what the others report, by number; None: no answer in time."""
        others = [n for n in range(self._worker.workers) if n != self.own]
        kept = {name: headers[name] for name in _PASSED_ON if name in headers}
        bodies = await asyncio.gather(*(self._report(number, path, kept) for number in others))
        return {
            number: None if body is None else msgspec.json.decode(body, type=form)
            for number, body in zip(others, bodies, strict=True)
        }

    async def _report(self, number: int, path: str, headers: Mapping[str, str]) -> bytes | None:
        timeout = aiohttp.ClientTimeout(total=_REPORT_S)
        try:
            reply = await self._ask(number, "GET", path, headers=headers, timeout=timeout)
            return reply.body if reply.status in _REPORTED else None
        except (PeerGoneError, TimeoutError):
            return None

    async def _ask(self, number: int, method: str, path: str, **options: Any) -> PeerReply:
        try:
            async with self._session(number).request(method, _URL + path, **options) as reply:
                return PeerReply(reply.status, await reply.read())
        except aiohttp.ClientError as error:
            raise PeerGoneError(str(error)) from None

    def _session(self, number: int) -> aiohttp.ClientSession:
        found = self._sessions.get(number)
        if found is None:
            connector = aiohttp.UnixConnector(self._worker.path(number), limit=0)
            timeout = aiohttp.ClientTimeout(total=None)
            found = self._sessions[number] = aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False
            )
        return found
