"""What all judges share: configuration, prompts, repair, and the way from a reply to a verdict.

A `BaseJudge` is a judge without its engine: it says what to ask about a sample and how to read what
comes back. It asks through a function that it is given, so it knows nothing of caches, retries or
runs.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Literal

import msgspec

from plaudit._util.aio import for_each
from plaudit.engines.base import Capabilities, Completion, Mode, Request, Sampling, Schema
from plaudit.errors import (
    CallError,
    Cause,
    ReplyError,
    TemplateError,
    UsageError,
)
from plaudit.judges import content, continuations, json_reply, readout, sentiment
from plaudit.judges.config import JudgeConfig
from plaudit.judges.reading import Ask, Reading, Transcript
from plaudit.judges.readout import Bounds, Option
from plaudit.judges.shot_text import (
    ShotText,
    feedback_snippet,
    shot_snippet,
    template_path,
)
from plaudit.judges.shots import DEFAULT_SHOTS, ShotSet, choose_shots
from plaudit.judges.votes import TEMPERATURE, Voting
from plaudit.prompts import shots as shot_files
from plaudit.prompts.escape import Escaper
from plaudit.prompts.template import Snippet, Template, builtin, read_template
from plaudit.scoring.calibration import Calibration, Platt, load_calibration
from plaudit.scoring.cascade import GatePromise
from plaudit.scoring.head import Head, shipped_heads
from plaudit.scoring.votes import VoteRule
from plaudit.types import Failure, Json, Message, Sample, Usage, Verdict

_AFFINITY = 512
"""Characters by which prompts are told to begin alike."""
_OPENINGS = 256
"""Most beginnings of prompts that are kept, where samples have shots of their own."""

Readout = Literal["logprob", "json", "score", "none"]
"""How replies are read. `score`: a reward model's; `none`: no model is asked. Neither is asked for
by name."""

Untrusted = str | Sequence[Mapping[str, str]]
"""A text, or messages as `{"role", "text"}`, as a template sees them."""


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a task must know of its engine."""

    identity: str
    capabilities: Capabilities
    special_tokens: tuple[str, ...] = ()
    reasoning: bool = False
    """Whether the model thinks before it answers and cannot be told not to."""


class BaseJudge(ABC):
    """One kind of judge with its configuration, for one model."""

    kind: ClassVar[str]
    variables: frozenset[str]
    """Names under which a template sees the sample."""
    options: tuple[Option, ...]
    schema: ClassVar[Mapping[str, Any]]
    """JSON schema of a reply in the json readout."""
    json_tokens: ClassVar[int] = 3072
    default_gate: ClassVar[float | None] = None
    json_has_confidence: ClassVar[bool] = False
    takes_criteria: ClassVar[bool] = False
    default_engine: ClassVar[str] = "local"
    """URI of the engine where none is named."""

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """Settle readout and mode, load the template, compute the fingerprint.

        Raises:
            UsageError: the engine cannot do what the configuration asks for.
            TemplateError: the template cannot be used.
        """
        if config.criteria and not self.takes_criteria:
            raise UsageError(f"the {self.kind} judge takes no criteria; pointwise and pairwise do")
        self.config = config
        self.identity = facts.identity
        self.readout: Readout = _settle_readout(config, facts)
        self.mode: Mode = _settle_mode(config, facts.capabilities)
        self._fitted = self._load_calibration()
        self.gate = self._settle_gate()
        readout.check_words([option.word for option in self.options])
        self.labels = tuple(option.label for option in self.options)
        self._words = tuple(option.word for option in self.options)
        self.template = self._load_template()
        self._snippets = self._load_snippets()
        delimiters = [d for t in (self.template, *self._snippets) if t for d in t.delimiters]
        self._escaper = Escaper(delimiters, facts.special_tokens)
        self._spares_roles = self._escaper.is_harmless("\n".join(content.ROLES))
        self.shots = self._load_shots()
        self._prior_rows, prior_hash = self._load_prior()
        self._show_shots()
        self._prior: Bounds | None = None
        self._continued_prior: Bounds | None = None
        continued = facts.capabilities.continuations
        self._continues = self.readout == "logprob" and self.mode in continued
        self._heads = self._load_heads()
        self._head: Head | None = None
        self._use_head(next((h for h in self._heads if h.model == facts.identity), None))
        self._logprobs, self._keep = self._settle_logprobs(facts.capabilities)
        self._asked_options = self._words if self._logprobs else ()
        self._sampling = self._make_sampling()
        self._schema = self._make_schema()
        self._voting = self._settle_votes()
        self.fingerprint = _digest(self._made_of(facts, prior_hash))
        self.judge_name = f"{self.kind}/{self.fingerprint[:12]}"
        self._check_calibration()

    # What a judge of one kind must say.

    @classmethod
    @abstractmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take the samples from an input row; the first gets `index`.

        Raises:
            InputError: a field is missing or of the wrong type.
        """

    @abstractmethod
    def row_of(self, sample: Any) -> dict[str, Json]:
        """Return a sample in the form of an input row."""

    @abstractmethod
    def sample_variables(self, sample: Any) -> dict[str, Untrusted]:
        """Return the untrusted texts that the template shows, not yet escaped."""

    @abstractmethod
    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Read a distribution over the options."""

    @abstractmethod
    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Read the object of the json readout.

        Raises:
            ReplyError: a field is missing, of the wrong type or out of range.
        """

    # Asking.

    def render(self, sample: Sample, turn: str = "main") -> Request:
        """Return the request for a sample."""
        variables = self.sample_variables(sample)
        said = self.said(variables)
        opening = self._main if turn == "prior" else self._opening_for(said, turn)
        body = self.template.sample(self._escaped(variables, said), opening.variables)
        prompt: str | tuple[Message, ...]
        if self.mode == "completion":
            prompt = opening.text + body
        else:
            prompt = (*opening.messages, Message("user", body.strip()))
        return Request(
            prompt=prompt,
            shared=opening.shared,
            affinity=opening.affinity or body[:_AFFINITY],
            sampling=self._sampling,
            logprobs=self._logprobs,
            options=self._asked_options,
            keep=self._keep,
            schema=self._schema,
            sample_id=sample.id,
            turn=turn,
        )

    def text_of(self, sample: Sample) -> str:
        """Return what a sample says, without regard to the order of a pair's responses.

        Shots are chosen by it, so that swapping the responses changes neither them nor their order.
        """
        return self.said(self.sample_variables(sample))

    def said(self, variables: Mapping[str, Untrusted]) -> str:
        """Return the texts of a sample's variables as one, in which each is whole."""
        values: Any = variables.values()
        try:
            return "\n".join(values)
        except TypeError:  # Some are messages.
            return "\n".join(map(joined, values))

    def feedback_of(self, label: str) -> dict[str, Json] | None:
        """Return a shot's reply that says no more than its label; None: it would lack too much."""
        return None

    @property
    def notes(self) -> list[str]:
        """What the user should know of how the configuration was applied."""
        idle = _idle_sampling(self.config) if self.readout == "logprob" else []
        return [*idle, *self._unused_templates(), *self.shots.notes]

    def requests(self, sample: Sample) -> list[Request]:
        """Return what is asked about a sample, repairs left out."""
        return [self.render(sample)]

    def first_requests(self, sample: Sample) -> list[Request]:
        """Return what is asked about a sample at first: with votes, all of the first round."""
        requests = self.requests(sample)
        return requests if self._voting is None else self._voting.first_round(requests)

    @property
    def least_votes(self) -> int:
        """Votes that a sample takes where all are alike."""
        return 1 if self._voting is None else self._voting.rule.wanted((), 0)

    @property
    def promise(self) -> GatePromise | None:
        """What the gate promises about the verdicts that reach it, where a calibration set it."""
        fitted = self._fitted
        if fitted is None or fitted.gate is None or self.gate != fitted.gate:
            return None
        return GatePromise(agreement=fitted.target, delta=fitted.delta)

    async def prepare(self, ask: Ask) -> None:
        """Ask the balanced set: find the head of this model, else measure the prior.

        Must be called once before `decide`. Asks nothing where the head is known by the model's
        identity, and for judges without a balanced set.

        Raises:
            CallError: a request got no reply.
        """
        if not self._prior_rows or self._head is not None or self._prior is not None:
            return
        replies = await self._probe(ask)
        whole = [reply for reply in replies if reply is not None]
        if len(whole) == len(replies):
            self._use_head(next((head for head in self._heads if head.fits(whole)), None))
        if self._head is None:
            self._prior = self._mean_prior(whole)
            if self._continues and any(self._hides_options(reply) for reply in whole):
                self._continued_prior = await self._measure_continued(replies, ask)

    async def decide(
        self, sample: Sample, ask: Ask, requests: Sequence[Request] | None = None
    ) -> Verdict:
        """Ask about one sample and return its verdict; never raises CallError or ReplyError.

        Args:
            sample: what is judged.
            ask: gets completions.
            requests: `self.requests(sample)` or `self.first_requests(sample)`, where at hand.
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
            return self._unmade(sample, "failed", reported, error.cause, str(error), error.attempts)
        except ReplyError as error:
            return self._unmade(
                sample, "invalid", reported, error.cause, str(error), reported.asked
            )
        return self._verdict(sample, reading, reported.usage, reported.replies)

    def decide_by(self, sample: Sample, reply: Completion) -> Verdict | None:
        """Return the verdict that `decide` would come to with this reply, where that is certain.

        Args:
            sample: what is judged; its `requests` are one.
            reply: what came of that request.

        Returns:
            None where further replies may be wanted: further votes, or a better reply than this.
        """
        if self._voting is not None:
            return None
        try:
            reading = self.read(sample, reply)
        except ReplyError:
            return None
        return self._verdict(sample, reading, reply.usage, [reply.text])

    def judge_sample(
        self, sample: Sample, requests: Sequence[Request], reported: Transcript
    ) -> Coroutine[Any, Any, Reading]:
        """Ask once and read the reply. Judges that ask more often replace this."""
        return self.ask_and_read(sample, requests[0], reported)

    def tally(self, votes: Sequence[Reading], winners: Sequence[Reading]) -> Reading:
        """Make one reading of several votes: here that of the first vote for the winner.

        Args:
            votes: at least one.
            winners: the first vote for the most frequent outcome; where several outcomes share the
                first place, the first vote for each of them.

        Returns:
            A reading with fields of its own; shares, confidence and whether the votes decide are
            added to it.
        """
        return msgspec.structs.replace(winners[0], fields=dict(winners[0].fields))

    @property
    def outcomes(self) -> int:
        """Outcomes that one judgement can have."""
        return len(self.options)

    async def ask_and_read(self, sample: Sample, request: Request, reported: Transcript) -> Reading:
        """Ask, read, and in the json readout give the model one turn to repair its reply."""
        if self.readout != "logprob":
            escape = self._escaper.escape
            return await json_reply.ask_object(request, reported.ask, escape, self.read_reply)
        completion = await reported.ask(request)
        try:
            return self.read_logprobs(sample, completion)
        except ReplyError as error:
            if not self._may_continue(completion):
                raise
            return await self._read_continued(request, completion, reported, error)

    def read(self, sample: Sample, completion: Completion) -> Reading:
        """Read one reply about a sample, without repair.

        Raises:
            ReplyError: the reply cannot be used.
        """
        if self.readout == "logprob":
            return self.read_logprobs(sample, completion)
        return self.read_reply(json_reply.read_object(completion))

    def read_logprobs(self, sample: Sample, completion: Completion) -> Reading:
        """Read the distribution over the options, with the prior removed where there is one.

        Raises:
            ReplyError: the reply does not show enough of it.
        """
        heard: Mapping[str, float] = {}
        if self._head is not None:  # what it reads is more than the option words
            shown = readout.read_options(completion, self._words, least=0)
            heard = sentiment.cues(self.sample_variables(sample)) if self._head.cues else {}
            probabilities = self._head.distribution(completion, heard)
        else:
            shown = readout.read_options(completion, self._words)
            probabilities = readout.distribution(shown, self._prior, self.labels)
        reading = self.read_distribution(probabilities)
        reading.fields.update(heard)
        missing = readout.censored(shown, self.labels)
        if missing:
            reading.fields["censored"] = missing
        return reading

    def _may_continue(self, completion: Completion) -> bool:
        """Whether options that a reply does not show are to be scored as continuations.

        Not with a head: it reads more than the option words.
        """
        if not self._continues or self._head is not None:
            return False
        return continuations.could_help(completion, self._words)

    async def _read_continued(
        self, request: Request, reply: Completion, reported: "Transcript", hidden: ReplyError
    ) -> Reading:
        """Score the options as continuations, after a reply that hides some of them."""
        shown = await continuations.score(request, reply, self._words, reported.ask)
        if shown is None:
            raise ReplyError(
                hidden.cause, f"{hidden}; the engine does not score given continuations either"
            )
        prior = self._continued_prior or self._prior
        reading = self.read_distribution(readout.distribution(shown, prior, self.labels))
        reading.fields["read_by"] = "continuations"
        return reading

    def _hides_options(self, completion: Completion) -> bool:
        try:
            return 0.0 in readout.read_options(completion, self._words).low
        except ReplyError:
            return True

    async def _measure_continued(
        self, replies: Sequence[Completion | None], ask: Ask
    ) -> Bounds | None:
        """Measure the prior as continuations are read; None where the engine does not tell them."""
        found: list[Bounds | None] = [None] * len(self._prior_rows)

        async def probe(numbered: tuple[int, Mapping[str, Any]]) -> None:
            number, row = numbered
            (sample,) = self.read_row(row, 0)
            with suppress(ReplyError):
                request = self.render(sample, "prior")
                reply = replies[number]
                found[number] = await continuations.score(request, reply, self._words, ask)

        await for_each(probe, enumerate(self._prior_rows), len(found))
        whole = [bounds for bounds in found if bounds is not None]
        return readout.mean_bounds(whole) if 2 * len(whole) >= len(found) else None

    def shows_options(self, completion: Completion) -> bool:
        """Tell whether a reply says anything about the options."""
        try:
            readout.read_options(completion, self._words)
        except ReplyError:
            return False
        return True

    async def _probe(self, ask: Ask) -> list[Completion | None]:
        """Ask the balanced set; None stands for a reply that cannot be used."""
        replies: list[Completion | None] = [None] * len(self._prior_rows)

        async def probe(numbered: tuple[int, Mapping[str, Any]]) -> None:
            number, row = numbered
            (sample,) = self.read_row(row, 0)
            with suppress(ReplyError):
                replies[number] = await ask(self.render(sample, "prior"))

        await for_each(probe, enumerate(self._prior_rows), len(replies))
        return replies

    def _mean_prior(self, replies: Sequence[Completion]) -> Bounds:
        bounds: list[Bounds] = []
        for reply in replies:
            with suppress(ReplyError):  # says nothing about the options; the others do
                bounds.append(readout.read_options(reply, self._words))
        if 2 * len(bounds) < len(self._prior_rows):
            raise UsageError(
                f"the {self.kind} judge's option words are hardly ever this model's next token; "
                "use --readout json, or shots that show every option (--fresh, if the server "
                "merely misbehaved)"
            )
        return readout.mean_bounds(bounds)

    # From a reading to a verdict.

    def _verdict(
        self, sample: Sample, reading: Reading, usage: Usage, replies: list[str]
    ) -> Verdict:
        confidence, fields = reading.confidence, reading.fields
        if confidence is not None:
            fields["raw_confidence"] = confidence
            if self.calibration is not None:
                confidence = self.calibration.apply(confidence)
        abstain = reading.abstain
        if abstain is None and self.gate is not None and confidence is not None:
            abstain = _below(confidence, self.gate)
        return Verdict(
            index=sample.index,
            id=sample.id,
            status="abstained" if abstain else "ok",
            value=reading.value,
            reward=None if abstain else reading.reward,
            confidence=confidence,
            probabilities=reading.probabilities,
            fields=fields,
            usage=usage,
            judge=self.judge_name,
            error=abstain,
            metadata=sample.metadata,
            input=self.row_of(sample),
            raw=replies,
        )

    def _unmade(
        self,
        sample: Sample,
        status: Literal["failed", "invalid", "abstained"],
        reported: Transcript,
        cause: Cause,
        message: str,
        attempts: int,
    ) -> Verdict:
        return Verdict(
            index=sample.index,
            id=sample.id,
            status=status,
            usage=reported.usage,
            judge=self.judge_name,
            error=Failure(cause, message, attempts),
            metadata=sample.metadata,
            input=self.row_of(sample),
            raw=reported.replies,
        )

    # Setting up.

    def _settle_gate(self) -> float | None:
        gate = self.config.gate
        if gate is None and self._fitted is not None and self._fitted.gate is not None:
            return self._fitted.gate
        if gate is None:
            return self.default_gate if self._has_confidence() else None
        if not self._has_confidence():
            raise UsageError(
                f"the {self.kind} judge has no confidence in the {self.readout} readout, so it "
                "cannot be gated; leave --gate out"
            )
        return gate

    def _load_calibration(self) -> Calibration | None:
        if self.config.calibration is None:
            return None
        if not self._has_confidence():
            raise UsageError(
                f"the {self.kind} judge has no confidence in the {self.readout} readout, so there "
                "is nothing to calibrate; leave --calibration out"
            )
        return load_calibration(self.config.calibration)

    def _check_calibration(self) -> None:
        if self._fitted is not None and self._fitted.judge != self.judge_name:
            raise UsageError(
                f"{self.config.calibration} was made for the judge {self._fitted.judge}, and this "
                f"one is {self.judge_name}: another model, prompt, readout or sampling; calibrate "
                "this judge with plaudit calibrate"
            )

    def _has_confidence(self) -> bool:
        return self.readout == "logprob" or self.json_has_confidence or self.config.votes > 1

    def _settle_votes(self) -> Voting | None:
        config = self.config
        if config.votes == 1:
            if config.all_votes:
                raise UsageError("--all-votes goes with --votes N")
            return None
        if self.readout == "logprob":
            raise UsageError(
                "votes draw replies to learn how they are distributed, and the logprob readout "
                "reads that distribution itself, from one token; leave --votes out, or use "
                "--readout json"
            )
        if config.temperature == 0:
            raise UsageError("at temperature 0 all votes would be alike; leave --temperature out")
        rule = VoteRule(
            votes=config.votes,
            error=config.vote_error,
            outcomes=self.outcomes,
            every=config.all_votes,
        )
        return Voting(rule, self.tally)

    def _made_of(self, facts: EngineFacts, prior_hash: str) -> dict[str, Json]:
        """Return all that can change a verdict but the decision on it: what is fingerprinted."""
        return {
            "version": 1,
            "kind": self.kind,
            "prompt": self.prompt_digest(),
            "schema": _digest(dict(self.reply_schema())),
            "shots": self.shots.digest,
            "prior": prior_hash,
            "heads": _digest(msgspec.to_builtins(self._heads)),
            "options": [[o.label, o.word] for o in self.options],
            "readout": self.readout,
            "mode": self.mode,
            "orders": 2 if self.kind == "pairwise" and self.config.swap else 1,
            "sampling": msgspec.to_builtins(self._sampling),
            "model": facts.identity,
            **self._optional_identity(),
        }

    def _optional_identity(self) -> dict[str, Json]:
        """Return what of the fingerprint there is only where a feature is used."""
        found: dict[str, Json] = {}
        if self._voting is not None:
            found["votes"] = msgspec.to_builtins(self._voting.rule)
        if self.config.criteria:
            found["criteria"] = msgspec.to_builtins(self.config.criteria)
        if self._continues:
            found["continuations"] = True
        if any(head.cues for head in self._heads):
            found["lexicon"] = sentiment.lexicon()
        return found

    def template_name(self) -> str:
        """Return the name of the shipped template, its mode left out."""
        return self.kind

    def reply_schema(self) -> Mapping[str, Any]:
        """Return the JSON schema of a reply in the json readout."""
        return self.schema

    def takes_shot(self, shot: Mapping[str, Any]) -> bool:
        """Tell whether a shot shows the kind of reply that is wanted."""
        del shot
        return True

    def _load_template(self) -> Template:
        path = template_path(self.config.template, self.mode)
        if path is None:
            name = f"{self.template_name()}.{self.mode}"
            return Template(builtin(name), name, self.variables)
        return Template(read_template(path), path, self.variables)

    def _load_snippets(self) -> tuple[Snippet | None, Snippet | None]:
        """Return the user's templates of one shot and of its reply."""
        return (
            shot_snippet(self.config.shot_template, self.mode, self.variables),
            feedback_snippet(
                self.config.feedback_template, self.mode, self.reply_schema()["properties"]
            ),
        )

    def _unused_templates(self) -> list[str]:
        choices = {
            "--template": self.config.template,
            "--shot-template": self.config.shot_template,
            "--feedback-template": self.config.feedback_template,
        }
        return [
            f"{name} is for {' and '.join(choice)} mode, and the run is in {self.mode} mode: it is "
            "not used"
            for name, choice in choices.items()
            if isinstance(choice, dict) and self.mode not in choice
        ]

    def _load_shots(self) -> ShotSet:
        config = self.config
        found = choose_shots(
            self,
            config.shots,
            config.pool,
            config.select,
            config.seed or 0,
            DEFAULT_SHOTS.get((self.kind, self.mode, self.readout)),
        )
        shown = self.template.shows_shots or (self.mode == "chat" and self.template.has_blocks)
        asked = config.shots or config.pool or any(self._snippets) or config.select != "fixed"
        if asked and found.shots and not shown:
            raise TemplateError(
                f"{self.template.name}: it never shows the shots; loop over 'shots', or leave "
                "shots, pool and their templates out"
            )
        return found

    def _load_prior(self) -> tuple[Sequence[Mapping[str, Any]], str]:
        if self.readout != "logprob" or self.config.prior == "none" or self.shots.fixed is None:
            return (), "none"  # A prior holds for the shots with which it was measured.
        return shot_files.load_prior(self.kind)

    def _load_heads(self) -> tuple[Head, ...]:
        """Return the shipped heads that were fitted with this very prompt."""
        if not self._prior_rows:
            return ()
        prompt = self.prompt_digest()
        return tuple(head for head in shipped_heads(self.kind) if head.prompt == prompt)

    def prompt_digest(self) -> str:
        """Return a digest of all that a prompt of this task shares with the others."""
        messages = self._main.messages if self.mode == "chat" else ()
        opening = [[m.role, m.content] for m in messages]
        parts = [self.mode, self.readout, self._words, self._static, self.template.source, *opening]
        if any(self._snippets):
            parts.append([snippet and snippet.source for snippet in self._snippets])
        return _digest(parts)[:32]

    def _use_head(self, head: Head | None) -> None:
        self._head = head
        of_head = None if head is None else head.calibration
        self.calibration: Calibration | Platt | None = self._fitted or of_head
        """What turns raw confidence into the measured chance of being right, where there is one.

        The user's, else the one that the head of this model has.
        """

    def _settle_logprobs(self, capabilities: Capabilities) -> tuple[int, int]:
        """Return how many log-probabilities to ask for, and how many of them to keep."""
        if self.readout != "logprob":
            return 0, 0
        view = max((head.view for head in self._heads), default=0)
        if not view:
            return capabilities.logprobs, 5
        return min(view, capabilities.logprobs), view

    def _show_shots(self) -> None:
        """Render what comes before a sample, as far as it is the same for all."""
        self._static_variables: dict[str, Any] = {
            "options": [msgspec.to_builtins(option) for option in self.options],
            "readout": self.readout,
            "shots": [],
            "criteria": [
                criterion.shown(self._escaper.escape) for criterion in self.config.criteria
            ],
        }
        shot, feedback = self._snippets
        self._shot_text = ShotText(
            self, self.template, shot, feedback, self.options, self.readout == "json",
            self._escaper.escape,
        )  # fmt: skip
        self._openings: dict[tuple[int, ...], _Opening] = {}
        if self.config.pool or any(self._snippets):
            for place in range(len(self.shots.shots)):  # What cannot be shown is told now.
                self._shot_variables(place)
        self._main = self._open(self.shots.fixed or (), common=True)
        self._static = self._main.text

    def _opening_for(self, said: str, turn: str) -> "_Opening":
        """Return what comes before a sample; the leakage guard may take shots out of it."""
        if not self.shots.shots:
            return self._main
        chosen = self.shots.choose(said, count=turn == "main")
        if chosen is self.shots.fixed:
            return self._main
        known = self._openings.get(chosen)
        if known is None:
            if len(self._openings) >= _OPENINGS:
                self._openings.clear()
            known = self._openings[chosen] = self._open(chosen, common=False)
        return known

    def _open(self, chosen: Sequence[int], *, common: bool) -> "_Opening":
        shots = [self._shot_variables(place) for place in chosen]
        variables = self._static_variables | {"shots": shots}
        text = self.template.instructions(variables)
        if self.shots.text:
            text = f"{text.rstrip()}\n\n{self.shots.text.strip()}\n\n".lstrip()
        messages = self._make_opening(text, shots)
        if common:
            shared = len(text) if self.mode == "completion" else len(messages)
            return _Opening(variables, text, messages, shared)
        same = self.mode == "chat" and messages[:1] == self._main.messages[:1]
        return _Opening(variables, text, messages, int(same), f"shots {chosen}")

    def _make_opening(self, static: str, shots: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
        """Return the messages before the sample's: instructions, and shots that are not in them."""
        if not static:
            return ()
        turns: Sequence[Mapping[str, Any]] = () if self.template.shows_shots else shots
        return (
            Message("system", static.strip()),
            *(
                message
                for shot in turns
                for message in (
                    Message("user", shot["text"].strip()),
                    Message("assistant", shot["reply"]),
                )
            ),
        )

    def _shot_variables(self, place: int) -> dict[str, Any]:
        """Return a shot as a template sees it: its fields, the sample as rendered, the reply."""
        shot = self.shots.shots[place]
        fields = self._escaped(self.sample_variables(shot.sample), shot.text)
        return self._shot_text.show(shot, fields, self._static_variables)

    def _escaped(self, variables: dict[str, Untrusted], said: str) -> dict[str, Any]:
        """Return the variables made safe, given their texts as one."""
        if self._spares_roles and self._escaper.is_harmless(said):
            return variables
        escape = self._escaper.escape
        return {
            name: escape(value) if isinstance(value, str) else _escape_all(value, escape)
            for name, value in variables.items()
        }

    @abstractmethod
    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return the option that a shot's feedback stands for."""

    def _make_sampling(self) -> Sampling:
        config = self.config
        extra = tuple(sorted(config.generation.items()))
        if self.readout == "logprob":  # One token, from whose distribution nothing is drawn.
            return Sampling(seed=config.seed, extra=extra)
        stops = tuple(f"\n{d}" for d in self.template.delimiters[:4])
        return Sampling(
            temperature=_temperature(config),
            top_p=config.top_p,
            max_tokens=config.max_tokens or self.json_tokens,
            seed=config.seed,
            stop=stops if self.mode == "completion" else (),
            extra=extra,
        )

    def _make_schema(self) -> Schema | None:
        if self.readout == "logprob":
            return None
        return Schema(f"{self.kind}_verdict", msgspec.Raw(msgspec.json.encode(self.reply_schema())))


def _idle_sampling(config: JudgeConfig) -> list[str]:
    """Say which sampling options were given though the logprob readout has no use for them."""
    used = Sampling()
    given = {
        "temperature": config.temperature not in (None, used.temperature),
        "top_p": config.top_p != used.top_p,
        "max_tokens": config.max_tokens not in (None, used.max_tokens),
    }
    names = [name for name, is_given in given.items() if is_given]
    if not names:
        return []
    return [
        f"{', '.join(names)}: without effect in the logprob readout, which writes one token and "
        "reads the probabilities of all that it could have been"
    ]


def _temperature(config: JudgeConfig) -> float:
    if config.temperature is not None:
        return float(config.temperature)
    return TEMPERATURE if config.votes > 1 else 0.0


class _Opening(msgspec.Struct, frozen=True):
    """What comes before a sample in its prompt."""

    variables: dict[str, Any]
    """What the template sees beside the sample."""
    text: str
    """The rendered instructions, with the shots that they show."""
    messages: tuple[Message, ...]
    """The same in chat mode, with the shots that are turns of their own."""
    shared: int
    """See `Request.shared`."""
    affinity: str = ""
    """See `Request.affinity`; empty: the sample says it."""


def _below(confidence: float, gate: float) -> Failure | None:
    if confidence >= gate:
        return None
    shown, under = _apart_as_text(confidence, gate)
    return Failure(Cause.BELOW_GATE, f"confidence {shown} is under the gate of {under}")


def _apart_as_text(confidence: float, gate: float) -> tuple[str, str]:
    """Return both as text, with as many digits as it takes to see that one is the smaller."""
    for digits in range(3, 17):
        shown, under = f"{confidence:.{digits}f}", f"{gate:.{max(digits, 6)}g}"
        if float(shown) < float(under):
            return shown, under
    return repr(confidence), repr(gate)


def _settle_readout(config: JudgeConfig, facts: EngineFacts) -> Readout:
    can = facts.capabilities.logprobs > 0
    if not facts.capabilities.model:
        return "none"
    if facts.capabilities.scores:
        return "score"
    if config.readout == "json":
        return "json"
    if config.readout == "auto":
        return "logprob" if can and not facts.reasoning else "json"
    if not can:
        raise UsageError(
            f"{facts.identity} gives no log-probabilities, which the logprob readout reads; "
            "use --readout json"
        )
    if facts.reasoning:
        raise UsageError(
            f"{facts.identity} thinks before it answers, so its first token is no answer and the "
            "logprob readout cannot be used; use --readout json"
        )
    return "logprob"


def _settle_mode(config: JudgeConfig, capabilities: Capabilities) -> Mode:
    mode = capabilities.default_mode if config.mode == "auto" else config.mode
    if not (capabilities.chat if mode == "chat" else capabilities.completion):
        raise UsageError(f"this engine has no {mode} mode; leave --mode out")
    return mode


def _escape_all(
    value: Sequence[Mapping[str, str]], escape: Callable[[str], str]
) -> list[dict[str, str]]:
    return [{name: escape(text) for name, text in item.items()} for item in value]


def joined(value: Untrusted) -> str:
    """Return a text, or the texts of messages, as one text."""
    return value if isinstance(value, str) else "\n".join(item["text"] for item in value)


def _digest(data: Json) -> str:
    return hashlib.blake2b(
        msgspec.json.encode(data, order="deterministic"), digest_size=32
    ).hexdigest()
