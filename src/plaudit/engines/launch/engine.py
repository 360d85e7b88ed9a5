"""`--launch`: an engine whose servers are started for it, and end with it."""

import asyncio
import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from plaudit.engines.base import Completion, EngineInfo, Request
from plaudit.engines.launch.fleet import Fleet, LaunchPlan, Report, start_fleet
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.replicas import joint_info
from plaudit.engines.uri import EngineURI
from plaudit.errors import EngineUnusableError, UsageError

START_SECONDS = 600.0
"""Seconds until all servers must be ready, by default."""

_LOOK_SECONDS = 0.25


class LaunchedEngine:
    """Servers of one model, started by `open` and ended by `close`.

    They are asked on 127.0.0.1 with a random key, one engine each, which `info.replicas` holds.
    Pickled, it starts servers of its own where it is opened; after a fork, the parent's are used.
    """

    def __init__(
        self,
        uri: EngineURI,
        count: int,
        gpus_per_worker: int | None = None,
        *,
        arguments: Sequence[str] = (),
        timeout: float = START_SECONDS,
        report: Report | None = None,
    ) -> None:
        """Prepare; nothing is started.

        Args:
            uri: `vllm:MODEL` or `sglang:MODEL`, without a URL.
            count: number of servers.
            gpus_per_worker: GPUs of each, over which the model is split; None: one, if any.
            arguments: further arguments of the servers; each is split as a shell does.
            timeout: seconds until all must be ready.
            report: called with how far they are.

        Raises:
            UsageError: such servers cannot be started.
        """
        split = tuple(part for argument in arguments for part in _split(argument))
        self._plan = LaunchPlan(
            uri=uri, count=count, gpus_per_worker=gpus_per_worker, arguments=split, timeout=timeout
        )
        self._plan.check()
        self._report = report
        self._model = OpenAIEngine(uri, own_key="")
        self.uri = self._model.uri
        """The engine URI of the model; it names no server."""
        self.capabilities = self._model.capabilities
        """Those of any endpoint of the scheme."""
        self._fleet: Fleet | None = None
        self._opening: asyncio.Task[None] | None = None
        self._users: set[asyncio.AbstractEventLoop] = set()
        self._refused = 0

    def __repr__(self) -> str:
        return f"LaunchedEngine({self.uri!r}, {self._plan.count})"

    def __reduce__(self) -> Any:
        return _again, (self._plan,)

    @property
    def info(self) -> EngineInfo:
        """Facts about the model, and what its servers refused; no replicas while none runs."""
        joint = joint_info(self._fleet.replicas if self._fleet else ())
        return msgspec.structs.replace(
            joint,
            reasoning=self._model.info.reasoning,
            replica_count=self._plan.count,
            refused=self._refused + joint.refused,
        )

    async def identify(self) -> str:
        """Return `scheme:model[@revision]`; nothing is contacted."""
        return await self._model.identify()

    async def open(self) -> None:
        """Start the servers, and wait until all are ready.

        Raises:
            UsageError: the server's command is not installed, or there are too few GPUs.
            EngineUnusableError: a server ended, or was not ready in time; all others are ended.
        """
        here = asyncio.get_running_loop()
        self._users.add(here)
        while self._fleet is None:
            if self._opening is None:
                self._opening = asyncio.ensure_future(self._launch())
            if self._opening.get_loop() is here:
                await asyncio.shield(self._opening)
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _launch(self) -> None:
        try:
            self._fleet = await start_fleet(self._plan, self._report)
        finally:
            self._opening = None

    async def complete(self, request: Request) -> Completion:
        """Complete a request with the first server that runs; see `OpenAIEngine`."""
        await self.open()
        fleet = self._fleet
        if fleet is None:
            raise EngineUnusableError("the servers were ended")
        return await fleet.first.complete(request)

    async def close(self) -> None:
        """End the servers, once nobody uses them; they may be started again."""
        here = asyncio.get_running_loop()
        self._users = {loop for loop in self._users - {here} if not loop.is_closed()}
        if self._users:
            for replica in self.info.replicas:
                await replica.close()  # this loop's connections
            return
        opening = self._opening
        if opening is not None and opening.get_loop() is here:
            opening.cancel()
            await asyncio.wait([opening])
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            self._refused += joint_info(fleet.replicas).refused
            await fleet.end()


def _again(plan: LaunchPlan) -> LaunchedEngine:
    arguments = [shlex.quote(argument) for argument in plan.arguments]
    return LaunchedEngine(
        plan.uri, plan.count, plan.gpus_per_worker, arguments=arguments, timeout=plan.timeout
    )


def _split(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UsageError(f"--launch-arg {argument!r}: {error}") from None
