import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, UsageError
from plaudit.preferences import pairing
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.rows import pair_lines, preferences, whole_lines
from plaudit.preferences.types import CANDIDATE_DROPS, PAIR_DROPS, PairOptions, Preference, Tally
from tests.preferences.making import candidate, pairs_of


def scores_of(pairs: list[Preference]) -> list[tuple[float, float]]:
    return [(pair.chosen_score, pair.rejected_score) for pair in pairs]


def test_each_two_of_a_turn_make_a_pair_the_widest_margin_first() -> None:
    pairs = pairs_of([candidate(0.5), candidate(0.9), candidate(0.0)])
    assert scores_of(pairs) == [(0.9, 0.0), (0.5, 0.0), (0.9, 0.5)]
    assert [(pair.chosen_index, pair.rejected_index) for pair in pairs] == [(1, 2), (0, 2), (1, 0)]
    assert [pair.margin for pair in pairs] == [0.9, 0.5, 0.4]
    assert all(pair.reward == pair.margin and pair.num_candidates == 3 for pair in pairs)


def test_of_equal_margins_the_lower_indices_come_first() -> None:
    turn = [candidate(1.0, "a"), candidate(0.0, "b"), candidate(1.0, "c"), candidate(0.0, "d")]
    indices = [(pair.chosen_index, pair.rejected_index) for pair in pairs_of(turn)]
    assert indices == [(0, 1), (0, 3), (2, 1), (2, 3)]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("best-worst", [(0.9, 0.1)]),
        ("adjacent", [(0.5, 0.1), (0.9, 0.6), (0.6, 0.5)]),
        ("exhaustive", [(0.9, 0.1), (0.6, 0.1), (0.9, 0.5), (0.5, 0.1), (0.9, 0.6), (0.6, 0.5)]),
    ],
)
def test_modes(mode: str, expected: list[tuple[float, float]]) -> None:
    turn = [candidate(score) for score in (0.6, 0.9, 0.1, 0.5)]
    assert scores_of(pairs_of(turn, mode=mode)) == expected


def test_random_pairs_are_drawn_by_the_seed_and_the_turn() -> None:
    turn = [candidate(score / 10) for score in range(8)]
    draws = {seed: scores_of(pairs_of(turn, mode="random-3", seed=seed)) for seed in range(20)}
    assert all(len(drawn) == 3 for drawn in draws.values())
    assert len({str(drawn) for drawn in draws.values()}) > 10
    assert draws[3] == scores_of(pairs_of(turn, mode="random-3", seed=3))
    elsewhere = [candidate(score / 10, turn_id="u") for score in range(8)]
    assert any(
        scores_of(pairs_of(elsewhere, mode="random-3", seed=seed)) != draws[seed]
        for seed in range(20)
    )
    assert len(pairs_of(turn, mode="random-100")) == 28


def test_random_pairs_cover_all_pairs() -> None:
    turn = [candidate(score / 10) for score in range(5)]
    seen = {
        pair
        for seed in range(200)
        for pair in scores_of(pairs_of(turn, mode="random-1", seed=seed))
    }
    assert len(seen) == 10


def test_D4_ties_and_nan_never_become_preferences() -> None:
    tally = Tally()
    turn = [candidate(0.5, "a"), candidate(0.5, "b"), candidate(None, "c")]
    assert pairs_of(turn, tally) == []
    assert (tally.dropped, tally.dropped_pairs) == ({"no_score": 1}, {"tie": 1})


def test_D4_identical_and_empty_responses_make_no_pair() -> None:
    tally = Tally()
    turn = [
        candidate(0.1, "same"), candidate(0.9, " same\n"), candidate(1.0, ""), candidate(1.0, "  "),
        candidate(1.0, []), candidate(1.0, {"role": "assistant", "content": ""}),
    ]  # fmt: skip
    assert pairs_of(turn, tally) == []
    assert (tally.dropped, tally.dropped_pairs) == ({"empty": 4}, {"same_text": 1})


def test_D4_another_prompt_than_the_turns_first_makes_no_pair() -> None:
    tally = Tally()
    turn = [candidate(0.1), candidate(0.9, prompt="How?"), candidate(0.5)]
    assert scores_of(pairs_of(turn, tally)) == [(0.5, 0.1)]
    assert tally.dropped == {"prompt_mismatch": 1}


def test_the_same_prompt_in_another_spelling_is_the_same() -> None:
    one = msgspec.structs.replace(candidate(0.1), prompt=msgspec.Raw(b'"Caf\\u00e9?"'))
    two = msgspec.structs.replace(candidate(0.2), prompt=msgspec.Raw('"Café?"'.encode()))
    (pair,) = pairs_of([one, two])
    assert bytes(pair.prompt) == b'"Caf\\u00e9?"'


def test_D4_the_cap_keeps_the_widest_margins_and_counts_the_others() -> None:
    tally = Tally()
    pairs = pairs_of([candidate(score / 10) for score in range(6)], tally, max_per_turn=2)
    assert scores_of(pairs) == [(0.5, 0.0), (0.4, 0.0)]
    assert (tally.possible, tally.pairs, tally.dropped_pairs) == (15, 2, {"over_cap": 13})


def test_a_margin_just_at_the_least_is_enough() -> None:
    tally = Tally()
    turn = [candidate(0.75), candidate(0.5), candidate(0.375)]
    assert [pair.margin for pair in pairs_of(turn, tally, min_margin=0.25)] == [0.375, 0.25]
    assert tally.dropped_pairs == {"below_margin": 1}


def test_confidence() -> None:
    tally = Tally()
    turn = [candidate(0.1, confidence=0.9), candidate(0.2, confidence=0.5), candidate(0.3),
            candidate(0.4, confidence=0.6)]  # fmt: skip
    assert scores_of(pairs_of(turn, tally, min_confidence=0.6)) == [(0.4, 0.1)]
    assert tally.dropped == {"low_confidence": 2}


def test_a_single_candidate_is_counted_and_left_alone() -> None:
    tally = Tally()
    assert pairs_of([candidate(0.5)], tally) == []
    assert pairs_of([candidate(0.5), candidate(None)], tally) == []
    assert tally.dropped == {"single_candidate": 2, "no_score": 1}


def test_reward_may_be_the_chosen_score() -> None:
    assert [p.reward for p in pairs_of([candidate(0.1), candidate(0.7)], reward="chosen")] == [0.7]


def test_dedupe_keeps_the_first_of_equal_responses() -> None:
    tally = Tally()
    turn = [candidate(0.1, "a"), candidate(0.9, "b"), candidate(0.5, "a"), candidate(0.4, "b ")]
    assert scores_of(pairs_of(turn, tally, dedupe=True)) == [(0.9, 0.1)]
    assert tally.dropped == {"duplicate": 2}


def test_D2_no_index_is_not_index_zero() -> None:
    turn = [candidate(0.1, index=0), candidate(0.2), candidate(0.3, index=1), candidate(0.4)]
    assert {pair.chosen_index for pair in pairs_of(turn)} | {0} == {0, 1, 2, 3}


def test_D2_repeated_ids_lose_nothing() -> None:
    turn = [
        candidate(score, index=index) for score, index in ((0.1, 0), (0.2, 1), (0.3, 0), (0.4, 1))
    ]
    assert len(pairs_of(turn)) == 6


def test_D3_calls_and_pictures_stay_the_json_that_they_were() -> None:
    prompt = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}}
    response = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    turn = [candidate(0.1, "no", prompt=prompt), candidate(0.9, response, prompt=prompt)]
    (pair,) = pairs_of(turn)
    assert bytes(pair.prompt) == json.dumps(prompt).encode()
    assert bytes(pair.chosen) == json.dumps(response).encode()


def test_too_many_candidates_are_refused_with_their_turn() -> None:
    turn = [candidate(0.5)] * (pairing.MOST_CANDIDATES + 1)
    with pytest.raises(InputError, match="turn 't' of example 'e' has more than 10,000 candidates"):
        pair_turn(turn, PairOptions(), Tally())


def test_more_pairs_than_memory_holds_need_a_cap() -> None:
    turn = [candidate(float(score)) for score in range(1500)]
    with pytest.raises(InputError, match="1,124,250 pairs: give max_per_turn"):
        pair_turn(turn, PairOptions(), Tally())
    pairs = pairs_of(turn, max_per_turn=2)
    assert scores_of(pairs) == [(1499.0, 0.0), (1498.0, 0.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "best"}, {"mode": "random-0"}, {"min_margin": -1.0}, {"min_margin": math.nan},
        {"min_confidence": 1.5}, {"max_per_turn": 0}, {"max_pairs": 0}, {"reward": "both"},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        PairOptions(**wrong)


NOISE = 0.1 + 0.2 - 0.3


@pytest.mark.parametrize("mode", ["exhaustive", "best-worst", "adjacent", "random-9"])
def test_defect_33_noise_of_floating_point_makes_no_pair(mode: str) -> None:
    tally = Tally()
    turn = [candidate(0.3, "a"), candidate(0.1 + 0.2, "b"), candidate(0.3 - NOISE, "c")]
    assert pairs_of(turn, tally, mode=mode) == []
    assert tally.dropped_pairs == {"tie": tally.possible}
    assert pairs_of([candidate(NOISE, "a"), candidate(0.0, "b")], mode=mode) == []


@pytest.mark.parametrize("mode", ["exhaustive", "best-worst", "adjacent", "random-9"])
def test_defect_33_a_margin_just_at_the_least_on_paper_is_enough(mode: str) -> None:
    for better, worse in ((0.3, 0.2), (0.4, 0.3), (0.9, 0.8), (1.1, 1.0)):
        tally = Tally()
        turn = [candidate(better), candidate(worse)]
        assert len(pairs_of(turn, tally, mode=mode, min_margin=0.1)) == 1
        assert pairs_of(turn, mode=mode, min_margin=0.1001) == []


def test_defect_33_margins_that_are_equal_on_paper_come_by_their_indices() -> None:
    turn = [candidate(number / 10) for number in (3, 2, 1, 4)]
    indices = [(pair.chosen_index, pair.rejected_index) for pair in pairs_of(turn)]
    assert indices == [(3, 2), (0, 2), (3, 1), (0, 1), (1, 2), (3, 0)]
    assert indices[:3] == [
        (pair.chosen_index, pair.rejected_index) for pair in pairs_of(turn, max_per_turn=3)
    ]


def test_defect_33_the_best_of_equals_is_the_first() -> None:
    turn = [candidate(0.3, "a"), candidate(0.1 + 0.2, "b"), candidate(0.1, "c")]
    (pair,) = pairs_of(turn, mode="best-worst")
    assert (pair.chosen_index, pair.chosen_score) == (0, 0.3)
    (one,) = pairs_of(turn, mode="adjacent")
    assert (one.chosen_index, one.rejected_index) == (1, 2)


def test_defect_38_a_margin_beyond_floats_makes_no_pair() -> None:
    tally = Tally()
    turn = [candidate(1.7e308), candidate(-1.7e308), candidate(0.0)]
    assert [pair.margin for pair in pairs_of(turn, tally)] == [1.7e308, 1.7e308]
    assert tally.dropped_pairs == {"overflow": 1}


def test_defect_38_pairs_of_a_turn_that_contradict_each_other_are_not_made() -> None:
    turn = [candidate(0.9, "a"), candidate(0.1, "b"), candidate(0.2, "a"), candidate(0.6, "b"),
            candidate(0.0, "c")]  # fmt: skip
    tally = Tally()
    pairs = pairs_of(turn, tally)
    assert [(p.chosen_score, p.rejected_score) for p in pairs] == [
        (0.9, 0.0), (0.6, 0.0), (0.2, 0.0), (0.1, 0.0)
    ]  # fmt: skip
    assert tally.dropped_pairs == {"same_text": 2, "contradiction": 4}
    assert len(pairs_of(turn, contradictions="keep")) == 8


CANDIDATES = st.lists(
    st.builds(
        candidate,
        score=st.one_of(st.none(), st.integers(0, 4).map(lambda n: n / 4), st.floats(-9, 9)),
        response=st.sampled_from(["a", "b", " b", "c", "", "d", "e", ["x"]]),
        prompt=st.sampled_from(["p", "p", "p", "q"]),
        index=st.one_of(st.none(), st.integers(0, 5)),
        confidence=st.one_of(st.none(), st.floats(0, 1)),
        metadata=st.one_of(st.none(), st.just({"a": 1})),
    ),
    min_size=1,
    max_size=9,
)
OPTIONS = st.builds(
    PairOptions,
    mode=st.sampled_from(["exhaustive", "best-worst", "adjacent", "random-4"]),
    min_margin=st.sampled_from([0.0, 0.25, 0.5]),
    max_per_turn=st.one_of(st.none(), st.integers(1, 4)),
    min_confidence=st.one_of(st.none(), st.just(0.3)),
    reward=st.sampled_from(["margin", "chosen"]),
    dedupe=st.booleans(),
)


@settings(deadline=None)
@given(CANDIDATES, OPTIONS)
def test_whatever_comes_the_counts_add_up_and_every_pair_deserves_to_be_learned(
    candidates: list[Any], options: PairOptions
) -> None:
    tally = Tally()
    turn = pair_turn(candidates, options, tally)
    assert tally.adds_up
    assert set(tally.dropped) <= set(CANDIDATE_DROPS)
    assert set(tally.dropped_pairs) <= set(PAIR_DROPS)
    if turn is None:
        return
    pairs = list(preferences(turn, options))
    assert len(pairs) == tally.pairs <= (options.max_per_turn or 99)
    order = [(-round(pair.margin, 9), pair.chosen_index, pair.rejected_index) for pair in pairs]
    assert order == sorted(order)
    for pair in pairs:
        assert pair.margin == pair.chosen_score - pair.rejected_score > 0
        assert round(pair.margin, 9) >= options.min_margin
        chosen, rejected = json.loads(bytes(pair.chosen)), json.loads(bytes(pair.rejected))
        assert chosen != rejected
        assert chosen
        assert rejected


@settings(deadline=None)
@given(CANDIDATES, OPTIONS)
def test_lines_are_the_encoded_pairs(candidates: list[Any], options: PairOptions) -> None:
    turn = pair_turn(candidates, options, Tally())
    if turn is not None:
        rows = [msgspec.json.encode(pair) + b"\n" for pair in preferences(turn, options)]
        assert whole_lines(pair_lines(turn, options)) == rows
