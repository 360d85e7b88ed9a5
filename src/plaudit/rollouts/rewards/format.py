"""`format`: whether what the model wrote has the form that it should have."""

import re
from typing import ClassVar, Literal

from plaudit.rollouts.rewards.base import Measure, scored
from plaudit.rollouts.rewards.reading import answer_of, calls_of, no_answer
from plaudit.rollouts.trace import Score, StopReason, Trace

_BADLY_FORMED = frozenset({"malformed", "unknown_tool", "invalid_arguments"})
_MARKUP = re.compile(
    r"</?(?:think|tool_call|tool_response|tool_result|function_call|function(?:=|>)|parameter=)"
    r"|<\|[\w\s]*\|>|\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|INST)\]"
    r"|<(?:start|end)_of_turn>|<\uff5c",
    re.IGNORECASE,
)
_OPEN, _CLOSE = "<think>", "</think>"


class Format(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Well-formed calls and an answer, as a product of four parts, each in 0..1.

    `answer`: 1 where the rollout ended with an answer of its own accord. `calls`: the share of its
    calls that could be read, name a tool and have arguments that fit; what a tool made of them does
    not count. `thoughts`: 1 unless thoughts were opened and not closed. `markup`: 1 unless the
    answer holds tags of a chat or tool protocol, such as a forged tool result.
    """

    name: ClassVar[str] = "format"

    calls: Literal["required", "optional"] = "required"
    """`required`: without a well-formed call `calls` is 0. `optional`: without any it is 1."""

    def measure(self, trace: Trace) -> Score:
        """Score the form of a rollout, 0..1."""
        parts = {
            "answer": float(_answered(trace)),
            "calls": self._calls(trace),
            "thoughts": float(not _left_open(trace)),
            "markup": float(not _MARKUP.search(answer_of(trace))),
        }
        value = 1.0
        for part in parts.values():
            value *= part
        return scored(value, self._reason(trace, parts), **parts)

    def _calls(self, trace: Trace) -> float:
        calls = calls_of(trace)
        if not calls:
            return float(self.calls == "optional")
        return sum(call.status not in _BADLY_FORMED for call in calls) / len(calls)

    def _reason(self, trace: Trace, parts: dict[str, float]) -> str:
        problems = {
            "answer": no_answer(trace) or f"a limit ended it ({trace.stop_reason})",
            "calls": "calls are malformed" if calls_of(trace) else "no tool was called",
            "thoughts": "thoughts are not closed",
            "markup": "the answer holds tags of a protocol",
        }
        return next((problems[n] for n, part in parts.items() if part < 1), "well formed")


def _answered(trace: Trace) -> bool:
    return trace.stop_reason in (None, StopReason.ANSWERED) and no_answer(trace) is None


def _left_open(trace: Trace) -> bool:
    texts = [turn.text for turn in trace.turns] or [
        message.text for message in trace.messages if message.role == "assistant"
    ]
    return any(text.rfind(_OPEN) > text.rfind(_CLOSE) for text in texts)
