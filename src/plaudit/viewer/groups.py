"""Rollouts of one question side by side, with their advantages."""

import math
from typing import NamedTuple

from plaudit.viewer.table import Table


class GroupMember(NamedTuple):
    """A rollout of a group."""

    row: int
    id: str
    status: str
    reward: float | None
    advantage: float | None
    """Reward minus the mean of the group, over its standard deviation (of the population);
    0 where all rewards are equal. None: it has no reward."""
    turns: int
    calls: int
    tokens: int


def group_of(table: Table, row: int) -> list[GroupMember]:
    """Return the rollouts of the group of a row, at most 64, in the order of the file."""
    found = table.alike(row, "group")
    rewards = [_number(table, one, "reward") for one in found]
    known = [one for one in rewards if one is not None]
    mean = math.fsum(known) / len(known) if known else 0.0
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in known) / len(known)) if known else 0.0
    return [
        GroupMember(
            one,
            table.id(one),
            str(table.fact(one, "status")),
            reward,
            None if reward is None else (reward - mean) / spread if spread else 0.0,
            *(int(_number(table, one, name) or 0) for name in ("turns", "calls", "tokens")),
        )
        for one, reward in zip(found, rewards, strict=True)
    ]


def _number(table: Table, row: int, column: str) -> float | None:
    value = table.fact(row, column)
    return None if value is None else float(value)
