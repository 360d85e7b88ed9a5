"""How margins are compared."""

import pytest

from plaudit.preferences.margins import scale_of


@pytest.mark.parametrize(
    ("scores", "tie"),
    [
        ((0.1 + 0.2, 0.3), True),
        ((0.1 + 0.2 - 0.3, 0.0), True),
        ((1e-16, 0.0), True),
        ((0.5, 0.5 + 1e-8), False),
        ((1e12 * (0.1 + 0.2), 0.3e12), True),
        ((1e12, 1e12 + 100), False),
        ((1e300, 1e300 * (1 + 4e-16)), True),
        ((-1.7e308, 1.7e308), False),
        ((1500.25, 1500.26), False),
    ],
)
def test_defect_33_noise_is_no_margin(scores: tuple[float, float], tie: bool) -> None:
    one, other = scores
    assert (
        scale_of(one, other).is_tie(one - other) == scale_of(other, one).is_tie(other - one) == tie
    )


@pytest.mark.parametrize(("better", "worse"), [(0.3, 0.2), (0.4, 0.3), (1.1, 1.0), (100.3, 100.2)])
def test_defect_33_a_margin_reaches_what_it_is_on_paper(better: float, worse: float) -> None:
    scale = scale_of(worse, better)
    assert scale.reaches(better - worse, 0.1)
    assert not scale.reaches(better - worse, 0.100001)
    assert scale.rounded(better - worse) == 0.1


def test_a_margin_that_is_none_reaches_nothing() -> None:
    assert not scale_of().reaches(0.0, 0.0)
    assert not scale_of().reaches(float("inf"), 0.0)
    assert str(scale_of().rounded(-1e-12)) == "0.0"
