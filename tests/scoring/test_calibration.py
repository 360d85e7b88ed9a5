import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.scoring.calibration import Calibration
from plaudit.scoring.head import Head
from tests.judges.making import decide, make, over, starting

SAME = Calibration(slope=1, intercept=0, samples=10)
MEEK = Calibration(slope=0.5, intercept=-1, samples=10)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_a_calibrated_confidence_is_a_probability(raw: float) -> None:
    assert SAME.apply(raw) == pytest.approx(raw, abs=1e-8)
    assert 0 <= MEEK.apply(raw) <= 1


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_calibration_keeps_the_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert MEEK.apply(low) <= MEEK.apply(high)


async def test_the_gate_is_on_the_calibrated_confidence_and_the_raw_one_is_kept() -> None:
    task = make("feedback", readout="logprob")
    assert task.calibration is None
    words = [option.word for option in task.options]
    task._head = Head(
        prompt="p", model="m", view=20, floor=-20.0, labels=list(task.labels), tokens=words,
        weights=[[float(i == j) for j in range(len(words))] for i in range(len(words))],
        bias=[0.0] * len(words), reference=[], samples=1, calibration=MEEK,
    )  # fmt: skip
    verdict = await decide(task, over(task, starting(task.labels, "pos_praise", 0.9)))
    assert (verdict.status, verdict.value) == ("abstained", "pos_praise")
    assert verdict.fields["raw_confidence"] == pytest.approx(0.9)
    assert verdict.confidence == pytest.approx(MEEK.apply(0.9))
