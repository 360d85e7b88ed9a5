"""A judge at work: what a run over a file and a call from Python have in common."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import msgspec

from plaudit.aio import Once
from plaudit.engines.base import Completion, Request
from plaudit.engines.pool import Attempt
from plaudit.engines.prices import Prices, cost
from plaudit.errors import CallError, EngineUnusableError, ReplyError
from plaudit.judges.base import Task
from plaudit.judges.panels import PanelTask
from plaudit.runs.asking import Asker, AtHand, Question, SampleAsk
from plaudit.types import Sample, Usage, Verdict

_LOOKED_UP = 64
"""Samples that are looked up in the store at once."""


class Asked(Protocol):
    """What was asked for one sample."""

    @property
    def requests(self) -> Sequence[Request]:
        """Everything that was asked."""
        ...

    @property
    def keys(self) -> Sequence[bytes]:
        """The keys of the replies that came."""
        ...

    @property
    def failed(self) -> Sequence[Attempt]:
        """Requests that were sent in vain."""
        ...

    @property
    def from_store(self) -> bool:
        """Whether everything that was asked came from the store."""
        ...


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent so far."""

    engine_calls: int
    """Requests sent, retries and the prior's included."""
    usage: Usage
    """Tokens of the replies that were asked for."""
    cost_usd: float | None
    """None: unknown."""
    notes: list[str]
    """What was given up, for a person."""


class AnyJudging(Protocol):
    """One judge at work, or several."""

    @property
    def task(self) -> Task | PanelTask:
        """What is judged, and how."""
        ...

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        ...

    @property
    def keeps_replies(self) -> bool:
        """Whether all replies are stored by their keys."""
        ...

    def questions(self, samples: Iterable[Sample]) -> Iterator[Any]:
        """Look samples up in the store shortly before they are judged."""
        ...

    async def prepare(self) -> None:
        """Do what must be done before the first verdict; by itself, `judge` does it when needed."""
        ...

    def at_hand(self, question: Any) -> tuple[Verdict, Asked] | None:
        """Judge a sample that was looked up, where the replies that were found settle it."""
        ...

    async def judge(self, question: Any) -> tuple[Verdict, Asked]:
        """Judge a sample, looked up or not."""
        ...

    def bill(self, prices: Prices) -> Bill:
        """Say what was spent."""
        ...

    async def close(self) -> None:
        """Free what the engines took."""
        ...


class Judging:
    """A task with its asker."""

    def __init__(self, task: Task, asker: Asker) -> None:
        """Join a task and an asker; nothing is asked yet."""
        self.task = task
        self.asker = asker
        self.prepare = Once(self._measure)
        """Measures the judge's prior, where it has one."""

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        return self.asker.pool.window

    @property
    def keeps_replies(self) -> bool:
        """Whether all replies are stored by their keys."""
        return self.asker.keeps

    def bill(self, prices: Prices) -> Bill:
        """Say what was spent."""
        engine, usage = self.asker.pool.engine, self.asker.usage
        refused: int = getattr(engine, "refused", 0)  # sent again without a feature
        return Bill(
            engine_calls=self.asker.pool.sent + refused,
            usage=usage,
            cost_usd=cost(prices.of(engine, self.task.identity), usage),
            notes=[
                *(f"the endpoint {note}" for note in getattr(engine, "notes", ())),
                *self.task.notes,
            ],
        )

    async def close(self) -> None:
        """Free what the engine took."""
        await self.asker.pool.engine.close()

    def questions(self, samples: Iterable[Sample]) -> Generator[Question]:
        """Look samples up in the store, some at a time, shortly before they are judged."""
        samples = iter(samples)
        while some := [(s, self.task.first_requests(s)) for s in islice(samples, _LOOKED_UP)]:
            found = deque(self.asker.look_up(some))
            try:
                while found:
                    yield found.popleft()
            finally:
                for question in found:
                    self.asker.release(question)

    def at_hand(self, question: Question) -> tuple[Verdict, Asked] | None:
        """Judge a sample whose only reply is stored and can be used.

        So it is with most samples of a repeated run, at half the cost of asking for the reply.
        """
        keys = question.keys
        if len(keys) != 1 or not self.prepare.done:
            return None
        reply = question.stored.get(keys[0])
        if reply is None or reply.problem is not None:
            return None
        verdict = self.task.decide_by(question.sample, reply)
        return None if verdict is None else (verdict, AtHand(question.requests, keys))

    async def judge(self, question: Question | Sample) -> tuple[Verdict, Asked]:
        """Return the verdict on a sample and the record of what was asked for it.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        if isinstance(question, Sample):
            (question,) = self.questions([question])
        known = self.at_hand(question)
        if known is not None:
            return known
        sample, requests = question.sample, question.requests
        try:
            if not self.prepare.done:
                await self.prepare()
            asked = SampleAsk(self.asker, question)
            verdict = await self.task.decide(sample, asked, requests)
            if verdict.status == "invalid" and self.asker.policy.retry_invalid and asked.hits:
                asked = SampleAsk(self.asker, question, fresh=True)
                verdict = await self.task.decide(sample, asked, requests)
        finally:
            self.asker.release(question)
        return verdict, asked

    async def _probe(self, request: Request) -> Completion:
        """Answer one probe of the prior; an unusable new reply is asked for once more.

        The prior changes every verdict and its replies are stored, so one bad minute of a server
        must not stay in it.
        """
        asked = SampleAsk(self.asker)
        try:
            completion = await asked(request)
            if asked.hits or request.continuation or self.task.shows_options(completion):
                return completion
        except ReplyError:
            if asked.hits and not self.asker.policy.retry_invalid:
                raise
        return await SampleAsk(self.asker, fresh=True)(request)

    async def _measure(self) -> None:
        try:
            await self.task.prepare(self._probe)
        except CallError as error:
            raise EngineUnusableError(
                f"the judge's prior could not be measured ({error}); give the command again, or "
                "use --prior none"
            ) from error
