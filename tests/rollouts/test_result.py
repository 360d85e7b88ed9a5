"""What trainers take of rollouts: an unknown log-probability is never a number."""

import math
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.rollouts.result import Rollouts
from plaudit.rollouts.trace import Exactness, StopReason, Tokens, Trace


def rolled(logprobs: list[float | None], exactness: Exactness = "exact") -> Rollouts:
    """One rollout of two prompt ids, then sampled, read and sampled ids."""
    tokens = Tokens(
        ids=[9, 9, 1, 2, 3],
        mask=[0, 0, 1, 0, 1],
        logprobs=[None, None, *logprobs],
        exactness=exactness,
        prompt_length=2,
    )
    trace = Trace(id="q/0", messages=[], tokens=tokens, stop_reason=StopReason.ANSWERED)
    return Rollouts([trace])


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(tensor=lambda rows, dtype=None: rows, float32=None)
    monkeypatch.setitem(sys.modules, "torch", fake)


def test_defect_20_an_unknown_log_probability_is_nan_and_not_in_the_loss_mask() -> None:
    found = rolled([-0.5, None, None]).tensors()
    assert found["sampled"] == [[1, 0, 0]]
    assert found["completion_mask"] == [[1, 1, 1]]
    assert found["logprobs"][0][:2] == [-0.5, 0.0]
    assert math.isnan(found["logprobs"][0][2])


def test_defect_20_approximate_tokens_are_not_learned_from_with_probability_1() -> None:
    found = rolled([None, None, None], "approximate").tensors()
    assert found["sampled"] == [[0, 0, 0]]
    assert [math.isnan(p) for p in found["logprobs"][0]] == [True, False, True]


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_not_finite_is_unknown(value: float) -> None:
    found = rolled([value, None, 0.0]).tensors()
    assert found["sampled"] == [[0, 0, 1]]
    assert math.isnan(found["logprobs"][0][0])
    assert found["logprobs"][0][2] == 0.0


def test_a_trainer_without_need_of_log_probabilities_gets_the_whole_mask() -> None:
    found: dict[str, Any] = rolled([None, None, None], "approximate").tensors(logprobs=False)
    assert found["sampled"] == [[1, 0, 1]]
    assert "logprobs" not in found
