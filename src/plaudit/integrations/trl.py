"""TRL: plaudit's rewards for its trainers, and plaudit's agent as what its GRPO trainer samples."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from plaudit._util.aio import together
from plaudit.engines.base import Engine
from plaudit.errors import InputError, PlauditError
from plaudit.integrations.trl_rollouts import TRACE, TRLRollouts
from plaudit.rewarding.completions import trace_of_completion, with_columns
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.rewards.base import Reward, broken_off, unscored
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.functions import FunctionOptions, FunctionReward, RewardFunction
from plaudit.rollouts.rewards.spec import Spec, load_rewards
from plaudit.rollouts.tools.load import load_tools
from plaudit.rollouts.tools.toolset import Offered
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.types import Json

_log = logging.getLogger(__name__)

_NO_COLUMNS = frozenset({TRACE, "trainer_state", "environments"})
_NO_OUTCOME: tuple[type[PlauditError], ...] = ()

LogExtra = Callable[[str, list[Any]], object]
LogMetric = Callable[[str, float], object]


class TRLReward(Protocol):
    """A reward function as TRL calls it."""

    __name__: str

    def __call__(self, **arguments: Any) -> Awaitable[list[float | None]]:
        """Score the completions of a batch, one value a row in their order."""
        ...


def as_trl_reward(
    reward: Reward | RewardFunction | Spec | None = None,
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
        reward: a reward; a function from a trace to a number, None or a `Score`; the path of a
            specification, or a dict of the same form; None: the default specification.
        name: what TRL calls it in its metrics; None: its own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine; None: no
            model is asked.

    Raises:
        UsageError: the specification cannot be used.
    """
    scorer = _reward(reward, name, engine)
    return _scoring(scorer, name or _name(reward, scorer))


def _scoring(scorer: Reward, called: str) -> TRLReward:
    """Return a reward function of that name."""

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
        rows = [_row(columns, number, len(prompts)) for number in range(len(prompts))]
        batch = zip(prompts, completions, rows, strict=True)
        scores = await _scores(scorer, [_trace(*row) for row in batch])
        _log_scores(called, scores, log_extra, log_metric)
        return [one.value for one in scores]

    score.__name__ = score.__qualname__ = called
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


def _reward(
    given: Reward | RewardFunction | Spec | None, name: str | None, engine: str | Engine | None
) -> Reward:
    if given is None or isinstance(given, str | Path | Mapping):
        return load_rewards(cast("Spec | None", given), Grader(engine=engine))
    if hasattr(given, "score"):
        return cast("Reward", given)
    function = cast("RewardFunction", given)
    called = name or getattr(function, "__name__", type(function).__name__)
    return FunctionReward(called, function, FunctionOptions(function=called))


def _name(given: object, scorer: Reward) -> str:
    return Path(given).stem if isinstance(given, str | Path) else scorer.name


def _row(columns: Mapping[str, Any], number: int, rows: int) -> dict[str, Any]:
    """Return one row of the columns; what is no list of one value a row is none of them."""
    return {
        name: column[number]
        for name, column in columns.items()
        if isinstance(column, list) and len(cast("list[Any]", column)) == rows
    }


def _trace(prompt: Any, completion: Any, row: dict[str, Any]) -> Trace | InputError:
    columns: dict[str, Json] = {k: v for k, v in row.items() if k not in _NO_COLUMNS}
    made = row.get(TRACE)
    try:
        if isinstance(made, Trace):
            return with_columns(made, columns)
        return trace_of_completion(prompt, completion, columns)
    except InputError as error:
        return error


async def _scores(reward: Reward, traces: Sequence[Trace | InputError]) -> list[Score]:
    async def score(trace: Trace | InputError) -> Score:
        if isinstance(trace, Trace):
            return broken_off(trace) or await reward.score(trace)
        _log.warning("a row without a reward: %s", trace)
        return unscored(Unscored.NOT_RECORDED, str(trace))

    if not traces:
        return []
    return cast("list[Score]", await together(map(score, traces), _NO_OUTCOME))


def _log_scores(
    name: str, scores: Sequence[Score], extra: LogExtra | None, metric: LogMetric | None
) -> None:
    parts = {part: None for score in scores for part in score.components}
    values = {part: [_part(score, part) for score in scores] for part in parts}
    if extra is not None and scores:
        extra(f"{name}/reason", [score.reason for score in scores])
        for part, column in values.items():
            extra(f"{name}/{part}", column)
    if metric is not None and scores:
        metric(f"{name}/unscored", sum(score.value is None for score in scores) / len(scores))
        for part, column in values.items():
            known = [value for value in column if value is not None]
            if known:
                metric(f"{name}/{part}/mean", sum(known) / len(known))


def _part(score: Score, part: str) -> float | None:
    found = score.components.get(part)
    return None if found is None else found.value
