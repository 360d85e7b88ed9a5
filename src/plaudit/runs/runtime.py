"""What a judge of the Python API holds while it works: slots, store, requests in flight."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plaudit.engines.base import Engine
from plaudit.engines.pool import Pool, PoolShare, SendPolicy
from plaudit.judges.base import JudgeConfig, Task
from plaudit.judges.load import bind
from plaudit.judges.panels import PanelConfig, bind_panel
from plaudit.runs.asking import Asker, CachePolicy
from plaudit.runs.judging import Judging
from plaudit.runs.panel import Cascade, Jury, panel_judging, pools_of
from plaudit.runs.store import Store, default_store_path

_JUDGINGS = 64
"""Most configurations that are kept; calls may each have shots of their own."""


class Runtime:
    """What a judge holds in one process and event loop."""

    def __init__(
        self, engines: Sequence[Engine], send: SendPolicy, cache: bool | str | Path
    ) -> None:
        """Put engines and a store together; none is opened. `cache` is that of `Judge`."""
        self._pools = pools_of(engines, send)
        self._store: Store | None = None
        if cache is not False and any(engine.capabilities.cacheable for engine in engines):
            self._store = Store(default_store_path() if cache is True else Path(cache))
        self._judgings: dict[tuple[bytes, bool], Judging | Jury | Cascade] = {}

    async def judging(
        self, config: JudgeConfig, panel: PanelConfig | None, keep: bool
    ) -> Judging | Jury | Cascade:
        """Return what all calls with a configuration share; `keep`: whether it uses the store."""
        place = (msgspec.json.encode([config, panel]), keep)
        if place not in self._judgings:
            made = await self._make(config, panel, keep)
            if len(self._judgings) >= _JUDGINGS:
                del self._judgings[next(iter(self._judgings))]
            self._judgings.setdefault(place, made)
        return self._judgings[place]

    async def _make(
        self, config: JudgeConfig, panel: PanelConfig | None, keep: bool
    ) -> Judging | Jury | Cascade:
        def asker(pool: Pool | PoolShare, task: Task) -> Asker:
            store = self._store if keep and pool.engine.capabilities.cacheable else None
            return Asker(pool, task.identity, store, CachePolicy())

        if panel is not None:
            engines = [pool.engine for pool in self._pools]
            return panel_judging(await bind_panel(panel, engines), self._pools, asker)
        (pool,) = self._pools
        task = await bind(config, pool.engine)
        return Judging(task, asker(pool, task), self._alike(task, keep))

    def _alike(self, task: Task, keep: bool) -> Judging | None:
        """Return what asks the same as a task, and so has measured its prior or is about to."""
        for (_, kept), judging in self._judgings.items():
            if not isinstance(judging, Judging) or kept != keep:
                continue
            if judging.task.fingerprint == task.fingerprint:
                return judging
        return None

    async def asker(self) -> Asker:
        """Return what asks the only engine for requests that belong to no judge."""
        (pool,) = self._pools
        return Asker(pool, await pool.engine.identify(), self._store, CachePolicy())

    async def flush(self) -> None:
        """Wait until the replies that came are in the store."""
        if self._store is not None:
            await asyncio.to_thread(self._store.flush)

    async def close(self) -> None:
        """Cancel what is in flight, free the engines and close the store."""
        for pool in dict.fromkeys(self._pools):
            await pool.engine.close()
        if self._store is not None:
            self._store.close()
