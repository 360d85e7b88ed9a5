"""Limits that the user sets are never exceeded in any minute, by the loop's own clock."""

import asyncio
import itertools

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.errors import UsageError
from plaudit.sending.quota import Quota
from plaudit.types import Usage

ASK = Request(prompt="x" * 396, sampling=Sampling(max_tokens=0))  # 100 tokens, as it is guessed


class FastClock(asyncio.SelectorEventLoop):
    """A loop that skips the time it would sleep."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped

    def _run_once(self) -> None:
        if self._scheduled and not self._ready:
            self.skipped += max(0.0, self._scheduled[0].when() - self.time())
        super()._run_once()


def times(quota: Quota, count: int, usage: Usage | None = None) -> list[float]:
    async def take() -> list[float]:
        loop, found = asyncio.get_running_loop(), []
        for _ in range(count):
            await quota.take(ASK)
            found.append(loop.time())
            if usage is not None:
                quota.used(ASK, usage)
        return found

    with asyncio.Runner(loop_factory=FastClock) as runner:
        return runner.run(take())


def most_in_a_minute(found: list[float]) -> int:
    return max(sum(t <= u < t + 59.9 for u in found) for t in found)


@pytest.mark.parametrize("limit", [1, 2, 7, 60, 600])
def test_no_minute_has_more_requests_than_allowed_and_hardly_fewer(limit: int) -> None:
    found = times(Quota(limit, None), 3 * limit + 5)
    assert most_in_a_minute(found) <= limit
    assert found[-1] - found[0] < 60 * (3 * limit + 5) / limit * 1.12


def test_no_minute_has_more_tokens_than_allowed() -> None:
    found = times(Quota(None, 3000), 100)
    assert most_in_a_minute(found) <= 30


def test_what_requests_took_corrects_what_is_guessed() -> None:
    found = times(Quota(None, 3000), 200, Usage(45, 5))
    late = [b - a for a, b in itertools.pairwise(found[150:])]
    assert sum(late) / len(late) == pytest.approx(60 * 50 / 3000, rel=0.15)


def test_a_request_larger_than_the_burst_gets_through() -> None:
    assert len(times(Quota(None, 50), 3)) == 3


def test_nothing_is_limited_unless_asked() -> None:
    assert Quota.of(None, None) is None
    assert Quota.of(5, None) is not None


@pytest.mark.parametrize("limits", [(0, None), (None, 0), (5, -1)])
def test_a_limit_that_allows_nothing_is_refused(limits: tuple[int | None, int | None]) -> None:
    with pytest.raises(UsageError):
        Quota.of(*limits)
