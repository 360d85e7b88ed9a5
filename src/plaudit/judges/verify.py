"""The verify judge: is the answer right, given the accepted references?

Types of answers, guards and the answer head come first; see `plaudit.judges.answers.decision`. A
model is asked only about what they leave open, and only where one is named.
"""

import math
from asyncio import to_thread
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from plaudit._util.packages import DeferredModule
from plaudit.engines.base import Completion, Request
from plaudit.errors import ArgumentError, Cause, UsageError
from plaudit.judges import json_reply, readout, rows
from plaudit.judges.answers.base import (
    ANSWER_TYPES,
    AnswerCase,
    AnswerOptions,
    AnswerType,
    Decision,
)
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig, options_that_differ
from plaudit.judges.kind import Untrusted
from plaudit.judges.readout import Option
from plaudit.judges.verdict import Ask, Reading, Transcript
from plaudit.types import AnswerSample, Failure, Json, Sample, Usage, Verdict

if TYPE_CHECKING:
    from plaudit.judges.answers import decision
else:
    decision = DeferredModule("plaudit.judges.answers.decision")

REWARDS: Mapping[str, float] = {"correct": 1.0, "incorrect": 0.0}
_MOST_KEPT = 4_096
"""Decisions that wait for the verdict on their sample, at most."""
_FIELDS = frozenset({"id", "question", "answer", "reference", "answer_type", "choices"})


class VerifyJudge(BaseJudge):
    """Decides whether an answer is right: reward 1 or 0, or as the reward map says."""

    kind = "verify"
    variables = frozenset({"question", "answer", "references"})
    options = (
        Option("correct", "right", "the answer says what a reference says"),
        Option("incorrect", "wrong", "it says something else, or nothing"),
    )
    schema = json_reply.choice_schema("reasoning", "verdict", options)
    json_tokens = 256
    json_has_confidence = True
    default_engine = "none:"
    compares = True

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `BaseJudge`; also checks the reward map, and that what a type needs is installed.

        Raises:
            MissingDependencyError: the extra of the type that is asked for is not.
        """
        self.rewards = dict(REWARDS) if config.reward_map is None else dict(config.reward_map)
        if self.rewards.keys() != REWARDS.keys():
            raise UsageError("the reward map must give a number for 'correct' and 'incorrect'")
        if not all(math.isfinite(reward) for reward in self.rewards.values()):
            raise UsageError("the rewards of 'correct' and 'incorrect' must be finite numbers")
        decision.load()
        decision.check_type(config.answer_type)
        self._answers = config.answers
        self._missed: Counter[str] = Counter()
        self._kept: dict[int, tuple[Sample, Decision | None]] = {}
        """By the identity of a sample: the sample, and its decision."""
        super().__init__(config, facts)

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take question, answer, one or several references, and how they are compared."""
        question, answer = rows.take_text(row, "question"), rows.take_text(row, "answer")
        references = rows.take_texts(row, "reference")
        answer_type = rows.take_choice(row, "answer_type", ANSWER_TYPES)
        choices = rows.take_optional_list(row, "choices")
        more = [answer_type, choices] if answer_type or choices else []
        sample = AnswerSample(
            id=rows.row_id(row, [question, answer, references, *more]),
            index=index,
            metadata=rows.unknown_columns(row, _FIELDS),
            question=question,
            answer=answer,
            references=references,
            answer_type=answer_type,
            choices=choices,
        )
        rows.refuse_blank(sample)
        return [sample]

    def row_of(self, sample: AnswerSample) -> dict[str, Json]:
        """Return the sample as an input row."""
        single = len(sample.references) == 1
        reference = sample.references[0] if single else list(sample.references)
        row = {"question": sample.question, "answer": sample.answer, "reference": reference}
        if sample.answer_type:
            row["answer_type"] = sample.answer_type
        return row | ({"choices": list(sample.choices)} if sample.choices else {})

    def sample_variables(self, sample: AnswerSample) -> dict[str, Untrusted]:
        """Return question, answer and references."""
        return {
            "question": sample.question,
            "answer": sample.answer,
            "references": [{"text": text} for text in sample.references],
        }

    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return a shot's verdict."""
        return feedback["verdict"]

    def feedback_of(self, label: str) -> dict[str, Json] | None:
        """Return the verdict with its meaning for a reason."""
        meaning = next((o.meaning for o in self.options if o.label == label), "")
        return {"reasoning": f"{meaning.capitalize()}.", "verdict": label, "confidence": 0.95}

    def requests(self, sample: Sample) -> list[Request]:
        """Return nothing where no model is needed. Formulas are compared by `decide` alone."""
        found = self._decide_quickly(sample)
        return [self.render(sample)] if found is None or self._is_open(found) else []

    async def decide(
        self, sample: Sample, ask: Ask, requests: Sequence[Request] | None = None
    ) -> Verdict:
        """Decide without a model where that can be done; ask about the rest. See `BaseJudge`."""
        found = await self._find(sample)
        if self._is_open(found):
            asked = await super().decide(sample, ask, requests or [self.render(sample)])
            return _with_extracted(asked, found)
        return self._decided(sample, found)

    def decide_by(self, sample: Sample, reply: Completion) -> Verdict | None:
        """Return what `decide` would come to; None also where formulas must be compared."""
        found = self._decide_quickly(sample)
        if found is None or not self._is_open(found):
            return None
        verdict = super().decide_by(sample, reply)
        if verdict is None:
            return None
        self._kept.pop(id(sample), None)
        return _with_extracted(verdict, found)

    def decide_now(self, sample: Sample) -> Verdict | None:
        """Return what `decide` would come to where it needs no model and compares no formulas."""
        found = self._decide_quickly(sample)
        self._kept.pop(id(sample), None)
        if found is None or self._is_open(found):
            return None
        self._missed.update(found.notes)
        return self._decided(sample, found)

    @property
    def notes(self) -> list[str]:
        """See `BaseJudge`; also what could not be used in comparisons."""
        counted = (f"{note} ({n} left open)" for note, n in self._missed.items())
        return [*super().notes, *counted]

    @property
    def counted(self) -> Mapping[str, int]:
        """See `BaseJudge`."""
        return {**super().counted, **self._missed}

    def count(self, counted: Mapping[str, int]) -> None:
        """See `BaseJudge`."""
        super().count(counted)
        own = super().counted
        self._missed = Counter({note: n for note, n in counted.items() if note not in own})

    def _decide_quickly(self, sample: Sample) -> Decision | None:
        """Decide without a model, once until the verdict; None where formulas must be compared."""
        kept = self._kept.get(id(sample))
        if kept is None:
            kept = sample, decision.decide_quickly(_case_of(sample, self._answers))
            self._kept[id(sample)] = kept
            if len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return kept[1]

    async def _find(self, sample: Sample) -> Decision:
        """Decide without a model, in a thread where formulas must be compared."""
        found = self._decide_quickly(sample)
        self._kept.pop(id(sample), None)
        if found is None:
            found = await to_thread(decision.decide, _case_of(sample, self._answers))
        self._missed.update(found.notes)
        return found

    def _is_open(self, found: Decision) -> bool:
        """Whether a model is asked: nothing decided, or the head did and is under the gate."""
        if found.value is None:
            return True
        if self.gate is None or found.by != "head":
            return False
        confidence = _confidence(found)
        if self.calibration is not None:
            confidence = self.calibration.apply(confidence)
        return confidence < self.gate

    def _decided(self, sample: Sample, found: Decision) -> Verdict:
        """Return the verdict of a decision that no model took part in."""
        assert found.value is not None
        reading = Reading(
            value=found.value,
            reward=self.rewards[found.value],
            confidence=_confidence(found),
            probabilities=_probabilities_of(found),
            fields={"decided_by": found.by, **_fields_of(found)},
        )
        return self.verdicts.made(sample, reading, Usage(), [])

    def further_parts(self) -> dict[str, Json]:
        """Add how answers are compared, and by which weights and libraries."""
        answers: dict[str, Json] = {**decision.versions(), "options": self._answers}
        return super().further_parts() | {"answers": msgspec.to_builtins(answers)}

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the more probable verdict."""
        value = readout.likeliest(probabilities)
        return Reading(
            value=value,
            reward=self.rewards[value],
            confidence=probabilities[value],
            probabilities=probabilities,
            fields={"decided_by": "model"},
        )

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated verdict."""
        value = json_reply.take_option(reply, "verdict", self.labels)
        return Reading(
            value=value,
            reward=self.rewards[value],
            confidence=json_reply.take_number(reply, "confidence", 0, 1),
            fields={"decided_by": "model", "reasoning": json_reply.take_text(reply, "reasoning")},
        )


def _case_of(sample: Sample, options: AnswerOptions) -> AnswerCase:
    assert isinstance(sample, AnswerSample)
    if sample.answer_type:
        answer_type = cast("AnswerType", sample.answer_type)
        options = msgspec.structs.replace(options, answer_type=answer_type)
    return AnswerCase(
        question=sample.question,
        answer=sample.answer,
        references=sample.references,
        choices=sample.choices,
        options=options,
    )


_READ = frozenset(
    {"kind", "swap", "gate", "calibration", "reward_map", *AnswerOptions.__struct_fields__}
)
"""Options that mean something without a model; `swap` is of pairs."""
_UNDECIDED = "undecided ({}); name a model that is asked about such answers (engine=, -e URI)"


class UnaskedVerifyJudge(VerifyJudge):
    """Decides without a model; what types, guards and head leave open stays undecided."""

    prompted = False

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """Refuse options that only a model uses.

        Raises:
            ArgumentError: the configuration has one.
        """
        for name in options_that_differ(config, JudgeConfig(kind=config.kind)):
            if name not in _READ:
                raise ArgumentError(
                    name,
                    "is for a model, and the engine none: has none; leave it out, or name another "
                    "engine, such as openai:MODEL",
                )
        super().__init__(config, facts)

    def render(self, sample: Sample, turn: str = "main") -> Request:
        """Refuse: there is no prompt.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "the engine none: is sent no prompt; name another one, such as openai:MODEL"
        )

    def requests(self, sample: Sample) -> list[Request]:
        """Return nothing."""
        return []

    async def decide(
        self, sample: Sample, ask: Ask, requests: Sequence[Request] | None = None
    ) -> Verdict:
        """Decide, or return `undecided`; see `BaseJudge`."""
        found = await self._find(sample)
        if found.value is not None:
            return self._decided(sample, found)
        why = Failure(Cause.UNDECIDED, _UNDECIDED.format(found.reason), attempts=0)
        verdict = self.verdicts.unmade(sample, "abstained", Transcript(ask), why)
        return msgspec.structs.replace(
            verdict, probabilities=_probabilities_of(found), fields=_fields_of(found)
        )

    def identity_parts(self, facts: EngineFacts) -> dict[str, Json]:
        """Return what can change a verdict: how answers are compared."""
        return {
            "version": 1,
            "kind": self.kind,
            "readout": self.readout,
            **self.further_parts(),
        }


def _fields_of(found: Decision) -> dict[str, Json]:
    """Return what a verdict shows of a decision beside its value."""
    return {"extracted": found.extracted, "reasoning": found.reason}


def _probabilities_of(found: Decision) -> dict[str, float] | None:
    """Return the probability of both values, where the head looked."""
    p = found.probability
    return None if p is None else {"correct": p, "incorrect": 1 - p}


def _confidence(found: Decision) -> float:
    """Return the probability of a decision's value; of types and guards it is 1."""
    if found.probability is None:
        return 1.0
    return found.probability if found.value == "correct" else 1 - found.probability


def _with_extracted(verdict: Verdict, found: Decision) -> Verdict:
    """Show in a model's verdict what was compared before the model was asked."""
    if verdict.fields:
        verdict.fields["extracted"] = found.extracted
    return verdict
