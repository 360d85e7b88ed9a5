"""Traces of `plaudit rollout` and `plaudit score`: the rollouts of one question compete.

The prompt is what stands before the assistant's first message, the response everything from there
on, calls and their results included. The score is the total reward where it could be told.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.formats.base import ABSENT, Format, malformed, prompt_id, unpacked
from plaudit.preferences.formats.messages import split_at_response
from plaudit.preferences.formats.numbers import finite


class _Trace(msgspec.Struct, frozen=True, gc=False):
    messages: Raw
    question_id: str | None = None
    group: str | None = None
    draw: int | None = None
    rewards: Raw = ABSENT


class _Score(msgspec.Struct, frozen=True, gc=False):
    value: float | None = None


class _Rewards(msgspec.Struct, frozen=True, gc=False):
    total: _Score | None = None


_decode = msgspec.json.Decoder(_Trace).decode
_decode_messages = msgspec.json.Decoder(list[Raw]).decode
_decode_rewards = msgspec.json.Decoder(_Rewards).decode


class Traces(Format):
    """Traces; the example is the question, the turn the group, the index the draw.

    Where a trace names neither question nor group, as a plain chat, these are its prompt's hash.
    """

    name = "traces"

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `Format`."""
        try:
            trace = _decode(line)
            rewards = unpacked(trace.rewards)
            total = _decode_rewards(rewards).total if bytes(rewards) else None
            prompt, response = split_at_response(_decode_messages(unpacked(trace.messages)))
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("trace", error) from None
        if trace.draw is not None and trace.draw < 0:
            raise InputError(f"not a trace: draw {trace.draw} is negative")
        named = trace.question_id or trace.group or prompt_id(prompt)
        return (
            Candidate(
                example_id=named,
                turn_id=trace.group or named,
                index=trace.draw,
                prompt=prompt,
                response=response,
                score=None if total is None else finite(total.value),
            ),
        )
