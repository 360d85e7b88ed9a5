"""The pairwise judge: which of two responses is better?

Both orders are asked by default, because judges favour a position. What comes back for the swapped
order is mapped back to A and B, and both are kept. Orders that contradict each other abstain.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, cast

from msgspec.structs import replace

from plaudit.engines.base import Request
from plaudit.errors import Cause, ReplyError, UsageError
from plaudit.judges import json_reply, readout, rows
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.criteria import Criterion, weighted_mean
from plaudit.judges.kind import Untrusted, plain_text
from plaudit.judges.readout import Option
from plaudit.judges.verdict import Reading, Transcript, all_made
from plaudit.scoring.swap import combine_log_odds, swap_distribution, swap_text
from plaudit.types import Failure, Json, Message, PairSample, Sample

CHOICES: Mapping[str, float] = {"A++": 0.95, "A+": 0.75, "A=B": 0.5, "B+": 0.25, "B++": 0.05}
"""Probability that A is better, by the choice that the json readout states."""
_SWAPPED = dict(zip(CHOICES, reversed(CHOICES), strict=True))
_TEXTS = ("analysis of A", "analysis of B", "reason of A=B", "reason of A>B", "reason of B>A")
_LEVEL = 1e-9
"""Least difference between two probabilities that is one; what is less is rounding."""
_MIRRORED = dict(zip(_TEXTS, [_TEXTS[1], _TEXTS[0], _TEXTS[2], _TEXTS[4], _TEXTS[3]], strict=True))
_FIELDS = frozenset(
    {"id", "conversation_A", "conversation_B", "prompt", "response_a", "response_b", "reference"}
)


class PairwiseJudge(BaseJudge):
    """Compares two responses; the reward is 2 p_a - 1, from B's to A's favour."""

    kind = "pairwise"
    variables = frozenset({"context", "a", "b", "reference"})
    options = (
        Option("A", "first", "the first response is better"),
        Option("B", "second", "the second response is better"),
        Option("A=B", "equal", "neither is better"),
    )
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "maxLength": 600} for name in _TEXTS},
            "choice": {"type": "string", "enum": list(CHOICES)},
        },
        "required": [*_TEXTS, "choice"],
        "additionalProperties": False,
    }
    json_has_confidence = True
    takes_criteria = True
    scale = "pair"

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `BaseJudge`; with criteria there is one choice for each, in the json readout.

        Raises:
            UsageError: criteria with the logprob readout, which reads one choice.
        """
        self._criteria = config.criteria
        self.orders = 2 if config.swap else 1
        if config.criteria:
            self.variables = self.variables | {"criteria"}
        super().__init__(config, facts)
        if config.criteria and self.readout == "logprob":
            raise UsageError(
                "the pairwise judge reads one choice in the logprob readout, and criteria have one "
                'each; use readout="json"'
            )

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take two whole dialogues, or a prompt and two responses."""
        if "conversation_A" in row or "conversation_B" in row:
            a = rows.take_dialogue(row, "conversation_A")
            b = rows.take_dialogue(row, "conversation_B")
        else:
            prompt = rows.take_prompt(row, "prompt")
            a = (*prompt, Message("assistant", rows.take_text(row, "response_a")))
            b = (*prompt, Message("assistant", rows.take_text(row, "response_b")))
        reference = rows.take_optional_text(row, "reference")
        sample = PairSample(
            id=rows.row_id(row, _row(a, b, reference)),
            index=index,
            metadata=rows.unknown_columns(row, _FIELDS),
            conversation_a=a,
            conversation_b=b,
            reference=reference,
        )
        rows.refuse_blank(sample)
        return [sample]

    def row_of(self, sample: PairSample) -> dict[str, Json]:
        """Return the sample as an input row."""
        return _row(sample.conversation_a, sample.conversation_b, sample.reference)

    def sample_variables(self, sample: PairSample) -> dict[str, Untrusted]:
        """Return the shared history and what differs; whole dialogues where histories differ."""
        a, b = sample.conversation_a, sample.conversation_b
        shared = a[:-1] == b[:-1]
        return {
            "context": rows.shown(a[:-1] if shared else ()),
            "a": rows.shown(a[-1:] if shared else a),
            "b": rows.shown(b[-1:] if shared else b),
            "reference": sample.reference or "",
        }

    def joined(self, variables: Mapping[str, Untrusted]) -> str:
        """Return the texts, with the responses in an order that does not depend on theirs."""
        responses = sorted((plain_text(variables["a"]), plain_text(variables["b"])))
        return "\n".join(
            (plain_text(variables["context"]), *responses, plain_text(variables["reference"]))
        )

    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return the side that a shot's choice favours."""
        if "choices" in feedback:
            return _side(weighted_mean(self._criteria, _chances(feedback["choices"])))
        return feedback["choice"].rstrip("+")

    def template_name(self) -> str:
        """Return the template that shows criteria, where there are any."""
        return "pairwise_criteria" if self._criteria else self.kind

    def reply_schema(self) -> Mapping[str, Any]:
        """Return the schema of a reply: with one choice, or with one for each criterion."""
        return _choices_schema(self._criteria) if self._criteria else self.schema

    def takes_shot(self, shot: Mapping[str, Any]) -> bool:
        """Return whether a shot has a choice for everything that is compared."""
        if not self._criteria:
            return True
        feedback: Any = shot.get("feedback")
        choices: Any = cast("Any", feedback).get("choices") if isinstance(feedback, dict) else None
        return isinstance(choices, dict) and all(c.name in choices for c in self._criteria)

    def requests(self, sample: Sample) -> list[Request]:
        """Return one request an order."""
        assert isinstance(sample, PairSample)
        first = self.render(sample)
        return [first, self.render(sample.swap(), "swapped")] if self.orders == 2 else [first]

    async def judge_sample(
        self, sample: Sample, requests: Sequence[Request], reported: Transcript
    ) -> Reading:
        """Ask one order, or both at once, and combine."""
        if len(requests) == 1:
            return await self.ask_and_read(sample, requests[0], reported)
        orders = [partial(self.ask_and_read, sample, request) for request in requests]
        first, second = all_made(await reported.do_all(orders, requests))
        return _combine(first, _swap(second))

    def tally(self, votes: Sequence[Reading], winners: Sequence[Reading]) -> Reading:
        """Take the mean of `p_a`; a winner that it contradicts is none."""
        p_a = math.fsum(vote.fields["p_a"] for vote in votes) / len(votes)
        side = _side(p_a)
        won = winners[0]
        clear = len(winners) == 1 and won.abstain is None
        value = str(won.value) if clear else side
        fields = won.fields | {"p_a": p_a, "choice": _nearest_choice(value, p_a)}
        if "order_gap" in fields:
            gaps = [vote.fields["order_gap"] for vote in votes]
            fields["order_gap"] = math.fsum(gaps) / len(gaps)
        if self._criteria:
            fields["criteria"] = _mean_chances([vote.fields["criteria"] for vote in votes])
        abstain = won.abstain
        if {value, side} == {"A", "B"}:
            why = f"most votes are for {value}, and stronger ones for {side}"
            abstain = Failure(Cause.UNDECIDED_VOTES, why, len(votes))
        return replace(_reading(value, p_a, 0.0, None, fields), abstain=abstain)

    @property
    def outcomes(self) -> int:
        """A, B, a tie, and with both orders that they contradict each other."""
        return len(self.options) + self.orders - 1

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the most probable outcome; a tie counts half for each side."""
        value = readout.likeliest(probabilities)
        p_a = probabilities["A"] + probabilities["A=B"] / 2
        return _reading(value, p_a, probabilities[value], probabilities, {})

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated choice, or the weighted mean of the stated choices."""
        texts: dict[str, Json] = {name: json_reply.take_text(reply, name) for name in _TEXTS}
        if self._criteria:
            chances = _chances(_take_choices(reply, self._criteria))
            p_a = weighted_mean(self._criteria, chances)
            value = _side(p_a)
            fields = {"choice": _nearest_choice(value, p_a), "criteria": chances} | texts
            return _reading(value, p_a, max(p_a, 1 - p_a), None, fields)
        choice = json_reply.take_option(reply, "choice", tuple(CHOICES))
        p_a = CHOICES[choice]
        fields = {"choice": choice} | texts
        return _reading(choice.rstrip("+"), p_a, max(p_a, 1 - p_a), None, fields)


def _reading(
    value: str,
    p_a: float,
    confidence: float,
    probabilities: dict[str, float] | None,
    fields: Mapping[str, Json],
) -> Reading:
    return Reading(
        value=value,
        reward=2 * p_a - 1,
        confidence=confidence,
        probabilities=probabilities,
        fields={"p_a": p_a} | dict(fields),
    )


def _side(p_a: float) -> str:
    return "A=B" if abs(p_a - 0.5) < _LEVEL else "A" if p_a > 0.5 else "B"


def _choices_schema(criteria: Sequence[Criterion]) -> Mapping[str, Any]:
    """Return the schema of a reply with a choice for each criterion."""
    nested = {
        "type": "object",
        "properties": {c.name: PairwiseJudge.schema["properties"]["choice"] for c in criteria},
        "required": [c.name for c in criteria],
        "additionalProperties": False,
    }
    texts = {name: PairwiseJudge.schema["properties"][name] for name in _TEXTS}
    return {
        **PairwiseJudge.schema,
        "properties": texts | {"choices": nested},
        "required": [*_TEXTS, "choices"],
    }


def _take_choices(reply: Mapping[str, Any], criteria: Sequence[Criterion]) -> dict[str, str]:
    choices = reply.get("choices")
    if not isinstance(choices, dict):
        raise ReplyError(Cause.UNPARSEABLE, "the reply has no object 'choices'")
    given = cast("dict[str, Any]", choices)
    return {c.name: json_reply.take_option(given, c.name, tuple(CHOICES)) for c in criteria}


def _chances(choices: Mapping[str, str]) -> dict[str, float]:
    """Return the probability that A is better, by criterion."""
    return {name: CHOICES[choice] for name, choice in choices.items()}


def _mean_chances(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _swap(reading: Reading) -> Reading:
    """Map a reading of the swapped order back to A and B."""
    fields: dict[str, Json] = {
        _MIRRORED[name]: swap_text(text) for name, text in reading.fields.items() if name in _TEXTS
    }
    if "choice" in reading.fields:
        fields["choice"] = _SWAPPED[reading.fields["choice"]]
    if "criteria" in reading.fields:
        fields["criteria"] = {name: 1 - p for name, p in reading.fields["criteria"].items()}
    if "censored" in reading.fields:
        fields["censored"] = [_OTHER[label] for label in reading.fields["censored"]]
    if "read_by" in reading.fields:
        fields["read_by"] = reading.fields["read_by"]
    probabilities = reading.probabilities and swap_distribution(reading.probabilities, _OTHER)
    p_a = 1 - reading.fields["p_a"]
    return _reading(_OTHER[str(reading.value)], p_a, reading.confidence or 0, probabilities, fields)


_OTHER: Mapping[str, str] = {"A": "B", "B": "A", "A=B": "A=B"}


def _combine(first: Reading, second: Reading) -> Reading:
    """Combine the readings of both orders, the second mapped back already."""
    p_a, p_a_second = first.fields["p_a"], second.fields["p_a"]
    fields: dict[str, Json] = {"order_gap": abs(p_a - p_a_second)}
    if first.probabilities is not None and second.probabilities is not None:
        mixed = combine_log_odds(first.probabilities, second.probabilities)
        combined = mixed["A"] + mixed["A=B"] / 2
        level = abs(mixed["A"] - mixed["B"]) < _LEVEL  # whichever the order of A and B
        value = "A=B" if level else max(mixed, key=mixed.__getitem__)
        reading = _reading(value, combined, mixed[value], mixed, fields)
    else:
        combined = (p_a + p_a_second) / 2
        value = _side(combined)
        if "criteria" in first.fields:
            fields["criteria"] = _mean_chances(
                [first.fields["criteria"], second.fields["criteria"]]
            )
        fields["choice"] = _nearest_choice(value, combined)
        reading = _reading(value, combined, max(combined, 1 - combined), None, fields)
    reading = _with_orders(reading, first, second)
    return _abstain(reading, first, second)


def _with_orders(reading: Reading, first: Reading, second: Reading) -> Reading:
    orders = [
        {"value": r.value, "probabilities": r.probabilities, **r.fields} for r in (first, second)
    ]
    missing = [x for r in (first, second) for x in r.fields.get("censored", ())]
    fields = reading.fields | {"orders": orders}
    if missing:
        fields["censored"] = sorted(set(missing))
    if any("read_by" in r.fields for r in (first, second)):
        fields["read_by"] = "continuations"
    return replace(reading, fields=fields)


def _abstain(reading: Reading, first: Reading, second: Reading) -> Reading:
    if {first.value, second.value} != {"A", "B"}:
        return reading
    conflict = Failure(
        Cause.ORDER_CONFLICT,
        "the two orders contradict each other: each time the response in the "
        f"{'first' if first.value == 'A' else 'second'} place won",
        2,
    )
    return replace(reading, abstain=conflict)


def _nearest_choice(value: str, p_a: float) -> str:
    """Return the choice for a value whose probability is nearest; of two as near, the weaker."""
    choices = [choice for choice in CHOICES if choice.rstrip("+") == value]
    return min(choices, key=lambda c: (round(abs(CHOICES[c] - p_a), 9), abs(CHOICES[c] - 0.5)))


def _row(a: Sequence[Message], b: Sequence[Message], reference: str | None) -> dict[str, Json]:
    shared = a[:-1] == b[:-1] and a[-1].tool_calls is None and b[-1].tool_calls is None
    row: dict[str, Json]
    if shared and isinstance(a[-1].content, str) and isinstance(b[-1].content, str):
        row = {
            "prompt": rows.plain(a[:-1]),
            "response_a": a[-1].content,
            "response_b": b[-1].content,
        }
    else:
        row = {"conversation_A": rows.as_json(a), "conversation_B": rows.as_json(b)}
    return row if reference is None else row | {"reference": reference}
