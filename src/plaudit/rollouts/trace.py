"""What an agent did: one rollout as a frozen value, written as one JSON object a line."""

import math
from enum import StrEnum
from typing import Any, Literal, Self

import msgspec

from plaudit._util.notebook import Tabular
from plaudit.corpus.questions import Question
from plaudit.engines.base import FinishReason
from plaudit.types import Failure, Json, Message, Usage

SCHEMA = 1
"""Version of the trace format; written into every trace."""

Exactness = Literal["exact", "approximate"]
"""Whether ids are those that the engine read and sampled, or come from tokenising its text."""

CallStatus = Literal[
    "ok",
    "malformed",
    "unknown_tool",
    "invalid_arguments",
    "declined",
    "timeout",
    "raised",
    "bad_result",
    "over_limit",
]
"""What became of a tool call. All but `ok` were answered with an error under the call's id; one
that is `over_limit` was not run, since the rollout had made as many as it may. `declined`: the tool
works, and its answer to this call is an error (`ToolError`, `isError` of MCP)."""

TOOL_FAULTS: frozenset[CallStatus] = frozenset({"timeout", "raised", "bad_result"})
"""Calls that failed through a fault of the tool; all others say something of the model."""


class StopReason(StrEnum):
    """Why a rollout ended. The only list of reasons; names are stable and stored."""

    ANSWERED = "answered"
    """The model ended a turn without calling a tool."""
    # Limits: the rollout is finished, and has an answer only where one was written before.
    MAX_TURNS = "max_turns"
    MAX_NEW_TOKENS = "max_new_tokens"
    MAX_TOOL_CALLS = "max_tool_calls"
    CONTEXT_FULL = "context_full"
    """The next prompt would not fit into the model's context."""
    # Broken off from outside: what the model would have done is not known.
    DEADLINE = "deadline"
    FAILED = "failed"
    """The engine gave no reply; `error` says why."""
    REFUSED = "refused"
    """The provider's filter kept the reply back."""

    @property
    def broken_off(self) -> bool:
        """Whether nothing can be said of what the model would have answered."""
        return self in (StopReason.DEADLINE, StopReason.FAILED, StopReason.REFUSED)


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The rollout as the model read and wrote it. T: number of tokens, prompt included."""

    ids: list[int]
    """Length T."""
    mask: list[int]
    """Length T: 1 where the model sampled the token (its end-of-turn token too), else 0."""
    logprobs: list[float | None]
    """Length T: natural logarithms at temperature 1; None where not sampled or not known."""
    exactness: Exactness
    prompt_length: int
    """Ids at the beginning that are the prompt: system prompt, tools and question."""
    forks: int = 0
    """Times that the engine read a prompt that did not begin with what was read and sampled before;
    the ids are then those of the last branch, and only what was sampled on it is in the mask."""
    truncated: int = 0
    """Tokens that were cut off the end, with their mask and log-probabilities."""

    @property
    def prompt_ids(self) -> list[int]:
        """The ids before the first sampled one."""
        return self.ids[: self.prompt_length]

    @property
    def completion_ids(self) -> list[int]:
        """The ids after the prompt: what was sampled, and tool results in between."""
        return self.ids[self.prompt_length :]

    @property
    def completion_mask(self) -> list[int]:
        """The mask of `completion_ids`."""
        return self.mask[self.prompt_length :]

    @property
    def completion_logprobs(self) -> list[float | None]:
        """The log-probabilities of `completion_ids`."""
        return self.logprobs[self.prompt_length :]

    @property
    def completion_known(self) -> list[bool]:
        """For each completion id whether the model sampled it and its log-probability is known."""
        both = zip(self.completion_mask, self.completion_logprobs, strict=True)
        return [bool(sampled) and p is not None and math.isfinite(p) for sampled, p in both]

    @property
    def filled_logprobs(self) -> list[float]:
        """`completion_logprobs` as plain floats: NaN where sampled and unknown, else 0.

        Probability 1 for an unknown token would be a made-up number.
        """
        known = self.completion_known
        both = zip(known, self.completion_mask, self.completion_logprobs, strict=True)
        return [p or 0.0 if k else math.nan if sampled else 0.0 for k, sampled, p in both]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One reply of the model, exactly as it wrote it."""

    text: str
    """Everything, thoughts and calls written as text included; special tokens left out."""
    reasoning: str = ""
    """The thoughts within it, without their tags."""
    answer: str = ""
    """The text outside of thoughts and calls, trimmed."""
    finish_reason: FinishReason = "stop"
    calls: list[str] = []
    """Ids of the calls that it made, readable or not, in order."""
    usage: Usage = Usage()


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call, and what became of it. Its result stands in the message with its id."""

    id: str
    turn: int
    """Index of the turn that made it."""
    name: str
    """Empty where none could be read."""
    arguments: Json
    """The object that was passed; the text as written where it could not be read."""
    status: CallStatus
    data: Json = None
    """What else the tool returned, such as the ids of the chunks found, best first; for rewards."""
    truncated: bool = False
    """Whether the result was longer than a result may be, and was cut."""
    seconds: float = 0.0

    @property
    def tool_failed(self) -> bool:
        """Whether the call failed through a fault of the tool, and not of the model."""
        return self.status in TOOL_FAULTS


class Unscored(StrEnum):
    """Why a reward has no value. The only list of causes; names are stable and stored."""

    BROKEN_OFF = "broken_off"
    """An engine or a deadline ended the rollout."""
    TOOL_FAILED = "tool_failed"
    """A tool that the reward reads failed, through no fault of the model."""
    # The question does not say what would be needed.
    NO_REFERENCE = "no_reference"
    NO_GOLD = "no_gold"
    # The trace does not say it.
    NOT_RECORDED = "not_recorded"
    NOTHING_TO_CHECK = "nothing_to_check"
    # The judge.
    JUDGE_ABSTAINED = "judge_abstained"
    JUDGE_FAILED = "judge_failed"
    JUDGE_INVALID = "judge_invalid"
    UNDECIDED = "undecided"
    """No type of answer and no head could decide, and no model was asked."""
    # The user's own function.
    NONE_RETURNED = "none_returned"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    BAD_RESULT = "bad_result"
    # A composite.
    PART_MISSING = "part_missing"

    @property
    def broken(self) -> bool:
        """Whether something went wrong, which may go right another time or needs repair."""
        return self in _BROKEN


_BROKEN = frozenset(
    {
        Unscored.TOOL_FAILED,
        Unscored.JUDGE_FAILED,
        Unscored.JUDGE_INVALID,
        Unscored.RAISED,
        Unscored.TIMED_OUT,
        Unscored.BAD_RESULT,
    }
)


class Score(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reward function says of a trace."""

    value: float | None
    """A finite number, or None: it could not be scored, which is never a number."""
    reason: str = ""
    """One sentence: why it is what it is."""
    components: dict[str, "Score"] = {}
    """The parts of a composite, by name."""
    cause: Unscored | None = None
    """Why there is no value; None where there is one."""
    by: str = ""
    """`correctness`: what decided, such as `number`, `guard`, `head` or `model`."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a rollout went, in seconds."""

    total: float = 0.0
    engine: float = 0.0
    """Waiting for the engine."""
    tools: float = 0.0
    """Waiting for tools; calls side by side count once."""


class Trace(Tabular, msgspec.Struct, frozen=True, kw_only=True):
    """One rollout. Encoded in this order, one JSON object a line."""

    id: str
    """`QUESTION_ID/DRAW`, or what a foreign file calls it."""
    question_id: str = ""
    group: str = ""
    """What rollouts of one question share; the question's id unless the caller says otherwise."""
    draw: int = 0
    """Number of the rollout within its group, from 0."""
    question: Question | None = None
    """What was asked, with its reference; None for a plain chat."""
    messages: list[Message]
    """The whole chat in the OpenAI format: calls in `tool_calls`, results with role `tool`. Content
    of assistant messages is without thoughts and calls; `turns` has what was written."""
    turns: list[Turn] = []
    """What the model wrote, turn by turn; of a plain chat, its assistant messages."""
    tool_calls: list[CallRecord] = []
    tokens: Tokens | None = None
    stop_reason: StopReason | None = None
    """None for a plain chat."""
    final_answer: str | None = None
    """Text of the last assistant message without thoughts and calls; None where there is none."""
    error: Failure | None = None
    """Why the engine gave no reply, where the rollout failed."""
    rewards: dict[str, Score] | None = None
    """By name, `total` among them; None: not scored."""
    timing: Timing | None = None
    usage: Usage = Usage()
    engine: str = ""
    """The model's identity."""
    schema: int = SCHEMA

    def of(self, question: Question, draw: int) -> Self:
        """Return the trace as a rollout of a question."""
        return msgspec.structs.replace(
            self,
            id=f"{question.id}/{draw}",
            question_id=question.id,
            group=question.id,
            question=question,
        )

    def __repr__(self) -> str:
        """Say what it is in a line; trainers log whole rows."""
        how = "" if self.stop_reason is None else f"{self.stop_reason}, "
        tokens = "no" if self.tokens is None else f"{len(self.tokens.ids)}"
        return (
            f"<Trace {self.id}: {how}{len(self.turns)} turns, {len(self.tool_calls)} calls, "
            f"{tokens} tokens>"
        )

    @property
    def broken_off(self) -> bool:
        """Whether an engine, a filter or a deadline ended it."""
        return self.stop_reason is not None and self.stop_reason.broken_off

    @property
    def tool_failed(self) -> bool:
        """Whether a tool failed in it, through no fault of the model."""
        return any(call.tool_failed for call in self.tool_calls)

    @property
    def unfinished(self) -> bool:
        """Whether the same command rolls it out again: it was broken off, or a tool failed."""
        return self.broken_off or self.tool_failed

    def table_rows(self) -> list[dict[str, Any]]:
        """Return one row: question, answer, stop reason, counts, and each reward by its name."""
        scores = self.rewards or {}
        return [
            {
                "id": self.id,
                "question": None if self.question is None else self.question.question,
                "final_answer": self.final_answer,
                "stop_reason": self.stop_reason,
                "turns": len(self.turns),
                "calls": len(self.tool_calls),
                "tokens": None if self.tokens is None else len(self.tokens.ids),
                "error": None if self.error is None else self.error.message,
                **{name: score.value for name, score in scores.items()},
            }
        ]
