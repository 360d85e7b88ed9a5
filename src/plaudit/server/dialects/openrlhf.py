"""OpenRLHF 0.11: `--reward.remote_url`.

Its client sends queries, which are prompt and response as one decoded text, with their prompts and
labels. It waits 180 s and tries five times; a request that fails leaves the reward None. A null in
`rewards` raises in its `torch.tensor`.
"""

from collections.abc import Sequence

import msgspec

from plaudit.rewarding.queries import NoPrompt, on_unit_scale, rows_of_queries
from plaudit.rewarding.rows import Row
from plaudit.server.dialects.base import Answers, Dialect, ScoringRoute
from plaudit.types import Json


class OpenRLHFRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What its client posts; further fields are passed over."""

    query: list[str]
    """Prompts with their responses."""
    prompts: list[str] = []
    labels: list[Json] = []
    """References; null: there is none."""


class OpenRLHFReply(msgspec.Struct, frozen=True, kw_only=True):
    """What its client reads."""

    rewards: list[float]
    scores: list[float]
    """The rewards on a scale from 0 to 1, for its dynamic filtering."""
    extra_logs: dict[str, list[float]]
    """`unscored`: 1 where `rewards` holds a number that was chosen for want of a value."""


def _rows(body: OpenRLHFRequest) -> Sequence[Row | NoPrompt]:
    return rows_of_queries(body.query, body.prompts, body.labels)


def _answer(body: OpenRLHFRequest, answers: Answers) -> OpenRLHFReply:
    del body
    return OpenRLHFReply(
        rewards=[value for value in answers.values if value is not None],
        scores=on_unit_scale(answers.values, answers.low, answers.high),
        extra_logs={"unscored": answers.unscored},
    )


OPENRLHF = Dialect(
    name="openrlhf",
    title="OpenRLHF's remote reward model",
    choices=("error", "number"),
    deadline=170.0,
    scoring=[ScoringRoute("/openrlhf", OpenRLHFRequest, OpenRLHFReply, _rows, _answer)],
)
