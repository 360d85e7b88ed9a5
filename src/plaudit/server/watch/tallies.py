"""What the probes showed, interval by interval, and when that is an alarm."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from plaudit.rewarding.rows import ScoredRow
from plaudit.scoring.drift import (
    Tried,
    chance_of_fall,
    chance_of_more,
    has_risen,
    level_of_look,
)
from plaudit.scoring.intervals import wilson
from plaudit.scoring.stats import Estimate
from plaudit.server.watch.probes import ProbeResult, WatchProbe

LEVEL = 0.01
"""Chance of any false alarm of a reward as long as the server runs, half of it for each reason."""

AlarmReason = Literal["cheat", "drift"]
"""`cheat`: answers that are none are paid. `drift`: the mean reward rises while agreement falls."""


class WatchAlarm(msgspec.Struct, frozen=True):
    """Why rewards are not to be trusted."""

    reason: AlarmReason
    message: str


class RateOfProbes(msgspec.Struct, frozen=True):
    """A share of the probes of the last intervals, with Wilson's interval of 95 %."""

    value: float
    low: float
    high: float
    probes: int


class _Stratum(NamedTuple):
    """Probes that are alike."""

    name: str
    live: bool
    bad: bool
    cheat: bool


class _Seen:
    """Counts of a stratum."""

    def __init__(self) -> None:
        self.tries = self.agreed = self.paid = 0


class _Span:
    """What one interval showed."""

    def __init__(self) -> None:
        self.probes: dict[_Stratum, _Seen] = {}
        self.count, self.total = 0, 0.0

    @property
    def mean(self) -> float | None:
        """The mean reward of the traffic; None without values."""
        return self.total / self.count if self.count else None


class Tallies:
    """Counts by interval: those of the first intervals, and those of the last ones."""

    def __init__(self, window: int, allowed: float) -> None:
        """Begin without counts.

        Args:
            window: intervals on each side of a comparison.
            allowed: share of the tries of a cheat that may be paid without an alarm.
        """
        self.alarms: list[WatchAlarm] = []
        self.looks = 0
        self._window = window
        self._allowed = allowed
        self._now = _Span()
        self._first: list[_Span] = []
        self._last: deque[_Span] = deque(maxlen=window)

    def add_traffic(self, answers: Iterable[ScoredRow]) -> None:
        """Count values of the traffic; a row without one changes nothing."""
        values = [answer.value for answer in answers if answer.value is not None]
        self._now.count += len(values)
        self._now.total += math.fsum(values)

    def add(self, probe: WatchProbe, result: ProbeResult) -> None:
        """Count a probe that has a value."""
        seen = self._now.probes.setdefault(
            _Stratum(probe.name, probe.live, result.bad, probe.cheat), _Seen()
        )
        seen.tries += 1
        seen.agreed += result.agrees
        seen.paid += result.paid

    def close_interval(self) -> None:
        """End an interval and look for alarms; one without a scored probe is left out."""
        if not self._now.probes:
            self._now = _Span()
            return
        self.looks += 1
        if len(self._first) < self._window:
            self._first.append(self._now)
        self._last.append(self._now)
        self._now = _Span()
        self.alarms = [*self._of_cheats(), *self._of_drift()]

    # What the last intervals show

    @property
    def agreement(self) -> RateOfProbes | None:
        """The share of probes with the value that they should have; None without probes."""
        return _rate([seen for _, seen in self._seen()], "agreed")

    @property
    def false_positive_rate(self) -> RateOfProbes | None:
        """The share of the probes that should not be paid and were; None without such probes."""
        return _rate([seen for key, seen in self._seen() if key.bad], "paid")

    @property
    def cheats(self) -> dict[str, Tried]:
        """How often each cheat was paid."""
        found: dict[str, Tried] = {}
        for key, seen in self._seen():
            if key.cheat:
                before = found.get(key.name, Tried(0, 0))
                found[key.name] = Tried(before.successes + seen.paid, before.tries + seen.tries)
        return found

    def _seen(self) -> Iterator[tuple[_Stratum, _Seen]]:
        for span in self._last:
            yield from span.probes.items()

    @property
    def means(self) -> tuple[float | None, float | None]:
        """The mean reward of the traffic in the first and in the last intervals."""
        return _mean(self._first), _mean(self._later)

    @property
    def _later(self) -> list[_Span]:
        """The last intervals without those that are among the first ones."""
        count = min(self.looks - len(self._first), self._window)
        return list(self._last)[-count:] if count else []

    # Alarms

    def _of_cheats(self) -> Iterator[WatchAlarm]:
        """Yield an alarm for each cheat that is paid more often than is allowed."""
        found = self.cheats
        level = level_of_look(LEVEL / 2, self.looks) / max(len(found), 1)
        for name, tried in found.items():
            if chance_of_more(tried, self._allowed) < level:
                text = f"{name!r} is paid: {tried.successes} of {tried.tries} probes"
                yield WatchAlarm("cheat", text)

    def _of_drift(self) -> Iterator[WatchAlarm]:
        """Yield an alarm where the mean reward rose and agreement fell since the beginning."""
        later = self._later
        before, after = self.means
        if before is None or after is None:
            return
        if not has_risen(_means(self._first), _means(later)):
            return
        strata = {key for span in self._first for key in span.probes}
        strata &= {key for span in later for key in span.probes}
        old, new = ([_agreed(side, key) for key in sorted(strata)] for side in (self._first, later))
        if chance_of_fall(old, new) < level_of_look(LEVEL / 2, self.looks):
            text = (
                f"the mean reward rose from {before:.3g} to {after:.3g} while agreement fell from "
                f"{_share(old):.3g} to {_share(new):.3g}"
            )
            yield WatchAlarm("drift", text)


def _rate(seen: Sequence[_Seen], what: Literal["agreed", "paid"]) -> RateOfProbes | None:
    tries = sum(one.tries for one in seen)
    if not tries:
        return None
    found: Estimate = wilson(sum(getattr(one, what) for one in seen) / tries, tries)
    return RateOfProbes(found.value, found.low, found.high, tries)


def _means(spans: Iterable[_Span]) -> list[float]:
    return [span.mean for span in spans if span.mean is not None]


def _mean(spans: Sequence[_Span]) -> float | None:
    count = sum(span.count for span in spans)
    return math.fsum(span.total for span in spans) / count if count else None


def _agreed(spans: Iterable[_Span], key: _Stratum) -> Tried:
    seen = [span.probes[key] for span in spans if key in span.probes]
    return Tried(sum(one.agreed for one in seen), sum(one.tries for one in seen))


def _share(strata: Iterable[Tried]) -> float:
    hits, tries = zip(*strata, strict=True)
    return sum(hits) / sum(tries)
