"""Counters of the server in Prometheus's text format, version 0.0.4."""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

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
}


class Gauge(NamedTuple):
    """A number that is read when the metrics are."""

    name: str
    value: float
    labels: dict[str, str]


Labels = tuple[tuple[str, str], ...]


class _Moments:
    """Mean and spread of numbers as they come (B. P. Welford, Technometrics 4, 1962)."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)

    @property
    def deviation(self) -> float:
        return math.sqrt(max(0.0, self._squares) / (self.count - 1)) if self.count > 1 else 0.0


class Metrics:
    """Counts what is answered; memory grows with the number of labels alone."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Labels, float]] = defaultdict(dict)
        self._seconds: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self._rewards: dict[str, _Moments] = defaultdict(_Moments)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raise a counter."""
        counts, key = self._counts[name], tuple(labels.items())
        counts[key] = counts.get(key, 0) + amount

    def observe(self, seconds: float, dialect: str) -> None:
        """Count the time that a request took."""
        counts = self._seconds.setdefault(dialect, [0] * (len(BOUNDS) + 1))
        counts[bisect_left(BOUNDS, seconds)] += 1
        self._sums[dialect] = self._sums.get(dialect, 0.0) + seconds

    def scored(self, reward: str, rows: Sequence[ScoredRow]) -> None:
        """Count rows that were scored."""
        for row in rows:
            self.add("plaudit_rows_total", reward=reward, status=row.status)
            if row.value is None:
                cause = row.cause or row.status
                self.add("plaudit_unscored_total", reward=reward, cause=cause)
            else:
                self._rewards[row.fingerprint].add(row.value)

    def text(self, gauges: Iterable[Gauge] = ()) -> str:
        """Return everything in the text format, gauges included."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, counts in self._counts.items():
            found[name] += [_line(name, _labels(dict(key)), n) for key, n in counts.items()]
        for gauge in (*gauges, *self._of_rewards()):
            found[gauge.name].append(_line(gauge.name, _labels(gauge.labels), gauge.value))
        found["plaudit_request_seconds"] += self._histogram()
        return "".join(_block(name, found[name]) for name in _HELP if found[name])

    def _of_rewards(self) -> Iterator[Gauge]:
        for fingerprint, moments in self._rewards.items():
            labels = {"fingerprint": fingerprint}
            yield Gauge("plaudit_reward_count", moments.count, labels)
            yield Gauge("plaudit_reward_mean", moments.mean, labels)
            yield Gauge("plaudit_reward_stddev", moments.deviation, labels)

    def _histogram(self) -> Iterator[str]:
        name = "plaudit_request_seconds"
        for dialect, counts in self._seconds.items():
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                total += count
                yield _line(f"{name}_bucket", _labels({"dialect": dialect, "le": bound}), total)
            labels = _labels({"dialect": dialect})
            yield _line(f"{name}_sum", labels, self._sums[dialect])
            yield _line(f"{name}_count", labels, total)


def by_worker(texts: Mapping[int, str]) -> str:
    """Return the metrics of several workers as one text, each line with its `worker`."""
    found: dict[str, list[str]] = {}
    block: list[str] = []
    for worker, text in texts.items():
        for line in text.splitlines(keepends=True):
            if line.startswith("#"):
                block = found.setdefault(line.split(" ", 3)[2], [])
                continue
            name, brace, labels = line.partition("{")
            if not brace:
                name, _, value = line.partition(" ")
                labels = f"}} {value}"
            comma = "" if labels.startswith("}") else ","
            block.append(f'{name}{{worker="{worker}"{comma}{labels}')
    return "".join(_block(name, found[name]) for name in _HELP if name in found)


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
