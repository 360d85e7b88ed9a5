"""What one endpoint bears: how many requests at once, how many a second, and whether it lives.

Three controllers, all fed by the same outcomes and without a clock or a loop of their own:

- concurrency: additive increase, multiplicative decrease (Chiu and Jain 1989) on time-outs, 5xx and
  lost connections;
- pace: the same on 429, in requests a second, once a 429 has been seen;
- a circuit breaker: an endpoint that only fails gets one trial request now and then, until one
  succeeds.

A decrease that does not help is taken back: failures that have nothing to do with load would else
bring a run to a standstill.
"""

import math
import time
from collections import deque
from collections.abc import Callable

from plaudit.errors import CallError, Cause

_EPOCH_ANSWERS = 20
"""Fewest answers by which a bound is judged."""

_START = 10.0
"""Requests in flight to begin with."""
_TURNED_AWAY = 0.1
"""Part of the answers that may be failures before concurrency is lowered."""
_MANY_AWAY = 4
"""So many failures are a matter at once, if there is hardly anything else."""
_LOWER = 0.7
_NEAR_STEP = 0.2
_RAISE = 0.4
"""What each success adds to the concurrency before the first decrease."""

_PACE_EPOCH_S, _PACE_ANSWERS, _FEW_ANSWERS = 1.0, 50, 5
"""Shortest time and fewest answers by which a pace is judged; fewest where no rate is known."""
_REFUSED, _PLENTY = 0.03, 4
"""Part of the answers that may be 429; and how many of them are a matter at once."""
_UNDER = 0.97
"""What a pace is lowered to, as a part of the rate that was accepted."""
_SEARCH, _BACK, _SLOW, _FASTEST = 0.3, 0.02, 0.004, 0.1
"""Growth an epoch: where no rate is known, below it, near it, and, doubling, at most above it."""
_LEAST_PACE = 0.1
_SETTLE_S = 1.0
"""How long after a cut answers say nothing yet: servers count by the second."""
_CATCH_UP_S = 0.03
_REFUSALS_IN_A_ROW = 5

_NO_HELP = 0.6
"""A bound cut to this part of what it was must have halved the failures, else it is restored."""
_BLIND_S = 30.0
"""Seconds that such failures are then taken for noise."""

_DEAD_AFTER = 20
_UNREACHABLE_AFTER = 3
"""Failures in a row by which an endpoint counts as down."""
_COOL_S = (0.5, 30.0)
"""First and longest wait before a trial request; doubles."""

OVERLOAD = frozenset({Cause.TIMEOUT, Cause.SERVER_ERROR, Cause.CONNECTION})
"""Failures by which a server shows that it bears no more, or is away."""


class _Epoch:
    """Answers to requests that were sent since the bound was last changed."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.answers = 0
        self.away = 0

    def count(self, sent: float, away: bool) -> None:
        """Count an answer, unless its request was sent before."""
        if sent >= self.since:
            self.answers += 1
            self.away += away

    @property
    def part(self) -> float:
        return self.away / self.answers if self.answers else 0.0


class _Cuts:
    """Remembers from where a bound was cut, to see whether that helps."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._blind_s = _BLIND_S
        self.blind_until = -math.inf

    def cut(self, now: float, value: float, part: float, lower: float) -> float:
        """Return the bound to go on with: `lower`, or the first one if cutting did not help."""
        if self._first is None:
            self._first = (value, part)
            return lower
        first, before = self._first
        if value > _NO_HELP * first or part <= before / 2:
            return lower
        self.blind_until = now + self._blind_s
        self._blind_s *= 2
        self._first = None
        return first

    def helped(self) -> None:
        self._first = None


class Concurrency:
    """How many requests an endpoint bears at once."""

    def __init__(self, most: int, now: float, start: int | None = None) -> None:
        self.most = float(most)
        self.bound = min(_START if start is None else float(start), self.most)
        self._cuts = _Cuts()
        self._epoch = _Epoch(now)
        self._known = math.inf  # The bound at the last decrease.

    def answered(self, now: float, sent: float, away: bool, used: bool) -> None:
        """Take one outcome.

        Args:
            now: seconds on the clock.
            sent: when the request was sent.
            away: whether it was turned away (time-out, 5xx, lost connection).
            used: whether the bound was what held further requests back.
        """
        epoch = self._epoch
        if not away:
            if used and self.bound < self.most:
                self.bound = min(self.most, self.bound + self._step())
            if not epoch.away:  # The usual case, for which this is on the hot path.
                epoch.answers += 1
                return
        elif now < self._cuts.blind_until:
            away = False
        elif not epoch.away and epoch.answers > max(_EPOCH_ANSWERS, self.bound):
            epoch = self._epoch = _Epoch(epoch.since)  # What was long ago says nothing now.
            self._cuts.helped()
        epoch.count(sent, away)
        many = epoch.away >= _MANY_AWAY and epoch.part > 3 * _TURNED_AWAY
        if epoch.answers < max(_EPOCH_ANSWERS, self.bound) and not many:
            return
        if epoch.part > _TURNED_AWAY:
            self._known = self.bound
            lower = max(1.0, self.bound * _LOWER)
            self.bound = self._cuts.cut(now, self.bound, epoch.part, lower)
        else:
            self._cuts.helped()
        self._epoch = _Epoch(now)

    def _step(self) -> float:
        """Return what a success adds: one a round trip, and less near what was once too much."""
        if self._known == math.inf:
            return _RAISE
        near = 0.8 * self._known < self.bound < 1.2 * self._known
        return (_NEAR_STEP if near else 1.0) / self.bound


class Pace:
    """How many requests a second an endpoint accepts; unlimited until it says 429 too often."""

    def __init__(self, now: float) -> None:
        self.bound = math.inf
        self.hold_until = -math.inf
        """Nothing is sent before; set by Retry-After."""
        self.next_at = -math.inf
        """When the next request may be sent, as far as the bound goes."""
        self._accepted: deque[float] = deque()
        self._cuts = _Cuts()
        self._epoch = _Epoch(now)
        self._known = 0.0  # The pace that was too high.
        self._growth = _SLOW
        self._in_a_row = 0

    def sent(self, now: float) -> None:
        """Count one request that is sent now; a late one is caught up with for a moment only."""
        self.next_at = max(self.next_at, now - _CATCH_UP_S) + 1 / self.bound

    def accepted(self, now: float, sent: float) -> None:
        """Take the outcome of a request that was not refused."""
        self._in_a_row = 0
        accepted, epoch = self._accepted, self._epoch
        accepted.append(now)
        while accepted[0] < now - 1:
            accepted.popleft()
        if self.bound == math.inf and not epoch.away:
            epoch.answers += 1
        else:
            self._answered(now, sent, refused=False)

    def refused(self, now: float, sent: float, retry_after: float | None) -> None:
        """Take a 429."""
        if now < self._cuts.blind_until:
            return
        if self.bound == math.inf and not self._epoch.away:
            self._epoch = _Epoch(self._epoch.since)  # Of what was before, a second counts.
            self._epoch.answers = len(self._accepted)
        self._in_a_row += sent >= self._epoch.since
        if self._in_a_row >= _REFUSALS_IN_A_ROW:  # Nothing gets through, at whatever pace.
            asked = 1.0 if retry_after is None else retry_after
            self.hold_until = max(self.hold_until, now + asked)
            self._lower(now, self._epoch.part)
            return
        self._answered(now, sent, refused=True)

    def _answered(self, now: float, sent: float, *, refused: bool) -> None:
        epoch = self._epoch
        epoch.count(sent, refused)
        enough = _PACE_ANSWERS if self._known else _FEW_ANSWERS
        whole = epoch.answers >= enough and now - epoch.since >= _PACE_EPOCH_S
        plenty = epoch.away >= _PLENTY and self.bound < math.inf
        if epoch.part > _REFUSED and (plenty or (whole and epoch.away > 2)):
            self._lower(now, epoch.part)
        elif whole:
            self._cuts.helped()
            self._raise(now)

    def _lower(self, now: float, part: float) -> None:
        if self.bound == math.inf:
            self._known = 0.0  # What was just accepted may be less than what can be.
            self.bound = _UNDER * max(1.0, float(len(self._accepted)))
        else:
            self._known = self.bound
            if now - self.hold_until > 1:  # Else the last second says too little.
                self._known = min(self.bound, max(1.0, float(len(self._accepted))))
            lower = max(_LEAST_PACE, _UNDER * self._known)
            self.bound = self._cuts.cut(now, self.bound, part, lower)
        if now < self._cuts.blind_until:
            self.bound = math.inf
        self._growth = _SLOW
        self._in_a_row = 0
        self.next_at = max(now, self.hold_until)
        self._epoch = _Epoch(max(now + _SETTLE_S, self.hold_until))

    def _raise(self, now: float) -> None:
        self._epoch = _Epoch(now)
        if self.bound == math.inf:
            return
        if not self._known:
            growth = _SEARCH
        elif self.bound < _UNDER * self._known:
            growth = _BACK
        elif self.bound < self._known / _UNDER:
            growth = _SLOW
        else:  # The endpoint bears more than it did.
            growth = self._growth = min(_FASTEST, 2 * self._growth)
        self.bound *= 1 + growth
        if self.bound > 4 * len(self._accepted) + 100:  # Not what holds requests back any more.
            self.bound = math.inf


class Breaker:
    """Whether an endpoint is worth sending to."""

    def __init__(self) -> None:
        self.down_since: float | None = None
        """When the failures began that the endpoint is down with; None: it is up."""
        self.reason: CallError | None = None
        """The last failure."""
        self._failing_since = 0.0
        self._opened = -math.inf
        self.failures = 0
        """In a row."""
        self._cool = _COOL_S[0]
        self.trial_at = -math.inf
        """When a request may be sent while it is down."""

    def is_trial(self, sent: float) -> bool:
        """Whether a request was let in to see if the endpoint is back, and not before it went."""
        return self.down_since is not None and sent > self._opened

    def sent(self, now: float) -> None:
        """While down: no second trial until the first has ended, or has hung for long."""
        self.trial_at = now + _COOL_S[1]

    def dropped(self, now: float) -> None:
        """Allow another trial, since the last one may have been dropped."""
        self.trial_at = min(self.trial_at, now + self._cool)

    def alive(self) -> None:
        """Take an answer of whatever kind."""
        self.failures = 0
        self._cool = _COOL_S[0]
        self.down_since = None

    def failed(self, now: float, sent: float, error: CallError, unreachable: bool) -> bool:
        """Take a failure; return whether the endpoint has just been found to be down."""
        self.reason = error
        self.failures += 1
        if self.failures == 1:
            self._failing_since = now
        if self.is_trial(sent):
            self.trial_at = now + self._cool
            self._cool = min(_COOL_S[1], 2 * self._cool)
        enough = _UNREACHABLE_AFTER if unreachable else _DEAD_AFTER
        if self.down_since is not None or self.failures < enough:
            return False
        self.down_since, self._opened = self._failing_since, now
        self.trial_at = now + self._cool
        return True


class Throttle:
    """The three controllers of one endpoint, and its requests in flight."""

    def __init__(
        self,
        most: int,
        *,
        start: int | None = None,
        fixed: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Start careful.

        Args:
            most: requests in flight that are never exceeded.
            start: requests in flight to begin with; None: 10.
            fixed: whether that many are always allowed; for engines in this process.
            clock: seconds, never going back; None: `time.monotonic`.
        """
        self._clock = clock or time.monotonic
        now = self._clock()
        self.in_flight = 0
        self.seconds = 0.0
        """How long a request took of late; 0 while unknown."""
        self.concurrency = Concurrency(most, now, most if fixed else start)
        self.pace = Pace(now)
        self.breaker = Breaker()
        self.refusal: CallError | None = None
        """The last failure by which the endpoint asked to wait."""
        self.lease = math.inf  # Most in flight by a limit that processes share.
        self._fixed = fixed

    @property
    def full(self) -> bool:
        """Whether a request must wait for another one to end."""
        return self.in_flight >= min(self.lease, max(1, int(self.concurrency.bound)))

    @property
    def free(self) -> bool:
        """Whether a request may be sent now."""
        ready = self.ready_at()
        return not self.full and (ready == -math.inf or ready <= self._clock())

    @property
    def work(self) -> float:
        """Outstanding work if one more request were sent, in seconds."""
        return (self.in_flight + 1) * (self.seconds or 1e-3)

    def ready_at(self) -> float:
        """When a request may be sent, as far as pace and health go."""
        pace, breaker = self.pace, self.breaker
        ready = max(pace.next_at, pace.hold_until)
        return ready if breaker.down_since is None else max(ready, breaker.trial_at)

    def start(self) -> float:
        """Count one request that is sent now; return the time."""
        now = self._clock()
        self.in_flight += 1
        if self.pace.bound < math.inf:
            self.pace.sent(now)
        if self.breaker.down_since is not None:
            self.breaker.sent(now)
        return now

    def dropped(self) -> None:
        """Forget a request that was cancelled or raised what says nothing about the endpoint."""
        self.in_flight -= 1
        self.breaker.dropped(self._clock())

    def answered(self, sent: float) -> None:
        """Take an answer, whatever it says."""
        used = self.in_flight + 1 >= self.concurrency.bound
        self.in_flight -= 1
        if self._fixed:
            return
        now = self._clock()
        self.seconds += (now - sent - self.seconds) * (0.1 if self.seconds else 1.0)
        if self.breaker.failures:
            self.breaker.alive()
        self.pace.accepted(now, sent)
        self.concurrency.answered(now, sent, away=False, used=used)

    def failed(self, sent: float, error: CallError, *, unreachable: bool) -> bool:
        """Take a failure; return whether the endpoint has just been found to be down."""
        self.in_flight -= 1
        if self._fixed:
            return False
        now = self._clock()
        if error.cause not in OVERLOAD:  # It answered, if badly.
            self.breaker.alive()
            if error.cause is Cause.RATE_LIMITED:
                self.refusal = error
                self.pace.refused(now, sent, error.retry_after)
            return False
        self.concurrency.answered(now, sent, away=True, used=False)
        self.seconds = max(self.seconds, now - sent)
        return self.breaker.failed(now, sent, error, unreachable)
