"""The pointwise judge: how good is this response, from 1 to 10?"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from plaudit.errors import Cause, ReplyError
from plaudit.judges import readout, rows
from plaudit.judges.base import Reading, Task, Untrusted
from plaudit.judges.readout import Option
from plaudit.types import Json, Message, ResponseSample, Sample

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LOWEST, HIGHEST = 1, len(_WORDS)
_FIELDS = frozenset({"id", "conversation", "messages", "prompt", "response", "reference"})
_TEXTS = ("intent", "checklist", "strengths", "weaknesses")


class PointwiseTask(Task):
    """Scores a response; the reward is the expected score on a scale of 0 to 1.

    The scores are words, not digits: `10` is two tokens for many models, and the first of them
    is `1`.
    """

    kind = "pointwise"
    variables = frozenset({"conversation", "response", "reference"})
    options = tuple(Option(str(score), word) for score, word in enumerate(_WORDS, LOWEST))
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "maxLength": 600} for name in _TEXTS},
            "score": {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
        },
        "required": [*_TEXTS, "score"],
        "additionalProperties": False,
    }

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take a conversation that ends with the response, or a prompt and a response."""
        prompt, response = _split(row)
        reference = rows.take_optional_text(row, "reference")
        content = _row(prompt, response, reference)
        return [
            ResponseSample(
                id=rows.row_id(row, content),
                index=index,
                metadata=rows.unknown_columns(row, _FIELDS),
                prompt=prompt,
                response=response,
                reference=reference,
            )
        ]

    def row_of(self, sample: ResponseSample) -> dict[str, Json]:
        """Return the sample as an input row."""
        return _row(sample.prompt, sample.response, sample.reference)

    def sample_variables(self, sample: ResponseSample) -> dict[str, Untrusted]:
        """Return the conversation, the response, and the reference or an empty text."""
        return {
            "conversation": rows.shown(sample.prompt),
            "response": sample.response,
            "reference": sample.reference or "",
        }

    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return a shot's score."""
        return str(feedback["score"])

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the modal score; the reward is the expected one, scaled."""
        modal = max(probabilities, key=probabilities.__getitem__)
        expected = math.fsum(int(score) * p for score, p in probabilities.items())
        return Reading(
            value=int(modal),
            reward=_scaled(expected),
            confidence=probabilities[modal],
            probabilities=probabilities,
            fields={"expected_score": expected},
        )

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated score."""
        score = readout.take_number(reply, "score", LOWEST, HIGHEST)
        if score != int(score):
            raise ReplyError(Cause.OUT_OF_RANGE, f"score is {score}, not a whole number")
        texts = {name: readout.take_text(reply, name) for name in _TEXTS}
        return Reading(
            value=int(score), reward=_scaled(score), fields={"expected_score": score} | texts
        )


def _scaled(score: float) -> float:
    return (score - LOWEST) / (HIGHEST - LOWEST)


def _split(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    name = next((n for n in ("conversation", "messages") if n in row), None)
    if name is None:
        return rows.take_prompt(row, "prompt"), rows.take_text(row, "response")
    messages = rows.take_dialogue(row, name)
    return messages[:-1], rows.message_text(messages[-1])


def _row(prompt: Sequence[Message], response: str, reference: str | None) -> dict[str, Json]:
    row = {"prompt": rows.plain(prompt), "response": response}
    return row if reference is None else row | {"reference": reference}
