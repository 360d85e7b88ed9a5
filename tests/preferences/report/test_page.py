"""The page: alone, unharmed by hostile text, the same each time; and what cannot be written."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from plaudit.errors import MissingDependencyError, UsageError
from plaudit.preferences.report.collecting import PairReport
from plaudit.preferences.report.numbers import ReportNumbers
from plaudit.preferences.report.page import render, write_report
from plaudit.preferences.types import Tally
from tests.preferences.report.measured import candidates, report_of
from tests.support.pages import Tags

HOSTILE = "</pre></td><script>alert(1)</script><img src=x onerror=alert(2)>{{ n }}'\"&\u202e"
GAP = {"order_gap": 0.25, "orders": [{"value": "A"}, {"value": "A"}]}


def numbers() -> ReportNumbers:
    many = [
        candidates(
            f"{HOSTILE} {n}",
            [(HOSTILE, 1.0), ({"role": "assistant", "content": HOSTILE}, 0.2), ("short", n / 9)],
            prompt=[{"role": "user", "content": HOSTILE}],
            metadata=GAP,
        )
        for n in range(9)
    ]
    return report_of(many)


@pytest.fixture(scope="module")
def page() -> str:
    return render(numbers())


def test_hostile_text_stays_text(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert not tags.names & {"script", "img", "iframe", "link", "object"}
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert HOSTILE.replace("\u202e", "") in tags.text.replace("\u202e", "")
    assert "default-src 'none'" in page


def test_nothing_is_fetched(page: str) -> None:
    assert set(re.findall(r'(?:src|href)="([^#"][^"]*)"', page)) == set()
    assert not re.findall(r"url\((?!#)", page)
    assert "@import" not in page


def test_plots_are_pictures_with_a_name_and_ids_are_there_once(page: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 5
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert root.get("width") is None
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert referred <= set(ids)


def test_every_section_is_there(page: str) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Lengths", "Margins", "Weight of examples", "Duplicates", "Both orders of a comparison",
        "What became of everything", "Some pairs, drawn at random",
    ]  # fmt: skip


def test_the_same_numbers_give_the_same_bytes(page: str, tmp_path: Path) -> None:
    assert write_report(numbers(), tmp_path / "a").read_bytes() == page.encode()
    written = (tmp_path / "a/report.json").read_bytes()
    assert msgspec.json.decode(written, type=ReportNumbers) == numbers()
    write_report(numbers(), tmp_path / "a")
    assert (tmp_path / "a/report.json").read_bytes() == written
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"report.html", "report.json"}


def test_a_page_without_pairs_says_so() -> None:
    page = render(PairReport().finish(Tally(candidates=3, dropped={"no_score": 3})))
    assert "There are no pairs; the table below" in page
    assert "dropped: no score" in page
    assert "<svg" not in page
    assert "There are no pairs." in render(PairReport().finish())


@pytest.mark.parametrize("scores", [(8e307, -8e307), (1e-8, 0.0), (1e17 + 2e6, 1e17)])
def test_any_finite_score_can_be_drawn(scores: tuple[float, float]) -> None:
    many = [candidates(n, [("xx", scores[0]), ("y", scores[1])]) for n in range(3)]
    assert render(report_of(many)).count("<svg") == 4


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = report_of([candidates("a", [("xx", 1.0), ("y", 0.0)])])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"matplotlib .*plaudit\[stats\]"):
        render(found)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    found = PairReport().finish()
    with pytest.raises(UsageError, match="is a file"):
        write_report(found, tmp_path / "file")
    with pytest.raises(UsageError, match="mkdir -p"):
        write_report(found, tmp_path / "no" / "such")
