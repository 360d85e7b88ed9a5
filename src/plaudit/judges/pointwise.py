"""The pointwise judge: how good is this response, from 1 to 10, or by the user's own criteria?

In the json readout all criteria are scored in one reply. In the logprob readout, which reads one
token, each criterion is a request of its own, made and read by a task for that criterion alone.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, cast

from msgspec.structs import replace

from plaudit.engines.base import Request
from plaudit.errors import Cause, ReplyError
from plaudit.judges import json_reply, readout, rows
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.criteria import (
    HIGHEST,
    LOWEST,
    Criterion,
    overall_scale,
    scale_options,
    weighted_score,
)
from plaudit.judges.kind import Untrusted
from plaudit.judges.verdict import Reading, Transcript, all_made
from plaudit.types import Json, Message, ResponseSample, Sample, Value

_FIELDS = frozenset({"id", "conversation", "messages", "prompt", "response", "reference"})
_TEXTS = ("intent", "checklist", "strengths", "weaknesses")


class PointwiseJudge(BaseJudge):
    """Scores a response; the reward is the expected score on a scale of 0 to 1.

    The scores are words, not digits: `10` is two tokens for many models, and the first of them
    is `1`.

    Attributes:
        low: the worst score.
        high: the best one.
    """

    kind = "pointwise"
    variables = frozenset({"conversation", "response", "reference"})
    options = scale_options(LOWEST, HIGHEST)
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "maxLength": 600} for name in _TEXTS},
            "score": {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
        },
        "required": [*_TEXTS, "score"],
        "additionalProperties": False,
    }

    takes_criteria = True
    scale = "scores"

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `BaseJudge`; with criteria, prompt, options and schema are made of them."""
        self._criteria = config.criteria
        self.low, self.high = LOWEST, HIGHEST
        if config.criteria:
            self.low, self.high = overall_scale(config.criteria)
            self.options = scale_options(self.low, self.high)
            self.variables = self.variables | {"criteria"}
        super().__init__(config, facts)
        self._parts: tuple[PointwiseJudge, ...] = ()
        if self.readout == "logprob" and len(config.criteria) > 1:
            self._parts = tuple(
                PointwiseJudge(replace(config, criteria=(criterion,)), facts)
                for criterion in config.criteria
            )

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take a conversation that ends with the response, or a prompt and a response."""
        name = rows.chat_name(row, ["conversation", "messages"], ["prompt", "response"])
        prompt, response = _split(row, name)
        reference = rows.take_optional_text(row, "reference")
        content = _row(prompt, response, reference)
        sample = ResponseSample(
            id=rows.row_id(row, content),
            index=index,
            metadata=rows.unknown_columns(row, _FIELDS | {name or "id"}),
            prompt=prompt,
            response=response,
            reference=reference,
        )
        rows.refuse_blank(sample)
        return [sample]

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

    def template_name(self) -> str:
        """Return the template that shows criteria, where there are any."""
        return "pointwise_criteria" if self._criteria else self.kind

    def reply_schema(self) -> Mapping[str, Any]:
        """Return the schema of a reply: with one score, or with one for each criterion."""
        return _scores_schema(self._criteria) if self._criteria else self.schema

    def takes_shot(self, shot: Mapping[str, Any]) -> bool:
        """Return whether a shot has a score for everything that is scored."""
        if not self._criteria:
            return True
        feedback: Any = shot.get("feedback")
        scores: Any = cast("Any", feedback).get("scores") if isinstance(feedback, dict) else None
        return isinstance(scores, dict) and all(c.name in scores for c in self._criteria)

    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return a shot's score."""
        if "scores" not in feedback:
            return str(feedback["score"])
        return str(math.floor(weighted_score(self._criteria, feedback["scores"]) + 0.5))

    @property
    def outcomes(self) -> int:
        """Scores of the scale."""
        return self.high - self.low + 1

    def requests(self, sample: Sample) -> list[Request]:
        """Return one request; in the logprob readout one for each criterion."""
        if not self._parts:
            return [self.render(sample)]
        return [part.render(sample, part.turn) for part in self._parts]

    @property
    def turn(self) -> str:
        """What a request is for that asks about one of several criteria."""
        return f"criterion {self._criteria[0].name}"

    async def judge_sample(
        self, sample: Sample, requests: Sequence[Request], reported: Transcript
    ) -> Reading:
        """Ask once, or about all criteria at once, and combine."""
        if not self._parts:
            return await self.ask_and_read(sample, requests[0], reported)
        pairs = zip(self._parts, requests, strict=True)
        asks = [partial(part.ask_and_read, sample, request) for part, request in pairs]
        return self._join(all_made(await reported.do_all(asks, requests)))

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the modal score; the reward is the expected one, scaled."""
        modal = readout.likeliest(probabilities)
        expected = math.fsum(int(score) * p for score, p in probabilities.items())
        fields: dict[str, Json] = {"expected_score": expected}
        if self._criteria:
            fields["criteria"] = {self._criteria[0].name: expected}
        return Reading(
            value=int(modal),
            reward=self._scaled(expected),
            confidence=probabilities[modal],
            probabilities=probabilities,
            fields=fields,
        )

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated score, or the weighted mean of the stated scores."""
        texts = {name: json_reply.take_text(reply, name) for name in _TEXTS}
        if self._criteria:
            scores = _take_scores(reply, self._criteria)
            return self._weighted(scores, {"criteria": scores} | texts)
        score = _take_whole(reply, "score", LOWEST, HIGHEST)
        return self._scored(int(score), score, texts)

    def tally(self, votes: Sequence[Reading], winners: Sequence[Reading]) -> Reading:
        """Take the mean score; the value stays the most frequent one."""
        won = winners[0]
        fields = dict(won.fields)
        if self._criteria:
            fields["criteria"] = {
                c.name: _mean([vote.fields["criteria"][c.name] for vote in votes])
                for c in self._criteria
            }
        mean = _mean([vote.fields["expected_score"] for vote in votes])
        return self._scored(won.value, mean, fields)

    def _join(self, readings: Sequence[Reading]) -> Reading:
        """Make one reading of those of the criteria."""
        pairs = list(zip(self._criteria, readings, strict=True))
        fields: dict[str, Json] = {
            "criteria": {c.name: reading.fields["expected_score"] for c, reading in pairs},
            "distributions": {c.name: reading.probabilities for c, reading in pairs},
        }
        missing = {
            c.name: reading.fields["censored"]
            for c, reading in pairs
            if "censored" in reading.fields
        }
        if missing:
            fields["censored"] = missing
        total = math.fsum(c.weight for c in self._criteria)
        confidence = math.fsum(c.weight * (reading.confidence or 0) for c, reading in pairs) / total
        return replace(self._weighted(fields["criteria"], fields), confidence=confidence)

    def _weighted(self, scores: Mapping[str, float], fields: Mapping[str, Json]) -> Reading:
        expected = weighted_score(self._criteria, scores)
        return self._scored(math.floor(expected + 0.5), expected, fields)

    def _scored(self, value: Value, expected: float, fields: Mapping[str, Json]) -> Reading:
        return Reading(
            value=value,
            reward=self._scaled(expected),
            fields={**fields, "expected_score": expected},
        )

    def _scaled(self, score: float) -> float:
        return (score - self.low) / (self.high - self.low)


def _scores_schema(criteria: Sequence[Criterion]) -> Mapping[str, Any]:
    """Return the schema of a reply with a score for each criterion."""
    scores = {
        c.name: {"type": "integer", "minimum": c.scale[0], "maximum": c.scale[1]} for c in criteria
    }
    texts = {name: PointwiseJudge.schema["properties"][name] for name in _TEXTS}
    nested = {
        "type": "object",
        "properties": scores,
        "required": [*scores],
        "additionalProperties": False,
    }
    return {
        **PointwiseJudge.schema,
        "properties": texts | {"scores": nested},
        "required": [*_TEXTS, "scores"],
    }


def _take_scores(reply: Mapping[str, Any], criteria: Sequence[Criterion]) -> dict[str, int]:
    scores = reply.get("scores")
    if not isinstance(scores, dict):
        raise ReplyError(Cause.UNPARSEABLE, "the reply has no object 'scores'")
    given = cast("dict[str, Any]", scores)
    return {c.name: int(_take_whole(given, c.name, *c.scale)) for c in criteria}


def _take_whole(reply: Mapping[str, Any], name: str, low: int, high: int) -> float:
    score = json_reply.take_number(reply, name, low, high)
    if score != int(score):
        raise ReplyError(Cause.OUT_OF_RANGE, f"{name} is {score}, not a whole number")
    return score


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _split(row: Mapping[str, Any], name: str | None) -> tuple[tuple[Message, ...], str]:
    if name is None:
        return rows.take_prompt(row, "prompt"), rows.take_text(row, "response")
    messages = rows.take_dialogue(row, name)
    return messages[:-1], rows.message_text(messages[-1])


def _row(prompt: Sequence[Message], response: str, reference: str | None) -> dict[str, Json]:
    row = {"prompt": rows.plain(prompt), "response": response}
    return row if reference is None else row | {"reference": reference}
