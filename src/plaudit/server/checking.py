"""What would be served, and whether it works: `plaudit serve --check`."""

from collections.abc import Iterator, Mapping

import msgspec

from plaudit.errors import EngineUnusableError, PlauditError
from plaudit.rewarding.scorers import RewardScorer
from plaudit.server.probing import probe_judge
from plaudit.server.service import Spoken
from plaudit.server.spec import Served
from plaudit.server.watch.plan import WatchPlan
from plaudit.server.watch.probes import cheats_for


class CheckedReward(msgspec.Struct, frozen=True, kw_only=True):
    """One reward, and what a try of it gave."""

    name: str
    serves: str
    """Its parts, or the judge's kind."""
    engines: list[str]
    paths: list[str]
    problem: str = ""
    """Why it cannot be used; empty: it can."""
    unusable: bool = False
    """Whether the problem is an engine that can answer nothing."""


class CheckedDialect(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect, and how it answers."""

    name: str
    title: str
    when_unscored: str
    deadline: float


class CheckedWatch(msgspec.Struct, frozen=True, kw_only=True):
    """One reward that is watched."""

    name: str
    paid_above: float
    known: int
    """Rows whose value is known."""
    cheats: list[str]
    every: float
    probes: int
    calls: int


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What would be served."""

    rewards: list[CheckedReward]
    dialects: list[CheckedDialect]
    watch: list[CheckedWatch] = []

    @property
    def exit_status(self) -> int:
        """0; 3 where an engine can answer nothing, else 1 where a probe failed."""
        if any(one.unusable for one in self.rewards):
            return EngineUnusableError.exit_status
        return 1 if any(one.problem for one in self.rewards) else 0


async def check_served(
    rewards: Mapping[str, Served], spoken: Mapping[str, Spoken], watch: WatchPlan | None = None
) -> CheckReport:
    """Try each reward with one harmless row for each of its judges; nothing listens."""
    paths = [route.path for one in spoken.values() for route in one.dialect.scoring]
    checked = [await _checked(one, paths, len(rewards) == 1) for one in rewards.values()]
    dialects = [
        CheckedDialect(
            name=name,
            title=one.dialect.title,
            when_unscored=str(one.choice),
            deadline=one.deadline,
        )
        for name, one in spoken.items()
    ]
    return CheckReport(rewards=checked, dialects=dialects, watch=list(_watched(watch)))


def _watched(watch: WatchPlan | None) -> Iterator[CheckedWatch]:
    if watch is None:
        return
    options = watch.options
    for name, one in watch.rewards.items():
        yield CheckedWatch(
            name=name,
            paid_above=one.paid_above,
            known=len(one.known),
            cheats=list(cheats_for(one.served.kind, options.cheats)),
            every=options.every,
            probes=options.probes,
            calls=options.calls,
        )


async def _checked(served: Served, paths: list[str], alone: bool) -> CheckedReward:
    own = [f"/v1/score/{served.name}", *([f"/v1/judge/{served.kind}"] if served.kind else [])]
    problem, unusable = "", False
    try:
        problem = await _problem(served)
    except PlauditError as error:
        problem, unusable = str(error), isinstance(error, EngineUnusableError)
    finally:
        await served.scorer.close()
    scorer = served.scorer
    parts = [part.name for part in scorer.parts] if isinstance(scorer, RewardScorer) else []
    return CheckedReward(
        name=served.name,
        serves=f"judge {served.kind}" if served.kind else f"rewards {', '.join(parts)}",
        engines=[j.engine.uri for j in scorer.judges if j.engine.capabilities.model],
        paths=[*own, *(path if alone else f"/{served.name}{path}" for path in paths)],
        problem=problem,
        unusable=unusable,
    )


async def _problem(served: Served) -> str:
    """Return why a harmless row could not be judged; empty where it could."""
    for judge in served.scorer.judges:
        verdict = await probe_judge(judge)
        if verdict is not None and verdict.status in ("failed", "invalid"):
            error = verdict.error
            why = "" if error is None else f": {error.cause}, {error.message}"
            return f"a harmless row is {verdict.status}{why}"
    return ""
