"""A calibration as a file, and as what it does to a judge."""

import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit import Calibration, InputError, StoreError, UsageError, load_calibration
from plaudit.scoring.calibration import Isotonic, Platt, Scores
from plaudit.scoring.head import Head
from plaudit.scoring.stats import Estimate
from tests.judges.making import decide, facts, make, over, say, starting

SAME = Platt(slope=1, intercept=0, samples=10)
MEEK = Platt(slope=0.5, intercept=-1, samples=10)
STEPS = Isotonic(raw=[0.5, 0.7, 0.9], right=[0.1, 0.5, 0.8], samples=10)
HALF = Estimate(0.5, 0.4, 0.6)
SCORES = Scores(ece=HALF, brier=HALF, log_loss=HALF)


def made_for(judge: str, **fields: Any) -> Calibration:
    given: dict[str, Any] = {
        "judge": judge, "samples": 100, "held_out": 67, "fold_log_loss": {}, "accuracy": HALF,
        "auroc": None, "before": SCORES, "after": SCORES, "change": SCORES, "before_bins": [],
        "after_bins": [], "target": 0.8, "delta": 0.05, "gate": None, "reason": "none",
    }  # fmt: skip
    return Calibration(**(given | ({} if "isotonic" in fields else {"platt": MEEK}) | fields))


@settings(deadline=None)
@given(st.floats(0, 1), st.sampled_from([MEEK, STEPS, Platt(slope=900, intercept=0, samples=1)]))
def test_a_calibrated_confidence_is_a_probability(raw: float, fitted: Platt | Isotonic) -> None:
    assert SAME.apply(raw) == pytest.approx(raw, abs=1e-8)
    assert 0 <= fitted.apply(raw) <= 1


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([MEEK, STEPS]))
def test_calibration_keeps_the_order(one: float, other: float, fitted: Platt | Isotonic) -> None:
    low, high = sorted((one, other))
    assert fitted.apply(low) <= fitted.apply(high)


def test_between_knots_is_a_line_and_beyond_them_is_level() -> None:
    found = [STEPS.apply(x) for x in (0, 0.5, 0.6, 0.7, 0.85, 0.9, 1)]
    assert found == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.725, 0.8, 0.8])
    assert Isotonic(raw=[0.3], right=[0.6], samples=1).apply(0.9) == 0.6


@pytest.mark.parametrize(
    ("raw", "right"),
    [([], []), ([0.5], []), ([0.5, 0.4], [0.1, 0.2]), ([0.1, 0.2], [0.5, 0.4]), ([0.5], [1.5])],
)
def test_knots_that_are_no_map_are_refused(raw: list[float], right: list[float]) -> None:
    with pytest.raises(ValueError):
        Isotonic(raw=raw, right=right, samples=1)


def with_head(**config: Any) -> Any:
    task = make("feedback", readout="logprob", **config)
    words = [option.word for option in task.options]
    task.use_head(Head(
        prompt="p", model="m", view=20, floor=-20.0, labels=list(task.labels), tokens=words,
        weights=[[float(i == j) for j in range(len(words))] for i in range(len(words))],
        bias=[0.0] * len(words), reference=[], samples=1, calibration=MEEK,
    ))  # fmt: skip
    return task


async def test_the_gate_is_on_the_calibrated_confidence_and_the_raw_one_is_kept() -> None:
    task = with_head()
    verdict = await decide(task, over(task, starting(task.labels, "pos_praise", 0.9)))
    assert (verdict.status, verdict.value) == ("abstained", "pos_praise")
    assert verdict.fields["raw_confidence"] == pytest.approx(0.9)
    assert verdict.confidence == pytest.approx(MEEK.apply(0.9))


# A calibration of the user's own.


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Write a calibration for the feedback judge; returns its path."""

    def write(judge: str | None = None, **fields: Any) -> str:
        name = judge or make("feedback", readout=fields.pop("readout", "logprob")).judge_name
        path = tmp_path / "cal.json"
        made_for(name, **fields).save(path)
        return str(path)

    return write


async def test_map_and_gate_of_the_file_are_applied(own: Any) -> None:
    task = make("feedback", readout="logprob", calibration=own(isotonic=STEPS, gate=0.75))
    sure = await decide(task, over(task, starting(task.labels, "pos_praise", 0.9)))
    unsure = await decide(task, over(task, starting(task.labels, "pos_praise", 0.7)))
    assert (sure.status, sure.confidence) == ("ok", pytest.approx(0.8))
    assert (unsure.status, unsure.confidence) == ("abstained", pytest.approx(0.5))
    assert unsure.fields["raw_confidence"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("in_file", "given", "applied"), [(0.75, None, 0.75), (0.75, 0.3, 0.3), (None, None, 0.6)]
)
def test_a_given_gate_wins_over_that_of_the_file(
    own: Any, in_file: float | None, given: float | None, applied: float
) -> None:
    task = make("feedback", readout="logprob", calibration=own(gate=in_file), gate=given)
    assert task.gate == applied


def test_a_judge_without_a_gate_of_its_own_has_none_where_the_file_has_none(tmp_path: Path) -> None:
    name = make("pairwise", readout="logprob").judge_name
    made_for(name).save(tmp_path / "cal.json")
    path = str(tmp_path / "cal.json")
    assert make("pairwise", readout="logprob", calibration=path).gate is None


async def test_it_takes_the_place_of_the_shipped_one(own: Any) -> None:
    task = with_head(calibration=own(isotonic=STEPS))
    verdict = await decide(task, over(task, starting(task.labels, "pos_praise", 0.9)))
    assert verdict.confidence == pytest.approx(0.8)


def test_it_is_a_decision_and_no_part_of_the_judge(own: Any) -> None:
    plain = make("feedback", readout="logprob")
    fitted = make("feedback", readout="logprob", calibration=own())
    assert fitted.fingerprint == plain.fingerprint
    assert fitted.prompt.sampling == plain.prompt.sampling


def test_one_for_another_judge_is_refused_with_both_names(own: Any) -> None:
    path = own("feedback/0123456789ab")
    with pytest.raises(UsageError, match=r"feedback/0123456789ab.*feedback/[0-9a-f]{12}:"):
        make("feedback", readout="logprob", calibration=path)
    mine = own(make("feedback", readout="logprob").judge_name)
    with pytest.raises(UsageError, match="another model"):
        make("feedback", facts(identity="other"), readout="logprob", calibration=mine)


def test_a_judge_without_confidence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no confidence in the json readout"):
        make("pointwise", readout="json", calibration=str(tmp_path / "cal.json"))


async def test_the_stated_confidence_of_the_json_readout_is_calibrated(own: Any) -> None:
    task = make("feedback", readout="json", calibration=own(readout="json", isotonic=STEPS))
    reply = {"rationale": "r", "label": "pos_praise", "confidence": 0.8}
    verdict = await decide(task, say(reply))
    assert (verdict.confidence, verdict.fields["raw_confidence"]) == (pytest.approx(0.65), 0.8)


# The file.


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    for one in (
        made_for("verify/a", gate=0.7123456789012345),
        made_for("verify/a", isotonic=STEPS),
    ):
        one.save(tmp_path / "cal.json")
        assert load_calibration(tmp_path / "cal.json") == one
        assert pickle.loads(pickle.dumps(one)) == one
        assert (one.kind, one.method) == ("verify", "platt" if one.platt else "isotonic")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no calibration"),
        ("[]", "Expected `object`"),
        ('{"judge": "feedback/a"}', "missing required field"),
        ("\xff", "no calibration"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "cal.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=why):
        load_calibration(tmp_path / "cal.json")


def test_a_damaged_or_newer_file_is_refused(tmp_path: Path) -> None:
    whole = msgspec.to_builtins(made_for("feedback/a"))
    knots = {"raw": [0.9, 0.1], "right": [0.1, 0.9], "samples": 1}
    for change in (
        {"version": 2},
        {"platt": None},
        {"isotonic": {"raw": [0.5], "right": [0.5], "samples": 1}},
        {"platt": None, "isotonic": knots},
    ):
        (tmp_path / "cal.json").write_bytes(msgspec.json.encode(whole | change))
        with pytest.raises(InputError, match="is no calibration"):
            load_calibration(tmp_path / "cal.json")


def test_a_place_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_calibration(tmp_path / "none.json")
    with pytest.raises(StoreError, match="cannot be written"):
        made_for("feedback/a").save(tmp_path / "none" / "cal.json")
