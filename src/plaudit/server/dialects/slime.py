"""slime 0.3: `--rm-type remote_rm --rm-url URL`.

Its client sends one sample, and the body of the answer is the reward. It waits 120 s, tries ten
times and then raises, which ends the rollout.
"""

import msgspec

from plaudit.rewarding.queries import row_of_sample
from plaudit.rewarding.rows import Row
from plaudit.server.dialects.base import Answers, Dialect, ScoringRoute
from plaudit.types import Json


class SlimeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What its client posts."""

    prompt: str | list[dict[str, Json]]
    response: str
    label: Json = None
    """The reference; null: there is none."""


def _rows(body: SlimeRequest) -> list[Row]:
    return [row_of_sample(body.prompt, body.response, body.label)]


def _answer(body: SlimeRequest, answers: Answers) -> float | None:
    del body
    return answers.values[0]


SLIME = Dialect(
    name="slime",
    title="slime's remote reward model",
    choices=("error", "number"),
    deadline=110.0,
    scoring=[ScoringRoute("/slime", SlimeRequest, float, _rows, _answer)],
)
