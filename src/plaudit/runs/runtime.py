"""What a judge of the Python API holds while it works: slots, store, requests in flight."""

import asyncio
from pathlib import Path

import msgspec

from plaudit.engines.base import Engine
from plaudit.engines.pool import Pool, SendPolicy
from plaudit.judges.base import JudgeConfig
from plaudit.judges.load import bind
from plaudit.runs.asking import Asker, CachePolicy
from plaudit.runs.judging import Judging
from plaudit.runs.store import Store, default_store_path


class Runtime:
    """What a judge holds in one process and event loop."""

    def __init__(self, engine: Engine, send: SendPolicy, cache: bool | str | Path) -> None:
        """Put an engine and a store together; neither is opened. `cache` is that of `Judge`."""
        self._pool = Pool(engine, send)
        self._store: Store | None = None
        if cache is not False and engine.capabilities.cacheable:
            self._store = Store(default_store_path() if cache is True else Path(cache))
        self._judgings: dict[tuple[bytes, bool], Judging] = {}

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        return self._pool.window

    async def judging(self, config: JudgeConfig, keep: bool) -> Judging:
        """Return what all calls with a configuration share; `keep`: whether it uses the store."""
        place = (msgspec.json.encode(config), keep)
        if place not in self._judgings:
            task = await bind(config, self._pool.engine)
            store = self._store if keep else None
            asker = Asker(self._pool, task.identity, store, CachePolicy())
            self._judgings.setdefault(place, Judging(task, asker))
        return self._judgings[place]

    async def asker(self) -> Asker:
        """Return what asks for requests that belong to no judge."""
        return Asker(self._pool, await self._pool.engine.identify(), self._store, CachePolicy())

    async def flush(self) -> None:
        """Wait until the replies that came are in the store."""
        if self._store is not None:
            await asyncio.to_thread(self._store.flush)

    async def close(self) -> None:
        """Cancel what is in flight, free the engine and close the store."""
        await self._pool.engine.close()
        if self._store is not None:
            self._store.close()
