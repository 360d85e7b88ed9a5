"""TRL: plaudit's rewards for its trainers, and plaudit's agent as what its GRPO trainer samples."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from plaudit.engines.base import Engine
from plaudit.integrations.trl_rollouts import TRLRollouts
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.rows import ScoredRow
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.tools.load import load_tools
from plaudit.rollouts.tools.toolset import Offered

_log = logging.getLogger(__name__)

_NO_COLUMNS = frozenset({"trainer_state", "environments"})

LogExtra = Callable[[str, list[Any]], object]
LogMetric = Callable[[str, float], object]


class TRLReward(Protocol):
    """A reward function as TRL calls it."""

    __name__: str

    def __call__(self, **arguments: Any) -> Awaitable[list[float | None]]:
        """Score the completions of a batch, one value a row in their order."""
        ...


def as_trl_reward(
    reward: RewardSource | None = None,
    *,
    name: str | None = None,
    engine: str | Engine | None = None,
) -> TRLReward:
    """Make a reward function for TRL's `GRPOTrainer` and `RLOOTrainer` of a reward.

    ::

        trainer = GRPOTrainer(model, reward_funcs=as_trl_reward("rewards.toml"), ...)

    It is an async function of `prompts`, `completions` and the data set's columns, of which those
    of a questions file are read (`question`, `answer`, `chunk_ids`, `supporting_text`). It reads
    plain texts, chats, and completions with calls and results of tools; where there are traces of
    `trl_rollout_func` it reads these, since TRL then shows tool results as the model's own text.

    What cannot be scored is None, which TRL leaves out of the group's baseline: a broken judgement,
    a rollout that was broken off, a row that is no chat. The parts of a composite, and the share
    of rows without a value, are logged as metrics; parts and reasons as columns of the completions.

    Args:
        reward: a reward; a function from a trace to a number, None or a `Score`; a judge; the path
            of a specification, or a dict of the same form; the URL of a reward that `plaudit serve`
            serves; None: the default specification.
        name: what TRL calls it in its metrics; None: its own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine; None: no
            model is asked.

    Raises:
        UsageError: the specification cannot be used.
    """
    adapted = RowReward(reward, name=name, engine=engine)

    async def score(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,
        *,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> list[float | None]:
        del completion_ids
        batch = enumerate(zip(prompts, completions, strict=True))
        scored = await adapted.ascore([_row(columns, n, len(prompts), *one) for n, one in batch])
        for one in scored:
            if one.status == "rejected":
                _log.warning("a row without a reward: %s", one.reason)
        _log_scores(adapted.name, scored, log_extra, log_metric)
        return [one.value for one in scored]

    score.__name__ = score.__qualname__ = adapted.name
    return cast("TRLReward", score)


def trl_rollout_func(
    tools: Iterable[str | Offered] = (), config: RolloutConfig | None = None, **limits: Any
) -> TRLRollouts:
    """Make a rollout function for TRL's `GRPOTrainer`: its model, with tools, as plaudit's agent.

    ::

        trainer = GRPOTrainer(
            model,
            reward_funcs=as_trl_reward("rewards.toml"),
            rollout_func=trl_rollout_func(["search:notes.index"], RolloutConfig(max_turns=3)),
            ...
        )

    The prompts of the data set are the questions: texts, or one message of the user each. What the
    model is shown besides comes from the configuration. The ids that are trained on are those that
    were sampled; the mask (`env_mask`) covers them, end tokens included, and nothing else. Each
    rollout's trace reaches the rewards in the column `trace`. A rollout in which nothing was
    sampled becomes a row that nothing is learned from.

    Args:
        tools: as `load_tools` takes them: `search:INDEX`, functions, MCP servers.
        config: prompts and limits; None: the defaults. How tokens are drawn is the trainer's to
            say. The model writes at most `max_completion_length` tokens, tool results not counted.
        limits: `timeout`, `max_result_chars` and `max_concurrency` of the tools.

    Raises:
        UsageError: tools or configuration cannot be used.
    """
    return TRLRollouts(load_tools(tools, **limits), config or RolloutConfig())


def _row(
    columns: Mapping[str, Any], number: int, rows: int, prompt: Any, completion: Any
) -> dict[str, Any]:
    """Return one row of a batch; what is no list of one value a row is none of its columns."""
    own: dict[str, Any] = {
        name: column[number]
        for name, column in columns.items()
        if isinstance(column, list) and len(cast("list[Any]", column)) == rows
    }
    kept = {name: value for name, value in own.items() if name not in _NO_COLUMNS}
    return kept | {"prompt": prompt, "completion": completion}


def _log_scores(
    name: str, scored: Sequence[ScoredRow], extra: LogExtra | None, metric: LogMetric | None
) -> None:
    parts = {part: None for row in scored for part in row.components}
    values = {part: [row.components.get(part) for row in scored] for part in parts}
    if extra is not None and scored:
        extra(f"{name}/reason", [row.reason for row in scored])
        for part, column in values.items():
            extra(f"{name}/{part}", column)
    if metric is not None and scored:
        metric(f"{name}/unscored", sum(row.value is None for row in scored) / len(scored))
        for part, column in values.items():
            known = [value for value in column if value is not None]
            if known:
                metric(f"{name}/{part}/mean", sum(known) / len(known))
