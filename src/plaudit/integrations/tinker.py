"""tinker-cookbook: plaudit's rewards for its groups of environments, and for one history."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource
from plaudit.rewarding.chosen import metrics_of, take_choice, value_of
from plaudit.rewarding.grouped import GroupReward, values_of_group
from plaudit.rewarding.messages import as_message, split_at
from plaudit.rewarding.rows import Row
from plaudit.rewarding.unscored import Word

Rewarded = tuple[float, dict[str, float]]
"""A reward and its metrics, as tinker-cookbook takes them."""
RowOf = Callable[[Any, Any], Row]
"""Makes a row of an environment and its trajectory; must pickle."""

_ALLOWED: tuple[Word, ...] = ("error", "number", "group-mean")


class TinkerReward(GroupReward):
    """A reward for trajectories of tinker-cookbook. Pickles with its arguments alone."""

    def __init__(
        self,
        reward: RewardSource | None = None,
        *,
        when_unscored: str | float | None = None,
        name: str | None = None,
        engine: str | Engine | None = None,
        deadline: float | None = None,
    ) -> None:
        """Take a reward; nothing is asked.

        Args:
            reward: see `RewardSource`; a pairwise judge compares every two members of a group;
                None: the default specification.
            when_unscored: tinker takes no null, so choose: `error` raises, which ends the run or,
                with a strategy that tolerates errors, skips the group; `group-mean`, in groups
                alone; or a number.
            name: of the metrics; None: the reward's own name, or that of the file.
            engine: asked by `correctness` about what is undecided, as a URI or an engine.
            deadline: seconds, under the `grader_timeout_seconds` of the run.

        Raises:
            UsageError: the specification cannot be used, or nothing was chosen.
        """
        super().__init__(reward, name=name, engine=engine, deadline=deadline)
        self._choice = take_choice("tinker", _ALLOWED, when_unscored)
        self._chosen = when_unscored

    def __getstate__(self) -> tuple[Any, ...]:
        return (super().__getstate__(), self._chosen)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (reward, name, engine, deadline), chosen = state
        self.__init__(reward, when_unscored=chosen, name=name, engine=engine, deadline=deadline)

    async def rewards(self, rows: Sequence[Row]) -> list[Rewarded]:
        """Return what `compute_group_rewards` returns, for the members of one group.

        Raises:
            UnscoredError: a member has no value, and `error` was chosen; or none has one.
        """
        scored = await self.ascore(rows)
        values = values_of_group(scored, self._choice)
        metrics = [metrics_of(self.name, row) for row in scored]
        return [
            (value, one) for value, one in zip(values, metrics, strict=True) if value is not None
        ]

    def for_history(self, **columns: Any) -> Callable[[list[Any]], Awaitable[Rewarded]]:
        """Return the `reward_fn` of `AgentToolMessageEnv`, which takes a whole history.

        Args:
            columns: of the question, such as `question` and `answer`.

        Raises:
            UsageError: the choice is one for groups.
        """
        if self._choice.word == "group-mean":
            take_choice("a history of tinker", ("error", "number"), "group-mean")
        return partial(self._of_history, columns)

    async def _of_history(self, columns: Mapping[str, Any], history: list[Any]) -> Rewarded:
        (scored,) = await self.ascore([row_of_history(history, columns)])
        value = value_of(scored, self._choice)
        assert value is not None
        return value, metrics_of(self.name, scored)


def row_of_history(history: Sequence[Any], columns: Mapping[str, Any]) -> Row:
    """Return a chat as a row; what follows the last message of the user is the completion.

    A history without a message of the user is the completion alone, as a run's policy may cut it.
    Where nothing follows there is no completion, and so no value.
    """
    asked = [number for number, one in enumerate(history) if one["role"] in ("user", "system")]
    row = dict(columns) | split_at(history, asked[-1] + 1 if asked else 0)
    if not row["completion"]:
        del row["completion"]
    return row


def row_of_problem(env: Any, trajectory: Any) -> Row:
    """Return the trajectory of a `ProblemEnv`, or of an environment of messages, as a row.

    A `ProblemEnv` has its question and reference; what was sampled is parsed by its renderer. An
    environment of messages has its `history`, and its columns in `columns`, where it has any.
    """
    messages = getattr(env, "message_env", None)
    if messages is not None:
        return row_of_history(messages.history, getattr(messages, "columns", {}))
    question = {"role": "user", "content": env.get_question()}
    said = [env.renderer.parse_response(one.ac.tokens)[0] for one in trajectory.transitions]
    return {
        "prompt": [*map(as_message, env.convo_prefix), question],
        "completion": [as_message(message) for message in said],
        "answer": env.get_reference_answer(),
    }


@dataclass(frozen=True)
class RewardedGroupBuilder:
    """A group builder of tinker-cookbook with a reward over the one that it has. Pickles.

    Its group's rewards are those of the reward; what `Env.step` gives is added by tinker.
    """

    builder: Any
    """Builds the environments."""
    reward: TinkerReward
    row_of: RowOf = field(default=row_of_problem)

    async def make_envs(self) -> Sequence[Any]:
        """Create the environments."""
        return await self.builder.make_envs()

    async def compute_group_rewards(
        self, trajectory_group: list[Any], env_group: Sequence[Any]
    ) -> list[Rewarded]:
        """Score the trajectories of a group; see `TinkerReward.rewards`."""
        pairs = zip(env_group, trajectory_group, strict=True)
        return await self.reward.rewards([self.row_of(*pair) for pair in pairs])

    async def cleanup(self) -> None:
        """Free what the environments took."""
        await self.builder.cleanup()

    def logging_tags(self) -> list[str]:
        """Return the tags of the builder."""
        return self.builder.logging_tags()
