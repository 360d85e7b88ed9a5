"""Whose row it is and what it is worth, of rows of any kind that has rewards."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
from msgspec import UNSET

from plaudit.errors import InputError
from plaudit.io.blocks import BlockReader
from plaudit.io.rows import Row, refused, rejected
from plaudit.judges.rows import json_type
from plaudit.preferences.candidate import Id
from plaudit.preferences.curriculum import Rewards
from plaudit.preferences.margins import scale_of
from plaudit.types import Json

_Reject = Callable[[Row], object]

_LARGEST = 1e300
"""Of larger scores neither sums nor differences are numbers."""


class ScoredRow(msgspec.Struct, frozen=True, gc=False):
    """What of a row counts for its example."""

    example_id: Id
    turn_id: Id | None
    scores: Sequence[float]
    """Empty where it has none."""
    run: Id | None = None
    """Of the pairs of several runs."""


class RewardSums:
    """Rewards by turn: all that is kept of rows."""

    def __init__(self) -> None:
        """Begin with none."""
        self.rows = 0
        self.without_score = 0
        """Rows among them that have none."""
        self._turns: dict[tuple[Id, Id | None, Id | None], _Turn] = {}

    def add(self, row: ScoredRow) -> None:
        """Add a row."""
        self.rows += 1
        if not row.scores:
            self.without_score += 1
            return
        key = (row.example_id, row.turn_id, row.run)
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = _Turn(math.inf, -math.inf, 0.0, 0)
        turn.low = min(turn.low, *row.scores)
        turn.high = max(turn.high, *row.scores)
        turn.total += sum(row.scores)
        turn.count += len(row.scores)

    def rewards(self, source: str | Path) -> dict[Id, Rewards]:
        """Return those of each example with a score, in the order read.

        Raises:
            InputError: there is none; it names the source.
        """
        if not self._turns:
            raise InputError(f"{source}: none of {self.rows:,} rows has a score")
        sums: dict[Id, tuple[float, float, int]] = {}
        for (example, _, _), turn in self._turns.items():
            spread, total, count = sums.get(example, (0.0, 0.0, 0))
            spread = max(spread, scale_of(turn.low, turn.high).rounded(turn.high - turn.low))
            sums[example] = spread, total + turn.total, count + turn.count
        return {
            id_: Rewards(scale_of(total / count, total / count).rounded(total / count), spread)
            for id_, (spread, total, count) in sums.items()
        }


def read_rewards(source: str | Path) -> dict[Id, Rewards]:
    """Return what the rewards of a file's rows tell of each example, in the order read.

    Args:
        source: preference rows (`chosen_score`, `rejected_score`), candidate rows (`score`), or
            scored traces (`rewards`; their `group` is the example).

    Raises:
        InputError: it cannot be read, or one of its rows cannot; none has a score.
    """
    sums = RewardSums()
    for _, _, scored in scored_rows(source, raise_reject):
        sums.add(scored)
    return sums.rewards(source)


def scored_rows(source: str | Path, reject: _Reject) -> Iterator[tuple[str, bytes, ScoredRow]]:
    """Yield each row that can be used: where it is, its bytes, and what it is worth.

    `reject` is told of each that cannot; `read_rewards` says what rows are.
    """
    with BlockReader(source) as blocks:
        for block in blocks:
            if isinstance(block, Row):
                reject(block)
                continue
            for where, line in block.rows():
                try:
                    line.decode()
                    scored = _scored(_fields(line), line)
                except InputError as error:
                    reject(refused(0, where, line, str(error)))
                except (ValueError, RecursionError) as error:
                    reject(rejected(0, where, line, error))
                else:
                    yield where, line, scored


class _Turn(msgspec.Struct, gc=False):
    low: float
    high: float
    total: float
    count: int


class _Fields(msgspec.Struct, gc=False):
    """The fields that say whose row it is, and what it is worth; others are not looked at."""

    example_id: Json = UNSET
    turn_id: Json = None
    run: Json = None
    score: Json = UNSET
    chosen_score: Json = UNSET
    rejected_score: Json = UNSET
    rewards: Json = UNSET
    group: Json = None
    question_id: Json = None


_decode = msgspec.json.Decoder(_Fields).decode


def _fields(line: bytes) -> _Fields:
    try:
        return _decode(line)
    except msgspec.ValidationError:
        raise InputError("not a JSON object") from None


def _scored(fields: _Fields, line: bytes) -> ScoredRow:
    if fields.rewards is not UNSET and fields.score is UNSET and fields.chosen_score is UNSET:
        group = _id(fields.group or fields.question_id, "group or question_id")
        return ScoredRow(group, None, _numbers(_total(fields.rewards), "rewards.total"))
    if fields.example_id is UNSET:
        raise InputError(f"it has no example_id; {_columns(line)}")
    example = _id(fields.example_id, "example_id")
    turn = None if fields.turn_id is None else _id(fields.turn_id, "turn_id")
    if fields.chosen_score is not UNSET and fields.rejected_score is not UNSET:
        chosen = _numbers(fields.chosen_score, "chosen_score")
        both = [*chosen, *_numbers(fields.rejected_score, "rejected_score")]
        run = fields.run if isinstance(fields.run, str | int) else None
        return ScoredRow(example, turn, both if len(both) == 2 else (), run)
    if fields.score is UNSET:
        raise InputError(
            f"it has no score, and no chosen_score and rejected_score; {_columns(line)}"
        )
    return ScoredRow(example, turn, _numbers(fields.score, "score"))


def _total(rewards: Json) -> Json:
    total = cast("dict[str, Json]", rewards).get("total") if isinstance(rewards, dict) else None
    return cast("dict[str, Json]", total).get("value") if isinstance(total, dict) else total


def _numbers(value: Json, name: str) -> Sequence[float]:
    """Return a score, or nothing where it is null or not finite."""
    if value is None:
        return ()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} must be a number or null, not {json_type(value)}")
    try:
        number = float(value)
    except OverflowError:  # A whole number of 309 digits or more.
        return ()
    if not math.isfinite(number):
        return ()
    if abs(number) > _LARGEST:
        raise InputError(f"{name} {number} is too large to be compared: at most {_LARGEST}")
    return (number,)


def _id(value: Json, name: str) -> Id:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    raise InputError(f"{name} must be a text or a whole number")


def _columns(line: bytes) -> str:
    names = list(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
    return "its columns are " + ", ".join(names[:20]) if names else "it is empty"


def raise_reject(row: Row) -> None:
    """Raise what is wrong with a row."""
    raise InputError(f"{row.where}: {row.error}")
