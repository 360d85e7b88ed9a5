"""The feedback judge: how did the user react to the answer?

The next thing a user writes tells whether the answer served them. Seven labels, each with a reward;
`topic_shift` says nothing about the answer and is never learned from.
"""

import math
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any, ClassVar

from plaudit.errors import Cause, InputError, UsageError
from plaudit.judges import json_reply, readout, rows
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.kind import Untrusted
from plaudit.judges.readout import Option
from plaudit.judges.verdict import Reading
from plaudit.types import Failure, FeedbackSample, Json, Message, Sample

REWARDS: Mapping[str, float] = {
    "neg_constraint_restate": -1.0,
    "neg_correction": -0.8,
    "neg_confusion": -0.6,
    "neutral": 0.0,
    "pos_progress": 0.1,
    "pos_praise": 0.8,
}
"""Reward of each label; `topic_shift` has none."""

_FIELDS = frozenset({"id", "query", "answer", "follow_up", "query_t", "answer_t", "query_t1"})


class FeedbackJudge(BaseJudge):
    """Labels the user's reaction; the reward is the expectation over the labels."""

    kind = "feedback"
    variables = frozenset({"query", "answer", "follow_up"})
    options = (
        Option("neg_constraint_restate", "requirement", "the user repeats a wish that was ignored"),
        Option("neg_correction", "correction", "the user points out a mistake"),
        Option("neg_confusion", "confusion", "the user does not understand the answer"),
        Option("neutral", "neutral", "the user shows no opinion of the answer"),
        Option("pos_progress", "next", "the answer worked and the user builds on it"),
        Option("pos_praise", "praise", "the user is pleased or says thanks"),
        Option("topic_shift", "unrelated", "the user changes the subject"),
    )
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "rationale": {"type": "string", "maxLength": 300},
            "label": {"type": "string", "enum": [option.label for option in options]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["rationale", "label", "confidence"],
        "additionalProperties": False,
    }
    json_tokens = 256
    default_gate = 0.6
    json_has_confidence = True

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `BaseJudge`; also checks the reward map."""
        self.rewards = dict(REWARDS) if config.reward_map is None else dict(config.reward_map)
        _check_rewards(self.rewards)
        super().__init__(config, facts)

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take one sample from a flat row, or every triple from a conversation."""
        name = rows.chat_name(row, ["messages"], _FIELDS - {"id"})
        if name is not None:
            return _triples(row, name, index)
        query = rows.take_text(row, "query", "query_t")
        answer = rows.take_text(row, "answer", "answer_t")
        follow_up = rows.take_text(row, "follow_up", "query_t1")
        sample = FeedbackSample(
            id=rows.row_id(row, {"query": query, "answer": answer, "follow_up": follow_up}),
            index=index,
            metadata=rows.unknown_columns(row, _FIELDS),
            query=query,
            answer=answer,
            follow_up=follow_up,
        )
        rows.refuse_blank(sample)
        return [sample]

    def row_of(self, sample: FeedbackSample) -> dict[str, Json]:
        """Return the sample as an input row."""
        return {"query": sample.query, "answer": sample.answer, "follow_up": sample.follow_up}

    def sample_variables(self, sample: FeedbackSample) -> dict[str, Untrusted]:
        """Return question, answer and follow-up."""
        return {"query": sample.query, "answer": sample.answer, "follow_up": sample.follow_up}

    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return a shot's label."""
        return feedback["label"]

    def feedback_of(self, label: str) -> dict[str, Json] | None:
        """Return the label with its meaning for a reason."""
        meaning = next((o.meaning for o in self.options if o.label == label), "")
        return {"rationale": f"{meaning.capitalize()}.", "label": label, "confidence": 0.95}

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the most probable label; the reward is the expectation without `topic_shift`."""
        value = readout.likeliest(probabilities)
        learned = [*map(probabilities.__getitem__, self.rewards)]
        weight = math.fsum(learned)
        gain = math.fsum(map(mul, learned, self.rewards.values()))
        expected = gain / weight if weight > 0 else 0.0
        return self._reading(value, expected, probabilities[value], probabilities, {})

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated label and its reward."""
        value = json_reply.take_option(reply, "label", self.labels)
        confidence = json_reply.take_number(reply, "confidence", 0, 1)
        fields = {"rationale": json_reply.take_text(reply, "rationale")}
        return self._reading(value, self.rewards.get(value, 0.0), confidence, None, fields)

    def tally(self, votes: Sequence[Reading], winners: Sequence[Reading]) -> Reading:
        """Take the expectation over the votes, those for `topic_shift` left out."""
        learned = [vote.reward for vote in votes if vote.abstain is None]
        expected = math.fsum(learned) / len(learned) if learned else 0.0
        return self._reading(
            str(winners[0].value),
            expected,
            0.0,
            None,
            {name: field for name, field in winners[0].fields.items() if name != "expected_reward"},
        )

    def _reading(
        self,
        value: str,
        reward: float,
        confidence: float,
        probabilities: dict[str, float] | None,
        fields: dict[str, Json],
    ) -> Reading:
        return Reading(
            value=value,
            reward=reward,
            confidence=confidence,
            probabilities=probabilities,
            fields={"expected_reward": reward, **fields},
            abstain=None if value in self.rewards else _TOPIC_SHIFT,
        )


_TRIPLE_ROLES = ["user", "assistant", "user"]
_TOPIC_SHIFT = Failure(
    Cause.TOPIC_SHIFT, "the user changed the subject, which says nothing about the answer"
)


def _triples(row: Mapping[str, Any], column: str, index: int) -> list[Sample]:
    turns = _turns(rows.take_messages(row, column))
    name = rows.row_id(row, row[column])
    metadata = rows.unknown_columns(row, frozenset({"id", column}))
    starts = [i for i in range(len(turns) - 2) if [t[0] for t in turns[i : i + 3]] == _TRIPLE_ROLES]
    if not starts:
        raise InputError(f"{column!r} has no user message that follows an assistant's answer")
    return [
        FeedbackSample(
            id=f"{name}#{n}",
            index=index + n - 1,
            metadata=metadata,
            query=turns[start][1],
            answer=turns[start + 1][1],
            follow_up=turns[start + 2][1],
        )
        for n, start in enumerate(starts, 1)
    ]


def _turns(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Join consecutive messages of one role; leave out what neither user nor assistant said."""
    turns: list[tuple[str, str]] = []
    for message in messages:
        text = rows.message_text(message) if message.tool_calls is None else message.content or ""
        if message.role not in ("user", "assistant") or not isinstance(text, str):
            continue
        if not rows.is_visible(text):
            continue
        if turns and turns[-1][0] == message.role:
            turns[-1] = (message.role, f"{turns[-1][1]}\n\n{text}")
        else:
            turns.append((message.role, text))
    return turns


def _check_rewards(rewards: Mapping[str, float]) -> None:
    if rewards.keys() != REWARDS.keys():
        raise UsageError(f"the reward map must give a number for each of {', '.join(REWARDS)}")
    for label, reward in rewards.items():
        if not math.isfinite(reward):
            raise UsageError(f"the reward of {label} must be a finite number")
