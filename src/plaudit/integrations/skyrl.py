"""SkyRL: plaudit's rewards as a text environment of SkyRL gym."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import metrics_of, take_choice, value_of
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.rewarding.unscored import UnscoredChoice

_OF_SKYRL = frozenset({"reward_spec", "max_turns"})


class _Episode:
    """One rollout: what the model was asked and wrote. The methods are those of SkyRL's `Env`."""

    reward: RowReward
    choice: UnscoredChoice

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.extras = extras or {}
        self.max_turns = int(self.extras.get("max_turns", 1))
        self.turns = 0
        self.prompt: list[dict[str, Any]] = []
        self.chat: list[dict[str, Any]] = []
        self.scored: ScoredRow | None = None

    def init(self, prompt: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Take the prompt."""
        self.prompt = list(prompt)
        return prompt, {}

    def observe(self, action: str) -> list[dict[str, Any]]:
        """Return what the model reads next, as messages; none ends the episode.

        A subclass overrides it, to run tools. The default ends after one turn.
        """
        del action
        return []

    def step(self, action: str) -> dict[str, Any]:
        """Take what the model wrote; the last step of the episode is rewarded, the others by 0.

        Raises:
            UnscoredError: there is no value, and `error` was chosen.
        """
        self.turns += 1
        self.chat.append({"role": "assistant", "content": action})
        read = self.observe(action) if self.turns < self.max_turns else []
        self.chat += read
        reward, metadata = (0.0, {}) if read else self._last()
        done = not read
        return {"observations": read, "reward": reward, "done": done, "metadata": metadata}

    def _last(self) -> tuple[float | None, dict[str, Any]]:
        (self.scored,) = self.reward.score([self.row()])
        metadata = {"status": self.scored.status, "cause": self.scored.cause}
        return value_of(self.scored, self.choice), metadata | {"reason": self.scored.reason}

    def row(self) -> Row:
        """Return the episode as a row; its columns are those of the data set's row."""
        columns = {name: value for name, value in self.extras.items() if name not in _OF_SKYRL}
        truth = _truth(self.extras.get("reward_spec"))
        return {"answer": truth} | columns | {"prompt": self.prompt, "completion": self.chat}

    def get_metrics(self) -> dict[str, float]:
        """Return the parts of the reward and `NAME/unscored`, which SkyRL averages."""
        return {} if self.scored is None else metrics_of(self.reward.name, self.scored)

    def close(self) -> None:
        """Do nothing: episodes share the reward."""


def _truth(spec: Any) -> Any:
    """Return the reference in any of the forms that SkyRL's data sets have."""
    truth = spec.get("ground_truth") if spec else None
    return truth.get("target") if isinstance(truth, dict) else truth  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def as_skyrl_env(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
) -> type[Any]:
    """Make an environment class for SkyRL of a reward.

    ::

        skyrl_gym.register(
            id="quality", entry_point=as_skyrl_env("rewards.toml", when_unscored="error")
        )

    An episode has one turn. For more, subclass what this returns and let `observe` run the tools.
    The reference is `reward_spec.ground_truth`, other columns are those of the data set's row.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: SkyRL takes no null, so choose: `error` raises out of `step`, which ends the
            generation; or a number.
        name: of the metrics; None: the reward's own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; SkyRL itself waits for ever.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
        ModuleNotFoundError: skyrl-gym is not installed.
    """
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)
    choice = take_choice("SkyRL", ("error", "number"), when_unscored)
    base = import_module("skyrl_gym.envs.base_text_env").BaseTextEnv
    return type("PlauditEnv", (_Episode, base), {"reward": adapted, "choice": choice})
