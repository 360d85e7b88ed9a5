"""Fitting: the better map is chosen, and few or one-sided samples do no harm."""

import msgspec
import numpy as np
import pytest

from plaudit import Calibration, InputError, UsageError
from plaudit.scoring.calibration import Isotonic, Platt
from plaudit.scoring.fitting import LEAST_SAMPLES, Promise, fit, fit_map

RANDOM = np.random.default_rng(3)


def judged(size: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """An overconfident judge that is right in 70 %, and that its confidence tells."""
    random = np.random.default_rng(seed)
    chance = random.beta(2.1, 0.9, size)
    return (chance**0.3).tolist(), (random.random(size) < chance).tolist()


def stepped(raw: np.ndarray) -> np.ndarray:
    """A truth that no logistic curve is near to."""
    return np.where(raw < 0.9, 0.3, 0.95)


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit("feedback/0123456789ab", *judged(900), Promise())


def test_a_logistic_truth_is_found_again() -> None:
    raw = RANDOM.uniform(0.05, 0.95, 4_000)
    truth = Platt(slope=0.5, intercept=-0.7, samples=1)
    right = RANDOM.random(4_000) < [truth.apply(x) for x in raw.tolist()]
    found, losses = fit_map(raw, right, 0)
    assert isinstance(found, Platt)
    assert losses["platt"] < losses["isotonic"]
    assert (found.slope, found.intercept) == pytest.approx((0.5, -0.7), abs=0.1)


def test_a_step_is_fitted_by_knots() -> None:
    raw = RANDOM.uniform(0.5, 1, 1_500)
    right = RANDOM.random(1_500) < stepped(raw)
    found, losses = fit_map(raw, right, 0)
    assert isinstance(found, Isotonic)
    assert losses["isotonic"] < losses["platt"]
    assert (found.apply(0.7), found.apply(0.99)) == pytest.approx((0.3, 0.95), abs=0.08)


def test_calibration_helps_an_overconfident_judge_and_says_by_how_much(fitted: Calibration) -> None:
    assert fitted.change.ece.high < 0
    assert fitted.change.brier.high < 0
    assert fitted.change.log_loss.high < 0
    for before, after, change in (
        (fitted.before.ece, fitted.after.ece, fitted.change.ece),
        (fitted.before.brier, fitted.after.brier, fitted.change.brier),
    ):
        assert after.value - before.value == pytest.approx(change.value)
    assert fitted.accuracy.low < 0.7 < fitted.accuracy.high
    assert fitted.auroc is not None and fitted.auroc.low > 0.7
    assert (fitted.samples, fitted.held_out) == (900, 600)
    assert sum(one.count for one in fitted.before_bins) == 600
    assert sum(one.count for one in fitted.after_bins) == 600


def test_the_gate_is_told_with_what_it_keeps(fitted: Calibration) -> None:
    assert fitted.gate is not None and fitted.kept is not None and fitted.agreement is not None
    assert 0.3 < fitted.kept.value < 0.9
    assert fitted.agreement.value > fitted.target
    assert "80% with probability 0.95" in fitted.reason


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(fitted: Calibration) -> None:
    again = fit("feedback/0123456789ab", *judged(900), Promise())
    assert msgspec.json.encode(again) == msgspec.json.encode(fitted)
    other = fit("feedback/0123456789ab", *judged(900), Promise(seed=1))
    assert other.platt != fitted.platt or other.isotonic != fitted.isotonic


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_judge_that_is_always_right_or_always_wrong_is_no_obstacle(share: float) -> None:
    raw = RANDOM.random(90).tolist()
    found = fit("verify/0123456789ab", raw, [bool(share)] * 90, Promise())
    assert found.method == "platt"
    assert found.fold_log_loss == {}
    assert found.auroc is None
    assert found.apply(0.5) == pytest.approx(31 / 32 if share else 1 / 32, abs=0.01)
    assert (found.gate is None) == (share == 0)
    if share:
        assert found.kept is not None and found.kept.value == 1


@pytest.mark.parametrize("raw", [0.0, 0.9, 1.0])
def test_one_confidence_for_all_is_mapped_to_the_share_that_is_right(raw: float) -> None:
    right = [n % 10 != 0 for n in range(400)]
    found = fit("feedback/0123456789ab", [raw] * 400, right, Promise())
    assert found.apply(raw) == pytest.approx(0.9, abs=0.06)
    assert found.gate is not None  # all or nothing, and all are good enough
    assert found.kept is not None and found.kept.value == 1


def test_confidences_that_are_upside_down_do_not_break_it() -> None:
    raw, right = judged(900)
    found = fit("feedback/0123456789ab", [1 - x for x in raw], right, Promise())
    assert found.after.brier.value < 0.25
    assert found.auroc is not None and found.auroc.high < 0.3


def test_separable_confidences_give_a_finite_map() -> None:
    raw = np.concatenate([np.full(40, 0.3), np.full(40, 0.9)])
    found, _ = fit_map(raw, raw > 0.5, 0)
    assert 0.9 < found.apply(0.9) < 1
    assert 0 < found.apply(0.3) < 0.1


def test_few_samples_give_no_gate_and_too_few_are_refused() -> None:
    raw, right = judged(LEAST_SAMPLES)
    found = fit("feedback/0123456789ab", raw, right, Promise(target=0.95))
    assert found.gate is None
    assert found.kept is None and found.agreement is None
    assert found.reason.startswith("no gate can promise an agreement of 95%")
    with pytest.raises(InputError, match=r"^49 labelled verdicts are too few .*; 7 failed;"):
        fit("feedback/a", raw[1:], right[1:], Promise(), {"failed": 7})


@pytest.mark.parametrize(
    "fields", [{"target": 0}, {"target": 1.0}, {"delta": 0}, {"delta": 1.2}, {"seed": -1}]
)
def test_what_cannot_be_promised_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must"):
        fit("feedback/a", *judged(60), Promise(**fields))
