"""What workers that share a port ask each other: metrics, health, and members of groups."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
import msgspec

from plaudit.server.workers import Worker

_REPORT_S = 5.0
"""Seconds within which another worker must report."""
_PASSED_ON = ("Authorization", "Content-Type", "Host", "X-Request-Id", "traceparent", "tracestate")
_URL = "http://worker"


class PeerGoneError(Exception):
    """Another worker ended before it answered."""


class PeerReply(NamedTuple):
    """What another worker answered."""

    status: int
    body: bytes


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

    async def reports(self, path: str, headers: Mapping[str, str]) -> dict[int, bytes]:
        """Return what the others report, by number; those that are about to start are left out."""
        others = [n for n in range(self._worker.workers) if n != self.own]
        kept = {name: headers[name] for name in _PASSED_ON if name in headers}
        asked = [self._report(number, path, kept) for number in others]
        found = dict(zip(others, await asyncio.gather(*asked), strict=True))
        return {number: body for number, body in found.items() if body is not None}

    async def troubles(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return why rewards are not ready for the others."""
        found: dict[str, str] = {}
        for body in (await self.reports("/readyz", headers)).values():
            found |= msgspec.json.decode(body, type=_Ready).troubles
        return found

    async def close(self) -> None:
        """Close the connections to the others."""
        for session in self._sessions.values():
            await session.close()

    async def _report(self, number: int, path: str, headers: Mapping[str, str]) -> bytes | None:
        timeout = aiohttp.ClientTimeout(total=_REPORT_S)
        try:
            return (await self._ask(number, "GET", path, headers=headers, timeout=timeout)).body
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


class _Ready(msgspec.Struct, frozen=True):
    """What a worker says of its health."""

    troubles: dict[str, str] = {}
