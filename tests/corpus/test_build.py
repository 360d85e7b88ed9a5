"""Building: stable ids, what is kept and what is not, whole indexes only, and no pickles."""

import inspect
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plaudit.corpus import build, build_corpus, open_corpus
from plaudit.corpus.build import BuildOptions
from plaudit.corpus.inputs import SourceFile
from plaudit.corpus.layout import FILES, chunk_id
from plaudit.errors import ArgumentError, InputError, StoreError, UsageError
from plaudit.rollouts.tools.toolset import ToolLimits, ToolSet
from plaudit.runs.learning import fit_calibration
from plaudit.scoring.fitting import Promise
from tests.support.documents import REPORT, pdf, write_report


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    write_report(folder)
    (folder / "note.txt").write_text("A note about sextants.\n")
    return folder


def ids(index: Path) -> set[str]:
    return {chunk.id for chunk in open_corpus(index)}


def content(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in index.iterdir()}


def test_R8_an_index_holds_no_pickle_and_is_the_same_every_time(docs: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    first = build_corpus(docs, one, chunk_size=300)
    assert (first.documents, first.added, first.kept) == (2, 2, 0)
    build_corpus(docs, other, chunk_size=300)
    assert content(one) == content(other)
    assert set(content(one)) <= FILES
    for data in content(one).values():
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError)):
            pickle.loads(data)


def test_ids_stay_when_documents_come_and_go(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    build_corpus(docs, index, chunk_size=300)
    before = ids(index)
    (docs / "aaa.md").write_text("# First\n\nA document before all others.\n")
    report = build_corpus(docs, index, chunk_size=300)
    assert (report.added, report.changed, report.kept, report.removed) == (1, 0, 2, 0)
    assert before < ids(index)
    (docs / "aaa.md").unlink()
    (docs / "note.txt").write_text("Another note.\n")
    report = build_corpus(docs, index, chunk_size=300)
    assert (report.added, report.changed, report.kept, report.removed) == (0, 1, 1, 1)
    assert len(ids(index) & before) == len(before) - 1
    moved = tmp_path / "elsewhere"
    docs.rename(moved)
    assert build_corpus(moved, index, chunk_size=300).kept == 2


def test_an_index_built_upon_is_the_same_as_one_built_anew(docs: Path, tmp_path: Path) -> None:
    grown, fresh = tmp_path / "grown", tmp_path / "fresh"
    build_corpus(docs, grown, chunk_size=200, overlap=40)
    (docs / "more.txt").write_text("More about the sextant of Nils Orre.\n" * 20)
    build_corpus(docs, grown, chunk_size=200, overlap=40)
    build_corpus(docs, fresh, chunk_size=200, overlap=40)
    assert content(grown) == content(fresh)


def test_what_is_unchanged_is_not_read_again(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    build_corpus(docs, index)
    read: list[str] = []
    real = build.read_documents

    def noting(source: SourceFile, digest: str, tell: object) -> Iterator[object]:
        read.append(source.name)
        return real(source, digest, tell)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "read_documents", noting)
    (docs / "note.txt").write_text("Changed.\n")
    build_corpus(docs, index)
    assert read == ["note.txt"]


def test_other_settings_make_another_index(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = build_corpus(docs, index)
    report = build_corpus(docs, index, chunk_size=300)
    assert (report.kept, report.anew) == (0, "it was made with other settings")
    assert report.fingerprint != first.fingerprint


def test_a_changed_row_leaves_the_others(tmp_path: Path) -> None:
    source, index = tmp_path / "rows.jsonl", tmp_path / "index"
    rows = [{"id": n, "text": f"row number {n} about winches"} for n in range(5)]
    source.write_text("\n".join(map(json.dumps, rows)))
    build_corpus(source, index)
    rows[2]["text"] = "another text"
    source.write_text(
        "\n".join([json.dumps({"text": "new, without an id"}), *map(json.dumps, rows)])
    )
    report = build_corpus(source, index)
    assert (report.added, report.changed, report.kept, report.removed) == (1, 1, 4, 0)
    assert build_corpus(source, index).kept == 6


def test_bad_rows_are_reported_again_though_nothing_changed(tmp_path: Path) -> None:
    source, index = tmp_path / "rows.jsonl", tmp_path / "index"
    source.write_text('{"text": "good words"}\n{"no": "text"}\n')
    for _ in range(2):
        report = build_corpus(source, index)
        assert report.problems == [f"{source}:2: the field 'text' is missing"]
        assert report.documents == 1


def test_the_same_text_twice_has_two_ids(tmp_path: Path) -> None:
    text = "The same words here.\n\n"
    (tmp_path / "twice.txt").write_text(text * 6)
    (tmp_path / "also.txt").write_text(text)
    build_corpus([tmp_path / "twice.txt", tmp_path / "also.txt"], tmp_path / "index", chunk_size=30)
    chunks = list(open_corpus(tmp_path / "index"))
    assert [chunk.copy for chunk in chunks] == [0, 1, 2, 3, 4, 5, 0]
    assert len({chunk.id for chunk in chunks}) == 7
    assert chunks[3].id == chunk_id("twice.txt", text.strip(), 3)


def test_what_cannot_be_read_is_reported_and_the_rest_is_built(docs: Path, tmp_path: Path) -> None:
    (docs / "empty.md").touch()
    (docs / "binary.txt").write_bytes(b"a\0b")
    (docs / "scan.pdf").write_bytes(pdf([""]))
    (docs / "blank.txt").write_text(" \n\n ")
    (docs / "ok.pdf").write_bytes(pdf(["Words on a page."]))
    report = build_corpus(docs, tmp_path / "index")
    assert report.documents == 3
    assert sorted(Path(problem.split()[0]).name for problem in report.problems) == [
        "binary.txt", "blank.txt", "empty.md", "scan.pdf",
    ]  # fmt: skip
    assert all(text in "\n".join(report.problems) for text in ("NUL", "white space", "is empty"))


def test_nothing_readable_leaves_the_index_alone(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    build_corpus(docs, index)
    before = content(index)
    (tmp_path / "bad.md").write_bytes(b"\xff\xff")
    for given in (tmp_path / "bad.md", tmp_path / "no-such.md"):
        with pytest.raises(InputError):
            build_corpus(given, index)
    (tmp_path / "signs.md").write_text("!!! --- ???")
    with pytest.raises(InputError, match="hold no word"):
        build_corpus(tmp_path / "signs.md", index)
    assert content(index) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_nothing_else_is_replaced_by_an_index(docs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"something else than an index \(alder\.md, note\.txt\)"):
        build_corpus(docs, docs)
    assert (docs / "alder.md").read_text() == REPORT
    with pytest.raises(UsageError, match="is a file: an index is a folder"):
        build_corpus(docs, docs / "note.txt")
    index = tmp_path / "index"
    build_corpus(docs, index)
    (index / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        build_corpus(docs, index)
    with pytest.raises(StoreError, match="could not be written"):
        build_corpus(docs, tmp_path / "no" / "folder")
    (tmp_path / "void").mkdir()
    assert build_corpus(docs, tmp_path / "void").documents == 2


def test_two_builds_at_once_do_not_mix(docs: Path, tmp_path: Path) -> None:
    from plaudit.io.partial import PartialFolder

    other = PartialFolder(tmp_path / "index")
    try:
        with pytest.raises(StoreError, match="is being written by another plaudit"):
            build_corpus(docs, tmp_path / "index")
    finally:
        other.abort()


def test_a_damaged_index_is_built_anew(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    build_corpus(docs, index)
    whole = content(index)
    data = whole["chunks.jsonl"]
    (index / "chunks.jsonl").write_bytes(data.replace(b"sextant", b"sextent", 1))
    report = build_corpus(docs, index)
    assert report.kept == 0
    assert report.anew is not None and "damaged" in report.anew
    assert content(index) == whole
    os.truncate(index / "scores.npy", 10)
    assert build_corpus(docs, index).anew is not None
    assert content(index) == whole


def test_sizes_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="overlap"):
        build_corpus(tmp_path / "nothing", tmp_path / "index", chunk_size=100, overlap=60)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"chunk_size": 19}, "chunk_size must be in 20"),
        ({"chunk_size": 100, "overlap": 50}, "overlap must be less than half of a chunk"),
        ({"chunk_size": 100, "overlap": -1}, "overlap must be in 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, int], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        BuildOptions(**options)


@pytest.mark.parametrize(
    ("function", "form"),
    [(build_corpus, BuildOptions), (fit_calibration, Promise), (ToolSet, ToolLimits)],
)
def test_a_function_and_its_options_have_the_same_defaults(function, form) -> None:
    parameters = inspect.signature(function).parameters.items()
    own = {(field.name, field.default) for field in msgspec.structs.fields(form)}
    assert own <= {(name, one.default) for name, one in parameters}
