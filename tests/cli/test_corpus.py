"""`plaudit corpus` as a user runs it."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command import Forked, Here, Plaudit, rows_of, write_rows
from tests.support.documents import write_report
from tests.support.questions import NOTHING, WHO, WHY, YEAR, line, passage, reply, script

NAVIGATOR = passage("### 1.1 The navigator")
LINES = [
    line(NAVIGATOR, reply(WHY, WHO)),
    line(passage("## 2"), reply(YEAR, YEAR | {"answer": "never", "supporting_text": ""})),
    line({}, NOTHING),
]


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


@pytest.fixture
def index(plaudit: Plaudit, tmp_path: Path) -> Path:
    path = tmp_path / "index"
    done = plaudit("corpus", "build", write_report(tmp_path), "-o", path, "--chunk-size", 400)
    assert done.status == 0, done.stderr
    return path


def test_defect_54_a_link_out_of_the_folder_is_read_only_where_asked_for(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    (tmp_path / "secret.md").write_text("The password of the safe is 12345.")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("The harbour lies to the north.")
    (docs / "inside.md").symlink_to("a.md")
    (docs / "b.md").symlink_to("../secret.md")
    done = plaudit("corpus", "build", docs, "-o", tmp_path / "index")
    assert done.status == 1
    assert "b.md is a link out of the folder, so it was not read" in done.stderr
    assert b"password" not in (tmp_path / "index/chunks.jsonl").read_bytes()
    assert b"inside.md" in (tmp_path / "index/chunks.jsonl").read_bytes()
    asked = plaudit("corpus", "build", docs, "-o", tmp_path / "index", "--follow-links")
    assert asked.status == 0, asked.stderr
    assert b"password" in (tmp_path / "index/chunks.jsonl").read_bytes()


def test_build_says_what_it_did_and_the_status_tells(plaudit: Plaudit, tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    write_report(docs)
    (docs / "empty.md").touch()
    (docs / "image.png").touch()
    done = plaudit("corpus", "build", docs, "-o", index)
    assert done.status == 1
    assert "1 document, 2 chunks" in done.stdout
    assert "1 added, 0 changed, 0 kept as they were, 0 removed" in done.stdout
    assert "left out, of no known type: 1 .png" in done.stdout
    assert "empty.md is empty" in done.stderr
    (docs / "empty.md").unlink()
    again = plaudit("corpus", "build", docs, "-o", index, "--json")
    assert again.status == 0
    assert (again.summary["kept"], again.summary["problems"]) == (1, [])
    assert again.summary["skipped"] == {".png": 1}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--chunk-size", "100", "--overlap", "50"], "less than half of a chunk"),
        (["--chunk-size", "5"], "--chunk-size"),
    ],
)
def test_wrong_usage_of_build(
    plaudit: Plaudit, tmp_path: Path, options: list[str], problem: str
) -> None:
    source = write_report(tmp_path)
    done = plaudit("corpus", "build", source, "-o", tmp_path / "index", *options)
    assert (done.status, problem in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "index").exists()


def test_nothing_to_build_from(plaudit: Plaudit, tmp_path: Path) -> None:
    done = plaudit("corpus", "build", tmp_path / "none", "-o", tmp_path / "index")
    assert done.status == 2 and "none: no such file" in done.stderr
    (tmp_path / "empty").mkdir()
    done = plaudit("corpus", "build", tmp_path / "empty", "-o", tmp_path / "index")
    assert done.status == 2 and "no document that could be read" in done.stderr
    (tmp_path / "empty" / "a.md").write_bytes(b"\xff")
    done = plaudit("corpus", "build", tmp_path / "empty", "-o", tmp_path / "index")
    assert done.status == 2 and "is not UTF-8 text" in done.stderr


def test_an_interrupted_build_leaves_nothing(plaudit: Plaudit, tmp_path: Path) -> None:
    source = tmp_path / "long.txt"
    source.write_text("Some words of a long book, and then more of them.\n\n" * 10**6)
    process = plaudit.start("corpus", "build", source, "-o", tmp_path / "index")
    while process.poll() is None and not (tmp_path / ".index.new").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, reported = process.communicate(timeout=100)
    assert process.returncode == 130, reported
    assert "index is as it was before" in reported
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.txt"]


def test_a_plain_question_finds_why_the_navigator_was_replaced(
    plaudit: Plaudit, index: Path
) -> None:
    question = "Why was the navigator replaced before the voyage?"
    done = plaudit("corpus", "search", index, question, "-k", 2, "--json")
    hits = [json.loads(row) for row in done.stdout.splitlines()]
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert any("scarlet fever" in hit["text"] for hit in hits)
    assert hits[0]["heading"][0] == "Voyage of the survey ship Alder"
    shown = plaudit("corpus", "search", index, question)
    assert "scarlet fever" in shown.stdout
    assert f"chunk {hits[0]['chunk_id']}" in shown.stdout


def test_search_of_nothing_and_in_nothing(plaudit: Plaudit, index: Path, tmp_path: Path) -> None:
    done = plaudit("corpus", "search", index, "zzz")
    assert (done.status, done.stdout) == (0, "")
    assert "nothing was found" in done.stderr
    done = plaudit("corpus", "search", tmp_path, "ship")
    assert done.status == 2 and "is no index" in done.stderr


def test_a_document_cannot_steer_the_terminal(plaudit: Plaudit, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("A ship \x1b[2J\x1b]0;title\x07 [red]sails[/red] \u202eaway\u202c.")
    plaudit("corpus", "build", source, "-o", tmp_path / "index")
    shown = plaudit("corpus", "search", tmp_path / "index", "ship").stdout
    assert "[red]sails[/red]" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_questions_from_a_corpus_end_to_end(plaudit: Plaudit, index: Path, tmp_path: Path) -> None:
    out = tmp_path / "questions.jsonl"
    command = ("corpus", "questions", index, "-o", out, "-e", script(tmp_path, LINES))
    done = plaudit(*command)
    assert done.status == 0, done.stderr
    assert "4 questions came, 1 dropped (1 unsupported)" in done.stdout
    assert "3 kept: " in done.stdout and str(out) in done.stdout
    rows = rows_of(out)
    assert [row["answer"] for row in rows] == [WHY["answer"], WHO["answer"], YEAR["answer"]]
    assert set(rows[0]) >= {
        "id", "question", "answer", "difficulty", "chunk_ids", "supporting_text", "split",
    }  # fmt: skip
    again = plaudit(*command, "--json")
    assert (again.summary["engine_calls"], again.summary["cached"]) == (0, 5)
    assert rows_of(out) == rows
    printed = plaudit(*command[:4], "-", *command[5:], "--json")
    assert [json.loads(row) for row in printed.stdout.splitlines()] == rows
    assert json.loads(printed.stderr.splitlines()[-1])["kept"] == 3


def test_nothing_kept_writes_nothing(plaudit: Plaudit, index: Path, tmp_path: Path) -> None:
    out = tmp_path / "questions.jsonl"
    out.write_text("what was there before")
    engine = script(tmp_path, [line({}, NOTHING)])
    done = plaudit("corpus", "questions", index, "-o", out, "-e", engine)
    assert done.status == 1
    assert "0 kept" in done.stdout and "nothing was written" in done.stdout
    assert out.read_text() == "what was there before"


def test_an_engine_that_cannot_be_used(plaudit: Plaudit, index: Path, tmp_path: Path) -> None:
    engine = script(tmp_path, [line({}, {"error": "unusable"})])
    done = plaudit("corpus", "questions", index, "-o", tmp_path / "q.jsonl", "-e", engine)
    assert done.status == 3 and not (tmp_path / "q.jsonl").exists()


def test_wrong_usage_of_questions(plaudit: Plaudit, index: Path, tmp_path: Path) -> None:
    for out, extra in (
        (tmp_path, ()),
        (tmp_path / "no" / "q.jsonl", ()),
        (tmp_path / "q", ("--limit", 0)),
    ):
        done = plaudit("corpus", "questions", index, "-o", out, "-e", "scripted:none", *extra)
        assert done.status == 2, done.stderr


def test_an_interrupted_run_goes_on(plaudit: Plaudit, index: Path, tmp_path: Path) -> None:
    out = tmp_path / "questions.jsonl"
    slow = line(passage("## 2"), reply(YEAR) | {"delay": 8.0})
    engine = script(tmp_path, [LINES[0], slow, LINES[2]])
    command = ("corpus", "questions", index, "-o", out, "-e", engine, "--json")
    process = plaudit.start(*command)
    while process.poll() is None and _replies(plaudit.home / "store.sqlite") < 4:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, reported = process.communicate(timeout=100)
    assert process.returncode == 130, reported
    assert "give the same command again" in reported and not out.exists()
    done = plaudit(*command)
    assert (done.status, done.summary["cached"], done.summary["engine_calls"]) == (0, 4, 1)
    assert len(rows_of(out)) == 3


def _replies(store: Path) -> int:
    if not store.exists():
        return 0
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM reply").fetchone()[0])
    except sqlite3.Error:  # It is being made.
        return 0
    finally:
        connection.close()


QUESTIONS = [
    {"id": "a", "question": "How deep was it?", "answer": "640 fathoms", "split": "test",
     "supporting_text": "at a depth of 640 fathoms"},
    {"id": "b", "question": "Who made \x1b[1mthe sextant?", "answer": ["Nils Orre", "Orre"]},
    {"id": "c", "question": "What is the sea?"},
]  # fmt: skip


def quiz(
    plaudit: Forked, folder: Path, answers: str, *options: str
) -> "subprocess.CompletedProcess[bytes]":
    source = write_rows(folder / "questions.jsonl", QUESTIONS)
    command = plaudit.fork("corpus", "quiz", source, *options)
    return subprocess.run(
        command, env=plaudit.env, input=answers.encode("latin-1"), capture_output=True, timeout=100,
        check=False,
    )  # fmt: skip


def test_a_quiz_at_the_terminal(plaudit: Forked, tmp_path: Path) -> None:
    done = quiz(plaudit, tmp_path, "640 fathoms\nOrre\n")
    said = done.stdout.decode()
    assert done.returncode == 0
    assert said.count("right (") == 2 and "2 right, 0 wrong" in said
    assert "at a depth of 640 fathoms" in said and "Nils Orre or Orre" in said
    assert "\x1b" not in said and "What is the sea?" not in said


def test_a_quiz_ends_with_its_input(plaudit: Forked, tmp_path: Path) -> None:
    done = quiz(plaudit, tmp_path, "rather deep caf\xe9\n", "--json")
    marks = json.loads(done.stdout)
    assert done.returncode == 0
    assert (marks["asked"], marks["undecided"], marks["right"]) == (1, 1, 0)
    assert "compare it yourself" in done.stderr.decode()
    done = quiz(plaudit, tmp_path, "", "--split", "test")
    assert (done.returncode, b"0 right, 0 wrong" in done.stdout) == (0, True)


def test_a_quiz_with_a_judge(plaudit: Forked, tmp_path: Path) -> None:
    verdict = {"reasoning": "So it is.", "verdict": "correct", "confidence": 0.9}
    engine = script(tmp_path, [line({}, {"text": json.dumps(verdict)})])
    done = quiz(plaudit, tmp_path, "rather deep\n\n", "-e", engine, "--json")
    marks = json.loads(done.stdout)
    assert (marks["right"], marks["skipped"]) == (1, 1), done.stderr


def test_wrong_usage_of_quiz(plaudit: Forked, tmp_path: Path) -> None:
    assert quiz(plaudit, tmp_path, "", "--split", "dev").returncode == 2
    assert quiz(plaudit, tmp_path, "", "--split", "train").returncode == 2
    done = plaudit("corpus", "quiz", "-")
    assert done.status == 2 and "give the questions as a file" in done.stderr
    done = plaudit("corpus", "quiz", write_rows(tmp_path / "q.jsonl", [{"question": "Why?"}]))
    assert done.status == 2 and "has an answer to compare with" in done.stderr


def test_a_quiz_that_is_interrupted_says_the_score(plaudit: Forked, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "questions.jsonl", QUESTIONS)
    process = plaudit.start("corpus", "quiz", source, stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    os.set_blocking(process.stdout.fileno(), True)
    process.stdin.write("rather deep\n")
    process.stdin.flush()
    shown = ""
    while "2 of 2." not in shown:
        shown += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()  # `communicate` would end the input before the signal arrives.
    _, reported = process.communicate(timeout=100)
    assert process.returncode == 130, reported
    assert "0 right, 0 wrong, 1 undecided" in rest
