"""slime: plaudit's rewards as its custom reward function, for samples and for groups."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import metrics_of, take_choice
from plaudit.rewarding.grouped import GroupReward
from plaudit.rewarding.queries import row_of_sample
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.rewarding.unscored import UnscoredChoice, values

_log = logging.getLogger(__name__)

SlimeReward = Callable[..., Awaitable[Any]]
"""An async function of slime's arguments, and of a sample or a list of samples."""

_MEAN = UnscoredChoice("group-mean")


def as_slime_reward(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
) -> SlimeReward:
    """Make the function that `--custom-rm-path MODULE.NAME` names.

    ::

        reward = as_slime_reward("rewards.toml", when_unscored="drop")

    A sample's columns are those of its `metadata`; `label` is the reference. With several turns
    slime's `response` holds the results of tools too: then let the function that generates put the
    new messages into `metadata["completion"]`. A response that slime masks in part, without such
    messages, has no value. The value, its parts and `NAME/unscored` are written into `metadata`.

    Args:
        reward: see `RewardSource`; with `--group-rm` a pairwise judge compares every two samples
            of a group; None: the default specification.
        when_unscored: slime takes no null, so choose. `error` raises, which ends the rollout; or a
            number. With `--group-rm` also `group-mean`, and `drop`: the sample's `remove_sample`
            masks it, and its reward is the mean of the others, so that it moves no baseline.
        name: of the metrics; None: the reward's own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; slime itself waits for ever.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen. The function raises it
            where `drop` or `group-mean` was chosen, and slime does not hand over a whole group.
    """
    adapted = GroupReward(reward, name=name, engine=engine, deadline=deadline)
    allowed = ("drop", "error", "number", "group-mean")
    choice = take_choice("slime", allowed, when_unscored)

    async def score(args: Any, sample: Any, **others: Any) -> Any:
        del others
        several = isinstance(sample, list)
        samples = cast("list[Any]", sample) if several else [sample]
        whole = several and bool(getattr(args, "group_rm", False))
        _check(choice, samples, whole)
        rows = [_row(args, one) for one in samples]
        scored = await (adapted.ascore(rows) if whole else RowReward.ascore(adapted, rows))
        found = _values(scored, choice, whole)
        for one, row in zip(samples, scored, strict=True):
            _note(adapted.name, one, row, choice)
        rewards = [_reward(args, *one) for one in zip(scored, found, strict=True)]
        return rewards if several else rewards[0]

    return score


def _check(choice: UnscoredChoice, samples: Sequence[Any], whole: bool) -> None:
    """Refuse what cannot be carried, before it is needed.

    Raises:
        UsageError: the choice needs a group, or a newer slime.
    """
    if choice.word in ("drop", "group-mean") and not whole:
        raise UsageError(
            f"slime: {choice} needs --group-rm: a sample that is left out still counts in the "
            "group's baseline, and its reward is the mean of the others"
        )
    if choice.word == "drop" and not all(hasattr(one, "remove_sample") for one in samples):
        raise UsageError("slime: drop needs a version whose samples have remove_sample")


def _row(args: Any, sample: Any) -> Row:
    metadata: dict[str, Any] = sample.metadata or {}
    row = row_of_sample(sample.prompt, sample.response, None) | metadata
    if sample.label is not None:
        row["answer"] = sample.label
    if "completion" not in metadata and _holds_other_texts(args, sample):
        _log.warning("of a response that slime masks in part metadata['completion'] must say more")
        row["completion"] = None  # No chat: the answer to it has no value.
    return row


def _holds_other_texts(args: Any, sample: Any) -> bool:
    """Whether slime masks a part of the response, which the model then did not write."""
    if getattr(args, "mask_offpolicy_in_partial_rollout", False):
        return False  # The mask then covers what an older policy wrote.
    return 0 in (getattr(sample, "loss_mask", None) or ())


def _values(scored: Sequence[ScoredRow], choice: UnscoredChoice, whole: bool) -> list[float | None]:
    if choice.word != "drop":
        return values(scored, choice, whole_group=whole)
    if any(row.value is not None for row in scored):
        return values(scored, _MEAN, whole_group=True)
    return [0.0] * len(scored)  # All of them are masked.


def _note(name: str, sample: Any, row: ScoredRow, choice: UnscoredChoice) -> None:
    """Write into a sample what is known of its reward."""
    sample.metadata = {**(sample.metadata or {}), **metrics_of(name, row)}
    if row.value is None:
        _log.warning("a sample without a value (%s): %s", row.cause or row.status, row.reason)
        if choice.word == "drop":
            sample.remove_sample = True


def _reward(args: Any, row: ScoredRow, value: float | None) -> Any:
    """Return a number; a dict where slime reads the reward from a key."""
    given = (getattr(args, name, None) for name in ("reward_key", "eval_reward_key"))
    keys = [key for key in given if key]
    if not keys:
        return value
    parts = {part: one for part, one in row.components.items() if one is not None}
    return parts | {"unscored": float(row.value is None)} | dict.fromkeys(keys, value)
