"""One judge at work: what a run over a file and a call from Python have in common."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from plaudit.aio import Once
from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, EngineUnusableError, ReplyError
from plaudit.judges.base import Task
from plaudit.runs.asking import Asker, Question, SampleAsk
from plaudit.types import Sample, Verdict

_LOOKED_UP = 64
"""Samples that are looked up in the store at once."""


class Judging:
    """A task with its asker."""

    def __init__(self, task: Task, asker: Asker) -> None:
        """Join a task and an asker; nothing is asked yet."""
        self.task = task
        self.asker = asker
        self._prepare = Once(self._measure)

    def questions(self, samples: Iterable[Sample]) -> Iterator[Question]:
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

    async def judge(self, question: Question | Sample) -> tuple[Verdict, SampleAsk]:
        """Return the verdict on a sample and the record of what was asked for it.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        if isinstance(question, Sample):
            (question,) = self.questions([question])
        sample, requests = question.sample, question.requests
        try:
            if not self._prepare.done:
                await self._prepare()
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
        with suppress(ReplyError):
            completion = await asked(request)
            if asked.hits or request.continuation or self.task.shows_options(completion):
                return completion
        return await SampleAsk(self.asker, fresh=True)(request)

    async def _measure(self) -> None:
        try:
            await self.task.prepare(self._probe)
        except CallError as error:
            raise EngineUnusableError(
                f"the judge's prior could not be measured ({error}); give the command again, or "
                "use --prior none"
            ) from error
