"""The split: by example, stable, near duplicates on one side."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, UsageError
from plaudit.preferences.split import MOST_STRATA, Split, SplitOptions, Splitter
from tests.support.examples import drawn
from tests.support.preferences import question, raw

Row = tuple[str | int, Any, str | None]


def split(rows: Iterable[Row], **options: Any) -> Split:
    splitter = Splitter(SplitOptions(**options))
    for example_id, prompt, stratum in rows:
        splitter.add(example_id, raw(prompt), stratum)
    made = splitter.split()
    splitter.close()
    return made


def examples(count: int, start: int = 0) -> list[Row]:
    return [(f"e{n}", question(n), None) for n in range(start, start + count)]


def sides(made: Split, rows: Iterable[Row]) -> dict[str | int, bool]:
    return {row[0]: made.in_validation(row[0]) for row in rows}


def test_the_fraction_holds_about() -> None:
    made = split(examples(2_000), near_duplicates=False)
    assert made.examples == 2_000
    assert 340 < made.validation_examples < 460


def test_D7_siblings_of_one_prompt_are_on_one_side() -> None:
    rows = [row for row in examples(50) for _ in range(28)]
    by_position = rows[: int(len(rows) * 0.81)], rows[int(len(rows) * 0.81) :]
    assert {r[0] for r in by_position[0]} & {r[0] for r in by_position[1]}
    made = split(rows)
    assert made.examples == 50
    assert 0 < made.validation_examples < 50


def test_D7_one_example_is_not_used_for_both() -> None:
    for seed in range(20):
        made = split(examples(1), seed=seed)
        assert (made.examples, made.validation_examples) == (1, 0)


def test_a_side_stays_when_data_is_added_whatever_the_order() -> None:
    few, more = examples(200), examples(200, start=200)
    before = sides(split(few), few)
    assert sides(split([*reversed(more), *reversed(few)]), few) == before


def test_another_seed_is_another_split_and_the_same_the_same() -> None:
    rows = examples(200)
    assert sides(split(rows, seed=1), rows) == sides(split(rows, seed=1), rows)
    assert sides(split(rows, seed=1), rows) != sides(split(rows, seed=2), rows)


def test_a_larger_fraction_only_adds_to_the_validation_set() -> None:
    rows = examples(300)
    small, large = (sides(split(rows, val_fraction=f), rows) for f in (0.1, 0.3))
    assert all(large[name] for name, out in small.items() if out)


def test_the_number_1_and_the_text_1_are_two_examples() -> None:
    made = split([(1, "one thing", None), ("1", "quite another", None)])
    assert made.examples == 2


def test_without_a_fraction_all_are_for_training() -> None:
    assert split(examples(50), val_fraction=0).validation_examples == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="val_fraction"):
        SplitOptions(val_fraction=fraction)


def test_an_empty_training_set_is_not_made() -> None:
    rows = examples(2)
    made = [split(rows, seed=seed, val_fraction=0.9) for seed in range(300)]
    assert sum(one.hashed == 2 for one in made) > 200  # 0.81 of the seeds
    assert {one.validation_examples for one in made} == {1}


@pytest.mark.parametrize("count", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5])
def test_defect_37_at_least_one_and_at_most_half_of_few_examples_are_held_out(
    count: int, fraction: float
) -> None:
    rows = examples(count)
    for seed in range(40):
        made = split(rows, seed=seed, val_fraction=fraction, near_duplicates=False)
        assert 1 <= made.validation_examples <= count // 2
        assert sides(made, rows) == sides(
            split(list(reversed(rows)), seed=seed, val_fraction=fraction, near_duplicates=False),
            rows,
        )


def test_defect_37_the_examples_of_the_lowest_hashes_are_held_out() -> None:
    rows = examples(9)
    for seed in range(40):
        few, more = (
            sides(split(rows, seed=seed, val_fraction=f, near_duplicates=False), rows)
            for f in (0.01, 0.5)
        )
        assert all(more[name] for name, out in few.items() if out)


def test_defect_37_of_many_examples_the_hash_alone_decides() -> None:
    rows = examples(1_000)
    made = split(rows, val_fraction=0.5, near_duplicates=False)
    assert made.validation_examples == made.hashed
    assert sides(split([*rows, *examples(50, start=1_000)], val_fraction=0.5), rows) == sides(
        made, rows
    )
    assert split(rows, val_fraction=1e-9).validation_examples == 1


def test_defect_37_groups_are_never_cut() -> None:
    alike = [(f"a{n}", "the same prompt for all of them", None) for n in range(4)]
    rows = [*alike, ("b", question(1), None), ("c", question(2), None)]
    for seed in range(30):
        made = split(rows, seed=seed)
        assert not made.in_validation("a0")
        assert made.validation_examples in (1, 2)
    assert split(alike).validation_examples == 0


def test_defect_37_strata_keep_one_out_too() -> None:
    rows = [(n, question(n), str(n)) for n in range(5)]
    assert split(rows, strata="s").validation_examples == 1


def test_an_example_that_was_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match="'new'"):
        split(examples(5)).in_validation("new")


# Near duplicates


def test_almost_the_same_prompts_are_on_one_side() -> None:
    rows = examples(300)
    copies = [(f"copy {name}", f"  {str(prompt).upper()} ", None) for name, prompt, _ in rows]
    made = split([*rows, *copies])
    assert (made.groups, made.largest_group) == (300, 2)
    assert all(made.in_validation(n) == made.in_validation(f"copy {n}") for n, _, _ in rows)
    apart = split([*rows, *copies], near_duplicates=False)
    assert any(apart.in_validation(n) != apart.in_validation(f"copy {n}") for n, _, _ in rows)
    assert (apart.groups, apart.largest_group) == (0, 1)


def test_a_word_more_is_a_near_duplicate_and_another_question_is_none() -> None:
    base = "Describe in two sentences how the expedition crossed the northern ice in spring"
    made = split(
        [
            ("a", base, None),
            ("b", f"{base}.", None),
            ("c", "Describe in two sentences how bees find their way back to the hive", None),
        ]
    )
    assert (made.groups, made.largest_group) == (1, 2)


def test_the_same_instructions_do_not_make_two_questions_alike() -> None:
    system = {"role": "system", "content": "You answer with the help of tools. " * 50}
    rows = [(n, [system, {"role": "user", "content": question(n)}], None) for n in range(40)]
    assert split(rows).groups == 0
    alone = [(n, [system], None) for n in range(3)]
    assert split(alone).largest_group == 3


def test_groups_are_chained_and_an_examples_turns_link_them() -> None:
    rows = [("a", question(1), None), ("a", question(2), None), ("b", question(2), None)]
    rows += [("c", question(1), None), ("d", question(3), None)]
    made = split(rows)
    assert (made.groups, made.largest_group) == (1, 3)


def test_large_groups_are_no_likelier_for_validation() -> None:
    out = 0
    for seed in range(200):
        rows = [(n, "the same prompt for all of them", None) for n in range(20)]
        rows += [(f"x{n}", question(n), None) for n in range(30)]
        out += split(rows, seed=seed).in_validation(0)
    assert 20 < out < 65  # 40 are expected; the lowest of 20 hashes would give nearly all


def test_empty_and_odd_prompts_do_no_harm() -> None:
    odd = ["", " ", "é", "\U0001f40d", [], [{"role": "user", "content": None}], {"role": "user"}]
    made = split([(n, prompt, None) for n, prompt in enumerate(odd)])
    assert made.examples == len(odd)


# Strata


def test_the_fraction_holds_within_each_stratum() -> None:
    rows = [(n, question(n), "rare" if n % 50 == 0 else "often") for n in range(500)]
    for seed in range(5):
        made = split(rows, strata="topic", seed=seed)
        assert made.strata == {"rare": (8, 2), "often": (392, 98)}


def test_strata_change_few_sides_when_data_is_added() -> None:
    rows = [(n, question(n), "ab"[n % 2]) for n in range(500)]
    before, after = (sides(split(r, strata="s"), rows[:450]) for r in (rows[:450], rows))
    assert sum(before[n] != after[n] for n in before) < 15


def test_an_example_without_the_column_is_a_stratum_too() -> None:
    rows = [(n, question(n), "a" if n < 10 else None) for n in range(20)]
    assert split(rows, strata="s").strata == {"a": (8, 2), "(none)": (8, 2)}


def test_a_column_of_too_many_values_is_refused() -> None:
    with pytest.raises(UsageError, match="few values share"):
        split(((n, "x", str(n)) for n in range(MOST_STRATA + 1)), strata="id", val_fraction=0)


PROMPTS = st.one_of(st.text(max_size=12), st.sampled_from([question(n) for n in range(6)]))
ROWS = st.lists(
    st.tuples(st.one_of(st.integers(0, 9), st.text(max_size=2)), PROMPTS, st.sampled_from("ab")),
    min_size=1,
    max_size=25,
)


@settings(max_examples=drawn(60), deadline=None)
@given(rows=ROWS, seed=st.integers(0, 9), fraction=st.floats(0, 0.99), strata=st.booleans())
def test_no_example_and_no_prompt_is_on_both_sides(
    rows: list[Row], seed: int, fraction: float, strata: bool
) -> None:
    made = split(rows, seed=seed, val_fraction=fraction, strata="s" if strata else None)
    seen: dict[Any, bool] = {}
    for example_id, prompt, _ in rows:
        side = made.in_validation(example_id)
        assert seen.setdefault((type(example_id), example_id), side) == side
        assert seen.setdefault(prompt, side) == side or fraction == 0
    assert made.examples == len({(type(row[0]), row[0]) for row in rows})
    assert made.validation_examples < made.examples
