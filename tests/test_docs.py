"""The docs: what they show is run, what is generated is current, and no link is dead."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from benchmarks import picture_road
from scripts import docs

from plaudit import Cause, JudgeConfig, Verdict
from plaudit.engines.load import SCHEMES
from plaudit.judges.load import KINDS
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.run import RolloutSummary
from plaudit.rollouts.trace import CallStatus, StopReason, Trace
from plaudit.runs.summary import JudgeSummary

PAGES = docs.pages()
PROSE = [*PAGES, docs.ROOT / "AGENTS.md", docs.ROOT / "SECURITY.md"]
STARTED = (docs.ROOT, docs.DOCS / "start")
"""Folders of pages whose commands are processes of their own; those of others are forks."""
EVERYTHING = [*PROSE, docs.ROOT / "CHANGELOG.md", docs.DOCS / "reference" / "cli.md"]


def text(name: str) -> str:
    """The page of this name; names are unique but for those of explanations."""
    for folder in (".", "reference"):
        if (page := docs.DOCS / folder / name).exists():
            return page.read_text(encoding="utf-8")
    raise FileNotFoundError(name)


def name_of(page: Path) -> str:
    return str(page.relative_to(docs.ROOT))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_is_what_happens(page: Path) -> None:
    forked = page.parent not in STARTED
    assert "\n".join(docs.run_page(page, full=False, forked=forked)) == ""


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "page", [p for p in PAGES if any("full" in f.marks for f in docs.fences(p))], ids=name_of
)
def test_what_takes_long_is_what_happens_too(page: Path) -> None:
    assert "\n".join(docs.run_page(page)) == ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_only_marked_fences_are_left_out(page: Path) -> None:
    for fence in docs.fences(page):
        if "skip" in fence.marks:
            assert len(fence.marks["skip"]) > 10, f"{fence.where}: say why it is not run"
        if fence.language in ("sh", "shell", "py", ""):
            pytest.fail(f"{fence.where}: write console, bash, python or text")


def test_the_command_reference_is_current() -> None:
    assert text("cli.md") == docs.command_reference(), "run: scripts/docs cli"


@pytest.mark.parametrize("page", EVERYTHING, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    content = re.sub(r"```.*?\n```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    content = re.sub(r"```.*?\n```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", content, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_every_cause_is_explained_once() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", text("verdicts.md"), flags=re.MULTILINE)
    for cause in Cause:
        assert explained.count(cause.value) == 1, cause


def test_every_field_is_explained() -> None:
    for field in Verdict.__struct_fields__:
        assert re.search(rf"^\| `{field}` \|", text("verdicts.md"), flags=re.MULTILINE), field
    for field in JudgeSummary.__struct_fields__:
        assert f"`{field}`" in text("runs.md"), field
    for field in JudgeConfig.__struct_fields__[1:]:
        assert f"`{field}`" in text("python.md"), field


def test_every_stop_reason_and_field_of_rollouts_is_explained() -> None:
    for reason in StopReason:
        assert re.search(rf"^\| `{reason}` \|", text("rollouts.md"), flags=re.MULTILINE), reason
    for field in (*RolloutSummary.__struct_fields__, *RolloutConfig.__struct_fields__):
        assert f"`{field}`" in text("rollouts.md"), field
    for field in Trace.__struct_fields__:
        assert f"`{field}`" in text("traces.md"), field
    for status in get_args(CallStatus):
        assert f"`{status}`" in text("traces.md"), status


def test_every_judge_option_and_engine_is_named() -> None:
    for kind, task in KINDS.items():
        assert f"## {kind}" in text("judges.md")
        for option in task.options[:7]:
            assert f"`{option.label}`" in text("judges.md") or kind == "pointwise", option
        for name in task.variables:
            assert f"`{name}`" in text("prompts.md"), name
    for scheme in SCHEMES:
        assert f"`{scheme}" in text("engines.md"), scheme


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((docs.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=\[]", requirement)[0]
        assert f"`{name}`" in text("dependencies.md"), name
    for extra in project["optional-dependencies"]:
        assert f"| `{extra}` |" in text("dependencies.md"), extra


def test_the_figures_of_readme_were_measured() -> None:
    readme, limits = PAGES[0].read_text(encoding="utf-8"), text("limits.md")
    for line in (
        r"blind set [ABC]: .*ok (\d+ of \d+),",
        r"pointwise: AUC ([\d.]+) ",
        r"pairwise: (\d+ of \d+) abstained",
    ):
        shown = ", ".join(re.findall(line, limits))
        assert f"| {shown} |" in readme, f"README lacks {shown}, which docs/limits.md has"
    pairs, speed, head = map(result, ("pairs", "throughput", "answer_head"))
    for figure in (
        f"| {pairs['plaudit']:,} | NVIDIA's builder: {pairs['builder']:,} |",
        f"| {pairs['plaudit_mb']:.0f} MB | NVIDIA's builder: {pairs['builder_mb']:.0f} MB |",
        f"| {speed['json']['plaudit']:,.0f} | a bare HTTP loop: {speed['json']['bare']:,.0f} |",
        f"| {speed['json']['cached']:,.0f} |",
        f"of {head['all']['answers']:,} with human verdicts",
        f"| {100 * head['all']['decided'][0]:.1f} % |",
    ):
        assert figure in readme, f"README lacks {figure!r}, which benchmarks/results has"


def test_the_figures_of_all_cores_were_measured() -> None:
    page, scale = (docs.DOCS / "guides" / "all-cores.md").read_text("utf-8"), result("scale")
    for place, key in (("1", "cpu_us"), ("2", "cpu_us"), ("2", "parent_us")):
        live, cached = scale[f"live_{place}"][key], scale[f"cached_{place}"][key]
        assert f"| {live:.1f} µs | {cached:.1f} µs |" in page
    gained = [scale["gained"][what] for what in ("live", "cached")]
    assert (
        "| {:.2f} times as fast | {:.2f} times |".format(*(g["on_free_cores"] for g in gained))
        in page
    )
    assert (
        "{:.2f} times as fast live, and {:.2f} times".format(*(g["ratio"] for g in gained)) in page
    )
    assert f"| {scale['puts_a_second']:,.0f} replies a second" in page


def result(name: str) -> dict[str, Any]:
    path = docs.ROOT / "benchmarks" / "results" / f"{name}.json"
    return msgspec.json.decode(path.read_bytes())


def test_the_map_of_the_tree_is_current() -> None:
    (tree,) = (
        f for f in docs.fences(docs.ROOT / "CONTRIBUTING.md") if f.lines[0] == "src/plaudit/"
    )
    entries = dict(line.split(maxsplit=1) for line in tree.lines[1:])
    there = {
        path.name + "/" * path.is_dir()
        for path in (docs.ROOT / "src" / "plaudit").iterdir()
        if path.suffix in ("", ".py") and not path.name.startswith("__")
    }
    assert set(entries) == there, "a line a folder and module of src/plaudit, and no others"


def test_the_picture_of_the_road_is_current() -> None:
    drawn = (docs.DOCS / "images" / "road.svg").read_text(encoding="utf-8")
    assert drawn == picture_road.picture(), "run: python benchmarks/picture_road.py"


NOT_PLAIN = re.compile(
    r"\b(told|tells?|telling|untold|(?:be|is|are) had|in vain|whoever|at hand|(?:is|are) said)\b",
    re.I,
)


@pytest.mark.parametrize("page", PROSE, ids=name_of)
def test_pages_are_plain_english(page: Path) -> None:
    found = [unit for unit in prose(page) if NOT_PLAIN.search(unit)]
    assert found == [], "write: returns, shows, reports, is known"


def test_sentences_are_short() -> None:
    long = [
        sentence
        for page in PROSE
        for unit in prose(page)
        for sentence in re.split(r"(?<=[.!?])[)\"*]*\s+(?=[A-Z`\[(*\"])", unit)
        if len(sentence.split()) > 30
    ]
    assert len(long) < 20, "\n".join(long)


def prose(page: Path) -> list[str]:
    """Paragraphs, points of lists and cells of tables, without code and link targets."""
    shown = re.sub(r"^```.*?^```$|<!--.*?-->", "", page.read_text("utf-8"), flags=re.S | re.M)
    shown = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]+`", "`code`", shown))
    shown = re.sub(r"^( *[-*] | *\d+\. |#.*$)", r"\n\n", shown, flags=re.M)
    shown = re.sub(r"(?<!\\)\||^\|.*", lambda bar: bar[0].replace("|", "\n\n"), shown, flags=re.M)
    return [" ".join(unit.split()) for unit in re.split(r"\n\s*\n", shown) if unit.strip()]


def test_the_picture_fetches_nothing() -> None:
    picture = (docs.DOCS / "images" / "judge.svg").read_text(encoding="utf-8")
    assert "@font-face" not in picture
    assert "url(http" not in picture


def test_a_difference_is_found() -> None:
    assert docs.difference(["a 1", "...", "z 0.50"], ["a 1", "b", "c", "z 0.51"]) is None
    assert docs.difference(["a 1", "...", "z 0.50"], ["a 1", "b", "c", "z 0.59"])
    assert docs.difference(["a 1"], ["a 2"])
    assert docs.difference(["a 1"], ["a 2"], slack=3) is None
    assert docs.difference(["ok", "ok"], ["ok"])
    assert docs.difference(["ran 1.0 s, 2.0 samples/s"], ["ran 9.0 s, 7.0 samples/s"]) is None


@pytest.mark.full
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=docs.ROOT, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r'(?:src|href)="(https?://[^"]+)"', page.read_text(encoding="utf-8"))
        scripts = [url for url in fetched if "font" in url or url.endswith((".js", ".css"))]
        assert scripts == [], page.name


@pytest.mark.parametrize("folder", ["guides", "reference", "explanation"])
def test_pages_end_with_their_limits(folder: str) -> None:
    without = {"cli.md", "dependencies.md", "recipes.md"}
    for page in sorted((docs.DOCS / folder).glob("*.md")):
        titles = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert page.name in without or titles[-1] == "Limits", page.name


def test_json_shown_as_a_file_is_json() -> None:
    for page in PAGES:
        for fence in docs.fences(page):
            if fence.language == "json" and fence.marks.get("file") != "mixed.jsonl":
                for line in fence.lines:
                    msgspec.json.decode(line)
