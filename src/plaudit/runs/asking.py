"""Asking with a memory: the reply cache, requests in flight sent once, and who paid for what."""

import asyncio
import hashlib
from typing import Protocol

import msgspec

from plaudit.engines.base import Completion, Request, TokenLogprob
from plaudit.engines.pool import Budget, Pool
from plaudit.judges.readout import names_option
from plaudit.types import Usage

_KEY_VERSION = 1


class ReplyStore(Protocol):
    """Where replies are kept."""

    def get_reply(self, key: bytes) -> Completion | None:
        """Return the reply under a key, or None."""
        ...

    def put_reply(self, key: bytes, completion: Completion) -> None:
        """Keep a reply, in place of one that is there."""
        ...


class CachePolicy(msgspec.Struct, frozen=True):
    """How stored replies are used."""

    read: bool = True
    write: bool = True
    retry_invalid: bool = False
    """Whether an unusable stored reply is asked for again."""


_encoder = msgspec.msgpack.Encoder()


def request_key(identity: str, request: Request) -> bytes:
    """Return the 16-byte key of a request: all that can change its reply, and nothing else."""
    parts = (
        _KEY_VERSION,
        identity,
        request.prompt,
        request.sampling,
        request.logprobs,
        request.options,
        request.keep,
        request.schema,
        request.draw,
    )
    return hashlib.blake2b(_encoder.encode(parts), digest_size=16).digest()


def trim(completion: Completion, request: Request) -> Completion:
    """Keep the candidates that name an option, the first few, and the smallest one's value."""
    shown = completion.logprobs
    if not shown or len(shown) <= request.keep:
        return completion
    kept = tuple(
        candidate
        for rank, candidate in enumerate(shown)
        if rank < request.keep or _names_any(candidate, request.options)
    )
    floor = completion.logprob_floor
    floor = shown[-1].logprob if floor is None else floor
    return msgspec.structs.replace(completion, logprobs=kept, logprob_floor=floor)


def _names_any(candidate: TokenLogprob, options: tuple[str, ...]) -> bool:
    return any(names_option(candidate.token, word) for word in options)


class Asker:
    """Answers requests from the store or the engine, and counts."""

    def __init__(
        self, pool: Pool, identity: str, store: ReplyStore | None, policy: CachePolicy
    ) -> None:
        """Join a pool and a store; `store` is None where nothing is to be kept."""
        self.pool = pool
        self.identity = identity
        self.policy = policy
        self.usage = Usage()
        """Tokens of the replies that were asked for, cached ones left out."""
        self._store = store
        self._in_flight: dict[bytes, asyncio.Task[Completion]] = {}

    async def complete(
        self, key: bytes, request: Request, budget: Budget, *, fresh: bool
    ) -> tuple[Completion, bool]:
        """Return a completion and whether it came from the store."""
        if self._store is not None and self.policy.read and not fresh:
            stored = self._store.get_reply(key)
            if stored is not None:
                return stored, True
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.ensure_future(self._fetch(key, request, budget))
            self._in_flight[key] = task
            task.add_done_callback(lambda _: self._in_flight.pop(key, None))
        return await asyncio.shield(task), False

    async def _fetch(self, key: bytes, request: Request, budget: Budget) -> Completion:
        completion = trim(await self.pool.complete(request, budget), request)
        self.usage += completion.usage
        if self._store is not None and self.policy.write:
            self._store.put_reply(key, completion)
        return completion

    async def close(self) -> None:
        """Cancel what is in flight."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class SampleAsk:
    """Asks for one sample, and remembers which replies it got and from where."""

    def __init__(self, asker: Asker, *, fresh: bool = False) -> None:
        """Start a sample; with `fresh`, stored replies are passed over."""
        self._asker = asker
        self._fresh = fresh
        self.budget = asker.pool.budget()
        self.keys: list[bytes] = []
        self.requests: list[Request] = []
        self.hits = 0

    async def __call__(self, request: Request) -> Completion:
        """Answer one request of the sample."""
        key = request_key(self._asker.identity, request)
        self.requests.append(request)
        completion, stored = await self._asker.complete(
            key, request, self.budget, fresh=self._fresh
        )
        self.keys.append(key)
        self.hits += stored
        return completion

    @property
    def from_store(self) -> bool:
        """Whether everything that was asked came from the store."""
        return 0 < self.hits == len(self.keys)
