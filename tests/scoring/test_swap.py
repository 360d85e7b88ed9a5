import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.scoring.swap import combine_log_odds, swap_distribution, swap_text

OTHER = {"A": "B", "B": "A", "A=B": "A=B"}
DISTRIBUTION = (
    st.tuples(*[st.floats(0, 1)] * 3)
    .filter(lambda w: sum(w) > 0.01)
    .map(lambda w: {label: p / sum(w) for label, p in zip(OTHER, w, strict=True)})
)


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("A", "B"),
        ("B.", "A."),
        ("A is right, B is wrong.", "B is right, A is wrong."),
        ("Response A names it; response B does not.", "Response B names it; response A does not."),
        ("Unlike B, A cites a source.", "Unlike A, B cites a source."),
        ("(A) and (B)", "(B) and (A)"),
        ("A>B", "B>A"),
        ("A good answer. B agrees.", "A good answer. A agrees."),
        ("A precise time.", "A precise time."),
        ("ABBA, Ba, a and b", "ABBA, Ba, a and b"),
        ("A's list beats B's.", "B's list beats A's."),
        ("", ""),
    ],
)
def test_texts_about_a_become_texts_about_b(text: str, swapped: str) -> None:
    assert swap_text(text) == swapped


@settings(deadline=None)
@given(DISTRIBUTION, DISTRIBUTION)
def test_the_combination_is_a_distribution_and_does_not_depend_on_the_order(one, other) -> None:
    mixed = combine_log_odds(one, other)
    assert math.fsum(mixed.values()) == pytest.approx(1, abs=1e-12)
    assert mixed == combine_log_odds(other, one)
    mirrored = combine_log_odds(swap_distribution(one, OTHER), swap_distribution(other, OTHER))
    assert mirrored == pytest.approx(swap_distribution(mixed, OTHER), abs=1e-12)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_bias_that_adds_to_the_log_odds_cancels(skill: float, bias: float) -> None:
    first = 1 / (1 + math.exp(-(skill + bias)))
    second = 1 / (1 + math.exp(-(skill - bias)))
    mixed = combine_log_odds({"A": first, "B": 1 - first}, {"A": second, "B": 1 - second})
    assert mixed["A"] == pytest.approx(1 / (1 + math.exp(-skill)))


def test_certainty_is_no_infinity() -> None:
    mixed = combine_log_odds({"A": 1.0, "B": 0.0}, {"A": 0.0, "B": 1.0})
    assert mixed == pytest.approx({"A": 0.5, "B": 0.5})
