"""`plaudit pairs`: candidates in, preferences out, as a process."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import EXAMPLES, Here, Plaudit, rows_of, write_rows
from tests.support.judged import scored


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


def turns(count: int) -> list[dict[str, object]]:
    return [
        {"example_id": f"e{n}", "turn_id": "t", "prompt": f"{n} " + "p" * 50,
         "response": f"{i} " * 30, "score": i}
        for n in range(count)
        for i in range(4)
    ]  # fmt: skip


def test_the_summary_adds_up_and_the_exit_status_tells(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = [*turns(2), {"prompt": "p"}, turns(1)[0] | {"example_id": "alone"}]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    done = plaudit("pairs", source, "-o", out, "--min-margin", "1.5")
    assert done.status == 1
    assert done.stdout.splitlines() == [
        f"6 pairs of 9 candidates in 3 turns, in {out}",
        "candidates left out: 1 single_candidate",
        "pairs not made: 6 below_margin",
        f"1 row rejected, see {tmp_path / 'out.rejected.jsonl'}",
    ]
    summary = plaudit("pairs", source, "--json", "--min-margin", "1.5").summary
    counts = {"turns": 3, "candidates": 9, "used": 8, "possible": 12, "pairs": 6}
    assert summary.items() >= counts.items()


def test_standard_input_and_output(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = "".join(json.dumps(row) + "\n" for row in turns(3))
    done = plaudit("pairs", "-", "-o", "-", "--mode", "best-worst", input=rows)
    assert [json.loads(line)["margin"] for line in done.stdout.splitlines()] == [3.0] * 3
    assert done.stderr.splitlines()[-1] == "3 pairs of 12 candidates in 3 turns"


def test_the_same_command_gives_the_same_bytes(plaudit: Plaudit, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", turns(50))
    args = ("--mode", "random-3", "--max-pairs", "60", "--dedupe", "--seed", "5")
    for name in ("a", "b"):
        assert plaudit("pairs", source, "-o", tmp_path / name, *args).status == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--mode", "some"), "mode 'some': give exhaustive"),
        (("--mode", "random-0"), "mode 'random-0'"),
        (("-o", "nowhere/out.jsonl"), "the folder"),
    ],
)
def test_wrong_usage(plaudit: Plaudit, tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    done = plaudit("pairs", write_rows(tmp_path / "in.jsonl", turns(1)), *args)
    assert done.status == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly(plaudit: Plaudit, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", turns(4_000))
    command = plaudit.command("pairs", source, "-o", "-")
    with subprocess.Popen(
        command, env=plaudit.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_an_interrupt_leaves_nothing_behind(plaudit: Plaudit, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = plaudit.command("pairs", "-", "-o", out)
    process = subprocess.Popen(
        command, env=plaudit.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("".join(json.dumps(row) + "\n" for row in turns(20_000)))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert list(tmp_path.iterdir()) == [] or not out.exists()


MEMORY = """
import sys
from pathlib import Path
from plaudit.preferences.files import PairJob, pair_file
from plaudit.io.progress import Progress
pair_file(PairJob(source=sys.argv[1], out=sys.argv[2], memory=2**20), Progress("", enabled=False))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("how", ["together", "apart", "one prompt"])
def test_memory_does_not_grow_with_the_candidates(tmp_path: Path, how: str) -> None:
    peaks = []
    for count in (5_000, 30_000):
        rows = turns(count)
        if how == "apart":
            rows.sort(key=lambda row: str(row["score"]))
        if how == "one prompt":
            rows = [row | {"prompt": "p"} for row in rows]
        source = write_rows(tmp_path / "in.jsonl", rows)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(source), str(tmp_path / "out.jsonl")],
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert len(rows_of(tmp_path / "out.jsonl")) == 180_000
    assert peaks[1] < peaks[0] + 12_000


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limit on files")
@pytest.mark.parametrize(
    "args", [("pairs", "-", "--max-pairs", "9"), ("pairs", "-"), ("export", "trl-dpo", "-")]
)
def test_without_room_for_temporary_files_it_says_where(
    plaudit: Plaudit, tmp_path: Path, args: tuple[str, ...]
) -> None:
    """The limit of 512 KiB a file is that of the disk; more than 64 MiB of rows go there."""
    rows = turns(5_000)
    if args == ("pairs", "-"):
        rows = [row | {"response": "word " * 800 + str(row["score"])} for row in rows]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    done = plaudit(*args, "-o", tmp_path / "out", input=text, preexec_fn=_limit)
    assert done.status == 2
    assert "Traceback" not in done.stderr
    assert "temporary files in" in done.stderr
    assert "File too large" in done.stderr or "disk I/O error" in done.stderr
    assert not (tmp_path / "out").exists()


def test_from_the_judge_to_the_trainers_file_with_nothing_between(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    """Shorter is better, says the judge; so say the pairs, and so what the trainer reads."""
    rows = [
        {key: row[key] for key in ("prompt", "response", "example_id", "turn_id")} | {"id": str(n)}
        for n, row in enumerate(rows_of(EXAMPLES / "candidates.jsonl"))
    ]
    longest = max(len(str(row["response"])) for row in rows)
    replies = [
        {
            "match": {"sample_id": row["id"]},
            "replies": [{"text": scored(10 - 9 * len(str(row["response"])) // longest)}],
        }
        for row in rows
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    engine = f"scripted:{write_rows(tmp_path / 'script.jsonl', replies)}"
    verdicts, pairs = tmp_path / "verdicts.jsonl", tmp_path / "pairs.jsonl"
    judged = plaudit("judge", "pointwise", source, "-e", engine, "-o", verdicts)
    assert judged.status == 0, judged.stderr
    made = plaudit("pairs", verdicts, "-o", pairs, "--json").summary
    assert made["candidates"] == len(rows)
    assert made["turns"] == 48
    exported = plaudit("export", "trl-dpo", pairs, "-o", tmp_path / "dpo")
    assert exported.status == 0, exported.stderr
    data = {name: rows_of(tmp_path / "dpo" / f"{name}.jsonl") for name in ("train", "validation")}
    assert sum(map(len, data.values())) == made["pairs"] > 90
    for row in (*data["train"], *data["validation"]):
        assert len(row["chosen"][-1]["content"]) < len(row["rejected"][-1]["content"])
    prompts = {name: {json.dumps(row["prompt"]) for row in some} for name, some in data.items()}
    assert not prompts["train"] & prompts["validation"]


def test_defect_32_responses_that_differ_in_form_only_make_no_pair(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    said = {"role": "assistant", "content": "Yes."}
    forms = [
        "Yes.",
        said,
        [said],
        said | {"refusal": None, "id": "m1"},
        said | {"content": " Yes. "},
    ]
    rows = [
        {"example_id": "e", "turn_id": 0, "prompt": "?", "response": one, "score": score}
        for score, one in enumerate(forms)
    ]
    done = plaudit("pairs", write_rows(tmp_path / "in.jsonl", rows), "--json").summary
    assert (done["pairs"], done["dropped_pairs"]) == (0, {"same_text": 10})
    done = plaudit("pairs", tmp_path / "in.jsonl", "--dedupe", "--json").summary
    assert done["dropped"] == {"duplicate": 4, "single_candidate": 1}


def test_defect_33_the_least_margin_keeps_what_reaches_it_on_paper(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    rows = [{"prompt": "?", "response": f"{score}", "score": score} for score in (0.3, 0.2, 0.1)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = plaudit("pairs", source, "--json", "--min-margin", "0.1").summary
    assert (done["pairs"], done["dropped_pairs"]) == (3, {})


def test_defect_38_a_large_file_is_searched_for_contradictions(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    rows = turns(6_000)
    rows += [
        row | {"example_id": "again", "prompt": rows[0]["prompt"], "score": -n}
        for n, row in enumerate(rows[:4])
    ]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert source.stat().st_size > 2 * 2**20  # Several processes begin with it.
    done = plaudit("pairs", source, "-o", out, "--json").summary
    assert done["dropped_pairs"] == {"contradiction": 12}
    assert len(rows_of(out)) == done["pairs"] == 6 * 6_001 - 12
    kept = plaudit("pairs", source, "-o", out, "--contradictions", "keep", "--json").summary
    assert (kept["pairs"], kept["dropped_pairs"]) == (6 * 6_001, {})


def test_defect_38_several_files_on_the_command_line(plaudit: Plaudit, tmp_path: Path) -> None:
    one, other = (write_rows(tmp_path / f"{n}.jsonl", turns(2)[n:]) for n in (0, 1))
    done = plaudit("pairs", one, other, "-o", tmp_path / "out")
    assert done.status == 0, done.stderr
    assert done.stdout.startswith("21 pairs of 15 candidates in 4 turns")
    assert {row["run"] for row in rows_of(tmp_path / "out")} == {str(one), str(other)}
    export = plaudit(
        "export", "trl-dpo", tmp_path / "out", "-o", tmp_path / "dpo", "--strata", "run"
    )
    assert export.status == 0, export.stderr
    again = plaudit("pairs", one, one)
    assert again.status == 2
    assert "given twice" in again.stderr


def test_defect_39_without_an_output_the_first_rejected_row_is_shown(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [*turns(1), {"prompt": "p"}])
    done = plaudit("pairs", source)
    assert done.status == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"1 row rejected, the first: {source}:5: not a candidate")


def test_columns_of_other_names_are_given_by_options(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = [{"question": "p", "chosen": "a", "rejected": "b"}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = plaudit("pairs", source, "--column", "prompt=question")
    assert (done.status, done.stdout) == (0, "1 pair of 2 candidates in 1 turn\n")
    assert "a pair needs prompt" in " ".join(plaudit("pairs", source).stderr.split())
    wrong = plaudit("pairs", source, "--column", "prompt")
    assert (wrong.status, "write it as NAME=COLUMN" in wrong.stderr) == (2, True)


def test_verdicts_of_a_judge_of_ones_own_are_paired(plaudit: Plaudit, tmp_path: Path) -> None:
    question = "How many grams are in an ounce?"
    answers = [
        {"id": "good", "question": question, "answer": "About 28.35 grams."},
        {"id": "bad", "question": question, "answer": "Ask somebody else."},
    ]
    replies = [
        {
            "match": {"sample_id": name},
            "replies": [{"text": json.dumps({"reason": "r", "score": score})}],
        }
        for name, score in (("good", 5), ("bad", 1))
    ]
    rows = write_rows(tmp_path / "rows.jsonl", answers)
    script = write_rows(tmp_path / "script.jsonl", replies)
    kind, out = f"{EXAMPLES / 'helpfulness.py'}:HelpfulnessJudge", tmp_path / "verdicts.jsonl"
    judged = plaudit(
        "judge", kind, rows, "-e", f"scripted:{script}", "--readout", "json", "-o", out
    )
    assert judged.status == 0, judged.stderr
    assert plaudit("pairs", out, "-o", tmp_path / "pairs.jsonl").status == 0
    (pair,) = rows_of(tmp_path / "pairs.jsonl")
    assert (pair["prompt"], pair["chosen"]) == (question, "About 28.35 grams.")
    assert pair["rejected"] == "Ask somebody else."
