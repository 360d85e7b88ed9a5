"""What a judge of the Python API holds while it works: slots, store, requests in flight."""

import asyncio
from pathlib import Path

import msgspec

from plaudit.engines.base import Engine
from plaudit.engines.pool import Pool, SendPolicy
from plaudit.judges.base import JudgeConfig, Task
from plaudit.judges.load import bind
from plaudit.runs.asking import Asker, CachePolicy
from plaudit.runs.judging import Judging
from plaudit.runs.store import Store, default_store_path
from plaudit.types import Sample, Verdict


class OwnJudging(Judging):
    """The judging of one batch or stream, whose requests end with it."""

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        return self.asker.pool.window

    async def verdict(self, sample: Sample) -> Verdict:
        """Return the verdict on a sample."""
        return (await self.judge(sample))[0]


class Runtime:
    """What a judge holds in one process and event loop."""

    def __init__(self, engine: Engine, send: SendPolicy, cache: bool | str | Path) -> None:
        """Put an engine and a store together; neither is opened. `cache` is that of `Judge`."""
        self._pool = Pool(engine, send)
        self._store: Store | None = None
        if cache is not False and engine.capabilities.cacheable:
            self._store = Store(default_store_path() if cache is True else Path(cache))
        self._judgings: dict[tuple[bytes, bool], Judging] = {}

    async def judging(self, config: JudgeConfig, keep: bool) -> Judging:
        """Return what all single rows of a configuration share."""
        place = (msgspec.json.encode(config), keep)
        if place not in self._judgings:
            task = await bind(config, self._pool.engine)
            self._judgings.setdefault(place, Judging(task, self._asker(task, keep)))
        return self._judgings[place]

    async def own_judging(self, config: JudgeConfig, keep: bool) -> OwnJudging:
        """Return one that can be ended without disturbing others."""
        task = (await self.judging(config, keep)).task
        return OwnJudging(task, self._asker(task, keep))

    async def end(self, judging: OwnJudging) -> None:
        """Cancel what is in flight, and wait until the replies that came are in the store."""
        if self._store is not None:
            await asyncio.to_thread(self._store.flush)

    def _asker(self, task: Task, keep: bool) -> Asker:
        return Asker(self._pool, task.identity, self._store if keep else None, CachePolicy())

    async def close(self) -> None:
        """Cancel what is in flight, free the engine and close the store."""
        await self._pool.engine.close()
        if self._store is not None:
            self._store.close()
