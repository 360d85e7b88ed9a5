"""What an endpoint bears, found against simulated servers on a clock of their own."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable

import pytest

from plaudit.errors import CallError, Cause
from plaudit.sending.throttle import Throttle

REFUSED = CallError(Cause.RATE_LIMITED, "slow down", retryable=True, retry_after=1.0)
BROKEN = CallError(Cause.SERVER_ERROR, "oops", retryable=True)
GONE = CallError(Cause.CONNECTION, "nobody", retryable=True)

Answer = Callable[[float], CallError | None]
"""What a server says at a time: an error, or None for a good reply."""


class Clock:
    """Time that only moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Outcome:
    """What came of a simulated run."""

    def __init__(self) -> None:
        self.sent = self.refused = 0
        self.seconds = 0.0
        self.most = 0


def simulate(answer: Answer, count: int, latency: float, most: int = 100) -> Outcome:
    """Get `count` good replies from a server, through a throttle."""
    clock, out, rng = Clock(), Outcome(), random.Random(7)
    throttle = Throttle(most, clock=clock)
    events: list[tuple[float, int, float, CallError | None]] = []
    later: list[float] = []
    waiting, done, serial = count, 0, itertools.count()
    began = clock.now
    while done < count:
        while later and later[0] <= clock.now:
            heapq.heappop(later)
            waiting += 1
        while waiting and throttle.free:
            started = throttle.start()
            waiting -= 1
            out.sent += 1
            out.most = max(out.most, throttle.in_flight)
            at = clock.now + latency * rng.uniform(0.8, 1.2)
            heapq.heappush(events, (at, next(serial), started, answer(clock.now)))
        soon = [events[0][0]] if events else []
        soon += later[:1]
        if waiting and not throttle.full:
            soon.append(max(throttle.ready_at(), clock.now + 1e-6))
        clock.now = min(soon)
        while events and events[0][0] <= clock.now:
            _, _, started, error = heapq.heappop(events)
            if error is None:
                throttle.answered(started)
                done += 1
            else:
                out.refused += error is REFUSED
                throttle.failed(started, error, unreachable=False)
                heapq.heappush(later, clock.now + (error.retry_after or rng.uniform(0, 0.5)))
    out.seconds = clock.now - began
    return out


def bucket(rate: float) -> Answer:
    tokens, last = rate, 1000.0

    def answer(now: float) -> CallError | None:
        nonlocal tokens, last
        tokens, last = min(rate, tokens + (now - last) * rate), now
        if tokens < 1:
            return REFUSED
        tokens -= 1
        return None

    return answer


def sliding(rate: int) -> Answer:
    log: deque[float] = deque()

    def answer(now: float) -> CallError | None:
        while log and log[0] <= now - 1:
            log.popleft()
        if len(log) >= rate:
            return REFUSED
        log.append(now)
        return None

    return answer


def fixed(rate: int) -> Answer:
    second = count = 0

    def answer(now: float) -> CallError | None:
        nonlocal second, count
        if int(now) != second:
            second, count = int(now), 0
        count += 1
        return None if count <= rate else REFUSED

    return answer


def noisy(part: float, error: CallError) -> Answer:
    rng = random.Random(3)
    return lambda _: error if rng.random() < part else None


@pytest.mark.parametrize("window", [bucket, sliding, fixed])
@pytest.mark.parametrize(("rate", "part"), [(20, 0.9), (50, 0.9), (300, 0.85)])
def test_a_rate_limit_is_used_and_seldom_hit(window, rate: int, part: float) -> None:
    out = simulate(window(rate), 120 * rate, 0.01)
    assert 120 * rate / out.seconds > part * rate
    assert out.refused < 0.05 * out.sent


def test_refusals_that_have_nothing_to_do_with_the_rate_do_not_bring_it_down() -> None:
    out = simulate(noisy(0.07, REFUSED), 20_000, 0.01)
    assert out.seconds < 30


@pytest.mark.parametrize("part", [0.02, 0.3])
def test_failures_that_have_nothing_to_do_with_load_do_not_bring_it_down(part: float) -> None:
    out = simulate(noisy(part, BROKEN), 20_000, 0.01)
    assert out.seconds < 10


def test_a_server_that_fails_under_load_gets_what_it_bears() -> None:
    clock, most = Clock(), 12
    throttle = Throttle(100, clock=clock)
    rng = random.Random(5)
    flying: list[float] = []
    failed = good = 0
    seen: list[int] = []
    for _ in range(20_000):
        while throttle.free:
            flying.append(throttle.start())
        seen.append(len(flying))
        clock.now += 0.001
        over = len(flying) > most
        started = flying.pop(rng.randrange(len(flying)))
        if over:
            failed += 1
            throttle.failed(started, BROKEN, unreachable=False)
        else:
            good += 1
            throttle.answered(started)
        if throttle.ready_at() > clock.now:  # The breaker, where everything failed for a while.
            clock.now = throttle.ready_at()
    assert sum(seen[-5000:]) / 5000 < most + 4
    assert failed < 0.25 * good


def test_it_starts_careful_and_reaches_the_most_that_is_allowed() -> None:
    early = simulate(lambda _: None, 20, 1.0)
    late = simulate(lambda _: None, 3000, 1.0, most=60)
    assert early.most <= 20
    assert late.most == 60
    assert late.seconds < 3000 / 60 + 15


def test_it_starts_where_it_is_told_to() -> None:
    throttle = Throttle(100, start=40)
    while throttle.free:
        throttle.start()
    assert throttle.in_flight == 40
    assert Throttle(8, start=40).concurrency.bound == 8


def test_an_engine_in_this_process_is_never_throttled() -> None:
    throttle = Throttle(3, fixed=True)
    for _ in range(50):
        throttle.failed(throttle.start(), GONE, unreachable=True)
    assert [throttle.free and throttle.start() for _ in range(4)][3] is False


def test_a_long_retry_after_holds_up_everything_after_some_refusals() -> None:
    clock = Clock()
    throttle = Throttle(100, clock=clock)
    error = CallError(Cause.RATE_LIMITED, "quota", retryable=True, retry_after=40.0)
    sent = 0
    while clock.now < 1039:
        while throttle.free:
            throttle.failed(throttle.start(), error, unreachable=False)
            sent += 1
        clock.now += 0.05
    assert sent < 40
    clock.now += 45
    assert throttle.free


# ---------------------------------------------------------------- the breaker


def fail(throttle: Throttle, count: int, *, unreachable: bool) -> list[bool]:
    return [throttle.failed(throttle.start(), GONE, unreachable=unreachable) for _ in range(count)]


@pytest.mark.parametrize(("unreachable", "needed"), [(True, 3), (False, 20)])
def test_an_endpoint_that_only_fails_is_down(unreachable: bool, needed: int) -> None:
    throttle = Throttle(100, clock=Clock())
    assert fail(throttle, needed, unreachable=unreachable) == [False] * (needed - 1) + [True]
    assert not throttle.free
    assert throttle.breaker.down_since == 1000.0
    assert throttle.breaker.reason is GONE


def test_one_answer_in_between_shows_that_it_lives() -> None:
    throttle = Throttle(100, clock=Clock())
    for _ in range(5):
        fail(throttle, 2, unreachable=True)
        throttle.answered(throttle.start())
    bad_reply = CallError(Cause.BAD_RESPONSE, "html", retryable=True)
    for _ in range(40):
        throttle.failed(throttle.start(), bad_reply, unreachable=False)
    assert throttle.breaker.down_since is None


def test_one_request_at_a_time_tries_it_again_ever_less_often_until_it_answers() -> None:
    clock = Clock()
    throttle = Throttle(100, clock=clock)
    fail(throttle, 3, unreachable=True)
    trials: list[float] = []
    while clock.now < 1100:
        clock.now += 0.1
        if throttle.free:
            started = throttle.start()
            assert not throttle.free
            trials.append(clock.now)
            throttle.failed(started, GONE, unreachable=True)
    gaps = [b - a for a, b in itertools.pairwise(trials)]
    assert 5 < len(trials) < 12
    assert gaps == sorted(gaps)
    assert max(gaps) < 31
    clock.now += 31
    throttle.answered(throttle.start())
    assert throttle.free
    assert throttle.breaker.down_since is None


def test_a_trial_that_is_dropped_leaves_room_for_another() -> None:
    clock = Clock()
    throttle = Throttle(100, clock=clock)
    fail(throttle, 3, unreachable=True)
    clock.now += 1
    throttle.start()
    throttle.dropped()
    clock.now += 1
    assert throttle.free
