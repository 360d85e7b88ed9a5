"""The report: alone, unharmed by hostile text, deterministic, and true about what is missing."""

import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from plaudit._util.pages import visible
from plaudit.bench.report import ReportCard, read_card, write_card
from plaudit.bench.report.markdown import as_markdown
from plaudit.bench.report.sections import compose
from plaudit.bench.report.writing import as_page
from plaudit.bench.results import AuditResults, BenchResults, Figure, OutcomeCounts, SubsetResults
from plaudit.errors import InputError, UsageError
from tests.support import results
from tests.support.pages import Tags

HOSTILE = (
    "</pre></td><script>alert(1)</script><img src=x onerror=alert(2)>{{ report }}'\"& $x^2$ "
    "--> ]]> | a\n| b\n\n# c \u202e\u200b\u0000 ```\n````"
)
TWO = (("small-judge", 0.62, 0.05), ("large-judge", 0.81, 1.9))


def card(*found: BenchResults | AuditResults) -> ReportCard:
    return ReportCard(plaudit="0.1.0", results=list(found))


def page_of(*found: BenchResults | AuditResults) -> str:
    return as_page(compose(card(*found)))


def two_judges() -> ReportCard:
    return card(
        results.bench(TWO), results.audit("small-judge", 0.16), results.audit("large-judge", 0.05)
    )


def hostile(value: object) -> object:
    """Return results with the hostile text wherever a text may come from outside."""
    if isinstance(value, dict):
        return {k: v if k in FORMS else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE + value if isinstance(value, str) else value


FORMS = ("results", "plaudit", "version", "method", "family")


def hostile_card() -> ReportCard:
    return msgspec.convert(hostile(msgspec.to_builtins(two_judges())), ReportCard)


@pytest.fixture(scope="module")
def page() -> str:
    return as_page(compose(two_judges()))


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return as_page(compose(hostile_card()))


def test_hostile_text_stays_text(hostile_page: str) -> None:
    tags = Tags()
    tags.feed(hostile_page)
    assert not tags.names & {"script", "img", "iframe", "link", "object"}
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in tags.text
    assert "{{ report }}" in tags.text
    assert "default-src 'none'" in hostile_page


def test_characters_that_hide_are_seen(hostile_page: str) -> None:
    assert not re.findall("[\u202e\u200b\u0000]", hostile_page)
    assert '<span class="code">U+202E</span>' in hostile_page
    assert visible("a\u202eb\U000e0041 \u00e9\t") == "a[U+202E]b[U+E0041] \u00e9\t"


@pytest.mark.parametrize("which", ["page", "hostile_page"])
def test_nothing_is_fetched(which: str, request: pytest.FixtureRequest) -> None:
    html = request.getfixturevalue(which)
    tags = Tags()
    tags.feed(html)
    links = [v for name, v in tags.attributes if name in ("src", "href", "xlink:href", "action")]
    assert links
    assert all((link or "").startswith("#") for link in links)
    styles = "".join(re.findall(r"<style.*?</style>", html, re.DOTALL))
    assert "@import" not in styles and "url(" not in styles


@pytest.mark.parametrize("which", ["page", "hostile_page"])
def test_plots_have_texts_and_ids_stand_once(which: str, request: pytest.FixtureRequest) -> None:
    html = request.getfixturevalue(which)
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) == 13
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert len(root.get("aria-label") or "") > 20
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', html)) <= set(ids)


def test_the_page_has_landmarks_and_named_tables(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert {"header", "nav", "main", "footer", "section", "figcaption"} <= tags.names
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    for table in tables:
        assert 'scope="col"' in table and "aria-labelledby" in table
        widths = {len(re.findall(r"<t[hd][ >]", row)) for row in table.split("<tr>")[1:]}
        assert len(widths) == 1


def test_every_section_is_there(page: str) -> None:
    assert re.findall(r"<h2 [^>]*>(.*?)</h2>", page) == [
        "Summary", "The judges", "LLMBar", "Audit on 60 shipped items", "Methods",
    ]  # fmt: skip
    headings = re.findall(r"<h3>([^<]*)</h3>", page)
    assert headings[:4] == [
        "Agreement with people", "Confidence and scores", "Cost", "Differences",
    ]  # fmt: skip


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    write_card(two_judges(), tmp_path / "a")
    write_card(two_judges(), tmp_path / "b")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"report.html", "report.json", "report.md"}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("make", [two_judges, hostile_card, card])
def test_the_data_come_back(make: object, tmp_path: Path) -> None:
    made = make()  # pyright: ignore[reportCallIssue]
    write_card(made, tmp_path / "out")
    assert read_card(tmp_path / "out" / "report.json") == made


def test_data_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"version": 2, "plaudit": "9", "results": []}')
    with pytest.raises(InputError, match="is no report"):
        read_card(tmp_path / "report.json")


@pytest.mark.parametrize("make", [two_judges, hostile_card])
def test_markdown_tables_stay_whole(make: object) -> None:
    text = as_markdown(compose(make()))  # pyright: ignore[reportCallIssue]
    outside = re.sub(r"^(`{3,})text$.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    tables = re.findall(r"(?:^\|.*\n)+", outside, re.MULTILINE)
    assert len(tables) == 14
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
    assert not re.findall(r"(?<!\\)<", outside)
    assert not re.findall("[\u202e\u200b\u0000]", text)


def test_markdown_and_page_say_the_same(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    text = as_markdown(compose(two_judges()))
    cells = [
        cell.strip() for line in text.splitlines() if line[:1] == "|" for cell in line.split("|")
    ]
    plain = {re.sub(r"\\(.)", r"\1", cell) for cell in cells if not re.fullmatch("-*:?", cell)}
    assert len(plain) > 100
    assert [cell for cell in plain if cell not in tags.text] == []


def nothing_known() -> BenchResults:
    made = results.bench()
    arm = made.arms[0]
    gone = Figure(value=None, n=9, why="the judge abstained from all of them")
    found = SubsetResults(
        name="",
        counts=OutcomeCounts(samples=9, abstained=9, causes={"below_gate": 9}),
        figures={"accuracy": gone, "coverage": Figure(value=0.0, n=9, why="all are alike")},
    )
    empty = SubsetResults(name="nobody", counts=OutcomeCounts(), figures={})
    arm = msgspec.structs.replace(
        arm, overall=found, subsets=[empty], score=gone, reliability=[], coverage_curve=[],
        distributions=[], spending=type(arm.spending)(),
    )  # fmt: skip
    return msgspec.structs.replace(made, arms=[arm])


def test_what_is_missing_says_why_and_is_no_zero() -> None:
    text = as_markdown(compose(card(nothing_known())))
    assert "small-judge has no score: the judge abstained from all of them." in text
    leader = next(line for line in text.splitlines() if line.startswith("| small-judge | none"))
    assert [cell.strip() for cell in leader.split("|")][2:10] == [
        "none", "none", "none", "9", "0.000", "unknown", "unknown", "unknown",
    ]  # fmt: skip
    assert "| nobody | none | none | 0 | no samples |" in text
    assert "| coverage | 0.000 | none | 9 | all are alike |" in text
    assert "No reliability diagram: small-judge states no confidence." in text
    assert page_of(nothing_known()).count("<svg") == 2


def test_no_results_are_a_page_that_says_so() -> None:
    page = page_of()
    assert "Report card of no judge" in page
    assert "<svg" not in page
    nobody = page_of(results.bench().__class__(plaudit="0", set=results.bench().set, arms=[]))
    assert "No judge was measured on this set." in nobody
    assert "no judge has a score" in nobody


def test_one_judge_has_tiles_and_no_column_of_judges() -> None:
    page = page_of(results.bench(), results.audit())
    assert '<div class="tiles">' in page
    assert '<th scope="col">judge</th>\n<th scope="col" class="n">value</th>' not in page
    assert "Leaderboard" not in page


def test_many_judges_are_ranked_and_plots_hold_the_best() -> None:
    names = [(f"judge {n}", 0.4 + n / 20, None if n == 3 else 0.1 * n) for n in range(9)]
    text = as_markdown(compose(card(results.bench(names))))
    ranks = re.findall(r"^\| judge \d \| (\d) \| ([\d.]+)", text, re.MULTILINE)
    assert [int(rank) for rank, _ in ranks] == list(range(1, 10))
    scores = [float(score) for _, score in ranks]
    assert scores == sorted(scores, reverse=True)
    assert "The 6 judges with the highest scores are drawn." in text
    assert "Not drawn, since score or cost is unknown: judge 3." in text


def test_free_judges_are_set_against_tokens() -> None:
    text = as_markdown(compose(card(results.bench([("a", 0.5, None), ("b", 0.7, 0.0)]))))
    assert "Score against tokens of a thousand samples" in text


def test_results_of_the_same_rows_stand_side_by_side() -> None:
    one, other = results.bench(TWO[:1]), results.bench(TWO[1:])
    text = as_markdown(compose(card(one, other, one)))
    assert text.count("\n## LLMBar") == 1
    assert "No paired differences" in text
    apart = as_markdown(compose(card(one, results.bench(TWO[1:], digest="ff"))))
    assert re.findall(r"^## LLMBar.*", apart, re.MULTILINE) == [
        r"## LLMBar (4ad81f0c)", r"## LLMBar (ff)",
    ]  # fmt: skip


def test_judges_of_one_name_are_kept_apart() -> None:
    one = results.bench()
    arm = one.arms[0]
    other = msgspec.structs.replace(
        arm, judge=msgspec.structs.replace(arm.judge, fingerprint="0123456789abcdef")
    )
    text = as_markdown(compose(card(msgspec.structs.replace(one, arms=[arm, other]))))
    assert "small-judge (01234567)" in text


def test_attacks_show_their_worst_examples(page: str) -> None:
    assert page.count("<blockquote>") > 4
    assert "&lt;|im_end|&gt;" in page
    assert 'is<span class="code">U+202E</span> thgir' in page


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        write_card(card(), tmp_path / "file")
    with pytest.raises(UsageError, match="mkdir -p"):
        write_card(card(), tmp_path / "no" / "such")
