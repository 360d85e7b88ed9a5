"""NeMo RL: plaudit's rewards as an environment of one turn."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import take_choice
from plaudit.rewarding.responses import reference_in
from plaudit.rewarding.rows import Row
from plaudit.rewarding.unscored import UnscoredChoice, values

_DONE = {"role": "environment", "content": "Environment: done"}

Message = Mapping[str, Any]


class _Environment:
    """Scores what the model wrote last. The methods are those of NeMo RL's interface."""

    reward: RowReward
    choice: UnscoredChoice

    def __init__(self, config: Any = None) -> None:
        del config
        self._rows = self._lost = 0

    def step(
        self, message_log_batch: Sequence[Sequence[Message]], metadata: Sequence[Any]
    ) -> tuple[Any, ...]:
        """Score the last message of each log, and end each episode.

        Raises:
            UnscoredError: a row has no value, and `error` was chosen.
        """
        rows = [row_of_log(*one) for one in zip(message_log_batch, metadata, strict=True)]
        scored = self.reward.score(rows)
        found = values(scored, self.choice, whole_group=False)
        self._rows += len(scored)
        self._lost += sum(row.value is None for row in scored)
        torch = import_module("torch")
        return import_module("nemo_rl.environments.interfaces").EnvironmentReturn(
            observations=[dict(_DONE) for _ in rows],
            metadata=list(metadata),
            next_stop_strings=[None] * len(rows),
            rewards=torch.tensor(found, dtype=torch.float32),
            terminateds=torch.ones(len(rows), dtype=torch.bool),
            answers=[str(log[-1]["content"]) if log else None for log in message_log_batch],
        )

    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
        """Return the batch as it is, and the share of rows without a value since the last call."""
        share = self._lost / max(1, self._rows)
        self._rows = self._lost = 0
        return batch, {f"{self.reward.name}/unscored": share}

    def shutdown(self) -> None:
        """Do nothing: the reward lives as long as its process."""


def row_of_log(log: Sequence[Message], metadata: Mapping[str, Any] | None) -> Row:
    """Return a message log and its metadata as a row: the last message is the completion.

    A log that does not end on a message of the model has no completion, and so no value.
    """
    columns = metadata or {}
    chat = [{"role": one["role"], "content": one["content"]} for one in log]
    answered = bool(chat) and chat[-1]["role"] == "assistant"
    own = {"prompt": chat[:-1], "completion": chat[-1:] if answered else None}
    return {**columns, **own, "answer": reference_in(columns)}


def as_nemo_rl_env(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
) -> type[Any]:
    """Make an environment class for NeMo RL, an `EnvironmentInterface`.

    ::

        Quality = ray.remote(as_nemo_rl_env("rewards.toml", when_unscored="error"))
        register_env("quality", "my_module.Quality")

    An episode has one turn: the last message is what the model wrote. Rollouts of several turns
    and with tools reach plaudit through NeMo Gym. The row's columns are its `extra_env_info`; of
    `answer`, `reference`, `expected_answer` and `ground_truth` the first is the reference.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: NeMo RL takes no null, so choose: `error` raises out of `step`, which ends
            the training; or a number.
        name: of the metric `NAME/unscored`; None: the reward's own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; NeMo RL itself waits for ever.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
        ModuleNotFoundError: NeMo RL is not installed.
    """
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)
    choice = take_choice("NeMo RL", ("error", "number"), when_unscored)
    base = import_module("nemo_rl.environments.interfaces").EnvironmentInterface
    return type("PlauditEnvironment", (_Environment, base), {"reward": adapted, "choice": choice})
