"""NeMo Gym 0.4 and later: a resources server.

`/verify` takes a rollout as a response of OpenAI's Responses API and gives the whole body back with
`reward`, which may not be null. `drop` marks a row as Gym marks one whose judge failed: Gym leaves
it out of its metrics and asks again.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from plaudit.rewarding.rows import Row
from plaudit.server.dialects.base import Answers, Dialect, PlainRoute, ScoringRoute
from plaudit.types import Json

_OF_GYM = frozenset({"responses_create_params", "response", "prompt", "completion"})
_REFERENCES = ("answer", "reference", "expected_answer", "ground_truth")
_TASK = "_ng_task_index"
_FAILED = "_ng_failure_class"


class _Params(msgspec.Struct, frozen=True):
    input: str | list[dict[str, Json]]
    instructions: str | None = None


class _Response(msgspec.Struct, frozen=True):
    output: list[dict[str, Json]]


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout that is to be scored; further fields are columns of its row."""

    responses_create_params: _Params
    response: _Response


class VerifyReply(msgspec.Struct, frozen=True, kw_only=True):
    """The whole request, with these fields."""

    reward: float
    unscored: float
    """1 where there is no value, else 0; Gym reports its mean."""


class AggregateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of `/verify`, as Gym collected them."""

    verify_responses: list[dict[str, Json]]


class AggregateReply(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics over them; marked rows are left out."""

    group_level_metrics: list[dict[str, Json]]
    agent_metrics: dict[str, Json]
    key_metrics: dict[str, Json]


def _rows(body: dict[str, Json]) -> list[Row]:
    checked = msgspec.convert(body, VerifyRequest)
    columns = {name: value for name, value in body.items() if name not in _OF_GYM}
    reference = next((body[name] for name in _REFERENCES if body.get(name) is not None), None)
    prompt = checked.responses_create_params
    return [
        columns
        | {
            "prompt": [*_instructions(prompt.instructions), *_chat(prompt.input, "user")],
            "completion": _chat(checked.response.output, "assistant"),
            "answer": reference,
        }
    ]


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


def _answer(body: dict[str, Json], answers: Answers) -> dict[str, Json]:
    (row,), (value,) = answers.rows, answers.values
    found = {**body, "reward": value, "unscored": float(row.value is None)}
    if value is None:
        found |= {
            "reward": 0.0,
            "mask_sample": True,
            _FAILED: "judge_failed",
            "_ng_failure_judge_error": f"{row.cause}: {row.reason}",
        }
    return found


def _aggregate(body: AggregateRequest) -> AggregateReply:
    groups: dict[Json, list[Mapping[str, Json]]] = {}
    for response in body.verify_responses:
        groups.setdefault(str(response.get(_TASK, "")), []).append(response)
    means = [{_TASK: _index(key), **_metrics(rows)} for key, rows in groups.items()]
    whole = _metrics(body.verify_responses)
    return AggregateReply(group_level_metrics=means, agent_metrics=whole, key_metrics=whole)


def _index(key: Json) -> Json:
    return int(key) if str(key).isdigit() else key


def _metrics(rows: Any) -> dict[str, Json]:
    given = cast("list[Mapping[str, Any]]", rows)
    rewards = [float(row["reward"]) for row in given if _counts(row)]
    found: dict[str, Json] = {"rollouts": len(given), "unscored": len(given) - len(rewards)}
    if rewards:
        found |= {"mean/reward": math.fsum(rewards) / len(rewards)}
        found |= {"min/reward": min(rewards), "max/reward": max(rewards)}
    return found


def _counts(row: Mapping[str, Any]) -> bool:
    """Whether a row's reward is one: not marked, and a number."""
    reward = row.get("reward")
    number = isinstance(reward, int | float) and not isinstance(reward, bool)
    return number and not row.get(_FAILED) and not row.get("mask_sample")


def _session(body: dict[str, Json]) -> dict[str, Json]:
    """Keep no session; newer clients want their id back."""
    id = body.get("resources_session_id")
    return {} if id is None else {"resources_session_id": id}


def _mode(body: None) -> str:
    """Say that a rollout may be verified again, at any time."""
    del body
    return "stateless"


NEMO_GYM = Dialect(
    name="nemo-gym",
    title="a resources server of NeMo Gym",
    choices=("drop", "error", "number"),
    deadline=300.0,
    scoring=[
        ScoringRoute(
            "/nemo-gym/verify", dict[str, Json], VerifyReply, _rows, _answer, VerifyRequest
        )
    ],
    plain=[
        PlainRoute("/nemo-gym/seed_session", dict[str, Json], dict[str, Json], _session),
        PlainRoute("/nemo-gym/close_session", dict[str, Json], dict[str, Json], _session),
        PlainRoute("/nemo-gym/reverify_mode", None, str, _mode),
        PlainRoute("/nemo-gym/aggregate_metrics", AggregateRequest, AggregateReply, _aggregate),
    ],
)
