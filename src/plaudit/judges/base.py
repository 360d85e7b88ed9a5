"""The contract of a judge: what it asks about a sample, how it decides, what identifies it.

A `BaseJudge` is a judge without its engine. It asks through a function that the caller gives, so it
knows nothing about caches, retries or runs. What a new kind of judge writes is in `kind`.
"""

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, ReplyError
from plaudit.judges import json_reply
from plaudit.judges.config import EngineFacts, JudgeConfig, idle_sampling, settle
from plaudit.judges.kind import JudgeKind, source_digest
from plaudit.judges.logprob import LogprobReader
from plaudit.judges.prompt import PromptBuilder, digest_of
from plaudit.judges.verdict import Ask, Reading, Transcript, VerdictMaker
from plaudit.judges.votes import Voting
from plaudit.scoring.calibration import Calibration, Platt, load_calibration
from plaudit.scoring.head import Head
from plaudit.types import Failure, Json, Sample, Verdict


class BaseJudge(JudgeKind):
    """One kind of judge with its configuration, for one model.

    Attributes:
        config: as the user gave it.
        identity: of the model.
        readout: how replies are read.
        mode: `chat` or `completion`.
        gate: least confidence of an `ok` verdict; None: no gate.
        promise: what the gate promises, where a calibration set it; else None.
        labels: of the options.
        prompt: renders prompts.
        logprobs: reads replies in the logprob readout.
        verdicts: makes verdicts.
        fingerprint: 64 digits over what can change a verdict, without gate, calibration, rewards.
        judge_name: `kind/` and the first 12 digits of the fingerprint.
    """

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """Settle the configuration, load template and shots, compute the fingerprint.

        Raises:
            UsageError: the engine cannot do what the configuration asks for.
            TemplateError: the template cannot be used.
        """
        self.config = config
        self.identity = facts.identity
        settled = settle(config, facts, self)
        self.readout, self.mode = settled.readout, settled.mode
        fitted = None if config.calibration is None else load_calibration(config.calibration)
        found = None if fitted is None or config.gate is not None else fitted.gate
        self.gate = settled.gate if found is None else found
        self.promise = None if fitted is None else fitted.promise_at(self.gate)
        self.labels = tuple(option.label for option in self.options)
        self.prompt = PromptBuilder(self, config, settled, facts)
        one_prior = config.prior == "auto" and self.prompt.shots.fixed is not None
        self.logprobs = LogprobReader(
            self, settled, facts, self.prompt.digest, self.render, prior=one_prior
        )
        self._asked = {
            "sampling": self.prompt.sampling,
            "schema": settled.schema,
            **self.logprobs.asked,
        }
        self._voting = None if settled.votes is None else Voting(settled.votes, self.tally)
        self.fingerprint = digest_of(self.identity_parts(facts))
        self.judge_name = f"{self.kind}/{self.fingerprint[:12]}"
        if fitted is not None:
            fitted.check_judge(self.judge_name, str(config.calibration))
        self._fitted = fitted
        self.verdicts = VerdictMaker(self.judge_name, self.gate, fitted, self.row_of)
        self.use_head(self.logprobs.head)

    # Asking

    def render(self, sample: Sample, turn: str = "main") -> Request:
        """Return the request for a sample."""
        return self.prompt.request(sample, turn, self._asked)

    def requests(self, sample: Sample) -> list[Request]:
        """Return the requests about a sample, without repairs."""
        return [self.render(sample)]

    def first_requests(self, sample: Sample) -> list[Request]:
        """Return the first requests about a sample: with votes, all of the first round."""
        requests = self.requests(sample)
        return requests if self._voting is None else self._voting.first_round(requests)

    @property
    def least_votes(self) -> int:
        """Votes that a sample takes where all are alike."""
        return 1 if self._voting is None else self._voting.rule.wanted((), 0)

    @property
    def notes(self) -> list[str]:
        """What the user should know about how the configuration was applied."""
        idle = idle_sampling(self.config) if self.readout == "logprob" else []
        return [*idle, *self.prompt.notes]

    @property
    def counted(self) -> Mapping[str, int]:
        """What the notes count, by name."""
        shots = self.prompt.shots
        return {"withheld": shots.withheld, "spared": shots.spared}

    def count(self, counted: Mapping[str, int]) -> None:
        """Let the notes count this in place of what they do: sums of `counted` of other judges."""
        shots = self.prompt.shots
        shots.withheld, shots.spared = counted.get("withheld", 0), counted.get("spared", 0)

    async def prepare(self, ask: Ask) -> None:
        """Ask the balanced set: find the head of this model, else measure the prior.

        Must be called once before `decide`. Asks nothing where the model's identity names the head,
        and for judges without a balanced set.

        Raises:
            CallError: a request got no reply.
        """
        head = await self.logprobs.prepare(ask)
        if head is not None:
            self.use_head(head)

    def use_head(self, head: Head | None) -> None:
        """Read replies by a head, with its calibration unless the user gave one; None: by none."""
        self.logprobs.head = head
        of_head = None if head is None else head.calibration
        self.verdicts.calibration = self._fitted or of_head

    @property
    def calibration(self) -> Calibration | Platt | None:
        """The user's map from raw confidence to the chance of being right, else the head's."""
        return self.verdicts.calibration

    # Deciding

    async def decide(
        self, sample: Sample, ask: Ask, requests: Sequence[Request] | None = None
    ) -> Verdict:
        """Ask about one sample and return its verdict; never raises CallError or ReplyError.

        Args:
            sample: what is judged.
            ask: gets completions.
            requests: `self.requests(sample)` or `self.first_requests(sample)`, where known.
        """
        reported = Transcript(ask)
        if requests is None:
            requests = self.requests(sample)
        try:
            if self._voting is None or not requests:
                reading = await self.judge_sample(sample, requests, reported)
            else:
                once = partial(self.judge_sample, sample)
                reading = await self._voting.judge(requests, once, reported)
        except CallError as error:
            why = Failure(error.cause, str(error), error.attempts)
            return self.verdicts.unmade(sample, "failed", reported, why)
        except ReplyError as error:
            why = Failure(error.cause, str(error), reported.asked)
            return self.verdicts.unmade(sample, "invalid", reported, why)
        return self.verdicts.made(sample, reading, reported.usage, reported.replies)

    def decide_now(self, sample: Sample) -> Verdict | None:
        """Return the verdict on a sample about which nothing is asked; None: `decide` knows."""
        del sample
        return None

    def decide_by(self, sample: Sample, reply: Completion) -> Verdict | None:
        """Return the verdict of `decide` with this reply, where that is certain.

        Args:
            sample: what is judged; its `requests` are one.
            reply: the reply to that request.

        Returns:
            None where further replies may be wanted: further votes, or a better reply than this.
        """
        if self._voting is not None:
            return None
        try:
            reading = self.read(sample, reply)
        except ReplyError:
            return None
        return self.verdicts.made(sample, reading, reply.usage, [reply.text])

    def judge_sample(
        self, sample: Sample, requests: Sequence[Request], reported: Transcript
    ) -> Coroutine[Any, Any, Reading]:
        """Ask once and read the reply. Judges that ask more often override this."""
        return self.ask_and_read(sample, requests[0], reported)

    def ask_and_read(
        self, sample: Sample, request: Request, reported: Transcript
    ) -> Coroutine[Any, Any, Reading]:
        """Ask and read; in the json readout the model has one turn to repair its reply."""
        if self.readout == "logprob":
            return self.logprobs.ask(sample, request, reported)
        return json_reply.ask_object(request, reported.ask, self.prompt.escape, self.read_reply)

    def read(self, sample: Sample, completion: Completion) -> Reading:
        """Read one reply about a sample, without repair.

        Raises:
            ReplyError: the reply cannot be used.
        """
        if self.readout == "logprob":
            return self.logprobs.read(sample, completion)
        return self.read_reply(json_reply.read_object(completion))

    # Identity

    def identity_parts(self, facts: EngineFacts) -> dict[str, Json]:
        """Return everything that the fingerprint covers."""
        return {
            "version": 1,
            "kind": self.kind,
            "prompt": self.prompt.digest,
            "schema": digest_of(dict(self.reply_schema())),
            "shots": self.prompt.shots.digest,
            "prior": self.logprobs.digest,
            "heads": digest_of(msgspec.to_builtins(self.logprobs.heads)),
            "options": [[o.label, o.word] for o in self.options],
            "readout": self.readout,
            "mode": self.mode,
            "orders": self.orders,
            "sampling": msgspec.to_builtins(self.prompt.sampling),
            "model": facts.identity,
            **self.further_parts(),
        }

    def further_parts(self) -> dict[str, Json]:
        """Return parts of the fingerprint that exist only where a feature is used."""
        found: dict[str, Json] = {}
        if self._voting is not None:
            found["votes"] = msgspec.to_builtins(self._voting.rule)
        if self.config.criteria:
            found["criteria"] = msgspec.to_builtins(self.config.criteria)
        if self.logprobs.continues:
            found["continuations"] = True
        if not type(self).__module__.startswith("plaudit."):
            found["code"] = source_digest(type(self))
        return found
