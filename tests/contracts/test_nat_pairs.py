"""Pairs against those of the installed NeMo Agent Toolkit: `scripts/contracts nat`.

On clean candidates both builders' whole trajectories are equal. On all others each difference is
one of the defects of the toolkit's builder that are listed below, or the test fails; and what the
toolkit makes of the same run with those defects taken out is what plaudit makes of it as it is.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("nat.plugins.customizer", reason="scripts/contracts nat has the toolkit")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

from nat.plugins.customizer.dpo.config import DPOTrajectoryBuilderConfig  # noqa: E402
from nat.plugins.customizer.dpo.trajectory_builder import DPOTrajectoryBuilder  # noqa: E402

from plaudit.integrations.nat.builder import PairTrajectories  # noqa: E402
from plaudit.integrations.nat.config import PairTrajectoriesConfig  # noqa: E402
from tests.support.nat_runs import Item, Step, collected, quiet  # noqa: E402

CALLS = [{"role": "user", "content": "act"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
LEAST = math.ulp(0.0)

DEFECTS = {
    "D2 a missing index is 0",
    "D2 an item whose id comes again is lost",
    "D2 turns of two examples are joined",
    "D3 what is not text becomes Python's repr",
    "D4 a tie is a preference",
    "D4 a score that is no number is one",
    "D4 an empty response",
    "D4 the same response twice",
    "D4 two prompts in a pair",
    "D4 two pairs that contradict each other",
}


def theirs(items: list[Item], **settings: Any) -> tuple[list[list[Any]], dict[str, Any]]:
    builder = DPOTrajectoryBuilder(DPOTrajectoryBuilderConfig(**settings))
    found = collected(builder, items)
    return found.trajectories, builder._metrics


def ours(items: list[Item], **settings: Any) -> tuple[list[list[Any]], dict[str, Any]]:
    builder = PairTrajectories(PairTrajectoriesConfig(**settings))
    found = collected(builder, items)
    return found.trajectories, builder._metrics["run"]


def ordered(groups: list[list[Any]]) -> list[list[dict[str, Any]]]:
    """Whole trajectories, those of one turn and margin in the order of their indices."""
    return [
        [
            one
            for _, same in itertools.groupby(
                (trajectory.model_dump() for trajectory in group), key=place
            )
            for one in sorted(same, key=indices)
        ]
        for group in groups
    ]


def place(trajectory: dict[str, Any]) -> tuple[Any, ...]:
    return trajectory["metadata"]["turn_id"], trajectory["metadata"]["score_diff"]


def indices(trajectory: dict[str, Any]) -> tuple[int, int]:
    return trajectory["metadata"]["chosen_index"], trajectory["metadata"]["rejected_index"]


def without_more(groups: list[list[dict[str, Any]]], exhaustive: bool) -> list[list[Any]]:
    """Take off what plaudit tells in both modes and the toolkit in the other mode only."""
    more = ("num_candidates",) if exhaustive else ("chosen_raw_metadata", "rejected_raw_metadata")
    for trajectory in itertools.chain.from_iterable(groups):
        for key in more:
            del trajectory["metadata"][key]
    return groups


def the_same(mine: list[list[Any]], other: list[list[Any]], exhaustive: bool) -> bool:
    return without_more(ordered(mine), exhaustive) == ordered(other)


# Clean candidates: everything is equal.


Scores = Callable[[random.Random, int], list[float]]


def anywhere(draw: random.Random, count: int) -> list[float]:
    return [draw.random() for _ in range(count)]


def on_a_grid(draw: random.Random, count: int) -> list[float]:
    """Multiples of 1/16, which a computer holds exactly, and their differences too."""
    return [number / 16 for number in draw.sample(range(10), count)]


def clean(draw: random.Random, scores: Scores) -> list[Item]:
    uids = itertools.count()
    items: list[Item] = []
    for example in range(draw.randrange(4)):
        item = Item(draw.choice([f"example {example}", example]))
        for turn in range(draw.randrange(4)):
            prompt = draw.choice([f"q{turn}", [{"role": "user", "content": f"q{turn}"}]])
            steps = [
                Step(next(uids), f"turn {turn}", index, score, prompt, f"answer {index}")
                for index, score in enumerate(scores(draw, draw.randrange(1, 7)))
            ]
            item.steps.extend(draw.sample(steps, len(steps)))
        items.append(item)
    return items


def settings(draw: random.Random, items: list[Item]) -> dict[str, Any]:
    """Any settings; the least margin is often exactly that of a pair."""
    steps = [step for item in items for step in item.steps]
    one = draw.choice(steps) if steps else None
    beside = [step for step in steps if one and step.prompt == one.prompt]
    exact = abs(one.score - draw.choice(beside).score) if one else 0.0
    return {
        "exhaustive_pairs": draw.random() < 0.7,
        "min_score_diff": draw.choice([0.0, exact, draw.random()]),
        "reward_from_score_diff": draw.random() < 0.5,
        "require_multiple_candidates": draw.random() < 0.5,
    }


def test_whole_trajectories_are_those_of_the_toolkit() -> None:
    pairs = 0
    with quiet():
        for seed in range(500):
            draw = random.Random(seed)
            items = clean(draw, anywhere)
            given = settings(draw, items)
            given["max_pairs_per_turn"] = draw.choice([None, 1, 2, 5, 100])
            mine, counted = ours(items, **given)
            other, metrics = theirs(items, **given)
            assert the_same(mine, other, given["exhaustive_pairs"]), seed
            assert {name: counted[name] for name in metrics} == metrics, seed
            pairs += metrics["total_pairs"]
    assert pairs > 2_000


def test_margins_exactly_at_the_minimum_and_equal_ones() -> None:
    """Scores on a grid, so that margins repeat and meet the minimum; no cap cuts through them."""
    at_minimum = 0
    with quiet():
        for seed in range(500):
            draw = random.Random(seed)
            items = clean(draw, on_a_grid)
            given = settings(draw, items)
            mine, counted = ours(items, **given)
            other, metrics = theirs(items, **given)
            assert the_same(mine, other, given["exhaustive_pairs"]), seed
            assert {name: counted[name] for name in metrics} == metrics, seed
            at_minimum += sum(
                one.metadata["score_diff"] == given["min_score_diff"]
                for one in itertools.chain.from_iterable(mine)
            )
    assert at_minimum > 60


def test_the_noise_of_floating_point_decides_nothing_as_it_does_in_the_toolkit() -> None:
    """0.3 - 0.2 is a little less than 0.1, and is a margin of 0.1 all the same."""
    steps = [
        Step(uid, "t", uid, score, "q", f"answer {uid}") for uid, score in ((0, 0.3), (1, 0.2))
    ]
    items = [Item("a", steps)]
    with quiet():
        mine, _ = ours(items, min_score_diff=0.1)
        other, _ = theirs(items, min_score_diff=0.1)
    assert [[one.metadata["score_diff"] for one in group] for group in mine] == [[0.3 - 0.2]]
    assert other == []


# All others: each difference has a name.


def dirty(draw: random.Random) -> list[Item]:
    uids = itertools.count()
    items: list[Item] = []
    for _ in range(draw.randrange(1, 5)):
        item = Item(draw.choice(["a", "b", "a::b", "c", 1, "1"]))
        for _ in range(draw.randrange(1, 7)):
            step = Step(
                next(uids),
                turn=draw.choice(["t", "u", "b::t"]),
                index=draw.choice([None, len(item.steps)]),
                score=draw.choice([0.0, 0.5, 1.0, math.nan, math.inf, draw.random()]),
                prompt=draw.choice(["q", "q", "q", "q", "other", CALLS, PICTURE]),
                response=draw.choice(["", " ", "x", " x", "y", "z", "v", "w", {"move": 3}]),
            )
            item.steps.append(step)
        items.append(item)
    return items


class Known:
    """What is known of the candidates of a run, apart from either builder."""

    def __init__(self, items: list[Item]) -> None:
        self.steps = {step.uid: step for item in items for step in item.steps}
        self.item = {step.uid: place for place, item in enumerate(items) for step in item.steps}
        self.last = {item.id: place for place, item in enumerate(items)}
        self.ids = [item.id for item in items]
        self.first: dict[tuple[int, Any], Step] = {}
        for uid, step in self.steps.items():
            self.first.setdefault((self.item[uid], step.turn), step)

    def turn(self, uid: int) -> tuple[int, Any]:
        return self.item[uid], self.steps[uid].turn

    def strays(self, uid: int) -> bool:
        """Whether its prompt is not that of its turn."""
        return self.steps[uid].prompt != self.first[self.turn(uid)].prompt

    def is_lost(self, uid: int) -> bool:
        return self.last[self.ids[self.item[uid]]] != self.item[uid]

    def has_no_number(self, uid: int) -> bool:
        """Whether a score of its turn, or one joined to it, is none, which upsets their order."""
        key = self.key(uid)
        return any(
            not math.isfinite(step.score or 0.0)
            for other, step in self.steps.items()
            if self.key(other) == key
        )

    def key(self, uid: int) -> str:
        """The turn's key in the toolkit."""
        return f"{self.ids[self.item[uid]]}::{self.steps[uid].turn}"

    def reasons_against(self, a: int, b: int) -> Iterator[str]:
        """Why a pair that the toolkit makes should not be."""
        first, second = self.steps[a], self.steps[b]
        if self.turn(a) != self.turn(b):
            yield "D2 turns of two examples are joined"
        if not isinstance(first.prompt, str):
            yield "D3 what is not text becomes Python's repr"
        if first.score == second.score:
            yield "D4 a tie is a preference"
        if not (math.isfinite(first.score or 0.0) and math.isfinite(second.score or 0.0)):
            yield "D4 a score that is no number is one"
        if any(
            isinstance(one.response, str) and not one.response.strip() for one in (first, second)
        ):
            yield "D4 an empty response"
        if text(first) == text(second):
            yield "D4 the same response twice"
        if self.strays(a) or self.strays(b):
            yield "D4 two prompts in a pair"
        if self.contradicts(a, b):
            yield "D4 two pairs that contradict each other"

    def contradicts(self, a: int, b: int) -> bool:
        """Whether a pair of the same turn prefers the response that this pair rejects."""
        usable = [
            (text(step), step.score)
            for uid, step in self.steps.items()
            if self.turn(uid) == self.turn(a)
            and not self.strays(uid)
            and math.isfinite(step.score or 0.0)
        ]
        chosen, rejected = text(self.steps[a]), text(self.steps[b])
        best = max((score for own, score in usable if own == rejected), default=-math.inf)
        worst = min((score for own, score in usable if own == chosen), default=math.inf)
        return best > worst

    def reasons_for(self, a: int, b: int) -> Iterator[str]:
        """Why the toolkit does not make a pair that should be."""
        if self.is_lost(a):
            yield "D2 an item whose id comes again is lost"
        if self.has_no_number(a):
            yield "D4 a score that is no number is one"


def text(step: Step) -> str:
    return str(step.response).strip()


def by_pair(groups: list[list[Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for trajectory in itertools.chain.from_iterable(groups):
        metadata = trajectory.metadata
        pair = metadata["chosen_raw_metadata"]["uid"], metadata["rejected_raw_metadata"]["uid"]
        assert pair not in found
        found[pair] = trajectory.model_dump()
    return found


def changes(known: Known, mine: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """Name each difference of one pair in both; what has no name is left, and compared."""
    for side in ("chosen", "rejected"):
        step = known.steps[mine["metadata"][f"{side}_raw_metadata"]["uid"]]
        if step.index is None:
            assert other["metadata"].pop(f"{side}_index") == 0
            del mine["metadata"][f"{side}_index"]
            yield "D2 a missing index is 0"
        if isinstance(step.response, dict):
            assert other["episode"][0].pop(f"{side}_response") == str(step.response)
            assert mine["episode"][0].pop(f"{side}_response") == '{"move":3}'
            yield "D3 what is not text becomes Python's repr"
    del mine["metadata"]["num_candidates"]
    assert mine == other


def test_D2_D3_D4_each_difference_is_a_listed_defect() -> None:
    seen: Counter[str] = Counter()
    same = 0
    with quiet():
        for seed in range(2_000):
            items = dirty(random.Random(seed))
            known = Known(items)
            mine, other = by_pair(ours(items)[0]), by_pair(theirs(items)[0])
            for pair in other.keys() - mine.keys():
                reasons = list(known.reasons_against(*pair))
                assert reasons, (seed, pair)
                seen.update(reasons)
            for pair in mine.keys() - other.keys():
                reasons = list(known.reasons_for(*pair))
                assert reasons, (seed, pair)
                seen.update(reasons)
            for pair in mine.keys() & other.keys():
                assert not list(known.reasons_against(*pair)), (seed, pair)
                seen.update(changes(known, mine[pair], other[pair]))
                same += 1
    assert seen.keys() == DEFECTS
    assert same > 400


def repaired(items: list[Item]) -> list[Item]:
    """The same run with the listed defects taken out, but for ties and the same text twice."""
    made: list[Item] = []
    known = Known(items)
    for number, item in enumerate(items):
        places: Counter[Any] = Counter()
        taken = {(step.turn, step.index) for step in item.steps}
        steps: list[Step] = []
        for step in item.steps:
            index = places[step.turn] if step.index is None else step.index
            places[step.turn] += 1
            while step.index is None and (step.turn, index) in taken:
                index += 1
            taken.add((step.turn, index))
            usable = text(step) and math.isfinite(step.score or 0.0)
            if usable and not known.strays(step.uid) and isinstance(step.prompt, str):
                response = '{"move":3}' if isinstance(step.response, dict) else step.response
                steps.append(replace(step, index=index, response=response))
        made.append(Item(f"item {number}", steps))
    return made


def capped(groups: list[list[Any]], most: int | None) -> list[list[Any]]:
    """Leave out pairs of the same text, those that contradict, and then those over the cap."""
    kept: list[list[Any]] = []
    for group in groups:
        left: list[Any] = []
        sides = {sides_of(trajectory) for trajectory in group}
        turns: Counter[Any] = Counter()
        for trajectory in group:
            turn, chosen, rejected = sides_of(trajectory)
            if chosen == rejected or (turn, rejected, chosen) in sides:
                continue
            turns[turn] += 1
            if most is None or turns[turn] <= most:
                left.append(trajectory)
        kept.append(left)
    return [group for group in kept if group]


def sides_of(trajectory: Any) -> tuple[Any, str, str]:
    pair = trajectory.episode[0]
    turn = trajectory.metadata["turn_id"]
    return turn, pair.chosen_response.strip(), pair.rejected_response.strip()


def cut_through(groups: list[list[Any]], most: int | None) -> bool:
    """Whether a cap lies between pairs of one margin, where the two orders may differ."""
    margins: dict[tuple[Any, ...], list[float]] = {}
    for number, group in enumerate(capped(groups, None)):
        for one in group:
            key = number, one.metadata["turn_id"]
            margins.setdefault(key, []).append(one.metadata["score_diff"])
    return any(
        most is not None and len(turn) > most and turn[most - 1] == turn[most]
        for turn in margins.values()
    )


@pytest.mark.parametrize("exhaustive", [True, False])
def test_without_its_defects_the_toolkit_makes_what_plaudit_makes(exhaustive: bool) -> None:
    compared = 0
    with quiet():
        for seed in range(800):
            draw = random.Random(seed)
            items = dirty(draw)
            least, most = draw.choice([0.0, 0.5, draw.random()]), draw.choice([None, 1, 2, 3])
            given = {"exhaustive_pairs": exhaustive, "min_score_diff": least}
            fixed = repaired(items)
            other, _ = theirs(fixed, **(given | {"min_score_diff": least or LEAST}))
            if cut_through(other, most):
                continue
            mine, _ = ours(items, **given, max_pairs_per_turn=most)
            assert flat(mine, None) == flat(capped(other, most), items), seed
            compared += 1
    assert compared > 400


def flat(groups: list[list[Any]], items: list[Item] | None) -> list[str]:
    """Whole trajectories by turn; with items, the ids of the run as it was are put back."""
    lines: list[str] = []
    for group in groups:
        for one in group:
            dumped = one.model_dump()
            for key in ("num_candidates", "chosen_raw_metadata", "rejected_raw_metadata"):
                dumped["metadata"].pop(key, None)
            if items is not None:
                number = int(dumped["metadata"]["example_id"].removeprefix("item "))
                dumped["metadata"]["example_id"] = str(items[number].id)
            lines.append(repr(dumped))
    return sorted(lines)
