"""A judge at work: what a run over a file and a call from Python have in common."""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import msgspec

from plaudit._util.aio import Once
from plaudit._util.packages import DeferredModule
from plaudit.engines.base import Completion, Engine, Request, engine_info
from plaudit.errors import CallError, EngineUnusableError, NoLogprobsError, ReplyError, UsageError
from plaudit.judges.base import BaseJudge
from plaudit.judges.load import bind
from plaudit.runs.cached import CachedClient, Lookup, SampleClient
from plaudit.runs.record import Bill, bill
from plaudit.sending.budget import Attempt
from plaudit.sending.endpoints import harmless
from plaudit.sending.prices import Prices
from plaudit.types import Sample, Verdict

if TYPE_CHECKING:
    from plaudit.judges.answers.types import maths
else:
    maths = DeferredModule("plaudit.judges.answers.types.maths")

_LOOKED_UP = 64
"""Samples that are looked up in the store at once."""

_LOG = logging.getLogger(__name__)

_EMBEDDED = {
    "pointwise": "AUC 0.51 on the shipped examples",
    "pairwise": "0.51 of the pairs of LLMBar's natural set right",
    "verify": "AUC 0.57 on EVOUNA NQ",
}
"""What the embedded model was measured to be worth as a judge of these kinds."""


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
        """Requests that brought no reply."""
        ...

    @property
    def from_store(self) -> bool:
        """Whether everything that was asked came from the store."""
        ...


class AskedRecord(msgspec.Struct, frozen=True):
    """What was asked for a sample."""

    requests: Sequence[Request]
    """Everything that was asked."""
    keys: Sequence[bytes]
    """The keys of the replies."""
    failed: Sequence[Attempt] = ()
    """Requests that brought no reply."""
    from_store: bool = True
    """Whether everything that was asked came from the store."""


Judged = tuple[Verdict, Asked]
"""A verdict, and what was asked for it."""


class FoundOut(msgspec.Struct, frozen=True):
    """What a session found out before its first verdict, for others of the same judge."""

    probed: Mapping[tuple[str, str], Completion]
    """Replies by which the judge's prior was measured."""
    unsure: bool
    """Whether it is not known yet if the endpoint sends log-probabilities."""


class _IgnoredError(Exception):
    """An endpoint ignores that log-probabilities are asked for."""


class JudgeSession:
    """A task with its client.

    The readout `auto` may turn to json: once, before the first verdict, where the endpoint sends no
    log-probabilities.
    """

    def __init__(
        self, task: BaseJudge, client: CachedClient, like: "JudgeSession | None" = None
    ) -> None:
        """Join a task and an client; nothing is asked yet.

        Args:
            task: what is judged, and how.
            client: gets completions.
            like: another of the same fingerprint, which decides otherwise; what its prior was
                measured with is not asked again.
        """
        self.task = task
        self.client = client
        self._probed: dict[tuple[str, str], Completion] = {} if like is None else like._probed
        self.prepare = Once(self._measure)
        """Measures the judge's prior, where it has one."""
        promised = client.pool.engine.capabilities.logprobs_promised
        self._unsure = task.readout == "logprob" and not promised
        memory = client.memory if task.compares else None
        self._remembering: Callable[[], AbstractContextManager[None]] = (
            nullcontext if memory is None else partial(maths.remember_in, memory)
        )
        """Keeps in the store what long comparisons of formulas came to."""
        self._finding_out = asyncio.Lock()
        self.without_logprobs: tuple[str, ...] = ()
        """The engine's URI, where it was found to send no log-probabilities."""
        self.stage = ""
        """What is done before the first verdict, while it is."""

    @property
    def sent(self) -> int:
        """Requests sent so far, retries included."""
        return self.client.pool.sent

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        return self.client.pool.window

    @property
    def keeps_replies(self) -> bool:
        """Whether all replies are stored by their keys."""
        return self.client.keeps

    @property
    def notes(self) -> list[str]:
        """What was given up, for a person."""
        engine = self.client.pool.engine
        given_up = (f"the endpoint {note}" for note in engine_info(engine).notes)
        return [*given_up, *_worth(engine, self.task.kind), *self.task.notes]

    def bill(self, prices: Prices) -> Bill:
        """Return what was spent."""
        return bill([(self.client, self.task.identity)], prices, self.notes)

    async def close(self) -> None:
        """Free what the engine took."""
        await self.client.pool.engine.close()

    def questions(self, samples: Iterable[Sample]) -> Generator[Lookup]:
        """Look samples up in the store, some at a time, shortly before they are judged."""
        samples = iter(samples)
        while some := [(s, self.task.first_requests(s)) for s in islice(samples, _LOOKED_UP)]:
            found = deque(self.client.look_up(some))
            try:
                while found:
                    yield found.popleft()
            finally:
                for question in found:
                    self.client.release(question)

    async def open(self, question: Lookup) -> None:
        """Do what all samples wait for: measure the prior, open the engine if it is asked at all.

        Args:
            question: the first.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        await self.prepare()
        if any(key not in question.stored for key in question.keys):
            await self.client.pool.open()

    def judge_stored(self, question: Lookup) -> Judged | None:
        """Judge a sample whose only reply is stored and can be used.

        So it is with most samples of a repeated run, at half the cost of asking for the reply.
        """
        keys = question.keys
        if (
            len(keys) != 1
            or not self.prepare.done
            or (self.without_logprobs and _is_stale(question))
        ):
            return None
        reply = question.stored.get(keys[0])
        if reply is None or reply.problem is not None:
            return None
        verdict = self.task.decide_by(question.sample, reply)
        if verdict is None:
            return None
        self._unsure = False
        return verdict, AskedRecord(question.requests, keys)

    def judge_now(self, sample: Sample) -> Verdict | None:
        """Return the verdict on a sample about which nothing is asked; None where it takes more."""
        return self.task.decide_now(sample) if self.prepare.done else None

    async def judge(self, question: Lookup | Sample) -> Judged:
        """Return the verdict on a sample and the record of what was asked for it.

        Args:
            question: a sample, or one of `questions` that `judge_stored` did not judge.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        if isinstance(question, Sample):
            (question,) = self.questions([question])
            known = self.judge_stored(question)
            if known is not None:
                return known
        try:
            if not self.prepare.done:
                await self.prepare()
            if self._unsure and self.task.config.readout == "auto" and question.requests:
                await self._find_out(question.requests[0])
            if self.without_logprobs and _is_stale(question):
                self.client.release(question)
                (question,) = self.questions([question.sample])
            asked = SampleClient(self.client, question)
            with self._remembering():
                verdict = await self.task.decide(question.sample, asked, question.requests)
            if verdict.status == "invalid" and self.client.policy.retry_invalid and asked.hits:
                asked = SampleClient(self.client, question, fresh=True)
                verdict = await self.task.decide(question.sample, asked, question.requests)
        finally:
            self.client.release(question)
        return verdict, asked

    async def _probe(self, request: Request) -> Completion:
        """Answer one probe of the prior, each once."""
        place = request.sample_id, request.continuation
        known = self._probed.get(place)
        if known is None:
            known = self._probed[place] = await self._ask_probe(request)
        return known

    async def _ask_probe(self, request: Request) -> Completion:
        """Answer one probe of the prior; an unusable new reply is asked for once more.

        The prior changes every verdict and its replies are stored, so one bad minute of a server
        must not stay in it.
        """
        asked = SampleClient(self.client)
        try:
            completion = await asked(request)
            self._unsure = False
            if asked.hits or request.continuation or self.task.logprobs.shows_options(completion):
                return completion
        except ReplyError:
            if asked.hits and not self.client.policy.retry_invalid:
                raise
        try:
            return await SampleClient(self.client, fresh=True)(request)
        except NoLogprobsError as error:
            if self._unsure:
                raise _IgnoredError(str(error)) from error
            raise

    async def _measure(self) -> None:
        self.stage = "measuring the judge's prior"
        try:
            await self.task.prepare(self._probe)
        except _IgnoredError as error:
            await self._read_json(str(error))
        except CallError as error:
            raise EngineUnusableError(
                f"the judge's prior could not be measured ({error}); try again, or judge without "
                "one: set prior to none"
            ) from error
        finally:
            self.stage = ""

    # The readout, where the endpoint decides it

    @property
    def found_out(self) -> FoundOut:
        """What others of the same judge need not ask again."""
        return FoundOut(self._probed, self._unsure)

    def take_over(self, found: FoundOut) -> None:
        """Take what another session found out, which has read the engine as this one does."""
        self._probed.update(found.probed)
        self._unsure = self._unsure and found.unsure

    async def settle(self, without_logprobs: Collection[str], *, warn: bool = True) -> None:
        """Read the engine as json where an earlier run found that it sends no log-probabilities.

        Args:
            without_logprobs: URIs of such engines.
            warn: whether that is logged.
        """
        uri = self.client.pool.engine.uri
        if self._unsure and self.task.config.readout == "auto" and uri in without_logprobs:
            await self._read_json(f"{uri} sent no log-probabilities in an earlier run", warn)

    async def _find_out(self, request: Request) -> None:
        """See by a first reply whether there are log-probabilities, while all others wait.

        Where the request itself gets no reply, which is no reason to wait for long, a harmless one
        is sent.
        """
        async with self._finding_out:
            for one in (request, harmless(request)):
                if not self._unsure:
                    return
                asked = SampleClient(self.client)
                asked.budget(one.draw).retries = 0
                try:
                    await asked(one)
                except CallError:
                    continue
                except NoLogprobsError as error:
                    await self._read_json(str(error))
                except ReplyError:
                    pass
                self._unsure = False

    async def _read_json(self, why: str, warn: bool = True) -> None:
        """Go on in the json readout.

        Raises:
            EngineUnusableError: the logprob readout was asked for by name.
            UsageError: what was asked for needs the logprob readout.
        """
        config, engine = self.task.config, self.client.pool.engine
        if config.readout != "auto":
            raise EngineUnusableError(why)
        try:
            self.task = await bind(msgspec.structs.replace(config, readout="json"), engine)
        except UsageError as error:
            raise UsageError(f"{why}, so the json readout is left; {error}") from error
        self._unsure, self.without_logprobs = False, (engine.uri,)
        if warn:
            _LOG.warning("%s; the json readout is used", why)


def _is_stale(question: Lookup) -> bool:
    """Whether a question was put in the readout of an endpoint that ignores it."""
    return any(request.logprobs for request in question.requests)


def _worth(engine: Engine, kind: str) -> list[str]:
    """Say where the embedded model was measured to be no better than a coin."""
    measured = _EMBEDDED.get(kind)
    if measured is None or re.split("[:?]", engine.uri)[0] != "local":
        return []
    return [
        f"the embedded model judges like a coin here ({measured}; a coin: 0.5): name a stronger "
        "model with -e URI"
    ]
