"""TRL: plaudit's rewards for its trainers, and plaudit's agent as what its GRPO trainer samples."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, cast

from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.integrations.trl_rollouts import TRLRollouts
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import take_choice
from plaudit.rewarding.rows import ScoredRow
from plaudit.rewarding.unscored import UnscoredChoice, values
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.tools.load import load_tools
from plaudit.rollouts.tools.toolset import Offered

_log = logging.getLogger(__name__)

_NO_COLUMNS = frozenset({"trainer_state", "environments"})
"""What TRL passes beside the columns: its own state, and the environments of the rollouts."""

_CHOICES = ("null", "error", "number")
_LEAVES_OUT = (1, 6)
"""The first TRL that leaves a row of None out of its group's baseline; an older one trains on 0."""

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
    deadline: float | None = None,
    when_unscored: str | float | None = None,
) -> TRLReward:
    """Make a reward function for TRL's `GRPOTrainer` and `RLOOTrainer` of a reward.

    ::

        trainer = GRPOTrainer(model, reward_funcs=as_trl_reward("rewards.toml"), ...)

    It is an async function of `prompts`, `completions` and the data set's columns, of which those
    of a questions file are read (`question`, `answer`, `chunk_ids`, `supporting_text`). It reads
    plain texts, chats, and completions with calls and results of tools; where there are traces of
    `trl_rollout_func` it reads these, since TRL then shows tool results as the model's own text.
    What tools and environments answer is never the model's text; the environments are not read.

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
        deadline: seconds after which a row of a batch without an answer has no value. TRL has no
            time-out of its own. None: see `RowReward`.
        when_unscored: what TRL gets for a row without a value: `"null"`, `"error"` (the training
            ends), or a number, which is learned from. None: null, which TRL before 1.6 would turn
            into 0; with such a version this has to be chosen.

    Raises:
        UsageError: the specification cannot be used; or the installed TRL makes None a 0, and
            nothing was chosen.
    """
    choice = _choose(when_unscored)
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)

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
        if choice.word == "null":
            _warn_of_sums(adapted.name, scored, columns.get("environments"))
        _log_scores(adapted.name, scored, log_extra, log_metric)
        return values(scored, choice, whole_group=False)

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


def _choose(given: str | float | None) -> UnscoredChoice:
    """Return what TRL gets for a row without a value.

    Raises:
        UsageError: it is no choice, or nothing was chosen and the installed TRL makes None a 0.
    """
    choice = take_choice("TRL", _CHOICES, given)
    installed = _installed()
    if choice.word != "null" or installed is None or _release(installed) >= _LEAVES_OUT:
        return choice
    problem = f"TRL {installed} trains on 0 where a reward is None, whatever its cause"
    if given is None:
        raise UsageError(
            f"{problem}: update to TRL 1.6 or newer, or choose as_trl_reward(when_unscored=HOW), "
            "where HOW is 'error', a number, or 'null' to accept these zeros"
        )
    _log.warning("%s; when_unscored='null' accepts that", problem)
    return choice


def _installed() -> str | None:
    try:
        return version("trl")
    except PackageNotFoundError:
        return None


def _release(installed: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", installed)[:2]))


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


def _warn_of_sums(name: str, scored: Sequence[ScoredRow], environments: Any) -> None:
    """Warn where environments reward too: TRL then counts a None of this reward as 0."""
    lost = sum(row.value is None for row in scored)
    if lost and any(hasattr(one, "get_reward") for one in environments or ()):
        _log.warning(
            "%d of %d rows have no value: TRL adds %s to the reward of the environment "
            "(get_reward), where None counts as 0; drop get_reward, or choose "
            "when_unscored='error'",
            lost,
            len(scored),
            name,
        )


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
