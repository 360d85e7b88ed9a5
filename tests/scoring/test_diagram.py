"""The reliability diagram: the same bytes each time, and nothing left out."""

import re
from pathlib import Path

import pytest

from plaudit import Calibration, StoreError, UsageError
from plaudit.scoring.diagram import save_diagram
from plaudit.scoring.fitting import Promise, fit
from tests.scoring.test_fitting import judged


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit("feedback/0123456789ab", *judged(300), Promise(target=0.6))


@pytest.mark.parametrize("suffix", ["png", "svg", "SVG"])
def test_the_same_calibration_gives_the_same_bytes(
    tmp_path: Path, fitted: Calibration, suffix: str
) -> None:
    one, other = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    save_diagram(fitted, one)
    save_diagram(fitted, other)
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size > 5_000


def test_it_shows_the_judge_the_counts_and_the_gate(tmp_path: Path, fitted: Calibration) -> None:
    save_diagram(fitted, tmp_path / "a.svg")
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text())
    shown = " ".join(texts)
    assert "feedback/0123456789ab: 200 held-out verdicts" in shown
    assert f"gate {fitted.gate:.3f}" in shown
    for one in (*fitted.before_bins, *fitted.after_bins):
        assert str(one.count) in texts
    assert not re.search(r"<dc:date>", (tmp_path / "a.svg").read_text())


def test_one_without_a_gate_and_with_one_confidence_is_drawn_too(tmp_path: Path) -> None:
    found = fit("feedback/a", [1.0] * 60, [True, False] * 30, Promise())
    assert found.gate is None
    save_diagram(found, tmp_path / "a.svg")
    assert "gate" not in (tmp_path / "a.svg").read_text()


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, fitted: Calibration) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        save_diagram(fitted, tmp_path / "a.pdf")
    with pytest.raises(StoreError, match="cannot be written"):
        save_diagram(fitted, tmp_path / "none" / "a.png")
