"""The words of plaudit as frozen values: messages, samples, usage, verdicts.

All of them are `msgspec.Struct`: immutable, compared by value, picklable, and written to and read
from JSON by `msgspec.json` without further code.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from plaudit._util.notebook import Tabular
from plaudit.errors import Cause

Status = Literal["ok", "abstained", "invalid", "failed"]
"""The four outcomes of a judgement; only `ok` carries a reward."""

Value = str | int | float
"""What a judge decided: a label, a choice or a score."""

Json = Any
"""Anything that JSON can hold."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chat message in the OpenAI format."""

    role: str
    """`system`, `user`, `assistant`, `tool` or another role that the model knows."""
    content: str | list[dict[str, Json]] | None = None
    """Text, or a list of content parts, or None for a message that only calls tools."""
    tool_calls: list[dict[str, Json]] | None = None
    """The calls that an assistant message makes, as the API gave them."""
    tool_call_id: str | None = None
    """The call that a tool message answers."""
    name: str | None = None
    """Who speaks, where the role does not say it."""

    @property
    def text(self) -> str:
        """The text of the content, its parts joined; empty where there is none."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


_TOO_MANY_TOKENS = 2**62
"""A sum of tokens beyond this is none; one below it fits into 64 bits."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one completion, or summed over all completions of one sample."""

    input_tokens: int = 0
    """Tokens of the prompt, cached ones included."""
    output_tokens: int = 0
    """Tokens that the model wrote."""

    def __post_init__(self) -> None:
        """Take a number that cannot be for one that is unknown, wherever it was read."""
        if not 0 <= self.input_tokens < _TOO_MANY_TOKENS:
            force_setattr(self, "input_tokens", 0)
        if not 0 <= self.output_tokens < _TOO_MANY_TOKENS:
            force_setattr(self, "output_tokens", 0)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge reads. Base of the four sample types."""

    id: str
    """The row's own id, else a hash of its content. Ids may repeat."""
    index: int
    """Position in the run, from 0; identifies the verdict."""
    metadata: dict[str, Json] = {}
    """Columns that no judge reads; `label` is among them where the row has one."""


class FeedbackSample(Sample, frozen=True, kw_only=True):
    """A question, its answer, and the user's next message, whose reaction is judged."""

    query: str
    answer: str
    follow_up: str


class ResponseSample(Sample, frozen=True, kw_only=True):
    """A response to a conversation, to be scored."""

    prompt: tuple[Message, ...]
    """All messages before the response."""
    response: str
    """The assistant's text."""
    reference: str | None = None
    """A reference answer, where the row has one."""


class PairSample(Sample, frozen=True, kw_only=True):
    """Two whole dialogues of which the better is sought."""

    conversation_a: tuple[Message, ...]
    conversation_b: tuple[Message, ...]
    reference: str | None = None

    def swap(self) -> "PairSample":
        """The same pair with A and B exchanged."""
        return msgspec.structs.replace(
            self, conversation_a=self.conversation_b, conversation_b=self.conversation_a
        )


class AnswerSample(Sample, frozen=True, kw_only=True):
    """An answer to be checked against accepted references."""

    question: str
    answer: str
    references: tuple[str, ...]
    """Accepted answers, at least one; matching any of them is right."""
    answer_type: str = ""
    """How they are compared, such as `number`; empty: as the judge's configuration says."""
    choices: tuple[str, ...] = ()
    """Options of a multiple-choice question, in the order of their letters from A."""


class Failure(msgspec.Struct, frozen=True):
    """Why a verdict is not `ok`."""

    cause: Cause
    message: str
    """One sentence for a person; never holds a secret."""
    attempts: int = 1
    """Requests that were sent for it."""


class Verdict(Tabular, msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one sample. Encoded in this order, one JSON object a line."""

    index: int
    id: str
    status: Status
    value: Value | None = None
    """What was decided; kept when abstained, None when invalid or failed."""
    reward: float | None = None
    """A finite number when the status is `ok`, else None."""
    confidence: float | None = None
    """Chance in 0..1 that `value` is right, calibrated where a calibration applies."""
    probabilities: dict[str, float] | None = None
    """Distribution over the options after prior removal, summing to 1; None in the json readout."""
    fields: dict[str, Json] = {}
    """What else the judge said, by judge; see docs/reference/judges.md."""
    usage: Usage = Usage()
    judge: str = ""
    """`kind/fingerprint`, the fingerprint cut to 12 hexadecimal digits."""
    error: Failure | None = None
    metadata: dict[str, Json] = {}
    input: dict[str, Json] | UnsetType = UNSET
    """What was judged, in the form of an input row."""
    raw: list[str] | UnsetType = UNSET
    """The raw replies, in the order in which they were asked for."""

    @property
    def should_update(self) -> bool:
        """Whether a trainer may learn from this verdict."""
        return self.status == "ok"

    def table_rows(self) -> list[dict[str, Any]]:
        """Return one row: the fields by name, with cause and message of the error."""
        row = {name: getattr(self, name) for name in self.__struct_fields__}
        error = row.pop("error")
        row["cause"], row["message"] = (error.cause, error.message) if error else (None, None)
        row["usage"] = msgspec.to_builtins(self.usage)
        return [{name: None if value is UNSET else value for name, value in row.items()}]


class Verdicts(list[Verdict], Tabular):
    """Verdicts in the order of their samples: a list, and a table of a row each."""

    __slots__ = ()

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row of each verdict."""
        return (row for verdict in self for row in verdict.table_rows())


def reward_and_update(verdict: Verdict) -> tuple[float | None, bool]:
    """The pair that an online learner wants: the reward or None, and whether to learn from it."""
    return verdict.reward, verdict.should_update
