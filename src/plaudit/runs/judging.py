"""Judging one sample within a run: prior first, cached replies, unusable ones asked again."""

from plaudit.aio import Once
from plaudit.errors import CallError, EngineUnusableError
from plaudit.judges.base import Task
from plaudit.runs.asking import Asker, SampleAsk
from plaudit.types import Sample, Verdict


class Judging:
    """A task with its asker."""

    def __init__(self, task: Task, asker: Asker) -> None:
        """Join a task and an asker; nothing is asked yet."""
        self.task = task
        self.asker = asker
        self._prepare = Once(self._measure)

    async def judge(self, sample: Sample) -> tuple[Verdict, SampleAsk]:
        """Return the verdict on a sample and the record of what was asked for it.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        await self._prepare()
        asked = SampleAsk(self.asker)
        verdict = await self.task.decide(sample, asked)
        if verdict.status == "invalid" and self.asker.policy.retry_invalid and asked.hits:
            asked = SampleAsk(self.asker, fresh=True)
            verdict = await self.task.decide(sample, asked)
        return verdict, asked

    async def _measure(self) -> None:
        try:
            await self.task.prepare(SampleAsk(self.asker))
        except CallError as error:
            raise EngineUnusableError(
                f"the judge's prior could not be measured ({error}); give the command again, or "
                "use --prior none"
            ) from error
