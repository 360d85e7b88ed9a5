"""A composite: weights, gates, and None that is never a number."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import EngineUnusableError, UsageError
from plaudit.rollouts.rewards.base import scored, unscored
from plaudit.rollouts.rewards.composite import Composite, Requirement, RewardPart
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.types import Json
from tests.rollouts.rewards.playing import is_no_number, rollout
from tests.support.examples import drawn


class Fixed:
    """A reward that says the same of every trace."""

    def __init__(
        self, value: float | None = None, low: float = 0.0, high: float = 1.0, name: str = "fixed"
    ) -> None:
        self.name, self.value, self.low, self.high = name, value, low, high
        self.closed = 0

    @property
    def identity(self) -> Json:
        return [self.name]

    async def score(self, trace: Trace) -> Score:
        if self.value is None:
            return unscored(Unscored.NO_GOLD, "there is no gold")
        return scored(self.value, "fixed")

    async def close(self) -> None:
        self.closed += 1


def part(name: str, value: float | None = None, weight: float = 1.0, **fields: Any) -> RewardPart:
    ends = fields.pop("ends", (0.0, 1.0))
    requires = fields.pop("requires", ())
    if isinstance(requires, str):
        requires = (Requirement(requires),)
    return RewardPart(
        name=name, reward=Fixed(value, *ends, name=name), weight=weight, requires=requires, **fields
    )


def penalty(
    name: str, value: float | None = None, weight: float = 1.0, **fields: Any
) -> RewardPart:
    return part(name, value, weight, ends=(-1.0, 0.0), **fields)


async def total(*parts: RewardPart, combine="sum") -> Score:
    return await Composite(parts, combine).score(rollout())


LOST = {"on_none": "renormalise"}


async def test_a_sum_is_the_sum_of_weight_times_value() -> None:
    found = await total(part("a", 1.0, 2.0), part("b", 0.5, 0.5), penalty("c", -0.5, 0.1))
    assert found.value == pytest.approx(2.2)
    assert list(found.components) == ["a", "b", "c"]


async def test_a_mean_is_the_sum_by_the_weights_of_rewards() -> None:
    parts = [part("a", 1.0, 3.0), part("b", 0.0, 1.0), penalty("c", -1.0, 0.4)]
    assert (await total(*parts, combine="mean")).value == pytest.approx(0.75 - 0.1)
    assert (await total(penalty("c", -0.5, 4.0), combine="mean")).value == -0.5


@pytest.mark.parametrize("combine", ["sum", "mean"])
async def test_one_part_without_a_value_makes_the_whole_abstain(combine) -> None:
    found = await total(part("a", 1.0), part("b", None), combine=combine)
    assert is_no_number(found, "no_gold")
    assert found.reason.startswith("b could not be scored")
    assert found.components["a"].value == 1.0


@pytest.mark.parametrize("combine", ["sum", "mean"])
async def test_none_is_never_averaged_in_as_zero(combine) -> None:
    without = await total(part("a", 0.8), part("c", 0.4), combine=combine)
    found = await total(part("a", 0.8), part("b", None, **LOST), part("c", 0.4), combine=combine)
    zero = await total(part("a", 0.8), part("b", 0.0), part("c", 0.4), combine=combine)
    assert found.value > zero.value
    share = 1.0 if combine == "mean" else 3 / 2
    assert found.value == pytest.approx(without.value * share)


async def test_what_is_lost_keeps_rewards_and_penalties_apart() -> None:
    parts = [part("a", 1.0), part("b", None, **LOST), penalty("c", -1.0, 0.2)]
    assert (await total(*parts)).value == pytest.approx(2.0 - 0.2)
    parts = [part("a", 1.0), penalty("c", -1.0, 0.2), penalty("d", None, 0.2, **LOST)]
    assert (await total(*parts)).value == pytest.approx(1.0 - 0.4)
    assert (await total(part("a", 1.0), penalty("d", None, 0.2, **LOST))).value == 1.0


async def test_where_all_rewards_are_lost_there_is_no_total() -> None:
    parts = [part("a", None, **LOST), part("b", None, **LOST), penalty("c", -1.0)]
    assert is_no_number(await total(*parts), "part_missing")


async def test_a_weight_of_zero_is_reported_and_does_not_count() -> None:
    found = await total(part("a", 0.5), part("b", None, 0.0), part("c", 1.0, 0.0))
    assert found.value == 0.5
    assert found.components["c"].value == 1.0
    assert found.components["b"].value is None


async def test_a_negative_weight_is_a_penalty() -> None:
    parts = [part("a", 1.0), part("cost", 0.5, -0.5), penalty("c", None, 0.5, **LOST)]
    composite = Composite(parts)
    assert (composite.low, composite.high) == (-1.0, 1.0)
    assert (await composite.score(rollout())).value == pytest.approx(1.0 - 0.5)


# Requirements


@pytest.mark.parametrize(("value", "paid"), [(1.0, 1.5), (0.1, 0.6), (0.0, 0.0)])
async def test_a_part_counts_only_where_another_is_above_zero(value, paid) -> None:
    found = await total(part("right", value), part("b", 0.5, requires="right"))
    assert found.value == pytest.approx(paid)
    assert found.components["b"].value == 0.5
    assert found.reason == ("" if value else "not counted: b")


@pytest.mark.parametrize(("least", "paid"), [(0.6, 0.5), (0.5, 1.0), (0.0, 1.0), (-1.0, 1.0)])
async def test_a_part_counts_from_a_least_value_on(least: float, paid: float) -> None:
    asked = (Requirement("right", least),)
    found = await total(part("right", 0.5), part("b", 0.5, requires=asked))
    assert found.value == paid


async def test_a_penalty_may_be_for_right_answers_alone() -> None:
    wrong = [part("right", 0.0), penalty("long", -1.0, 0.2, requires="right")]
    assert (await total(*wrong)).value == 0.0
    right = [part("right", 1.0), penalty("long", -1.0, 0.2, requires="right")]
    assert (await total(*right)).value == pytest.approx(0.8)


async def test_a_part_that_does_not_count_need_not_be_scored() -> None:
    found = await total(part("right", 0.0), part("b", None, requires="right"))
    assert found.value == 0.0


async def test_a_requirement_without_a_value_leaves_the_part_unscored() -> None:
    lost = part("right", None, 0.0)
    assert is_no_number(
        await total(lost, part("a", 1.0), part("b", 1.0, requires="right")), "no_gold"
    )
    found = await total(lost, part("a", 1.0), part("b", 0.0, requires="right", **LOST))
    assert found.value == 2.0


async def test_all_requirements_must_hold() -> None:
    both = (Requirement("x"), Requirement("y"))
    for x, y, paid in ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, None, 0.0)):
        parts = [part("x", x, 0.0), part("y", y, 0.0), part("b", 1.0, requires=both)]
        assert (await total(*parts)).value == paid


# What cannot be


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "no reward counts"),
        ([part("a", 1.0, 0.0)], "no reward counts"),
        ([part("a"), part("a")], "'a' is taken"),
        ([part("total")], "'total' is taken"),
        ([part("a", weight=math.inf)], "finite"),
        ([part("a", weight=math.nan)], "finite"),
        ([part("a", requires="a")], "no other reward"),
        ([part("a"), part("b", requires="c")], "requires 'c'"),
    ],
)
def test_what_cannot_be_combined_is_refused(parts, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Composite(parts)


async def test_a_total_that_is_not_finite_is_no_number() -> None:
    huge = {"ends": (-math.inf, math.inf)}
    parts = [part("a", 1e308, 10.0, **huge), part("b", 1.0)]
    assert is_no_number(await total(*parts), "bad_result")


async def test_an_engine_that_can_answer_nothing_ends_the_run() -> None:
    class Dead(Fixed):
        async def score(self, trace: Trace) -> Score:
            raise EngineUnusableError("bad key")

    parts = [part("a", 1.0), RewardPart(name="b", reward=Dead())]
    with pytest.raises(EngineUnusableError):
        await Composite(parts).score(rollout())


async def test_closing_closes_every_part() -> None:
    parts = [part("a"), part("b")]
    await Composite(parts).close()
    assert [one.reward.closed for one in parts] == [1, 1]


def test_the_fingerprint_is_of_everything_that_changes_a_score() -> None:
    base = [part("a"), part("b")]
    changed = [
        [part("a"), part("c")],
        [part("a"), part("b", weight=2.0)],
        [part("a"), part("b", **LOST)],
        [part("a"), part("b", requires="a")],
        [part("a"), part("b", requires=(Requirement("a", 0.5),))],
    ]
    prints = {Composite(parts).fingerprint for parts in (base, *changed)}
    prints.add(Composite(base, "mean").fingerprint)
    assert len(prints) == len(changed) + 2
    assert Composite(base).fingerprint == Composite([part("a"), part("b")]).fingerprint


# Ranges

ENDS = [(0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0), (0.5, 2.0)]


@st.composite
def composites(draw: st.DrawFn) -> tuple[list[RewardPart], Mapping[str, Score], str]:
    parts: list[RewardPart] = []
    for number in range(draw(st.integers(1, 5))):
        ends = draw(st.sampled_from(ENDS))
        value = draw(st.none() | st.floats(*ends))
        required = draw(st.booleans()) and number > 0
        parts.append(
            part(
                f"p{number}", value, draw(st.sampled_from([0.1, 1.0, 2.5, -0.5])), ends=ends,
                on_none=draw(st.sampled_from(["abstain", "renormalise"])),
                requires="p0" if required else (),
            )
        )  # fmt: skip
    return parts, {}, draw(st.sampled_from(["sum", "mean"]))


@settings(deadline=None, max_examples=drawn(300))
@given(composites())
async def test_every_total_is_in_the_stated_range_or_none(made) -> None:
    parts, _, combine = made
    composite = Composite(parts, combine)
    found = await composite.score(rollout())
    if found.value is None:
        assert found.cause is not None and found.reason
        return
    assert found.cause is None
    assert composite.low - 1e-6 <= found.value <= composite.high + 1e-6
    earned = composite.earned(found.components)
    assert sum(earned.values()) == pytest.approx(found.value)


def test_the_range_is_reached_with_parts_left_out() -> None:
    parts = [part("a"), part("b", ends=(0.0, 3.0)), part("c", **LOST)]
    assert (Composite(parts).low, Composite(parts).high) == (0.0, 6.0)
    assert Composite([part("a"), part("c", **LOST)]).high == 2.0
    lost = [part("a", ends=(0.0, 2.0), **LOST), part("b", **LOST)]
    assert Composite(lost).high == 4.0
