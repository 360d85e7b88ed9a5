"""A curriculum: the easiest examples first, and more of them every few epochs."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit._util.ranges import COUNT, FROM_ZERO, Range, check_ranges
from plaudit.errors import ArgumentError, InputError, UsageError
from plaudit.preferences.margins import scale_of
from plaudit.preferences.types import Id

Measure = Literal["both", "mean", "spread"]

MOST_STAGES = 100
_SHARE = Range(0, 1, above=True)


class CurriculumOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How examples are put in order, and when they are opened."""

    start: Annotated[
        float, _SHARE, Help("Examples to begin with, the easiest.", metavar="SHARE")
    ] = 0.3
    widen: Annotated[
        float, _SHARE, Help("Examples that each later stage adds.", metavar="SHARE")
    ] = 0.2
    interval: Annotated[int, COUNT, Help("Epochs that a stage lasts.")] = 5
    min_spread: Annotated[
        float, FROM_ZERO, Help("Drop examples whose rewards are closer together.")
    ] = 0.1
    by: Annotated[
        Measure, Help("What is easy: a high mean of the rewards, a wide spread, or both.")
    ] = "both"
    seed: Annotated[int, Help("Orders examples of equal difficulty.")] = 0

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            UsageError: an option is out of range.
        """
        check_ranges(self)
        check_choices(self)
        if self.stages > MOST_STAGES:
            raise ArgumentError(
                "widen",
                f"{self.widen} makes {self.stages:,} stages: give more, for at most {MOST_STAGES}",
            )

    @property
    def stages(self) -> int:
        """How many stages there are until all examples are open."""
        return 1 + math.ceil(round((1 - self.start) / self.widen, 9))

    def share(self, stage: int) -> float:
        """Return the share of the examples that is open in a stage."""
        return min(1.0, round(self.start + stage * self.widen, 9))


class Rewards(msgspec.Struct, frozen=True, gc=False):
    """What the rewards of an example tell of its difficulty."""

    mean: float
    spread: float
    """The widest difference of two rewards of one turn."""


class GradedRow(msgspec.Struct, frozen=True, gc=False):
    """Example, turn and scores of a row."""

    example_id: Id
    turn_id: Id | None
    scores: Sequence[float]
    """Empty where it has none."""
    run: Id | None = None
    """Of the pairs of several runs."""


class RewardSums:
    """Rewards by turn."""

    def __init__(self) -> None:
        """Begin with none."""
        self.rows = 0
        self.without_score = 0
        """Rows among them that have none."""
        self._turns: dict[tuple[Id, Id | None, Id | None], _Turn] = {}

    def add(self, row: GradedRow) -> None:
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


class _Turn(msgspec.Struct, gc=False):
    low: float
    high: float
    total: float
    count: int


class Ranked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An example in its place."""

    example_id: Id
    mean: float
    spread: float
    difficulty: float
    """0 (easiest) to 1: its rank among the others, by mean, spread, or the average of both."""
    stage: int
    """The stage that opens it, from 0."""


class Curriculum:
    """Examples from easy to difficult, and the stages that open them.

    An example is easy where the model does well already (a high mean), and where the rewards tell
    good from bad responses clearly (a wide spread). Equal difficulties come in the order of a
    seeded hash of their ids. The same rewards and options give the same curriculum, whatever the
    order of the mapping.

    ::

        curriculum = Curriculum(read_rewards("pairs.jsonl"))
        for epoch, ids in curriculum.epochs():
            train(rows.filter(lambda row: row["example_id"] in ids))
    """

    def __init__(
        self, rewards: Mapping[Id, Rewards], options: CurriculumOptions | None = None
    ) -> None:
        """Put examples in order.

        Args:
            rewards: of each example; all numbers finite.
            options: None: the defaults.

        Raises:
            InputError: none is left.
        """
        self.options = options or CurriculumOptions()
        least = self.options.min_spread
        rounded = scale_of().rounded
        kept = {id_: one for id_, one in rewards.items() if rounded(one.spread) >= rounded(least)}
        self.dropped: Sequence[Id] = [id_ for id_ in rewards if id_ not in kept]
        """Examples with too little spread."""
        if not kept:
            widest = max((one.spread for one in rewards.values()), default=0.0)
            raise InputError(
                f"no example is left of {len(rewards):,}: the widest spread of rewards is "
                f"{widest:.4g}, and min_spread is {least:.4g}"
            )
        self.examples: Sequence[Ranked] = _ranked(kept, self.options)
        """Easiest first."""
        self._ids = tuple(one.example_id for one in self.examples)
        last = self.options.stages
        self._open = [_opened(stage, len(kept), self.options) for stage in range(last)]

    @property
    def stages(self) -> int:
        """How many stages there are."""
        return len(self._open)

    def stage_at(self, epoch: int) -> int:
        """Return the stage of an epoch, both from 0."""
        if epoch < 0:
            raise UsageError(f"epoch {epoch}: epochs count from 0")
        return min(epoch // self.options.interval, self.stages - 1)

    def examples_at(self, epoch: int) -> Sequence[Id]:
        """Return the ids of the examples that are open in an epoch (from 0), easiest first."""
        return self._ids[: self._open[self.stage_at(epoch)]]

    def epochs(self, number: int | None = None) -> Iterator[tuple[int, Sequence[Id]]]:
        """Yield each epoch, from 0, with the ids that are open in it.

        Args:
            number: how many epochs; None: until the stage with all examples has lasted its time.
        """
        wanted = self.stages * self.options.interval if number is None else number
        for epoch in range(wanted):
            yield epoch, self.examples_at(epoch)


def _opened(stage: int, examples: int, options: CurriculumOptions) -> int:
    """Return how many examples are open in a stage: at least one."""
    return max(1, math.floor(round(options.share(stage) * examples, 6)))


def _ranked(kept: Mapping[Id, Rewards], options: CurriculumOptions) -> list[Ranked]:
    difficulty = _difficulties(kept, options.by)
    order = sorted(kept, key=lambda id_: (difficulty[id_], _digest(id_, options.seed)))
    opened = [_opened(stage, len(order), options) for stage in range(options.stages)]
    return [
        Ranked(
            example_id=id_,
            mean=kept[id_].mean,
            spread=kept[id_].spread,
            difficulty=difficulty[id_],
            stage=bisect_right(opened, place),
        )
        for place, id_ in enumerate(order)
    ]


def _difficulties(kept: Mapping[Id, Rewards], by: str) -> dict[Id, float]:
    rounded = scale_of().rounded
    means = _ranks([rounded(one.mean) for one in kept.values()])
    spreads = _ranks([rounded(one.spread) for one in kept.values()])
    first = spreads if by == "spread" else means
    second = means if by == "mean" else spreads
    most = 2 * max(len(kept) - 1, 1)
    return {id_: (a + b) / most for id_, a, b in zip(kept, first, second, strict=True)}


def _ranks(values: Sequence[float]) -> list[float]:
    """Return how many others a value is below; those that are equal count half."""
    ordered, count = sorted(values), len(values)
    rank: dict[float, float] = {}
    for value in ordered:
        last = bisect_right(ordered, value)
        rank[value] = count - (last + bisect_left(ordered, value) + 1) / 2
    return [rank[value] for value in values]


def _digest(id_: Id, seed: int) -> bytes:
    return blake2b(b"%d/%b" % (seed, msgspec.json.encode(id_)), digest_size=8).digest()
