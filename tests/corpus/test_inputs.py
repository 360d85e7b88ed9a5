"""Which files are found, and what they are called."""

import os
from pathlib import Path

import pytest

from plaudit.corpus.build import build_corpus
from plaudit.corpus.inputs import find_inputs
from plaudit.errors import InputError, UsageError
from tests.support.documents import write_report


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("some text", encoding="utf-8")


def test_folders_are_gone_through_in_order_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    make(tmp_path, "b.md", "a/z.TXT", "a/b/c.html", ".hidden/x.md", "a/.y.md", "pic.png", "two.png")
    make(tmp_path, "a/README", "data.json", "rows.jsonl")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    found = find_inputs([tmp_path])
    assert [(one.name, one.kind) for one in found.inputs] == [
        ("a/b/c.html", "html"),
        ("a/z.TXT", "text"),
        ("b.md", "markdown"),
        ("rows.jsonl", "rows"),
    ]
    assert found.skipped == {".png": 2, "no ending": 1, ".json": 1}


def test_a_file_that_is_named_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    make(tmp_path, "LICENSE", "log.out", "rows.json", "x.md")
    (tmp_path / "scan").write_bytes(b"%PDF-1.4")
    names = ("LICENSE", "log.out", "rows.json", "scan", "x.md")
    kinds = [one.kind for one in find_inputs([tmp_path / name for name in names]).inputs]
    assert kinds == ["text", "text", "rows", "pdf", "markdown"]


def test_the_same_file_twice_is_one_and_two_of_a_name_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "a/x.md", "b/x.md")
    found = find_inputs([tmp_path / "a", tmp_path / "a" / "x.md", tmp_path / "a"])
    assert [one.name for one in found.inputs] == ["x.md"]
    with pytest.raises(
        UsageError, match=r"would both be called x\.md .* give the folder that holds"
    ):
        find_inputs([tmp_path / "a", tmp_path / "b"])
    assert [one.name for one in find_inputs([tmp_path]).inputs] == ["a/x.md", "b/x.md"]


def test_an_index_within_the_folder_is_no_document(tmp_path: Path) -> None:
    write_report(tmp_path)
    build_corpus(tmp_path, tmp_path / "index")
    report = build_corpus(tmp_path, tmp_path / "index")
    assert (report.documents, report.kept) == (1, 1)


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.md: no such file"):
        find_inputs([tmp_path / "nothing.md"])
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(InputError, match=r"pipe\.md is no regular file"):
        find_inputs([tmp_path / "pipe.md"])
    with pytest.raises(InputError):
        find_inputs(["a\0b"])


def test_a_name_that_is_no_text_is_made_one(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.md"
    with open(path, "wb") as file:
        file.write(b"text")
    (one,) = find_inputs([tmp_path]).inputs
    assert one.name == "caf\ufffd.md"
    assert build_corpus(tmp_path, tmp_path / "index").documents == 1
