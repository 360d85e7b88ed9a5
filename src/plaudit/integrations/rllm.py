"""rLLM: plaudit's rewards as its evaluators, and as its older reward functions."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, cast

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import metrics_of, take_choice, value_of
from plaudit.rewarding.messages import split_at
from plaudit.rewarding.rows import Row, ScoredRow

_REFERENCES = ("answer", "reference", "ground_truth")


class RLLMEvaluator:
    """Scores episodes; made by `as_rllm_evaluator`."""

    def __init__(
        self, adapted: RowReward, *, when_unscored: str | float | None, correct_at: float
    ) -> None:
        """Take a reward; nothing is asked."""
        self.name = adapted.name
        self._reward = adapted
        self._choice = take_choice("rLLM", ("error", "number"), when_unscored)
        self._correct_at = correct_at

    def evaluate(self, task: Any, episode: Any) -> Any:
        """Return rLLM's `EvalOutput`: reward, correctness, signals.

        Raises:
            UnscoredError: there is no value, and `error` was chosen.
        """
        types = import_module("rllm.eval.types")
        row, value = self._score(row_of_episode(task, episode))
        return types.EvalOutput(
            reward=value,
            is_correct=self._is_correct(row),
            signals=[types.Signal(name, one) for name, one in metrics_of(self.name, row).items()],
            metadata=_metadata(row),
        )

    def __call__(self, task_info: Mapping[str, Any], action: Any) -> Any:
        """Return the `RewardOutput` of rLLM's older reward functions.

        Raises:
            UnscoredError: there is no value, and `error` was chosen.
        """
        types = import_module("rllm.rewards.reward_types")
        text = str(getattr(action, "action", action))
        columns = _columns(task_info)
        row, value = self._score(columns | {"prompt": _asked(task_info), "completion": text})
        metadata = _metadata(row) | metrics_of(self.name, row)
        correct = self._is_correct(row)
        return types.RewardOutput(reward=value, metadata=metadata, is_correct=correct)

    def _score(self, row: Row) -> tuple[ScoredRow, float | None]:
        (scored,) = self._reward.score([row])
        return scored, value_of(scored, self._choice)

    def _is_correct(self, row: ScoredRow) -> bool:
        return row.value is not None and row.value >= self._correct_at


def as_rllm_evaluator(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    correct_at: float = 1.0,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
) -> RLLMEvaluator:
    """Make an evaluator for rLLM of a reward.

    ::

        quality = as_rllm_evaluator("rewards.toml", when_unscored="error")  # in my_rewards

        [verifier]
        import_path = "my_rewards:quality"

    A package may name it in the entry-point group `rllm.evaluators` too. Called with `task_info`
    and `action` it is one of rLLM's older reward functions. Parts and `NAME/unscored` are signals.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: rLLM takes no null, so choose: `error` raises, which rolls the episode out
            again and then marks it as failed, without trajectories; or a number.
        correct_at: the least value that counts as correct in rLLM's figures.
        name: of the signals; None: the reward's own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; rLLM itself waits for ever.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
    """
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)
    return RLLMEvaluator(adapted, when_unscored=when_unscored, correct_at=correct_at)


def row_of_episode(task: Any, episode: Any) -> Row:
    """Return an episode of rLLM as a row.

    The messages of the last trajectory's steps are read where they have any; else the text that
    rLLM's own evaluators read: the artifact `answer`, the trajectory's output, that of its last
    step.
    """
    trajectory = episode.trajectories[-1] if episode.trajectories else None
    steps: Sequence[Any] = trajectory.steps if trajectory is not None else ()
    chats = [chat for step in steps if (chat := getattr(step, "chat_completions", None))]
    asked = _columns(task)
    if chats:
        return asked | _chat_of_steps(chats)
    said = episode.artifacts.get("answer")
    found = [said, *([trajectory.output] if trajectory else []), *(s.output for s in steps[-1:])]
    text = next((str(one) for one in found if one is not None), None)
    row = asked | {"prompt": _asked(task)}
    return row if text is None else row | {"completion": text}


def _chat_of_steps(chats: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return what the first step read, and what followed; the last step alone where it was cut."""
    read, last = list(chats[0][:-1]), list(chats[-1])
    whole = last[: len(read)] == read
    return split_at(last, len(read) if whole else len(last) - 1)


def _data(task: Any) -> Mapping[str, Any]:
    """Return the row of a task, which is one itself, or holds it under either name."""
    if isinstance(task, Mapping):
        return cast("Mapping[str, Any]", task)
    return getattr(task, "metadata", None) or getattr(task, "data", None) or {}


def _columns(task: Any) -> dict[str, Any]:
    data = _data(task)
    reference = next((data[name] for name in _REFERENCES if data.get(name) is not None), None)
    return {**data, "answer": reference}


def _asked(task: Any) -> Any:
    data = _data(task)
    asked = getattr(task, "instruction", None) or data.get("question") or data.get("instruction")
    return [{"role": "user", "content": asked}] if isinstance(asked, list) else asked or ""


def _metadata(row: ScoredRow) -> dict[str, Any]:
    return {"status": row.status, "cause": row.cause, "reason": row.reason}
