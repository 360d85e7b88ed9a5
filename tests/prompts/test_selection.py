"""Which shots are drawn: balanced, decided by the key alone, and never the sample."""

import random
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import MissingDependencyError
from plaudit.prompts.selection import NEAR, Lookalikes, Nearest, balanced, seeded, words

LABELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=30)


@given(LABELS, st.integers(0, 12), st.text(max_size=5))
def test_labels_are_as_even_as_the_pool_allows(labels: list[str], count: int, key: str) -> None:
    drawn = balanced(seeded(key, labels, len(labels)), labels, count)
    assert len(set(drawn)) == len(drawn) == min(count, len(labels))
    counts, there = Counter(labels[place] for place in drawn), Counter(labels)
    for one in there:
        for other in there:
            assert counts[one] <= counts[other] + 1 or counts[other] == there[other]


@given(LABELS, st.text(max_size=5), st.integers(1, 5))
def test_a_draw_is_decided_by_the_key_alone(labels: list[str], key: str, most: int) -> None:
    random.seed(len(labels))
    ranking = seeded(key, labels, most)
    random.seed(1)
    assert seeded(key, labels, most) == ranking
    assert Counter(labels[p] for p in ranking) == Counter(
        {label: min(most, count) for label, count in Counter(labels).items()}
    )


def test_seed_0_is_a_seed_and_every_shot_can_be_drawn() -> None:
    labels = ["a", "b"] * 10
    draws = {seed: balanced(seeded(str(seed), labels, 20), labels, 4) for seed in range(60)}
    assert len(set(draws.values())) > 40
    assert {place for drawn in draws.values() for place in drawn} == set(range(20))


def test_the_draw_does_not_change_from_version_to_version() -> None:
    labels = ["a", "b", "c"] * 5
    assert balanced(seeded("0", labels, 15), labels, 5) == (7, 3, 5, 1, 6)


def test_words_are_told_in_scripts_without_spaces_too() -> None:
    assert words("Don't PANIC, it's 42!") == ["don", "t", "panic", "it", "s", "42"]
    assert words("火灾 alarm") == ["火", "灾", "alarm"]
    assert words("Straße") == words("STRASSE")


BASE = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        (BASE, True),
        (BASE.upper() + "!", True),
        (BASE.replace("ten", "eleven"), True),
        (BASE.replace("nine ten", "eleven twelve"), False),
        (BASE.replace("ten", ""), True),
        ("something else altogether", False),
        (BASE * 3, False),
        ("", False),
    ],
)
def test_what_is_nearly_the_same_is_found(text: str, near: bool) -> None:
    others = ["one two three", "ten nine", "火灾报警器一直响怎么办"]
    assert Lookalikes([*others, BASE]).find(text) == (frozenset({3}) if near else frozenset())


def test_texts_without_words_are_compared_as_they_are() -> None:
    index = Lookalikes(["!!!", "???"])
    assert index.find("!!!") == {0}
    assert Lookalikes([]).find("x") == frozenset()


WORDS = st.lists(st.sampled_from([f"w{n}" for n in range(12)]), min_size=1, max_size=14)


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS)
def test_the_index_finds_all_that_comparing_one_by_one_finds(
    texts: list[list[str]], sought: list[str]
) -> None:
    def near(one: list[str], other: list[str]) -> bool:
        a, b = set(one), set(other)
        long, short = (len(" ".join(each)) for each in (one, other))
        return (
            len(a & b) >= NEAR * len(a | b) - 1e-9
            and long <= 2 * short
            and short <= 2 * long
        )  # fmt: skip

    found = Lookalikes([" ".join(text) for text in texts]).find(" ".join(sought))
    assert found == {place for place, text in enumerate(texts) if near(text, sought)}


def test_the_nearest_come_first_and_ties_stay_in_order() -> None:
    nearest = Nearest(["a cat sleeps", "a dog barks", "the dog barks at a cat", "a cat sleeps"])
    assert nearest.ranking("why does the dog bark at night") == [2, 1, 0, 3]
    assert nearest.ranking("cat sleeps")[:2] == [0, 3]
    assert nearest.ranking("unheard of") == [0, 1, 2, 3]
    assert nearest.ranking("") == [0, 1, 2, 3]
    assert nearest.ranking("dog the at night") == nearest.ranking("night at the dog")


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'plaudit\[search\]'"):
        Nearest(["a"])
