"""What is watched: rewards, from which value on they pay, and rows whose value is known."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from plaudit.corpus.questions import read_rows
from plaudit.engines.base import similar
from plaudit.errors import InputError, UsageError
from plaudit.judges.verify import REWARDS
from plaudit.rewarding.rows import Row, row_for_judge, trace_of_row
from plaudit.rewarding.scorers import JudgeScorer
from plaudit.server.spec import Served, ServeSpec
from plaudit.server.watch.options import WatchOptions
from plaudit.server.watch.probes import WatchProbe
from plaudit.types import Json

T = TypeVar("T")

_TRUTHS = ("right", "value", "label")
KNOWN = "known row"


class WatchedReward(NamedTuple):
    """A reward that is watched."""

    served: Served
    paid_above: float
    """A value above it pays an answer."""
    known: tuple[WatchProbe, ...] = ()


class WatchPlan(NamedTuple):
    """What is watched, and how."""

    options: WatchOptions
    rewards: Mapping[str, WatchedReward]


def make_watch(spec: ServeSpec) -> WatchPlan | None:
    """Make the plan of SPEC's table `[watch]`, and read the rows that it names; None: no table.

    Raises:
        UsageError: a reward is not served, nothing says which of its values pay, or a file of rows
            cannot be used; the message names the file and the line.
    """
    if spec.watch is None:
        return None
    try:
        return WatchPlan(spec.watch, _watched(spec.watch, spec.rewards, Path(spec.path).parent))
    except UsageError as error:
        raise UsageError(f"spec {spec.path}: [watch]: {error}") from None


def _watched(
    options: WatchOptions, rewards: Mapping[str, Served], folder: Path
) -> dict[str, WatchedReward]:
    names = list(rewards) if options.rewards is None else options.rewards
    for name in names:
        _check_served(name, rewards, "rewards")
    paths = _by_name(options.rows, names, rewards, "rows")
    given = _by_name(options.paid, names, rewards, "paid")
    watched: dict[str, WatchedReward] = {}
    for name in names:
        served = rewards[name]
        paid_above = given[name] if name in given else _paid_above(served)
        known = _read_known(folder / paths[name], served) if name in paths else ()
        watched[name] = WatchedReward(served, paid_above, known)
    return watched


def _by_name(
    given: T | dict[str, T] | None, names: list[str], rewards: Mapping[str, Served], option: str
) -> dict[str, T]:
    """Return what is given for each reward: one for all, or one by name."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        return dict.fromkeys(names, given)
    by_name = cast("dict[str, T]", given)
    for name in by_name:
        _check_served(name, rewards, option)
    return by_name


def _check_served(name: str, rewards: Mapping[str, Served], option: str) -> None:
    if name not in rewards:
        raise UsageError(
            f"{option}: there is no reward {name!r}{similar(name, rewards)}; there are "
            f"{', '.join(rewards)}"
        )


def _paid_above(served: Served) -> float:
    """Return the value above which an answer is taken for a good one, as an audit takes it.

    Half of the most that a specification of rewards can pay, as its probe has it; penalties do not
    count.

    Raises:
        UsageError: nothing says what it is.
    """
    scorer = served.scorer
    if served.kind in ("pairwise", "feedback"):
        return 0.0
    if served.kind == "pointwise":
        return 0.5
    if served.kind == "verify" and isinstance(scorer, JudgeScorer):
        rewards = scorer.judge.config.reward_map or REWARDS
        return (rewards["correct"] + rewards["incorrect"]) / 2
    if 0 < scorer.high < math.inf:
        return (max(scorer.low, 0.0) + scorer.high) / 2
    raise UsageError(
        f"nothing says from which value on {served.name!r} pays an answer: give "
        f"paid = {{ {served.name} = NUMBER }}, or name in rewards what is to be watched"
    )


# Known rows


def _read_known(path: Path, served: Served) -> tuple[WatchProbe, ...]:
    """Read rows whose value is known.

    Raises:
        InputError: there are none, or one of them cannot be used.
    """

    def take(row: dict[str, Any], where: str, number: int) -> WatchProbe:
        del where, number
        return _known(row, served)

    found = tuple(read_rows(path, take, None))
    if not found:
        raise InputError(f"{path} holds no row")
    return found


def _known(row: dict[str, Json], served: Served) -> WatchProbe:
    given = [name for name in _TRUTHS if name in row]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise InputError(f"the row needs one of {', '.join(_TRUTHS)}, and has {found}")
    name = given[0]
    truth: Any = _check_truth(name, row[name], served)
    rest = {column: value for column, value in row.items() if column != name}
    _check_row(rest, served)
    return WatchProbe(KNOWN, rest, **{name: truth})


def _check_truth(name: str, truth: Json, served: Served) -> Json:
    if name == "right":
        if not isinstance(truth, bool):
            raise InputError("'right' must be true or false")
    elif name == "value":
        number = isinstance(truth, int | float) and not isinstance(truth, bool)
        if not number or not math.isfinite(truth):  # pyright: ignore[reportArgumentType]
            raise InputError("'value' must be a finite number")
    elif not served.kind:
        raise InputError("'label' is for judges; give 'right' or 'value'")
    elif not isinstance(truth, str | int | float):
        raise InputError("'label' must be what the judge decides: a text or a number")
    return truth


def _check_row(row: Row, served: Served) -> None:
    """Refuse what its reward cannot score.

    Raises:
        InputError: a column is missing, or has the wrong type.
    """
    if isinstance(served.scorer, JudgeScorer):
        samples = served.scorer.judge.samples([row_for_judge(served.kind, row)])
        if len(samples) != 1:
            raise InputError(f"the row holds {len(samples)} samples, not one")
    else:
        trace_of_row(row)
