from html.parser import HTMLParser

import pytest

from plaudit import Cause, Failure, Verdict, Verdicts
from plaudit._util.notebook import Tabular
from plaudit.corpus.questions import Question
from plaudit.rollouts.result import Rollouts
from plaudit.rollouts.trace import Score, Trace

HOSTILE = "<script>alert('x')</script>&<img src=x onerror=y>"
OK = Verdict(index=0, id="a", status="ok", value="positive", reward=1.0, confidence=0.9876543)
FAILED = Verdict(
    index=1, id=HOSTILE, status="failed", error=Failure(Cause.TIMEOUT, HOSTILE), fields={"x": [1]}
)


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_verdicts_as_an_escaped_table() -> None:
    page = _Tags(Verdicts([OK, FAILED])._repr_html_())
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert {HOSTILE, "timeout", "0.9877", '{"x":[1]}'} <= set(page.texts)
    assert "raw" not in page.texts, "a column that no row has is left out"


def test_one_verdict_and_none_have_tables_too() -> None:
    assert "positive" in _Tags(OK._repr_html_()).texts
    assert "<td>" not in Verdicts()._repr_html_()


def test_a_long_list_and_long_texts_are_cut() -> None:
    rows = Verdicts([Verdict(index=i, id="x" * 1_000, status="ok") for i in range(60)])
    page = _Tags(rows._repr_html_())
    assert "The first 50 rows." in page.texts
    assert max(map(len, page.texts)) == 121
    assert page.texts.count("ok") == 50


def test_a_frame_has_a_row_each_and_no_number_for_what_failed() -> None:
    frame = Verdicts([OK, FAILED]).to_pandas()
    assert list(frame["status"]) == ["ok", "failed"]
    assert frame["reward"].isna().tolist() == [False, True]
    assert frame["cause"].tolist()[1] == "timeout"
    assert OK.to_pandas().shape[0] == 1


def test_traces_are_tables_with_their_rewards() -> None:
    score = Score(value=0.5)
    trace = Trace(
        id="q/0", messages=[], question=Question(id="q", question=HOSTILE), rewards={"total": score}
    )
    assert {HOSTILE, "0.5"} <= set(_Tags(Rollouts([trace])._repr_html_()).texts)
    assert Rollouts([trace, trace]).to_pandas()["total"].tolist() == [0.5, 0.5]
    assert trace.to_pandas().shape[0] == 1


def test_a_missing_pandas_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(Exception, match=r"plaudit\[notebook\]"):
        OK.to_pandas()


def test_rows_must_be_given() -> None:
    with pytest.raises(NotImplementedError):
        Tabular().table_rows()
