"""What an adapter gives its trainer for a row without a value, and the figures for its log."""

from collections.abc import Collection

from plaudit.rewarding.rows import ScoredRow
from plaudit.rewarding.unscored import UnscoredChoice, Word, check_choice, read_choice, values


def take_choice(peer: str, allowed: Collection[Word], given: str | float | None) -> UnscoredChoice:
    """Return what a peer is given for rows without a value.

    Args:
        peer: its name, for the message.
        allowed: what it can carry.
        given: a word or a number, as `when_unscored=` takes it; None: nothing was chosen.

    Raises:
        UsageError: nothing was chosen and the peer takes no null, or it cannot carry the choice.
    """
    choice = None if given is None else read_choice(given)
    return check_choice(peer, allowed, choice, "when_unscored=HOW")


def value_of(row: ScoredRow, choice: UnscoredChoice) -> float | None:
    """Return the value of a row by itself; None: null, or the peer's own mark.

    Raises:
        UnscoredError: there is none, and `error` was chosen.
    """
    return values([row], choice, whole_group=False)[0]


def metrics_of(name: str, row: ScoredRow) -> dict[str, float]:
    """Return figures for a trainer's log.

    They are `NAME` and `NAME/PART` where there is a value, and `NAME/unscored`, 1 or 0.
    """
    known = {f"{name}/{part}": value for part, value in row.components.items()}
    found = {name: row.value} | known | {f"{name}/unscored": float(row.value is None)}
    return {key: value for key, value in found.items() if value is not None}
