"""What the server does, without HTTP: rewards by name, dialects as they were chosen, counters."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from plaudit.engines.base import similar
from plaudit.errors import PlauditError, UsageError
from plaudit.judge import Judge
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.rewarding.unscored import UnscoredChoice, check_choice, values
from plaudit.server.cohorts import Cohorts, Group, check_group, is_whole
from plaudit.server.desk import Desk, DeskLimits
from plaudit.server.dialects.base import Answers, Dialect, NoPrompt
from plaudit.server.dialects.table import DIALECTS
from plaudit.server.metrics import Gauge, Metrics, Snapshot
from plaudit.server.native import NATIVE
from plaudit.server.probing import probe_judge
from plaudit.server.spec import DialectOptions, Served, ServeSpec
from plaudit.server.watch.plan import WatchPlan
from plaudit.server.watch.watch import Watch

_LOOK_AGAIN_S = 2.0


class NotServedError(Exception):
    """There is no such reward; the message names those that there are."""


class Spoken(NamedTuple):
    """A dialect that is served, and how it answers."""

    dialect: Dialect
    choice: UnscoredChoice
    deadline: float


class DialectChoices(msgspec.Struct, frozen=True, kw_only=True):
    """Which dialects are served, and how they answer for rows without a value."""

    names: Sequence[str] = ()
    """Those that are served; none: those of SPEC, else all that can carry `when_unscored`."""
    when_unscored: UnscoredChoice | None = None
    """Of dialects without a choice of their own; None: nothing is chosen."""
    by_name: Mapping[str, UnscoredChoice] = {}
    """Choices for one dialect each."""


def choose_dialects(spec: ServeSpec, given: DialectChoices) -> dict[str, Spoken]:
    """Return the dialects that are served; `native` always is.

    Raises:
        UsageError: there is no such dialect; or its peer takes no null, and nothing is chosen.
    """
    named = [*given.names, *spec.dialects, *given.by_name]
    for name in named:
        if name not in DIALECTS:
            raise UsageError(
                f"there is no dialect {name!r}{similar(name, DIALECTS)}; there are "
                f"{', '.join(DIALECTS)}"
            )
    if not (given.names or spec.dialects) and given.when_unscored is not None:
        word = given.when_unscored.word
        named += [name for name, one in DIALECTS.items() if word in one.choices]
    spoken: dict[str, Spoken] = {}
    for name, dialect in DIALECTS.items():
        if name != NATIVE.name and name not in named:
            continue
        own = spec.dialects.get(name, DialectOptions())
        choice = given.by_name.get(name) or own.when_unscored
        if choice is None and (name != NATIVE.name or _is_native(given.when_unscored)):
            choice = given.when_unscored
        choice = check_choice(name, dialect.choices, choice)
        spoken[name] = Spoken(dialect, choice, own.deadline or dialect.deadline)
    return spoken


def _is_native(choice: UnscoredChoice | None) -> bool:
    """Whether a choice for all holds for `native` too, which can say null and so needs none."""
    return choice is not None and choice.word in ("null", "group-mean")


class Service:
    """Rewards by name behind their desks."""

    def __init__(
        self,
        rewards: Mapping[str, Served],
        spoken: Mapping[str, Spoken],
        limits: DeskLimits,
        watch: WatchPlan | None = None,
        counted: Snapshot | None = None,
    ) -> None:
        """Put rewards behind desks; nothing is asked.

        Args:
            rewards: by name.
            spoken: the dialects.
            limits: of each desk.
            watch: what is watched; None: nothing.
            counted: by the process that this one takes the place of.
        """
        self.rewards = rewards
        self.spoken = spoken
        self.metrics = Metrics(counted)
        self.open_requests = 0
        self.draining = False
        self._desks = {name: Desk(one.scorer, limits) for name, one in rewards.items()}
        self._group_desks = {
            name: Desk(one.group, limits) for name, one in rewards.items() if one.group is not None
        }
        self._cohorts = {name: Cohorts(desk) for name, desk in self._group_desks.items()}
        self.watch = Watch(watch, self._is_busy)

    # Which reward is meant

    def named(self, name: str) -> Served:
        """Return a reward.

        Raises:
            NotServedError: there is none of that name.
        """
        found = self.rewards.get(name)
        if found is None:
            raise NotServedError(
                f"there is no reward {name!r}{similar(name, self.rewards)}; there are "
                f"{', '.join(self.rewards)}"
            )
        return found

    def only(self) -> Served:
        """Return the only reward.

        Raises:
            NotServedError: there are several.
        """
        if len(self.rewards) > 1:
            raise NotServedError(
                f"several rewards are served: put the name of one first, such as "
                f"/{next(iter(self.rewards))}/...; there are {', '.join(self.rewards)}"
            )
        return next(iter(self.rewards.values()))

    def judge_of(self, kind: str) -> Served:
        """Return the judge of a kind.

        Raises:
            NotServedError: there is none of that kind, or there are several.
        """
        found = [one for one in self.rewards.values() if one.kind == kind]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"/v1/score/{one.name}" for one in found)
            raise NotServedError(f"several judges are of the kind {kind!r}: ask {names}")
        kinds = sorted({one.kind for one in self.rewards.values() if one.kind})
        raise NotServedError(f"no judge of the kind {kind!r} is served; there are {kinds}")

    # Scoring

    async def score(
        self,
        served: Served,
        rows: Sequence[Row | NoPrompt],
        spoken: Spoken,
        *,
        group: Group | None = None,
        deadline: float | None = None,
    ) -> Answers:
        """Score the rows of a request.

        Args:
            served: the reward.
            rows: in any number.
            spoken: the dialect that is answered.
            group: of which the rows are members.
            deadline: seconds until there is an answer; None: the dialect's.

        Raises:
            InputError: the rows make no group.
            QueueFullError: so many rows wait that no more are taken.
            UnscoredError: rows have no value, and the choice is to refuse the request.
        """
        seconds = min(deadline or spoken.deadline, spoken.deadline)
        whole = [row for row in rows if not isinstance(row, NoPrompt)]
        scored = await self._scored(served.name, whole, group, seconds)
        self.watch.take_traffic(served.name, whole, scored)
        found = iter(scored)
        answers = [row.answer if isinstance(row, NoPrompt) else next(found) for row in rows]
        self.metrics.scored(served.name, answers)
        in_group = group is not None and is_whole(group, whole)
        return Answers(
            rows=answers,
            values=values(answers, spoken.choice, whole_group=in_group),
            name=served.name,
            low=served.scorer.low,
            high=served.scorer.high,
        )

    async def _scored(
        self, name: str, rows: Sequence[Row], group: Group | None, seconds: float
    ) -> list[ScoredRow]:
        if group is None:
            return await self._desks[name].score(rows, seconds)
        if name in self._cohorts:
            return await self._cohorts[name].score(group, rows, seconds)
        check_group(group, rows)
        return await self._desks[name].score(rows, seconds)

    # Health

    @property
    def troubles(self) -> dict[str, str]:
        """Why rewards are not ready, by name."""
        found: dict[str, str] = {}
        for name, desk in self._all_desks():
            if desk.down:
                found[name] = desk.trouble or "its engine does not answer"
        return found

    async def look_after(self) -> None:
        """Watch rewards and engines until cancelled."""
        await asyncio.gather(self._look_again(), self.watch.run())

    def _is_busy(self, name: str) -> bool:
        return any(desk.busy or desk.down for own, desk in self._all_desks() if own == name)

    async def _look_again(self) -> None:
        """Ask engines that answer nothing now and then, so that it shows when they are back."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            for _, desk in self._all_desks():
                if desk.down:
                    with suppress(PlauditError, TimeoutError):
                        probes = _all_answer(desk.scorer.judges)
                        if await asyncio.wait_for(probes, _LOOK_AGAIN_S * 5):
                            desk.trouble = ""

    async def close(self) -> None:
        """Drop what is under way, write what is not written yet, and free engines."""
        self.watch.close()
        for _, desk in self._all_desks():
            await desk.close()
        for one in self.rewards.values():
            await one.scorer.close()

    def snapshot(self) -> Snapshot:
        """Return what the metrics report."""
        return self.metrics.snapshot(self._gauges())

    def _gauges(self) -> Iterator[Gauge]:
        yield Gauge("plaudit_requests_open", self.open_requests, {})
        for name, one in self.rewards.items():
            labels, desks = {"reward": name}, [d for n, d in self._all_desks() if n == name]
            yield Gauge("plaudit_rows_open", sum(desk.rows for desk in desks), labels)
            yield Gauge("plaudit_jobs_running", sum(desk.running for desk in desks), labels)
            yield Gauge("plaudit_shared_rows_total", sum(desk.shared for desk in desks), labels)
            yield Gauge("plaudit_ready", not any(desk.down for desk in desks), labels)
            yield from _spent(one.scorer.judges, labels)
        yield from self.watch.gauges()

    def _all_desks(self) -> Iterable[tuple[str, Desk]]:
        return (*self._desks.items(), *self._group_desks.items())


async def _all_answer(judges: Sequence[Judge]) -> bool:
    """Try judges; return whether the engine of each was asked, and answered."""
    for judge in judges:
        sent, asks = judge.sent, judge.engine.capabilities.model
        verdict = await probe_judge(judge) if asks else None
        unknown = verdict is None or verdict.status == "failed" or judge.sent == sent
        if asks and unknown:
            return False
    return True


def _spent(judges: Sequence[Judge], labels: dict[str, str]) -> Iterator[Gauge]:
    sent = sum(judge.sent for judge in judges)
    yield Gauge("plaudit_engine_requests_total", sent, labels)
    bills = [bill for judge in judges for bill in judge.runtimes.bills()]
    tokens = sum(bill.usage.input_tokens for bill in bills)
    yield Gauge("plaudit_engine_tokens_total", tokens, {**labels, "kind": "input"})
    tokens = sum(bill.usage.output_tokens for bill in bills)
    yield Gauge("plaudit_engine_tokens_total", tokens, {**labels, "kind": "output"})
    costs = [bill.cost_usd for bill in bills]
    if all(cost is not None for cost in costs):
        yield Gauge("plaudit_cost_usd_total", sum(cost or 0.0 for cost in costs), labels)
    found = sum(judge.runtimes.found for judge in judges)
    yield Gauge("plaudit_stored_replies_total", found, labels)
