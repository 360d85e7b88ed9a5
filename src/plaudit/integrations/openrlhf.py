"""OpenRLHF: plaudit's rewards as the reward function of a file."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from plaudit._util.loops import run_sync
from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import take_choice
from plaudit.rewarding.queries import on_unit_scale, rows_of_queries, score_cut
from plaudit.rewarding.unscored import values
from plaudit.types import Json

OpenRLHFReward = Callable[..., dict[str, Any]]
"""A function of `queries`, `prompts` and `labels`, one value a query in each."""


def as_openrlhf_reward(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
) -> OpenRLHFReward:
    """Make the `reward_func` of a file that `--reward.remote_url FILE.py` names.

    ::

        reward_func = as_openrlhf_reward("rewards.toml", when_unscored="error")

    Queries are prompt and response as one decoded text. The prompt is cut off where the query
    begins with it; else the query has no value. Labels are the references. It returns tensors of
    one number a query, lists where torch is not installed: `rewards`; `scores`, the rewards on a
    scale from 0 to 1; and in `extra_logs` `unscored`, 1 where `rewards` holds the number that was
    chosen.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: OpenRLHF takes no null, so choose: `error` raises, after which OpenRLHF has
            no reward for the sample and its step ends with an error; or a number.
        name: what the reward is called; None: its own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; OpenRLHF itself waits for ever.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
    """
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)
    choice = take_choice("OpenRLHF", ("error", "number"), when_unscored)

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Json], **others: Any
    ) -> dict[str, Any]:
        del others
        rows = rows_of_queries(queries, prompts, labels)
        scored = run_sync(score_cut(adapted, rows))
        found = values(scored, choice, whole_group=False)
        scorer = adapted.scorer
        tensor = _tensor()
        return {
            "rewards": tensor(found),
            "scores": tensor(on_unit_scale(found, scorer.low, scorer.high)),
            "extra_logs": {"unscored": tensor([float(row.value is None) for row in scored])},
        }

    return reward_func


def _tensor() -> Callable[[Sequence[float | None]], Any]:
    """Return what makes a tensor of numbers; a list where torch is not installed."""
    try:
        return import_module("torch").tensor
    except ModuleNotFoundError:
        return list
