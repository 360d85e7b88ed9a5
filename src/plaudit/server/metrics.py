"""Counters of the server in Prometheus's text format, version 0.0.4."""

import math
import operator
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from plaudit.rewarding.rows import ScoredRow

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper ends of the latency histogram, in seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "plaudit_requests_total": ("counter", "Requests answered, by dialect and HTTP status."),
    "plaudit_rows_total": ("counter", "Rows answered, by reward and status."),
    "plaudit_unscored_total": ("counter", "Rows without a value, by reward and cause."),
    "plaudit_shared_rows_total": ("counter", "Rows answered by the work for an equal row."),
    "plaudit_request_seconds": ("histogram", "Seconds from a request to its answer."),
    "plaudit_rows_open": ("gauge", "Rows taken and not answered yet."),
    "plaudit_jobs_running": ("gauge", "Rows or groups that are being scored."),
    "plaudit_requests_open": ("gauge", "Requests that are being answered."),
    "plaudit_engine_requests_total": ("counter", "Requests sent to engines, retries included."),
    "plaudit_engine_tokens_total": ("counter", "Tokens of replies that were asked for."),
    "plaudit_cost_usd_total": ("counter", "What these tokens cost, where prices are known."),
    "plaudit_stored_replies_total": ("counter", "Replies that were found in the store."),
    "plaudit_ready": ("gauge", "1 while every engine answers, by reward."),
    "plaudit_reward_count": ("gauge", "Values so far, by fingerprint."),
    "plaudit_reward_mean": ("gauge", "Mean of the values so far."),
    "plaudit_reward_stddev": ("gauge", "Standard deviation of the values so far."),
    "plaudit_watch_false_positive_rate": ("gauge", "Share of probes paid that should not be."),
    "plaudit_watch_agreement": ("gauge", "Share of probes with the value that they should have."),
    "plaudit_watch_window_probes": ("gauge", "Probes behind these shares, in the last intervals."),
    "plaudit_watch_alarm": ("gauge", "1 while the watch raises an alarm, by reward and reason."),
    "plaudit_watch_probes_total": ("counter", "Probes, by reward, name and outcome."),
    "plaudit_watch_calls_total": ("counter", "Engine calls for probes."),
}


class Gauge(NamedTuple):
    """A number with its labels."""

    name: str
    value: float
    labels: dict[str, str]


Labels = tuple[tuple[str, str], ...]


class Moments(msgspec.Struct):
    """Mean and spread of numbers as they come (B. P. Welford, Technometrics 4, 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared distances from the mean."""

    def add(self, value: float) -> None:
        """Take a number."""
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    def joined(self, other: "Moments") -> "Moments":
        """Return those of both (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if not count:
            return Moments()
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + step * other.count / count,
            self.squares + other.squares + step * step * self.count * other.count / count,
        )

    @property
    def deviation(self) -> float:
        """The standard deviation; 0 for one number."""
        return math.sqrt(max(0.0, self.squares) / (self.count - 1)) if self.count > 1 else 0.0


class Snapshot(msgspec.Struct, kw_only=True):
    """What one process, or several, counted so far."""

    values: list[Gauge] = []
    """Counters and gauges."""
    buckets: dict[str, list[int]] = {}
    """Requests in each bucket of the latency histogram, by dialect."""
    seconds: dict[str, float] = {}
    """Their sum, by dialect."""
    rewards: dict[str, Moments] = {}
    """Values by fingerprint."""

    @property
    def counters(self) -> "Snapshot":
        """What goes on to count in the process that takes this one's place: all but gauges."""
        kept = [one for one in self.values if _HELP[one.name][0] == "counter"]
        return msgspec.structs.replace(self, values=kept)

    def text(self) -> str:
        """Return everything in the text format."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in (*self.values, *self._of_rewards()):
            found[one.name].append(_line(one.name, _labels(one.labels), one.value))
        found["plaudit_request_seconds"] += self._histogram()
        return "".join(_block(name, found[name]) for name in _HELP if found[name])

    def _of_rewards(self) -> Iterator[Gauge]:
        for fingerprint, moments in self.rewards.items():
            labels = {"fingerprint": fingerprint}
            yield Gauge("plaudit_reward_count", moments.count, labels)
            yield Gauge("plaudit_reward_mean", moments.mean, labels)
            yield Gauge("plaudit_reward_stddev", moments.deviation, labels)

    def _histogram(self) -> Iterator[str]:
        name = "plaudit_request_seconds"
        for dialect, counts in self.buckets.items():
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                total += count
                yield _line(f"{name}_bucket", _labels({"dialect": dialect, "le": bound}), total)
            labels = _labels({"dialect": dialect})
            yield _line(f"{name}_sum", labels, self.seconds[dialect])
            yield _line(f"{name}_count", labels, total)


def joined(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the sum over several processes; a reward is ready where it is for all of them."""
    values: dict[tuple[str, Labels], Gauge] = {}
    whole = Snapshot()
    for one in snapshots:
        for value in one.values:
            key = value.name, tuple(value.labels.items())
            values[key] = _both(values[key], value) if key in values else value
        for dialect, counts in one.buckets.items():
            before = whole.buckets.get(dialect, [0] * len(counts))
            whole.buckets[dialect] = [a + b for a, b in zip(before, counts, strict=True)]
            whole.seconds[dialect] = whole.seconds.get(dialect, 0.0) + one.seconds[dialect]
        for fingerprint, moments in one.rewards.items():
            before = whole.rewards.get(fingerprint, Moments())
            whole.rewards[fingerprint] = before.joined(moments)
    whole.values = list(values.values())
    return whole


def _both(first: Gauge, second: Gauge) -> Gauge:
    join = min if first.name == "plaudit_ready" else operator.add
    return first._replace(value=join(first.value, second.value))


class Metrics:
    """Counts what is answered; memory grows with the number of labels alone."""

    def __init__(self, before: Snapshot | None = None) -> None:
        """Begin at nothing, or at the counters of a process that this one takes the place of."""
        self._before = before
        self._counts: dict[str, dict[Labels, float]] = defaultdict(dict)
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._rewards: dict[str, Moments] = defaultdict(Moments)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raise a counter."""
        counts, key = self._counts[name], tuple(labels.items())
        counts[key] = counts.get(key, 0) + amount

    def observe(self, seconds: float, dialect: str) -> None:
        """Count the time that a request took."""
        counts = self._buckets.setdefault(dialect, [0] * (len(BOUNDS) + 1))
        counts[bisect_left(BOUNDS, seconds)] += 1
        self._seconds[dialect] = self._seconds.get(dialect, 0.0) + seconds

    def scored(self, reward: str, rows: Sequence[ScoredRow]) -> None:
        """Count rows that were scored."""
        for row in rows:
            self.add("plaudit_rows_total", reward=reward, status=row.status)
            if row.value is None:
                cause = row.cause or row.status
                self.add("plaudit_unscored_total", reward=reward, cause=cause)
            else:
                self._rewards[row.fingerprint].add(row.value)

    def snapshot(self, gauges: Iterable[Gauge] = ()) -> Snapshot:
        """Return what was counted so far, and what is read now."""
        counted = [
            Gauge(name, n, dict(key))
            for name, counts in self._counts.items()
            for key, n in counts.items()
        ]
        own = Snapshot(
            values=[*counted, *(one._replace(value=float(one.value)) for one in gauges)],
            buckets=self._buckets,
            seconds=self._seconds,
            rewards=dict(self._rewards),
        )
        return own if self._before is None else joined((self._before, own))


def _block(name: str, lines: Iterable[str]) -> str:
    kind, text = _HELP[name]
    return "".join([f"# HELP {name} {text}\n# TYPE {name} {kind}\n", *lines])


def _labels(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _line(name: str, labels: str, value: float) -> str:
    return f"{name}{labels} {value:.17g}\n" if value % 1 else f"{name}{labels} {value:.0f}\n"
