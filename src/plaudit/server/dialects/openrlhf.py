"""OpenRLHF 0.11: `--reward.remote_url`.

Its client sends queries, which are prompt and response as one decoded text, with their prompts and
labels. It waits 180 s and tries five times; a request that fails leaves the reward None. A null in
`rewards` raises in its `torch.tensor`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from plaudit.rewarding.rows import Row
from plaudit.rewarding.texts import cut_after
from plaudit.server.dialects.base import Answers, Dialect, NoPrompt, ScoringRoute, column
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
    prompts = _padded(body.prompts, len(body.query), "")
    labels = _padded(body.labels, len(body.query), None)
    return [_row(*one) for one in zip(body.query, prompts, labels, strict=True)]


def _padded(given: list[Any], count: int, empty: Any) -> list[Any]:
    """Return as many values as there are queries; none where their number is another one."""
    return given if len(given) == count else [empty] * count


def _row(query: str, prompt: str, label: Json) -> Row | NoPrompt:
    response = cut_after(query, prompt)
    if response is None:
        return NoPrompt({"query": query})
    return column({"prompt": prompt, "completion": response, "answer": label})


def _answer(body: OpenRLHFRequest, answers: Answers) -> OpenRLHFReply:
    del body
    return OpenRLHFReply(
        rewards=[value for value in answers.values if value is not None],
        scores=answers.scaled(),
        extra_logs={"unscored": answers.unscored},
    )


OPENRLHF = Dialect(
    name="openrlhf",
    title="OpenRLHF's remote reward model",
    choices=("error", "number"),
    deadline=170.0,
    scoring=[ScoringRoute("/openrlhf", OpenRLHFRequest, OpenRLHFReply, _rows, _answer)],
)
