"""`plaudit export`, end to end."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.errors import PlauditError
from plaudit.preferences.export import FORMATS
from tests.support.command import Forked, rows_of
from tests.support.preferences import LOOKED_UP, chat, many, pair, question, write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pairs.jsonl", many(30))
    return tmp_path


def here(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, args)])


def refused(*args: str | Path) -> str:
    error = here(*args).exception
    assert isinstance(error, PlauditError), error
    assert error.exit_status == 2
    return str(error)


def test_pairs_are_split_and_written(home: Path) -> None:
    done = here("trl-dpo", "pairs.jsonl", "-o", "out")
    assert done.exit_code == 0, done.output
    train, validation = (
        rows_of(home / "out" / f"{side}.jsonl") for side in ("train", "validation")
    )
    assert len(train) + len(validation) == 60
    for reported in (
        "60 pairs of 30 examples, plain",
        f"training: {len(train)} rows of {len(train) // 2} examples",
        f"validation: {len(validation)} rows of {len(validation) // 2} examples",
        "trl-dpo in out: train.jsonl, validation.jsonl",
    ):
        assert reported in done.output


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_and_replaced(home: Path, name: str) -> None:
    for _ in range(2):
        done = here(name, "pairs.jsonl", "-o", "out", "--json")
        assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["pairs"] == 60
    assert all((home / "out" / file).is_file() for file in summary["files"])


def test_the_summary_as_json(home: Path) -> None:
    write(home / "mixed.jsonl", [*many(3), pair("x", chat("Why?"), LOOKED_UP), b"bad"])
    done = here("openrlhf", "mixed.jsonl", "-o", "out", "--json", "--val-fraction", "0")
    summary = json.loads(done.stdout)
    assert done.exit_code == 1
    assert summary["set_aside"] == {"tool_calls": 1}
    assert summary["rejected"] == 1
    assert summary["rejects"] == "out.rejected.jsonl"
    assert summary["mixed"] is True
    assert (summary["style"], summary["train"], summary["examples"]) == ("conversational", 6, 4)


def test_what_was_left_out_is_said(home: Path) -> None:
    rows = [pair("a", chat("Why?"), LOOKED_UP), pair("b", question(1)), b"bad"]
    done = here("nemo-customizer", write(home / "in.jsonl", rows), "-o", "out")
    assert done.exit_code == 1
    for reported in (
        "1 pair set aside: tool_calls",
        "1 row rejected",
        "see out.rejected.jsonl",
        "others have messages",
    ):
        assert reported in done.output


def test_a_one_row_input_says_that_its_validation_set_is_empty(home: Path) -> None:
    done = here("trl-dpo", write(home / "one.jsonl", [pair()]), "-o", "out")
    assert done.exit_code == 0
    assert "the validation set is empty: there is 1 example" in done.output


def test_a_response_with_no_label_is_said(home: Path) -> None:
    rows = [pair("a", "Q", c, r) for c, r in [("x", "y"), ("x", "z"), ("y", "z")]]
    done = here("trl-kto", write(home / "in.jsonl", rows), "-o", "out", "--val-fraction", "0")
    assert "1 response without a label" in done.output


def test_strata_are_told(home: Path) -> None:
    rows = [pair(n, question(n), metadata={"topic": "[b]"}) for n in range(20)]
    done = here("trl-dpo", write(home / "in.jsonl", rows), "-o", "out", "--strata", "topic")
    assert "[b]: 16 for training, 4 for validation" in done.output


def test_near_duplicates_are_told_unless_they_are_not_wanted(home: Path) -> None:
    rows = [*many(30, 1), *(pair(f"copy{n}", question(n).upper()) for n in range(10))]
    source = write(home / "in.jsonl", rows)
    assert "10 groups of examples" in here("trl-dpo", source, "-o", "out").output
    done = here("trl-dpo", source, "-o", "out", "--no-near-duplicates")
    assert "groups" not in done.output


def test_styles(home: Path) -> None:
    here("trl-dpo", "pairs.jsonl", "-o", "out", "--conversational")
    assert rows_of(home / "out/train.jsonl")[0]["prompt"][0]["role"] == "user"
    assert "not both" in refused("trl-dpo", "pairs.jsonl", "-o", "x", "--plain", "--conversational")
    assert "leave out --plain" in refused("nemo-rl", "pairs.jsonl", "-o", "x", "--plain")


def test_wrong_usage(home: Path) -> None:
    assert "give one of trl-dpo" in refused("trl", "pairs.jsonl", "-o", "out")
    assert "--val-fraction must be at least 0 and less than 1" in refused(
        "trl-dpo", "pairs.jsonl", "-o", "out", "--val-fraction", "1"
    )
    assert "no such file" in refused("trl-dpo", "none.jsonl", "-o", "out")
    assert "folder of files" in refused("trl-dpo", "pairs.jsonl", "-o", "-")
    assert "has not written" in refused("trl-dpo", "pairs.jsonl", "-o", ".")
    assert not (home / "out").exists()


def test_from_standard_input(home: Path) -> None:
    data = (home / "pairs.jsonl").read_bytes() + b"bad\n"
    command = Forked(home / "home")
    done = command("export", "trl-sft", "-", "-o", home / "out", "--json", input=data.decode())
    assert done.status == 1, done.stderr
    assert done.summary["pairs"] == 60
    assert rows_of(home / "out.rejected.jsonl")[0]["where"] == "standard input:61"


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "datasets"])
def test_defect_32_no_export_holds_two_responses_that_are_rendered_alike(
    home: Path, name: str
) -> None:
    said = {"role": "assistant", "content": "Yes."}
    same = [("Yes.", said), (said, [said | {"id": "m1", "refusal": None}]),
            (said, said | {"content": " Yes. "})]  # fmt: skip
    rows = [pair(f"x{n}", chosen=one, rejected=other) for n, (one, other) in enumerate(same)]
    write(home / "in.jsonl", [*rows, pair("y", question(1))])
    done = here(name, "in.jsonl", "-o", "out", "--val-fraction", "0")
    assert done.exit_code == 1, done.output
    errors = [row["error"] for row in rows_of(home / "out.rejected.jsonl")]
    assert errors == ["'chosen' and 'rejected' say the same"] * 3


def test_defect_32_one_response_in_two_forms_has_one_label(home: Path) -> None:
    yes, maybe = {"role": "assistant", "content": "Yes. "}, "Maybe."
    rows = [pair("e", chosen="Yes.", rejected=maybe), pair("e", chosen=maybe, rejected=yes),
            pair("e", chosen=yes, rejected="No.")]  # fmt: skip
    write(home / "in.jsonl", rows)
    assert here("trl-kto", "in.jsonl", "-o", "out", "--val-fraction", "0").exit_code == 0
    labels = [
        (one["completion"][0]["content"], one["label"]) for one in rows_of(home / "out/train.jsonl")
    ]
    assert labels == [("Yes.", True), ("No.", False)]
