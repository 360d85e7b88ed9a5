"""NeMo Gym 0.4 and later: a resources server.

`/verify` takes a rollout as a response of OpenAI's Responses API and gives the whole body back with
`reward`, which may not be null. `drop` marks a row as Gym marks one whose judge failed: Gym leaves
it out of its metrics and asks again.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from plaudit.rewarding.responses import VerifyRequest, is_verified, row_of_response, verified
from plaudit.rewarding.rows import Row
from plaudit.server.dialects.base import Answers, Dialect, PlainRoute, ScoringRoute
from plaudit.types import Json

_TASK = "_ng_task_index"


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
    return [row_of_response(body)]


def _answer(body: dict[str, Json], answers: Answers) -> dict[str, Json]:
    (row,), (value,) = answers.rows, answers.values
    return {**body, **verified(row, value)}


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
    rewards = [float(row["reward"]) for row in given if is_verified(row)]
    found: dict[str, Json] = {"rollouts": len(given), "unscored": len(given) - len(rewards)}
    if rewards:
        found |= {"mean/reward": math.fsum(rewards) / len(rewards)}
        found |= {"min/reward": min(rewards), "max/reward": max(rewards)}
    return found


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
