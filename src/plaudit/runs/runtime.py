"""What a judge of the Python API holds while it works: slots, store, requests in flight."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util.forks import finished_before_a_fork
from plaudit._util.loops import drop_closed, import_loops
from plaudit.engines.base import Engine
from plaudit.engines.http.transport import import_for_transports
from plaudit.errors import PlauditError
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind, call_fields, make_config, task_type
from plaudit.judges.panel import Member, PanelConfig, bind_panel, named
from plaudit.judges.shots import replace_shots
from plaudit.runs.block import AnySession, panel_judging, pools_of
from plaudit.runs.cached import CachedClient, CachePolicy
from plaudit.runs.judging import JudgeSession
from plaudit.runs.pools import ANY_ENGINE
from plaudit.runs.record import Bill
from plaudit.sending.pool import Pool, PoolShare, SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store, default_store_path

MakePool = Callable[[Engine, SendPolicy], Pool]

_SESSIONS = 64
"""Most configurations that are kept; calls may each have shots of their own."""


def configs_of(config: JudgeConfig, panel: PanelConfig | None) -> tuple[JudgeConfig, ...]:
    """Return the configuration of a judge, or of each member of its panel."""
    return (config,) if panel is None else tuple(member.judge for member in panel.members)


def load_early(configs: Iterable[JudgeConfig]) -> None:
    """Import and read what requests need, so that no thread does it while another one forks.

    What is wrong with a configuration is raised by the first call, which knows the engine.
    """
    import_loops()
    import_for_transports()
    for config in configs:
        make: Any = task_type(config.kind)
        with suppress(PlauditError), finished_before_a_fork():
            make(config, ANY_ENGINE)


class Runtimes:
    """What a judge holds: a store, and for each event loop in which it works a runtime."""

    def __init__(
        self, engines: Sequence[Engine], send: SendPolicy, cache: bool | str | Path
    ) -> None:
        """Put engines and a store together; none is opened. `cache` is that of `Judge`."""
        self._engines = engines
        self._send = send
        self._store = None
        if cache is not False:
            self._store = Store(default_store_path() if cache is True else Path(cache))
        self._pid = os.getpid()
        self.by_loop: dict[asyncio.AbstractEventLoop, Runtime] = {}
        self.make_pool: MakePool = Pool
        """Makes the pool of an engine, such as one whose limits are shared with other processes."""

    def here(self) -> "Runtime":
        """Return the runtime of the running event loop."""
        self._leave_to_parent()
        loop = asyncio.get_running_loop()
        if loop not in self.by_loop:
            drop_closed(self.by_loop)
            made = Runtime(self._engines, self._send, self._store, self.make_pool)
            self.by_loop[loop] = made
        return self.by_loop[loop]

    def unstored(self) -> "Runtimes":
        """Return others for the same engines, without a store."""
        return Runtimes(self._engines, self._send, False)

    @property
    def keeps_replies(self) -> bool:
        """Whether there is a store, and the replies of all engines may be kept in it."""
        kept = all(engine.capabilities.cacheable for engine in self._engines)
        return self._store is not None and kept

    @property
    def sent(self) -> int:
        """Requests sent by those that are open."""
        return sum(runtime.sent for runtime in self.by_loop.values())

    @property
    def down(self) -> bool:
        """Whether an engine of an open one answers nothing any more."""
        return any(runtime.down for runtime in self.by_loop.values())

    def bills(self) -> list[Bill]:
        """Return what each session of an open one spent."""
        prices = Prices()
        sessions = [one for runtime in self.by_loop.values() for one in runtime.sessions.values()]
        return [session.bill(prices) for session in sessions]

    @property
    def found(self) -> int:
        """Replies that open ones found in the store."""
        return sum(
            session.client.found
            for runtime in self.by_loop.values()
            for session in runtime.sessions.values()
            if isinstance(session, JudgeSession)
        )

    async def close(self) -> None:
        """Close the store and free the engines; what other event loops use is freed by them."""
        self._leave_to_parent()
        here = self.by_loop.pop(asyncio.get_running_loop(), None)
        drop_closed(self.by_loop)
        for loop in list(self.by_loop):
            other = self.by_loop.pop(loop)
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(other.close(), loop)
        if here is not None:
            await here.close()
        if self._store is not None:
            self._store.close()

    def drop(self) -> None:
        """Let go of everything without waiting for it; called at any time, in any thread.

        Engines close their connections when they are collected.
        """
        if self._pid == os.getpid():
            self.by_loop.clear()
            if self._store is not None:
                self._store.close_later()

    def _leave_to_parent(self) -> None:
        """In a forked child, begin anew; the store does so by itself."""
        if self._pid != os.getpid():
            _inherited.append(self.by_loop)
            self.by_loop = {}
            self._pid = os.getpid()


_inherited: "list[dict[asyncio.AbstractEventLoop, Runtime]]" = []
"""What a forked child got from its parent; kept, since what is in flight there is the parent's."""


class Runtime:
    """What a judge holds in one event loop."""

    def __init__(
        self,
        engines: Sequence[Engine],
        send: SendPolicy,
        store: Store | None,
        make_pool: MakePool = Pool,
    ) -> None:
        """Put engines and a store together; none is opened."""
        self._pools = pools_of(engines, send, make_pool)
        self._store = store if any(engine.capabilities.cacheable for engine in engines) else None
        self.sessions: dict[tuple[bytes, bool], AnySession] = {}
        """By configuration, and by whether the store is used."""
        self._known: tuple[JudgeConfig, PanelConfig | None, AnySession] | None = None

    async def session(
        self, config: JudgeConfig, panel: PanelConfig | None, keep: bool
    ) -> AnySession:
        """Return what all calls with a configuration share; `keep`: whether it uses the store."""
        place = (msgspec.json.encode([config, panel]), keep)
        if place not in self.sessions:
            made = await self._make(config, panel, keep)
            if len(self.sessions) >= _SESSIONS:
                del self.sessions[next(iter(self.sessions))]
            self.sessions.setdefault(place, made)
        return self.sessions[place]

    def known(self, config: JudgeConfig, panel: PanelConfig | None) -> AnySession | None:
        """Return the session of a configuration that was asked for before, and uses the store."""
        known = self._known
        if known is None or known[0] is not config or known[1] is not panel:
            session = self.sessions.get((msgspec.json.encode([config, panel]), True))
            if session is None:
                return None
            self._known = known = config, panel, session
        return known[2]

    async def _make(self, config: JudgeConfig, panel: PanelConfig | None, keep: bool) -> AnySession:
        def client(pool: Pool | PoolShare, task: BaseJudge) -> CachedClient:
            store = self._store if keep and pool.engine.capabilities.cacheable else None
            return CachedClient(pool, task.identity, store, CachePolicy())

        if panel is not None:
            engines = [pool.engine for pool in self._pools]
            return panel_judging(await bind_panel(panel, engines), self._pools, client)
        (pool,) = self._pools
        task = await bind(config, pool.engine)
        return JudgeSession(task, client(pool, task), self._alike(task, keep))

    def _alike(self, task: BaseJudge, keep: bool) -> JudgeSession | None:
        """Return what asks the same as a task, and so has measured its prior or is about to."""
        for (_, kept), judging in self.sessions.items():
            if not isinstance(judging, JudgeSession) or kept != keep:
                continue
            if judging.task.fingerprint == task.fingerprint:
                return judging
        return None

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return sum(pool.sent for pool in dict.fromkeys(self._pools))

    @property
    def down(self) -> bool:
        """Whether an engine answers nothing any more, so that only probes are sent to it."""
        return any(pool.admission.down for pool in self._pools)

    async def client(self) -> CachedClient:
        """Return what asks the only engine for requests that belong to no judge."""
        (pool,) = self._pools
        return CachedClient(pool, await pool.engine.identify(), self._store, CachePolicy())

    async def flush(self) -> None:
        """Wait until the replies that came are in the store."""
        if self._store is not None:
            await asyncio.to_thread(self._store.flush)

    async def close(self) -> None:
        """Cancel what is in flight and free the engines."""
        for pool in dict.fromkeys(self._pools):
            await pool.engine.close()


def made_of(config: JudgeConfig) -> str:
    """Return what, beside a judge's configuration, decides its verdicts: version and files."""
    choices = (
        config.template,
        config.shot_template,
        config.feedback_template,
        config.pool,
        config.calibration,
    )
    paths = [p for c in choices for p in (c.values() if isinstance(c, dict) else (c,))]
    digests = [
        hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
        for path in paths
        if path is not None and os.path.isfile(path)
    ]
    return " ".join(["plaudit", version("plaudit"), *digests])


def with_options(config: JudgeConfig, given: Mapping[str, Any], engine: Engine) -> JudgeConfig:
    """Return the configuration with the options of one call."""
    if not given:
        return config
    own = call_fields(given, engine)
    fields = {name: getattr(config, name) for name in config.__struct_fields__ if name != "kind"}
    own["generation"] = {**config.generation, **own.get("generation", {})}
    return make_config(config.kind, fields | replace_shots(fields, own))


def panel_with_options(
    panel: PanelConfig | None, given: Mapping[str, Any], engines: Sequence[Engine]
) -> PanelConfig | None:
    """Return the panel with the options of one call in each member."""
    if panel is None or not given:
        return panel
    replace = msgspec.structs.replace
    members: list[Member] = []
    for member, engine in zip(panel.members, engines, strict=True):
        with named(member.name):
            members.append(replace(member, judge=with_options(member.judge, given, engine)))
    return replace(panel, members=tuple(members))
