"""The watch at work: probes spread over intervals, each beside the traffic and behind it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from plaudit.errors import EngineUnusableError
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.server.metrics import Gauge
from plaudit.server.watch.options import WatchOptions
from plaudit.server.watch.plan import WatchedReward, WatchPlan
from plaudit.server.watch.probes import ProbeSource, WatchProbe, result_of
from plaudit.server.watch.tallies import RateOfProbes, Tallies, WatchAlarm

_LOG = logging.getLogger("plaudit.server")
_AGAIN_S = 60.0
_YIELD_S = 0.05
"""Seconds after which a probe looks again whether rows of the traffic wait."""


class CheatReport(msgspec.Struct, frozen=True, kw_only=True):
    """How often a cheat was paid."""

    paid: int
    probes: int


class WatchedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the watch saw of one reward."""

    alarms: list[WatchAlarm]
    intervals: int
    """Intervals with a scored probe so far."""
    agreement: RateOfProbes | None
    false_positive_rate: RateOfProbes | None
    cheats: dict[str, CheatReport]
    """In the last intervals, by name."""
    mean_reward_first: float | None
    mean_reward_last: float | None
    outcomes: dict[str, int]
    """Probes so far: `agreed`, `disagreed`, `unscored` and `skipped`."""
    calls: int
    """Engine calls for probes so far."""


class _Watched:
    """One reward under the watch."""

    def __init__(self, plan: WatchedReward, options: WatchOptions) -> None:
        self.name = plan.served.name
        self.scorer = plan.served.scorer.unstored()
        self.source = ProbeSource(
            plan.served, plan.known, options.cheats, plan.paid_above, options.seed
        )
        self.tallies = Tallies(options.window, options.allowed)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.calls = 0
        self._options = options
        self._paid_above = plan.paid_above
        self._spent = self._dearest = 0

    async def interval(self, busy: Callable[[str], bool]) -> None:
        """Spread the probes of an interval over it, and close it."""
        options, loop = self._options, asyncio.get_running_loop()
        began, self._spent, self._dearest = loop.time(), 0, 0
        end = began + options.every
        for number in range(options.probes):
            await asyncio.sleep(began + number * options.every / options.probes - loop.time())
            if not await self._may_ask(busy, end) or not await self._ask(end):
                self.outcomes["any", "skipped"] += options.probes - number
                break
        await asyncio.sleep(end - loop.time())
        self._close_interval()

    async def _may_ask(self, busy: Callable[[str], bool], end: float) -> bool:
        """Wait while rows of the traffic wait; False: the interval or its calls are used up."""
        loop = asyncio.get_running_loop()
        while busy(self.name) and loop.time() < end:
            await asyncio.sleep(_YIELD_S)
        fits = self._spent == 0 or self._spent + self._dearest <= self._options.calls
        return fits and loop.time() < end

    async def _ask(self, end: float) -> bool:
        """Score one probe; False: the rest of the interval's would fare no better."""
        probe = self.source.take()
        if probe is None:
            return False
        before = self._sent
        try:
            async with asyncio.timeout_at(end):
                (scored,) = await self.scorer.score([probe.row])
        except (EngineUnusableError, TimeoutError) as error:
            self.outcomes[probe.name, "unscored"] += 1
            if isinstance(error, EngineUnusableError):
                self.let_go()  # The next interval begins anew with the engine.
            return False
        except Exception:
            _LOG.exception("a probe of the watch failed")
            self.outcomes[probe.name, "unscored"] += 1
            return True
        finally:
            self._pay(max(self._sent - before, 0))
        self._take(probe, scored)
        return True

    @property
    def _sent(self) -> int:
        return sum(judge.sent for judge in self.scorer.judges)

    def _pay(self, calls: int) -> None:
        self.calls += calls
        self._spent += calls
        self._dearest = calls  # The last one, since the first may measure what holds for all.

    def _take(self, probe: WatchProbe, scored: ScoredRow) -> None:
        options = self._options
        result = result_of(probe, scored, self._paid_above, options.tolerance)
        if result is None:
            self.outcomes[probe.name, "unscored"] += 1
            return
        self.tallies.add(probe, result)
        self.outcomes[probe.name, "agreed" if result.agrees else "disagreed"] += 1
        if probe.cheat and result.paid:
            facts = {"reward": self.name, "probe": probe.name, "value": scored.value}
            _LOG.info("the watch saw a cheat paid", extra={"facts": facts})

    def _close_interval(self) -> None:
        before = {alarm.reason for alarm in self.tallies.alarms}
        self.tallies.close_interval()
        self.source.live.begin_span()
        for alarm in self.tallies.alarms:
            if alarm.reason not in before:
                facts = {"reward": self.name, "reason": alarm.reason, "what": alarm.message}
                _LOG.warning("the watch raises an alarm", extra={"facts": facts})
        for reason in before - {alarm.reason for alarm in self.tallies.alarms}:
            facts = {"reward": self.name, "reason": reason}
            _LOG.info("an alarm of the watch is over", extra={"facts": facts})

    def let_go(self) -> None:
        """Let go of connections; the engines belong to the rewards that are served."""
        for judge in self.scorer.judges:
            judge.runtimes.drop()

    def report(self) -> WatchedReport:
        tallies = self.tallies
        first, last = tallies.means
        outcomes: Counter[str] = Counter()
        for (_, outcome), count in self.outcomes.items():
            outcomes[outcome] += count
        return WatchedReport(
            alarms=tallies.alarms,
            intervals=tallies.looks,
            agreement=tallies.agreement,
            false_positive_rate=tallies.false_positive_rate,
            cheats={
                name: CheatReport(paid=tried.successes, probes=tried.tries)
                for name, tried in tallies.cheats.items()
            },
            mean_reward_first=first,
            mean_reward_last=last,
            outcomes=dict(outcomes),
            calls=self.calls,
        )

    def gauges(self) -> Iterator[Gauge]:
        tallies, labels = self.tallies, {"reward": self.name}
        for rate, of in ((tallies.agreement, "agreement"), (tallies.false_positive_rate,
                                                            "false_positive_rate")):  # fmt: skip
            if rate is not None:
                yield Gauge(f"plaudit_watch_{of}", rate.value, labels)
                yield Gauge("plaudit_watch_window_probes", rate.probes, {**labels, "of": of})
        reasons = {alarm.reason for alarm in tallies.alarms}
        for reason in ("cheat", "drift"):
            yield Gauge("plaudit_watch_alarm", reason in reasons, {**labels, "reason": reason})
        for (name, outcome), count in self.outcomes.items():
            of_probe = {**labels, "probe": name, "outcome": outcome}
            yield Gauge("plaudit_watch_probes_total", count, of_probe)
        yield Gauge("plaudit_watch_calls_total", self.calls, labels)


class Watch:
    """Watches rewards until it is cancelled."""

    def __init__(self, plan: WatchPlan | None, busy: Callable[[str], bool]) -> None:
        """Put a watch beside rewards; nothing is asked.

        Args:
            plan: what is watched; None: nothing.
            busy: whether rows of the traffic of a reward wait, so that a probe waits too.
        """
        self._every: dict[str, _Watched] = {}
        if plan is not None:
            for name, one in plan.rewards.items():
                self._every[name] = _Watched(one, plan.options)
        self._busy = busy

    def take_traffic(self, name: str, rows: Sequence[Row], answers: Sequence[ScoredRow]) -> None:
        """Take what a reward answered."""
        one = self._every.get(name)
        if one is not None:
            one.tallies.add_traffic(answers)
            one.source.take_traffic(rows, answers)

    async def run(self) -> None:
        """Probe rewards, each in intervals of its own, until cancelled."""

        async def watch(one: _Watched) -> None:
            while True:
                try:
                    await one.interval(self._busy)
                except Exception:  # The watch goes on; so does the traffic.
                    _LOG.exception("an interval of the watch failed")
                    await asyncio.sleep(_AGAIN_S)

        await asyncio.gather(*(watch(one) for one in self._every.values()))

    def close(self) -> None:
        """Let go of connections."""
        for one in self._every.values():
            one.let_go()

    @property
    def alarms(self) -> dict[str, list[str]] | None:
        """The reasons of alarms, by reward; None: nothing is watched."""
        if not self._every:
            return None
        found = {name: [a.reason for a in one.tallies.alarms] for name, one in self._every.items()}
        return {name: sorted(set(reasons)) for name, reasons in found.items() if reasons}

    def report(self) -> dict[str, WatchedReport]:
        """Return what was seen, by reward."""
        return {name: one.report() for name, one in self._every.items()}

    def gauges(self) -> Iterator[Gauge]:
        """Yield what is read when the metrics are."""
        for one in self._every.values():
            yield from one.gauges()
