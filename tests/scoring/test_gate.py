"""The gate keeps its promise, keeps much, and is not given where there is none."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from plaudit.scoring.fitting import Promise, fit_and_test
from plaudit.scoring.gate import find_gate, threshold_sequence

TARGET, DELTA = 0.8, 0.05
DRAWS = 1_000
MOST_BROKEN = int(binom.ppf(0.99, DRAWS, DELTA))

Random = np.random.Generator
Array = np.ndarray


class World(NamedTuple):
    """A judge whose raw confidence and true chance of being right are known."""

    draw: Callable[[Random, int], tuple[Array, Array]]


def sure_of(chance: Array) -> Array:
    """A confidence that is far too high, but in the right order."""
    return chance**0.3


def of_chances(draw: Callable[[Random, int], Array]) -> World:
    def both(random: Random, size: int) -> tuple[Array, Array]:
        chance = draw(random, size)
        return sure_of(chance), chance

    return World(both)


def wrong_though_sure(random: Random, size: int) -> tuple[Array, Array]:
    raw = random.random(size)
    return raw, np.select([raw > 0.9, raw > 0.4], [0.7, 0.92], 0.4)


WORLDS = {
    "right in 70 %": of_chances(lambda random, size: random.beta(2.1, 0.9, size)),
    "right in 60 %": of_chances(lambda random, size: random.beta(1.2, 0.8, size)),
    "from a coin to certain": of_chances(lambda random, size: random.uniform(0.5, 1, size)),
    "four stated confidences": of_chances(
        lambda random, size: random.choice([0.45, 0.6, 0.85, 0.95], size, p=[0.2, 0.3, 0.3, 0.2])
    ),
}
USELESS = World(lambda random, size: (random.random(size), np.full(size, 0.6)))
ALMOST = World(lambda random, size: (random.random(size), np.full(size, TARGET - 1e-6)))
SURE_AND_WRONG = World(wrong_though_sure)


class Pool:
    """So many samples that they stand for all."""

    def __init__(self, world: World) -> None:
        raw, chance = world.draw(np.random.default_rng(99), 40_000)
        order = np.argsort(-raw, kind="stable")
        self.raw, chances = raw[order], chance[order]
        self.agreement = np.cumsum(chances) / np.arange(1, len(chances) + 1)
        self.chances = chances
        last_of_its_raw = np.append(np.diff(self.raw) < 0, True)
        good = np.nonzero((self.agreement >= TARGET) & last_of_its_raw)[0]
        self.best = (good[-1] + 1) / len(chances) if len(good) else 0.0
        """Share that the best possible gate keeps."""
        levels = np.unique(self.raw)
        few = len(levels) <= 1_000
        self.grid = levels if few else np.quantile(levels, np.linspace(0, 1, 1_000))
        """Raw confidences at which a map is applied; between them it is as good as straight."""

    def kept(self, confidence: Array, threshold: float) -> tuple[float, float]:
        """Return the share that a gate keeps, and how much of it is right."""
        mask = confidence >= threshold - 1e-12
        return mask.mean(), self.chances[mask].mean()


def gates_without_fit(world: World, size: int) -> tuple[Pool, list[tuple[float, float]]]:
    """Draw, choose a sequence on a third, test on the rest: for confidences calibrated already."""
    pool, random = Pool(world), np.random.default_rng(size)
    found: list[tuple[float, float]] = []
    for _ in range(DRAWS):
        _, chance = world.draw(random, size)
        right = random.random(size) < chance
        cut = size // 3
        sequence = threshold_sequence(chance[:cut], right[:cut], size - cut, TARGET)
        gate = find_gate(sequence, chance[cut:], right[cut:], TARGET, DELTA)
        found.append(
            (0.0, 1.0) if gate.threshold is None else pool.kept(pool.chances, gate.threshold)
        )
    return pool, found


@pytest.mark.parametrize("name", WORLDS)
def test_a_gate_keeps_its_promise_and_most_of_what_can_be_kept(name: str) -> None:
    pool, found = gates_without_fit(WORLDS[name], 1_000)
    assert sum(agreement < TARGET for _, agreement in found) <= MOST_BROKEN
    assert np.mean([share for share, _ in found]) >= 0.8 * pool.best


def test_the_promise_is_kept_where_it_is_hardest() -> None:
    """No threshold is good enough, but each by almost nothing: delta is all that is allowed."""
    random, given = np.random.default_rng(0), 0
    for _ in range(DRAWS):
        raw, chance = ALMOST.draw(random, 600)
        right = random.random(600) < chance
        sequence = threshold_sequence(raw[:200], right[:200], 400, TARGET)
        given += find_gate(sequence, raw[200:], right[200:], TARGET, DELTA).threshold is not None
    assert 0 < given <= MOST_BROKEN


def run_whole(world: World, size: int, draws: int) -> tuple[Pool, list[tuple[float, float]]]:
    """Do all that `plaudit calibrate` does, the fit included."""
    pool, random = Pool(world), np.random.default_rng(size)
    found: list[tuple[float, float]] = []
    for seed in range(draws):
        raw, chance = world.draw(random, size)
        right = random.random(size) < chance
        done = fit_and_test(raw.tolist(), right.tolist(), Promise(seed=seed))
        if done.gate.threshold is None:
            found.append((0.0, 1.0))
            continue
        curve = np.array([done.map.apply(x) for x in pool.grid.tolist()])
        sure = np.interp(pool.raw, pool.grid, curve)
        found.append(pool.kept(sure, done.gate.threshold))
    return pool, found


def test_a_useless_judge_gets_no_gate() -> None:
    _, found = run_whole(USELESS, 400, 40)
    assert [share for share, _ in found] == [0.0] * 40


def test_a_judge_that_is_wrong_where_it_is_surest_can_have_a_gate() -> None:
    pool, found = run_whole(SURE_AND_WRONG, 1_000, 30)
    assert np.mean([share for share, _ in found]) >= 0.6 * pool.best


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [*WORLDS, "useless", "almost", "wrong where it is surest"])
def test_the_whole_way_keeps_the_promise_in_a_thousand_draws(name: str) -> None:
    others = {"useless": USELESS, "almost": ALMOST, "wrong where it is surest": SURE_AND_WRONG}
    pool, found = run_whole((WORLDS | others)[name], 1_000, DRAWS)
    assert sum(agreement < TARGET for _, agreement in found) <= MOST_BROKEN
    if name in WORLDS:
        assert np.mean([share for share, _ in found]) >= 0.8 * pool.best


# The two functions by hand.


def test_the_sequence_falls_and_begins_where_a_test_can_pass() -> None:
    sure = np.linspace(0.5, 1, 300)
    sequence = threshold_sequence(sure, np.ones(300), 600, TARGET)
    assert sequence == sorted(sequence, reverse=True)
    assert sequence[-1] == 0.0
    kept = (sure >= sequence[0]).mean() * 600
    assert kept > 14  # with fewer, even no mistake at all would prove nothing


def test_the_first_that_fails_ends_the_sequence() -> None:
    sure = np.repeat([0.9, 0.7, 0.5], 100)
    right = np.concatenate([np.ones(100), np.zeros(100), np.ones(100)])
    gate = find_gate([0.9, 0.7, 0.5], sure, right, 0.6, DELTA)
    assert (gate.threshold, gate.kept, gate.right) == (0.9, 100, 100)
    assert find_gate([0.5], sure, right, 0.6, DELTA).threshold == 0.5  # though it would pass


def test_no_gate_says_what_was_tried() -> None:
    gate = find_gate([0.9, 0.0], [0.95] * 10, [True] * 10, TARGET, DELTA)
    assert (gate.threshold, gate.tried, gate.kept, gate.right) == (None, 0.9, 10, 10)
    assert gate.p_value == pytest.approx(0.8**10)
    assert find_gate([0.9], [0.5] * 10, [True] * 10, TARGET, DELTA).threshold is None
