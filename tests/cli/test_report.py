"""`plaudit report` as a user gives it: files, folders and runs in, a folder out, true errors."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from plaudit.bench.report import read_card
from plaudit.bench.results import BenchResults, write_results
from tests.support import results
from tests.support.command import Here

CHROMIUM = shutil.which("chromium")
ROWS = [
    {"id": str(n), "question": "2 + 2?", "answer": str(4 + n % 2), "reference": "4"}
    | {"label": ("true", "no")[n % 2]}
    for n in range(12)
]


@pytest.fixture
def plaudit(tmp_path: Path) -> Here:
    return Here(tmp_path / "home")


def judged(plaudit: Here, tmp_path: Path, rows: list[dict[str, str]]) -> str:
    """Judge rows without a model; return the name of the run."""
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    done = plaudit("judge", "verify", source, "-e", "none:", "--json")
    assert done.status == 0, done.stderr
    return done.summary["run"]


def made(folder: Path, version: int = 1) -> Path:
    folder.mkdir()
    path = write_results(results.bench((("small", 0.6, 0.1), ("large", 0.8, 2.0))), folder)
    path.write_text(path.read_text().replace('"version": 1', f'"version": {version}'))
    return path


def test_folders_and_files_become_one_report(plaudit: Here, tmp_path: Path) -> None:
    bench, audit = made(tmp_path / "bench"), tmp_path / "audit"
    audit.mkdir()
    write_results(results.audit("small"), audit)
    out = tmp_path / "out"
    done = plaudit("report", bench, audit, "-o", out, "--title", "Two judges")
    assert done.status == 0, done.stderr
    assert done.stdout == f"2 judges, 1 set and 1 audit: look at {out}/report.html\n"
    assert "<title>Two judges</title>" in (out / "report.html").read_text()
    assert (out / "report.md").read_text().startswith("# Two judges\n")
    assert len(read_card(out / "report.json").results) == 2
    (out / "mine.txt").write_text("stays")
    again = plaudit("report", bench, "-o", out, "--json").summary
    assert again["judges"] == ["small", "large"]
    assert (out / "mine.txt").read_text() == "stays"


def test_a_run_with_labels_is_a_set_of_its_own(plaudit: Here, tmp_path: Path) -> None:
    run = judged(plaudit, tmp_path, [*ROWS, ROWS[0] | {"id": "x", "label": ""}])
    done = plaudit("report", run, "-o", tmp_path / "out")
    assert done.status == 0, done.stderr
    (found,) = read_card(tmp_path / "out" / "report.json").results
    assert isinstance(found, BenchResults)
    assert (found.set.name, found.set.rows, found.set.left_out) == ("own", 12, {"no label": 1})
    assert found.arms[0].overall.counts.right == 12
    assert found.arms[0].run == run


def test_a_run_without_labels_is_refused(plaudit: Here, tmp_path: Path) -> None:
    run = judged(plaudit, tmp_path, [row | {"label": ""} for row in ROWS])
    done = plaudit("report", run, "-o", tmp_path / "out")
    assert done.status == 2
    assert "has a label" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_label_of_another_spelling_is_named(plaudit: Here, tmp_path: Path) -> None:
    run = judged(plaudit, tmp_path, [row | {"label": "perhaps"} for row in ROWS])
    done = plaudit("report", run, "-o", tmp_path / "out")
    assert done.status == 2
    assert "perhaps" in done.stderr


def test_an_input_that_is_gone_is_named(plaudit: Here, tmp_path: Path) -> None:
    run = judged(plaudit, tmp_path, ROWS)
    (tmp_path / "rows.jsonl").unlink()
    done = plaudit("report", run, "-o", tmp_path / "out")
    assert done.status == 2
    assert "gone or has changed" in " ".join(done.stderr.split())


def test_what_is_neither_file_nor_run_is_named(plaudit: Here, tmp_path: Path) -> None:
    judged(plaudit, tmp_path, ROWS)
    done = plaudit("report", "verify-9999", "-o", tmp_path / "out")
    assert done.status == 2
    assert "verify-9999 is no file or folder of results" in " ".join(done.stderr.split())
    missing = plaudit("report", tmp_path / "no.json", "-o", tmp_path / "out")
    assert missing.status == 2
    assert "no such file" in missing.stderr


def test_results_of_another_version_are_refused(plaudit: Here, tmp_path: Path) -> None:
    done = plaudit("report", made(tmp_path / "bench", version=2), "-o", tmp_path / "out")
    assert done.status == 2
    assert "version" in done.stderr


@pytest.mark.full
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_the_page(plaudit: Here, tmp_path: Path, width: int) -> None:
    plaudit("report", made(tmp_path / "bench"), "-o", tmp_path / "out")
    shot = tmp_path / "shot.png"
    subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
            f"--window-size={width},900", f"--screenshot={shot}",
            (tmp_path / "out" / "report.html").as_uri(),
        ],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    assert shot.stat().st_size > 20_000
