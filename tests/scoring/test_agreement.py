"""Krippendorff's alpha, against a published example and against the package."""

import random

import pytest

from plaudit.scoring.agreement import Agreement, Level

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": 4 observers, 12 units.
PUBLISHED = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)


def alpha(votes, level: Level) -> Agreement:
    agreement = Agreement(level)
    for unit in zip(*votes, strict=True):
        agreement.add([value for value in unit if value is not None])
    return agreement


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("interval", 0.849)])
def test_the_published_example(level: Level, expected: float) -> None:
    found = alpha(PUBLISHED, level)
    assert found.alpha == pytest.approx(expected, abs=0.0005)
    assert found.samples == 11  # the last unit has one value


@pytest.mark.parametrize("level", ["nominal", "interval"])
def test_the_same_as_the_package(level: Level) -> None:
    package = pytest.importorskip("krippendorff")
    draw = random.Random(5)
    for _ in range(20):
        true = [draw.randint(1, 6) for _ in range(60)]
        votes = [
            [None if draw.random() < 0.2 else t if draw.random() < 0.6 else draw.randint(1, 6)
             for t in true]
            for _ in range(draw.randint(2, 5))
        ]  # fmt: skip
        numbers = [[float("nan") if v is None else float(v) for v in own] for own in votes]
        expected = package.alpha(reliability_data=numbers, level_of_measurement=level)
        assert alpha(votes, level).alpha == pytest.approx(expected, abs=2e-6)


def test_the_order_of_the_samples_changes_nothing() -> None:
    draw = random.Random(6)
    units = [[draw.random() for _ in range(draw.randint(1, 4))] for _ in range(200)]
    found = set()
    for _ in range(5):
        draw.shuffle(units)
        agreement = Agreement("interval")
        for unit in units:
            agreement.add(unit)
        found.add(agreement.alpha)
    assert len(found) == 1


def test_full_and_no_agreement_and_what_is_not_defined() -> None:
    assert alpha([["a", "b", "a"], ["a", "b", "a"]], "nominal").alpha == 1
    assert alpha([["a", "b"], ["b", "a"]], "nominal").alpha == pytest.approx(-0.5)
    assert alpha([["a", "a"], ["a", "a"]], "nominal").alpha is None  # nothing to tell apart
    assert alpha([["a", "b"], [None, None]], "nominal").alpha is None
    assert Agreement("interval").alpha is None
