"""AReaL: plaudit's rewards as the reward function of its workflows, which pickle it."""

import pickle
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import take_choice, value_of
from plaudit.rewarding.queries import row_of_sample

DEADLINE_S = 12.0
"""Seconds until there is an answer, under the 15 s after which AReaL tries again."""


class ARealReward:
    """A reward function of AReaL. A process that unpickles it twice holds it once."""

    def __init__(
        self,
        reward: RewardSource | None = None,
        *,
        when_unscored: str | float | None = None,
        engine: str | Engine | None = None,
        deadline: float = DEADLINE_S,
    ) -> None:
        """Take a reward; nothing is asked. See `as_areal_reward`."""
        self._reward = RowReward(reward, engine=engine, deadline=deadline)
        self._choice = take_choice("AReaL", ("error", "number"), when_unscored)
        self.__name__ = self._reward.name
        options = {"when_unscored": when_unscored, "engine": engine, "deadline": deadline}
        self._pickled = _pickled({"reward": reward, **options})

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._pickled,)

    def __call__(
        self,
        prompt: str,
        completions: str,
        prompt_ids: Sequence[int] | None = None,
        completion_ids: Sequence[int] | None = None,
        **row: Any,
    ) -> float | None:
        """Score one completion; its columns are those of the data set's row.

        Raises:
            UnscoredError: there is no value, and `error` was chosen.
            EngineUnusableError: a judge is asked, and its engine can answer nothing.
        """
        del prompt_ids, completion_ids
        asked = row.pop("messages", prompt)  # What AReaL renders `prompt` of.
        (scored,) = self._reward.score([row | row_of_sample(asked, completions, None)])
        return value_of(scored, self._choice)


def _pickled(arguments: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(arguments)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"AReaL runs a reward in other processes, and this one does not pickle: {error}; "
            "define functions at the top of a module, and name engines by their URI"
        ) from error


@lru_cache(maxsize=64)
def _unpickled(arguments: bytes) -> ARealReward:
    return ARealReward(**pickle.loads(arguments))


def as_areal_reward(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    engine: str | Engine | None = None,
    deadline: float = DEADLINE_S,
) -> ARealReward:
    """Make a reward function for AReaL's workflows, such as `RLVRWorkflow(reward_fn=...)`.

    ::

        reward = as_areal_reward("rewards.toml", when_unscored="error")

    AReaL runs it in a pool of processes, so what it is made of must pickle. The row's `messages`
    are the prompt, else the decoded prompt is; the completion is a decoded text.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: AReaL takes no null, so choose: `error` raises, after which AReaL tries three
            times more and gives the rollout up, with its group; or a number.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer. AReaL makes a 0 of what takes longer than 15 s
            four times, and the wait for a free process counts.

    Raises:
        UsageError: the specification cannot be used or pickled, or nothing was chosen.
    """
    return ARealReward(reward, when_unscored=when_unscored, engine=engine, deadline=deadline)
