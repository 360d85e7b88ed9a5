"""`plaudit curriculum` as a user runs it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.command import Here, Plaudit, rows_of, write_rows


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


def rows(number: int) -> list[dict[str, Any]]:
    return [
        {"example_id": f"e{n}", "turn_id": 0, "candidate_index": k, "score": n / 10 + k / 5}
        for n in range(number)
        for k in range(2)
    ]


def test_stages_are_shown_and_written(plaudit: Plaudit, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [*rows(10), {"example_id": "x", "score": 1}])
    out = tmp_path / "out"
    done = plaudit("curriculum", source, "-o", out, "--start", "0.5", "--widen", "0.5")
    assert (done.status, done.stderr) == (0, "")
    assert "dropped 1 example whose rewards are too close together" in done.stdout
    assert [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()] == [
        ["0", "0", "5", "10", "5", "10"],
        ["1", "5", "5", "10", "10", "20"],
    ]
    assert [row["example_id"] for row in rows_of(out / "stage-01.jsonl")[::2]] == [
        "e0", "e1", "e2", "e3", "e4",
    ]  # fmt: skip
    again = plaudit(
        "curriculum", source, "-o", tmp_path / "two", "--start", "0.5", "--widen", "0.5"
    )
    assert again.status == 0
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_summary_as_json_is_the_plan(plaudit: Plaudit, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [*rows(3), {"example_id": "x", "score": "high"}])
    done = plaudit("curriculum", source, "-o", tmp_path / "out", "--json", "--by", "mean")
    assert done.status == 1
    assert done.summary == msgspec.json.decode((tmp_path / "out/curriculum.json").read_bytes())
    assert done.summary["rejected"] == 1
    assert done.summary["options"]["by"] == "mean"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "0"], "--start must be more than 0 and at most 1, not 0"),
        (["--widen", "0.0001"], "stages: give more"),
        (["--min-spread", "9"], "no example is left of 3"),
    ],
)
def test_what_cannot_be_is_said(
    plaudit: Plaudit, tmp_path: Path, arguments: list[str], message: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", rows(3))
    done = plaudit("curriculum", source, "-o", tmp_path / "out", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


def test_a_folder_that_is_a_file_is_said_to_be(plaudit: Plaudit, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", rows(3))
    done = plaudit("curriculum", source, "-o", source)
    assert done.status == 2
    assert "in.jsonl is a file: give the name of a folder" in " ".join(done.stderr.split())
    assert len(rows_of(source)) == 6
