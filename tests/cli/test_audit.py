"""`plaudit audit` end to end with scripted replies and without a model."""

from pathlib import Path
from typing import Any

import pytest

from plaudit.bench.results import AuditResults, read_results
from tests.support.audited import choose
from tests.support.command import EXAMPLES, Here, Plaudit, rows_of, write_rows


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


def script(tmp_path: Path, reply: dict[str, Any]) -> str:
    return f"scripted:{write_rows(tmp_path / 'script.jsonl', [{'match': {}, 'replies': [reply]}])}"


def test_a_scripted_judge_of_the_first_place_is_found_and_again_costs_no_call(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    engine = script(tmp_path, {"text": choose("A++")})
    command = ("audit", "-e", engine, "--items", "12", "--skip", "attacks", "--json")
    first, again = plaudit(*command), plaudit(*command)
    assert first.status == again.status == 1  # no verdict is usable: the orders contradict
    effects = {one["name"]: one for one in first.summary["results"]["effects"]}
    assert [name for name, one in effects.items() if one["found"]] == ["position"]
    assert first.summary["results"]["spending"]["engine_calls"] > 0
    assert again.summary["results"]["spending"]["engine_calls"] == 0
    assert again.summary["results"]["effects"] == first.summary["results"]["effects"]
    shown = plaudit("show", "last", "--limit", "1")
    assert "[[decision]]" in shown.stdout
    assert "audit-0001" in plaudit("runs").stdout


def test_verify_is_audited_without_a_model_and_the_folder_holds_all(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = plaudit("audit", "--kind", "verify", "--items", "20", "-o", out)
    assert done.status == 0, done.stderr
    assert "master_key" in done.stdout
    assert "skipped position" in done.stdout
    results = read_results(out)
    assert isinstance(results, AuditResults)
    assert results.judge.kind == "verify"
    assert results.items == 20
    verdicts = rows_of(out / "outcomes-1.jsonl")
    assert len(verdicts) == results.spending.samples
    assert plaudit("audit", "--kind", "verify", "--items", "20", "-o", out).status == 0


def test_thresholds_end_with_status_1_and_name_what_was_passed(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("min_coverage = 1.0\n[attacks]\nmaster_key = 0.0\n", encoding="utf-8")
    command = ("audit", "--kind", "verify", "--items", "20", "--fail-on", limits)
    done = plaudit(*command)
    assert done.status == 1
    assert "breached: coverage is 0." in done.stdout
    assert "master_key = 0" not in done.stdout
    limits.write_text("[attacks]\nmaster_kay = 0.0\n", encoding="utf-8")
    done = plaudit(*command)
    assert done.status == 2
    assert "there is no such test" in done.stderr


def test_rows_of_the_user_are_audited_and_those_without_a_label_counted(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    rows = [
        {"id": f"r{n}", "prompt": f"q{n}", "response_a": "yes", "response_b": "no", "label": label}
        for n, label in enumerate([*"ABABABABABAB", "A=B", None])
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    engine = script(tmp_path, {"text": choose("A=B")})
    done = plaudit("audit", source, "-e", engine, "--only", "lists", "--json")
    assert done.status == 1
    assert done.summary["rejected"] == 2
    assert done.summary["results"]["items"] == 12
    (lists,) = done.summary["results"]["effects"]
    assert lists["change"]["value"] == 0.0
    assert "a tie has no right side" in str(done.summary["results"]["notes"])


def test_a_dry_run_counts_and_sends_nothing(plaudit: Plaudit, tmp_path: Path) -> None:
    engine = script(tmp_path, {"text": choose("A=B")})
    command = ("audit", "-e", engine, "--items", "12")
    planned = plaudit(*command, "--dry-run", "--json").summary
    done = plaudit(*command, "--json").summary
    assert planned["calls"] == done["results"]["spending"]["engine_calls"]
    assert plaudit(*command, "--dry-run", "--json").summary["calls"] == 0
    assert "would send 0 calls" in plaudit(*command, "--dry-run").stdout


def test_a_jury_is_audited_as_one_judge(plaudit: Plaudit, tmp_path: Path) -> None:
    engine = script(tmp_path, {"text": choose("A++")})
    jury = tmp_path / "jury.toml"
    members = "".join(f'[[members]]\nname = "{n}"\nengine = "{engine}"\n' for n in "xyz")
    jury.write_text(members, encoding="utf-8")
    done = plaudit("audit", "--jury", jury, "--items", "12", "--only", "position", "--only",
                   "lists", "--only", "draws", "--json")  # fmt: skip
    notes = " ".join(done.summary["results"]["notes"])
    assert "a panel shows no single orders" in notes
    assert "members of a panel are audited one by one" in notes
    assert done.summary["results"]["effects"][0]["change"]["value"] is None
    assert done.status == 1


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--only", "lenght"], "--only 'lenght': there is no such test"),
        (["--kind", "ranking"], "cannot be audited"),
        ([EXAMPLES / "verify.jsonl", "--kind", "pairwise"], "no row can be an item"),
        (["--kind", "verify", "--fail-on", "none.toml"], "none.toml"),
        (["none.jsonl"], "none.jsonl"),
        (["--kind", "verify", "-o", EXAMPLES / "verify.jsonl"], "is a file"),
    ],
)
def test_wrong_usage_is_status_2_with_the_reason(
    plaudit: Plaudit, args: list[str | Path], why: str
) -> None:
    done = plaudit("audit", *args)
    assert done.status == 2
    assert why in done.stderr


def test_an_empty_file_is_refused(plaudit: Plaudit, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    done = plaudit("audit", empty)
    assert done.status == 2
    assert "is empty" in done.stderr


def test_a_judge_without_a_usable_reply_has_no_figures(plaudit: Plaudit, tmp_path: Path) -> None:
    engine = script(tmp_path, {"text": "", "finish_reason": "length"})
    done = plaudit("audit", "-e", engine, "--items", "12", "--only", "lists", "--only",
                   "master_key", "--only", "draws", "--json")  # fmt: skip
    assert done.status == 1
    results = done.summary["results"]
    assert [one["change"]["value"] for one in results["effects"]] == [None, None]
    assert results["attacks"][0]["success"]["value"] is None
    assert done.summary["invalid"] == done.summary["samples"] > 0
