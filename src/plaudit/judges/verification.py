"""The verify judge: is the answer right, given the accepted references?

Rules come first, because they cannot be talked into anything: an exact or numeric match is right,
an empty or boilerplate answer is wrong. Only what they leave open is asked.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from plaudit.engines.base import Request
from plaudit.errors import UsageError
from plaudit.judges import json_reply, readout, rows, rules
from plaudit.judges.base import EngineFacts, JudgeConfig, Task, Untrusted
from plaudit.judges.reading import Reading, Transcript
from plaudit.judges.readout import Option
from plaudit.types import AnswerSample, Json, Sample

REWARDS: Mapping[str, float] = {"correct": 1.0, "incorrect": 0.0}
_FIELDS = frozenset({"id", "question", "answer", "reference"})


class VerificationTask(Task):
    """Decides whether an answer is right: reward 1 or 0, or as the reward map says."""

    kind = "verify"
    variables = frozenset({"question", "answer", "references"})
    options = (
        Option("correct", "right", "the answer says what a reference says"),
        Option("incorrect", "wrong", "it says something else, or nothing"),
    )
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "reasoning": {"type": "string", "maxLength": 300},
            "verdict": {"type": "string", "enum": [option.label for option in options]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["reasoning", "verdict", "confidence"],
        "additionalProperties": False,
    }
    json_tokens = 256
    json_has_confidence = True

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `Task`; also checks the reward map."""
        self.rewards = dict(REWARDS) if config.reward_map is None else dict(config.reward_map)
        if self.rewards.keys() != REWARDS.keys():
            raise UsageError("the reward map must give a number for 'correct' and 'incorrect'")
        if not all(math.isfinite(reward) for reward in self.rewards.values()):
            raise UsageError("the rewards of 'correct' and 'incorrect' must be finite numbers")
        super().__init__(config, facts)

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take question, answer and one or several references."""
        question, answer = rows.take_text(row, "question"), rows.take_text(row, "answer")
        references = rows.take_texts(row, "reference")
        sample = AnswerSample(
            id=rows.row_id(row, [question, answer, references]),
            index=index,
            metadata=rows.unknown_columns(row, _FIELDS),
            question=question,
            answer=answer,
            references=references,
        )
        rows.refuse_blank(sample)
        return [sample]

    def row_of(self, sample: AnswerSample) -> dict[str, Json]:
        """Return the sample as an input row."""
        single = len(sample.references) == 1
        reference = sample.references[0] if single else list(sample.references)
        return {"question": sample.question, "answer": sample.answer, "reference": reference}

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
        """Return nothing where the rules decide."""
        return [] if _by_rule(sample) else [self.render(sample)]

    async def judge_sample(
        self, sample: Sample, requests: Sequence[Request], told: Transcript
    ) -> Reading:
        """Apply the rules; ask where they do not decide."""
        decision = None if requests else _by_rule(sample)
        if decision is not None:
            fields: dict[str, Json] = {"decided_by": decision.by, "reasoning": decision.reason}
            return self._reading(decision.value, 1.0, None, fields)
        return await super().judge_sample(sample, requests, told)

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the more probable verdict."""
        value = readout.likeliest(probabilities)
        return self._reading(value, probabilities[value], probabilities, {"decided_by": "model"})

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated verdict."""
        value = json_reply.take_option(reply, "verdict", self.labels)
        confidence = json_reply.take_number(reply, "confidence", 0, 1)
        reasoning = json_reply.take_text(reply, "reasoning")
        return self._reading(
            value, confidence, None, {"decided_by": "model", "reasoning": reasoning}
        )

    def _reading(
        self,
        value: str,
        confidence: float,
        probabilities: dict[str, float] | None,
        fields: dict[str, Json],
    ) -> Reading:
        return Reading(
            value=value,
            reward=self.rewards[value],
            confidence=confidence,
            probabilities=probabilities,
            fields=fields,
        )


def _by_rule(sample: Sample) -> rules.Decision | None:
    assert isinstance(sample, AnswerSample)
    return rules.decide(sample.question, sample.answer, sample.references)
