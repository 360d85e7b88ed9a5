"""The side index: made once, kept, grown with its file, and made anew where it no longer fits."""

import os
from pathlib import Path

import msgspec
import pytest

from plaudit.errors import InputError
from plaudit.viewer.index import OTHERS, Index, key_of, open_index
from tests.viewer.conftest import Write, lines, not_ok, verdict


def ids(path: Path, index: Index) -> list[str]:
    data = path.read_bytes()
    rows = zip(index.offsets.tolist(), index.lengths.tolist(), strict=True)
    return [msgspec.json.decode(data[start : start + size])["id"] for start, size in rows]


def test_rows_are_found_and_their_columns_read(write: Write) -> None:
    path = write(verdict(0, reward=-0.25), not_ok(1, "failed", "timeout"))
    index = open_index(path)
    assert index.kind.name == "verdicts"
    assert ids(path, index) == ["s-0", "s-1"]
    assert index.columns["reward"].tolist()[0] == -0.25
    assert index.columns["cause"].tolist() == [-1, 0]
    assert index.words["cause"] == ["timeout"]
    assert index.keys.tolist() == [key_of("s-0"), key_of("s-1")]
    assert (index.end, index.tail) == (path.stat().st_size, 0)


def test_the_file_is_never_changed_and_its_index_is_kept(write: Write, cache: Path) -> None:
    path = write(verdict(0))
    before = path.read_bytes(), path.stat().st_mtime_ns
    open_index(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    read: list[int] = []
    assert len(open_index(path, lambda done, size: read.append(done))) == 1
    assert read == []
    assert list((cache / "views").iterdir())


def test_what_is_appended_is_added(write: Write) -> None:
    path = write(verdict(0), verdict(1, value="anger"))
    open_index(path)
    with path.open("ab") as file:
        file.write(lines([verdict(2, value="doubt"), verdict(3, value="anger")]))
    index = open_index(path)
    assert ids(path, index) == ["s-0", "s-1", "s-2", "s-3"]
    assert index.words["value"] == ["praise", "anger", "doubt"]
    assert index.columns["value"].tolist() == [0, 1, 2, 1]
    assert index.lines.tolist() == [1, 2, 3, 4]


def test_a_line_that_is_not_whole_waits(write: Write) -> None:
    path = write(verdict(0))
    whole = lines([verdict(1)])
    with path.open("ab") as file:
        file.write(whole[:30])
    index = open_index(path)
    assert (len(index), index.tail) == (1, 30)
    with path.open("ab") as file:
        file.write(whole[30:])
    index = open_index(path)
    assert (ids(path, index), index.tail) == (["s-0", "s-1"], 0)
    assert index.lines.tolist() == [1, 2]


def test_a_last_row_without_a_line_end_is_a_row(write: Write) -> None:
    path = write(verdict(0))
    with path.open("ab") as file:
        file.write(lines([verdict(1)])[:-1])
    assert len(open_index(path)) == 2
    with path.open("ab") as file:
        file.write(b"\n" + lines([verdict(2)]))
    index = open_index(path)
    assert ids(path, index) == ["s-0", "s-1", "s-2"]
    assert index.lines.tolist() == [1, 2, 3]


def test_another_file_in_its_place_is_indexed_anew(write: Write) -> None:
    open_index(write(verdict(0), verdict(1)))
    path = write(verdict(7, id="new"), verdict(8, id="newer"), verdict(9, id="newest"))
    assert ids(path, open_index(path)) == ["new", "newer", "newest"]
    path = write(verdict(7, id="new"))
    assert ids(path, open_index(path)) == ["new"]


def test_a_damaged_index_is_made_anew(write: Write, cache: Path) -> None:
    path = write(verdict(0), verdict(1))
    open_index(path)
    for file in cache.rglob("*.npy"):
        file.write_bytes(b"no array")
    assert ids(path, open_index(path)) == ["s-0", "s-1"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_none(write: Write, cache: Path) -> None:
    path = write(verdict(0))
    cache.mkdir(mode=0o500)
    assert len(open_index(path)) == 1


def test_malformed_lines_are_rows_with_their_place(write: Write) -> None:
    path = write(verdict(0))
    with path.open("ab") as file:
        file.write(b'{"id": \n\n[1]\n\xff\xfe\n' + b"[" * 20_000 + b"\n" + lines([verdict(1)]))
    index = open_index(path)
    words = index.words["status"]
    assert [words[n] for n in index.columns["status"].tolist()] == [
        "ok", "malformed", "malformed", "malformed", "malformed", "ok",
    ]  # fmt: skip
    assert index.lines.tolist() == [1, 2, 4, 5, 6, 7]


def test_an_empty_file_has_no_rows(write: Write) -> None:
    assert len(open_index(write())) == 0


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jsonl: No such file"):
        open_index(tmp_path / "gone.jsonl")


def test_words_without_end_do_not_fill_the_memory(write: Write) -> None:
    path = write(*(verdict(n, value=f"word {n}") for n in range(2_100)))
    index = open_index(path)
    assert len(index.words["value"]) == 2_001
    assert index.words["value"][-1] == OTHERS
    assert index.columns["value"].tolist()[-1] == 2_000


def test_a_row_of_ten_megabytes(write: Write) -> None:
    path = write(verdict(0, raw=["x" * 10_000_000]), verdict(1))
    assert ids(path, open_index(path)) == ["s-0", "s-1"]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"id": "a/0", "messages": [], "turns": [], "stop_reason": "answered"}, "traces"),
        ({"chosen": "a", "rejected": "b", "margin": 0.5, "prompt": "q"}, "pairs"),
        ({"id": "a", "status": "ok", "credit": 1.0, "agrees": True}, "outcomes"),
        ({"prompt": "q", "response": "r", "score": 0.5}, "rows"),
    ],
)
def test_the_kind_of_a_file_is_known_by_its_rows(
    write: Write, row: dict[str, object], kind: str
) -> None:
    assert open_index(write(row)).kind.name == kind
