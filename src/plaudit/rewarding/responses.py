"""Rollouts as NeMo Gym has them: responses of OpenAI's Responses API, and columns of a row."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.types import Json

UNSCORED = "unscored"
"""The field that is 1 where there is no value, else 0; Gym reports its mean."""
FAILED = "_ng_failure_class"
"""Gym's field for what failed: it leaves such a row out of its metrics, and asks again."""

_OF_GYM = frozenset({"responses_create_params", "response", "prompt", "completion"})
_REFERENCES = ("answer", "reference", "expected_answer", "ground_truth")


class _Params(msgspec.Struct, frozen=True):
    input: str | list[dict[str, Json]]
    instructions: str | None = None


class _Response(msgspec.Struct, frozen=True):
    output: list[dict[str, Json]]


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout that is to be scored; further fields are columns of its row."""

    responses_create_params: _Params
    response: _Response


def row_of_response(body: Mapping[str, Json]) -> Row:
    """Return the body of a `/verify` as a row.

    Raises:
        msgspec.ValidationError: it is no rollout.
    """
    checked = msgspec.convert(body, VerifyRequest)
    columns = {name: value for name, value in body.items() if name not in _OF_GYM}
    prompt = checked.responses_create_params
    return columns | {
        "prompt": [*_instructions(prompt.instructions), *_chat(prompt.input, "user")],
        "completion": _chat(checked.response.output, "assistant"),
        "answer": reference_in(body),
    }


def reference_in(columns: Mapping[str, Any]) -> Any:
    """Return the reference among columns, under any of the names that NVIDIA's data sets have."""
    return next((columns[name] for name in _REFERENCES if columns.get(name) is not None), None)


def verified(row: ScoredRow, value: float | None) -> dict[str, Any]:
    """Return the fields that answer a row.

    Args:
        row: the answer.
        value: its value, or what stands for it; None: the row is marked as one whose judge failed.
            Its reward is 0, since Gym takes no null.
    """
    found: dict[str, Any] = {"reward": value, UNSCORED: float(row.value is None)}
    if value is None:
        found |= {
            "reward": 0.0,
            "mask_sample": True,
            FAILED: "judge_failed",
            "_ng_failure_judge_error": f"{row.cause}: {row.reason}",
        }
    return found


def is_verified(row: Mapping[str, Any]) -> bool:
    """Whether an answer's reward is one: not marked, and a number."""
    reward = row.get("reward")
    number = isinstance(reward, int | float) and not isinstance(reward, bool)
    return number and not row.get(FAILED) and not row.get("mask_sample")


def _instructions(text: str | None) -> list[Json]:
    return [{"role": "system", "content": text}] if text else []


def _chat(items: str | list[dict[str, Json]], role: str) -> list[Json]:
    """Return items of the Responses API as messages; the calls of one turn are one message."""
    if isinstance(items, str):
        return [{"role": role, "content": items}]
    return [message for item in items for message in _messages(item, role)]


def _messages(item: dict[str, Json], role: str) -> Iterator[Json]:
    kind = item.get("type", "message")
    if kind == "message":
        yield {"role": item.get("role", role), "content": item.get("content")}
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
    elif kind == "function_call_output":
        output = item.get("output")
        yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}
