"""A jury or a cascade at work: several sessions that work as one."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import tee

import msgspec
from msgspec import UnsetType

from plaudit._util.aio import for_each, together
from plaudit.engines.base import Engine
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import Member, PanelJudge, named
from plaudit.runs.batch_pool import AwaitedReply
from plaudit.runs.cached import Lookup
from plaudit.runs.judging import Asked, AskedRecord, JudgeSession
from plaudit.runs.record import Bill, bill
from plaudit.runs.summary import Alpha, MemberSummary, PanelSummary
from plaudit.scoring.agreement import Agreement
from plaudit.scoring.cascade import Spent, promised, saved, settles
from plaudit.scoring.jury import JuryDecision, decide
from plaudit.sending.prices import Price, Prices, cost
from plaudit.types import Json, Sample, Usage, Verdict


class _Seat:
    """A member with its session, and what it did."""

    def __init__(self, member: Member, session: JudgeSession) -> None:
        self.member = member
        self.session = session
        self.statuses: Counter[str] = Counter()
        self.settled = 0
        self.requests = 0
        self.usage = Usage()

    @property
    def task(self) -> BaseJudge:
        return self.session.task

    async def open(self, question: Lookup | Sample) -> None:
        if isinstance(question, Lookup):
            with named(self.member.name):
                await self.session.open(question)

    async def settle(self, without_logprobs: Collection[str]) -> None:
        with named(self.member.name):
            await self.session.settle(without_logprobs)

    async def judge(self, question: Lookup | Sample) -> tuple[Verdict, Asked]:
        with named(self.member.name):
            verdict, asked = await self.session.judge(question)
        self.count(verdict, asked)
        return verdict, asked

    def count(self, verdict: Verdict, asked: Asked) -> None:
        self.statuses[verdict.status] += 1
        self.requests += len(asked.requests)
        self.usage += verdict.usage

    def price(self, prices: Prices) -> Price | None:
        return prices.of(self.session.client.pool.engine, self.task.identity)

    def spent(self, prices: Prices) -> Spent:
        return Spent(
            samples=self.statuses.total(),
            requests=self.requests,
            usage=self.usage,
            cost_usd=cost(self.price(prices), self.usage),
        )

    def summary(self, prices: Prices) -> MemberSummary:
        usage, task = self.session.client.usage, self.task
        return MemberSummary(
            name=self.member.name,
            engine=self.member.engine,
            judge=task.judge_name,
            readout=task.readout,
            mode=task.mode,
            samples=self.statuses.total(),
            ok=self.statuses["ok"],
            abstained=self.statuses["abstained"],
            invalid=self.statuses["invalid"],
            failed=self.statuses["failed"],
            engine_calls=self.session.client.pool.sent,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=cost(self.price(prices), usage),
        )

    def line(self, verdict: Verdict) -> dict[str, Json]:
        """Return what `fields` says of the member's verdict."""
        return {
            "name": self.member.name,
            "judge": verdict.judge,
            "status": verdict.status,
            "value": verdict.value,
            "reward": verdict.reward,
            "confidence": verdict.confidence,
            "cause": None if verdict.error is None else verdict.error.cause,
        }


class _Panel:
    """What juries and cascades have in common."""

    def __init__(self, task: PanelJudge, sessions: Sequence[JudgeSession]) -> None:
        self.task = task
        self._seats = [
            _Seat(member, session)
            for member, session in zip(task.config.members, sessions, strict=True)
        ]

    @property
    def keeps_replies(self) -> bool:
        """Whether all replies are stored by their keys."""
        return all(seat.session.keeps_replies for seat in self._seats)

    @property
    def stage(self) -> str:
        """What members do before their first verdicts; empty where no member does."""
        stages = ((seat.member.name, seat.session.stage) for seat in self._seats)
        return next((f"{name}: {stage}" for name, stage in stages if stage), "")

    @property
    def sent(self) -> int:
        """Requests sent so far, of all members."""
        return sum(seat.session.sent for seat in self._seats)

    @property
    def without_logprobs(self) -> tuple[str, ...]:
        """URIs of the members' engines that were found to send no log-probabilities."""
        found = (uri for seat in self._seats for uri in seat.session.without_logprobs)
        return tuple(dict.fromkeys(found))

    async def settle(self, without_logprobs: Collection[str]) -> None:
        """Read engines as json that an earlier run found to send no log-probabilities."""
        for seat in self._seats:
            await seat.settle(without_logprobs)

    def bill(self, prices: Prices) -> Bill:
        """Return what was spent; what members with one engine share is counted once."""
        notes = (f"{s.member.name}: {note}" for s in self._seats for note in s.session.notes)
        spent = [(seat.session.client, seat.task.identity) for seat in self._seats]
        return bill(spent, prices, notes)

    async def close(self) -> None:
        """Free what the engines took."""
        for engine in self._engines():
            await engine.close()

    def _engines(self) -> list[Engine]:
        found = [seat.session.client.pool.engine for seat in self._seats]
        return list({id(engine): engine for engine in found}.values())

    def _verdict(
        self,
        sample: Sample,
        results: Sequence[tuple[Verdict, Asked]],
        decided: JuryDecision | Verdict,
        fields: dict[str, Json],
    ) -> tuple[Verdict, AskedRecord]:
        """Return the panel's verdict: the decision, and what all members spent and said."""
        usage, raw = Usage(), list[str]()
        for verdict, _ in results:
            usage += verdict.usage
            raw += [] if isinstance(verdict.raw, UnsetType) else verdict.raw
        names = [seat.member.name for seat in self._seats]
        return (
            Verdict(
                index=sample.index,
                id=sample.id,
                status=decided.status,
                value=decided.value,
                reward=decided.reward,
                confidence=decided.confidence,
                probabilities=decided.probabilities,
                fields=fields,
                usage=usage,
                judge=self.task.judge_name,
                error=decided.error,
                metadata=sample.metadata,
                input=results[0][0].input,
                raw=raw,
            ),
            _joined([(name, asked) for name, (_, asked) in zip(names, results, strict=False)]),
        )


def _joined(parts: Sequence[tuple[str, Asked]]) -> AskedRecord:
    """Join what members asked for one sample; failed attempts name their member."""
    asking = [part for _, part in parts if part.requests]
    return AskedRecord(
        requests=[request for _, part in parts for request in part.requests],
        keys=[key for _, part in parts for key in part.keys],
        failed=[
            msgspec.structs.replace(attempt, turn=f"{name}: {attempt.turn}")
            for name, part in parts
            for attempt in part.failed
        ],
        from_store=bool(asking) and all(part.from_store for part in asking),
    )


class _Sitting(msgspec.Struct, frozen=True):
    """A sample with each member's question about it."""

    sample: Sample
    questions: Sequence[Lookup | Sample]


class Jury(_Panel):
    """Asks all members about every sample, at the same time, and combines their verdicts."""

    def __init__(self, task: PanelJudge, sessions: Sequence[JudgeSession]) -> None:
        """Seat the members; nothing is asked yet."""
        super().__init__(task, sessions)
        assert task.rule is not None
        self._rule = task.rule
        self._agreement = Agreement("interval" if task.rule.scale == "scores" else "nominal")

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        return max(seat.session.window for seat in self._seats)

    def questions(self, samples: Iterable[Sample]) -> Iterator[_Sitting]:
        """Look samples up for each member, some at a time, shortly before they are judged."""
        copies = tee(samples, len(self._seats))
        with ExitStack() as stack:
            asking = [
                stack.enter_context(closing(seat.session.questions(copy)))
                for seat, copy in zip(self._seats, copies, strict=True)
            ]
            for questions in zip(*asking, strict=True):
                yield _Sitting(questions[0].sample, questions)

    async def open(self, question: _Sitting) -> None:
        """Open all members.

        Raises:
            EngineUnusableError: a member can answer nothing; the message names it.
        """
        sitting = zip(self._seats, question.questions, strict=True)
        await for_each(lambda pair: pair[0].open(pair[1]), sitting, len(self._seats))

    def judge_stored(self, question: _Sitting) -> tuple[Verdict, AskedRecord] | None:
        """Judge a sample whose replies are stored for all members."""
        results: list[tuple[Verdict, Asked]] = []
        for seat, one in zip(self._seats, question.questions, strict=True):
            known = None if isinstance(one, Sample) else seat.session.judge_stored(one)
            if known is None:
                return None
            results.append(known)
        for seat, (verdict, asked) in zip(self._seats, results, strict=True):
            seat.count(verdict, asked)
        return self._combine(question.sample, results)

    async def judge(self, question: _Sitting | Sample) -> tuple[Verdict, AskedRecord]:
        """Judge a sample.

        Raises:
            EngineUnusableError: a member can answer nothing; the message names it.
        """
        if isinstance(question, Sample):
            question = _Sitting(question, [question] * len(self._seats))
        asking = zip(self._seats, question.questions, strict=True)
        found = await together((seat.judge(one) for seat, one in asking), (AwaitedReply,))
        results: list[tuple[Verdict, Asked]] = []
        for one in found:  # All members are asked before one that waits for a batch counts.
            if isinstance(one, AwaitedReply):
                raise one
            results.append(one)
        return self._combine(question.sample, results)

    async def settle(self, without_logprobs: Collection[str]) -> None:
        """Read engines as json that an earlier run found to send no log-probabilities."""
        await super().settle(without_logprobs)
        self._rename()

    def _rename(self) -> None:
        """Take up the tasks of members that fell back to another readout before a verdict."""
        tasks = [seat.task for seat in self._seats]
        if any(new is not old for new, old in zip(tasks, self.task.tasks, strict=True)):
            self.task = PanelJudge(self.task.config, tasks)

    def _combine(
        self, sample: Sample, results: Sequence[tuple[Verdict, Asked]]
    ) -> tuple[Verdict, AskedRecord]:
        self._rename()
        verdicts = [verdict for verdict, _ in results]
        decision = decide(verdicts, self._rule)
        self._agreement.add([v.value for v in verdicts if v.status == "ok" and v.value is not None])
        members = [seat.line(v) for seat, v in zip(self._seats, verdicts, strict=True)]
        fields = decision.fields | {"members": members}
        if decision.confidence is not None:
            fields["raw_confidence"] = decision.confidence
        return self._verdict(sample, results, decision, fields)

    def summary(self, prices: Prices) -> PanelSummary:
        """Return what every member did, and how much they agree."""
        members = [seat.summary(prices) for seat in self._seats]
        if self._rule.combine == "weighted":
            for member, weight in zip(members, self._rule.weights, strict=True):
                member.weight = weight
        return PanelSummary(
            form="jury",
            members=members,
            combine=self._rule.combine,
            quorum=self._rule.quorum,
            agreement=Alpha(
                alpha=self._agreement.alpha,
                level=self._agreement.level,
                samples=self._agreement.samples,
            ),
        )


class Cascade(_Panel):
    """Asks one step after the other, until one settles the sample."""

    @property
    def window(self) -> int:
        """Samples worth having under way: enough for all steps at a time."""
        return sum(seat.session.window for seat in self._seats)

    def questions(self, samples: Iterable[Sample]) -> Iterator[Lookup]:
        """Look samples up for the first step; later ones look up what reaches them."""
        return self._seats[0].session.questions(samples)

    async def open(self, question: Lookup) -> None:
        """Open the first step; later ones open when a sample reaches them.

        Raises:
            EngineUnusableError: it can answer nothing; the message names it.
        """
        await self._seats[0].open(question)

    def judge_stored(self, question: Lookup) -> tuple[Verdict, AskedRecord] | None:
        """Judge a sample that the first step settles by a stored reply."""
        seat = self._seats[0]
        known = seat.session.judge_stored(question)
        if known is None or not settles(known[0], seat.task.gate or 0.0):
            return None
        seat.count(*known)
        return self._settle(question.sample, [known])

    async def judge(self, question: Lookup | Sample) -> tuple[Verdict, AskedRecord]:
        """Judge a sample.

        Raises:
            EngineUnusableError: a step can answer nothing; the message names it.
        """
        sample = question if isinstance(question, Sample) else question.sample
        results = [await self._seats[0].judge(question)]
        for seat, after in zip(self._seats, self._seats[1:], strict=False):
            if settles(results[-1][0], seat.task.gate or 0.0):
                break
            results.append(await after.judge(sample))
        return self._settle(sample, results)

    def _settle(
        self, sample: Sample, results: Sequence[tuple[Verdict, Asked]]
    ) -> tuple[Verdict, AskedRecord]:
        verdicts = [verdict for verdict, _ in results]
        last, seat = verdicts[-1], self._seats[len(results) - 1]
        seat.settled += 1
        steps = [s.line(v) for s, v in zip(self._seats, verdicts, strict=False)]
        fields = last.fields | {"step": seat.member.name, "members": steps}
        return self._verdict(sample, results, last, fields)

    def summary(self, prices: Prices) -> PanelSummary:
        """Return what every step did, what the whole promises, and what it saved."""
        members = [seat.summary(prices) for seat in self._seats]
        for member, seat in zip(members, self._seats, strict=True):
            member.gate, member.settled = seat.task.gate, seat.settled
            member.promise = seat.task.promise
        spent = [seat.spent(prices) for seat in self._seats]
        return PanelSummary(
            form="cascade",
            members=members,
            promised=promised([(seat.task.promise, seat.settled) for seat in self._seats]),
            saved=saved(spent, spent[0].samples),
        )
