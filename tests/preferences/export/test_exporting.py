"""Reading, rejecting, splitting and putting the folder in its place."""

import json
import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit._util import disk
from plaudit.errors import InputError, MissingDependencyError, StoreError, UsageError
from plaudit.io.partial import PartialFolder
from plaudit.preferences.export import ExportOptions, export_pairs
from plaudit.preferences.export.exporting import MANIFEST
from plaudit.preferences.export.rows import PairSource
from plaudit.preferences.split import SplitOptions
from tests.support.command import rows_of
from tests.support.examples import drawn
from tests.support.preferences import chat, many, pair, question, write

WHOLE = b'{"example_id":"e","prompt":"p","chosen":"a","rejected":"b","margin":%b}'


def options(**split: Any) -> ExportOptions:
    return ExportOptions(split=SplitOptions(**split))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_the_summary_adds_up(tmp_path: Path, out: Path) -> None:
    done = export_pairs(write(tmp_path / "in.jsonl", many(60, 3)), "trl-dpo", str(out))
    assert (done.pairs, done.examples) == (180, 60)
    assert done.train_examples + done.validation_examples == 60
    assert (done.train, done.validation) == (3 * done.train_examples, 3 * done.validation_examples)
    assert done.notes == []
    assert [len(rows_of(out / name)) for name in done.files] == [done.train, done.validation]
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "out"]


def test_the_same_again_is_the_same_bytes(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(20))
    first = [(export_pairs(source, "trl-kto", str(out)), (out / "train.jsonl").read_bytes())]
    assert (export_pairs(source, "trl-kto", str(out)), (out / "train.jsonl").read_bytes()) == first[
        0
    ]


def test_rows_keep_their_order(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(30))
    export_pairs(source, "trl-dpo", str(out), options(val_fraction=0))
    assert [r["chosen"] for r in rows_of(out / "train.jsonl")][:3] == [
        "It is 0.0.",
        "It is 0.1.",
        "It is 1.0.",
    ]


EXAMPLES = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([question(n) for n in range(5)])),
    min_size=1,
    max_size=20,
)


@settings(max_examples=drawn(25), deadline=None)
@given(rows=EXAMPLES, seed=st.integers(0, 99), name=st.sampled_from(["trl-dpo", "trl-kto"]))
def test_D7_no_prompt_of_an_example_is_in_both_files(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], seed: int, name: str
) -> None:
    folder = tmp_path_factory.mktemp("split")
    source = write(folder / "in.jsonl", [pair(e, p, chosen=f"of {e}") for e, p in rows])
    done = export_pairs(source, name, str(folder / "out"), options(seed=seed, val_fraction=0.5))
    train, validation = (rows_of(folder / "out" / file) for file in done.files)
    assert {row["prompt"] for row in train}.isdisjoint(row["prompt"] for row in validation)
    if name == "trl-dpo":
        assert len(train) + len(validation) == len(rows)
        assert {row["chosen"] for row in train}.isdisjoint(row["chosen"] for row in validation)


# Small inputs


def test_D7_one_row_has_an_empty_validation_set_and_says_so(tmp_path: Path, out: Path) -> None:
    done = export_pairs(write(tmp_path / "in.jsonl", [pair()]), "trl-dpo", str(out))
    assert (done.train, done.validation, done.exit_status) == (1, 0, 0)
    assert "validation set is empty" in done.notes[0]
    assert (out / "validation.jsonl").read_bytes() == b""


def test_defect_37_a_split_that_is_not_the_hashes_is_said(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(3))
    done = [export_pairs(source, "trl-dpo", str(out), options(seed=s)) for s in range(40)]
    assert {(one.train_examples, one.validation_examples) for one in done} == {(2, 1)}
    reported = {note.partition(" into")[0] for one in done for note in one.notes}
    assert reported >= {"the hash put 0 of 3 examples", "the hash put 2 of 3 examples"}
    assert any(not one.notes for one in done)


def test_examples_that_cannot_be_divided_are_said(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", [pair("a"), pair("b")])
    done = export_pairs(source, "trl-dpo", str(out))
    assert (done.train, done.validation) == (2, 0)
    assert "near duplicates, which stay on one side" in done.notes[0]


def test_without_a_fraction_there_is_no_file_for_validation(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(20))
    done = export_pairs(source, "trl-dpo", str(out), options(val_fraction=0))
    assert done.files == ["train.jsonl"]
    assert (done.train, done.notes) == (40, [])


def test_a_template_that_makes_all_alike_is_said(tmp_path: Path, out: Path) -> None:
    template = "Read the following with great care and answer in one short sentence. " * 5
    rows = [pair(n, f"{template}{n}") for n in range(30)]
    done = export_pairs(write(tmp_path / "in.jsonl", rows), "trl-dpo", str(out))
    assert done.largest_group == 30
    assert any("--no-near-duplicates" in note for note in done.notes)


# Rows that are none


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (WHOLE % b"0", "margin 0.0"),
        (WHOLE % b"-0.5", "margin -0.5"),
        (WHOLE % b"1e999", "margin"),
        (WHOLE % b'"0.5"', "`str` - at `$.margin`"),
        (b'{"example_id":"e","chosen":"a","rejected":"b","margin":1}', "needs a prompt"),
        (b'{"example_id":"e","prompt":"p","chosen":"a","margin":1}', "`rejected`"),
        ((WHOLE % b"1").replace(b'"a"', b'" b"'), "say the same"),
        ((WHOLE % b"1").replace(b'"a"', b'" "'), "'chosen' is empty"),
        ((WHOLE % b"1").replace(b'"a"', b"[]"), "'chosen' must be text or messages"),
        ((WHOLE % b"1").replace(b'"a"', b"3"), "'chosen' must be text or messages, not int"),
        ((WHOLE % b"1").replace(b'"p"', b"null"), "'prompt' must be text or messages"),
        ((WHOLE % b"1").replace(b'"p"', b'[{"content":"x"}]'), "`role`"),
        ((WHOLE % b"1").replace(b'"p"', b'["x"]'), "'prompt' is neither text nor messages"),
        ((WHOLE % b"1").replace(b'"p"', b'"\xff"'), "UTF-8"),
        (b"not json", "not JSON"),
        (b"[1]", "array"),
        (b'{"example_id":"e","prompt":' + b"[" * 100_000, "nested"),
    ],
)
def test_a_row_that_is_no_pair_is_rejected(tmp_path: Path, line: bytes, problem: str) -> None:
    source = write(tmp_path / "in.jsonl", [pair("a"), line, pair("b", question(1))])
    done = export_pairs(source, "trl-dpo", str(tmp_path / "out"))
    assert (done.pairs, done.rejected, done.exit_status) == (2, 1, 1)
    assert done.rejects == str(tmp_path / "out.rejected.jsonl")
    (kept,) = rows_of(tmp_path / "out.rejected.jsonl")
    assert kept["where"] == f"{source}:2"
    assert problem in kept["error"], kept["error"]


def test_rejected_rows_lie_beside_the_folder_whatever_its_name(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [pair(), b"bad"])
    done = export_pairs(source, "trl-dpo", str(tmp_path / "data.v1"))
    assert done.rejects == str(tmp_path / "data.v1.rejected.jsonl")


def test_a_stale_file_of_rejected_rows_goes(tmp_path: Path, out: Path) -> None:
    export_pairs(write(tmp_path / "in.jsonl", [pair(), b"bad"]), "trl-dpo", str(out))
    assert (tmp_path / "out.rejected.jsonl").exists()
    export_pairs(write(tmp_path / "in.jsonl", [pair()]), "trl-dpo", str(out) + "/")
    assert not (tmp_path / "out.rejected.jsonl").exists()


def test_no_pair_at_all_is_an_error_that_shows_the_first_row(tmp_path: Path, out: Path) -> None:
    with pytest.raises(InputError, match=r"no row is a pair.*in.jsonl:1: .*`chosen`"):
        export_pairs(write(tmp_path / "in.jsonl", [b'{"x": 1}', b"{}"]), "trl-dpo", str(out))
    with pytest.raises(InputError, match="is empty"):
        export_pairs(write(tmp_path / "empty.jsonl", []), "trl-dpo", str(out))
    with pytest.raises(InputError, match="no such file"):
        export_pairs(str(tmp_path / "none.jsonl"), "trl-dpo", str(out))
    assert sorted(os.listdir(tmp_path)) == ["empty.jsonl", "in.jsonl"]


def test_strata_are_found_in_rows_and_in_metadata(tmp_path: Path, out: Path) -> None:
    rows = [pair(n, question(n), metadata={"chosen": {"topic": "ab"[n % 2]}}) for n in range(40)]
    source = write(tmp_path / "in.jsonl", rows)
    done = export_pairs(source, "trl-dpo", str(out), options(strata="topic"))
    assert done.strata == {"a": (16, 4), "b": (16, 4)}
    done = export_pairs(source, "trl-dpo", str(out), options(strata="num_candidates"))
    assert done.strata == {"2": (32, 8)}
    with pytest.raises(InputError, match="'tpic'"):
        export_pairs(source, "trl-dpo", str(out), options(strata="tpic"))


def test_pairs_of_an_example_may_lie_apart(tmp_path: Path, out: Path) -> None:
    rows = many(20, 6)
    mixed = [rows[(n * 7) % len(rows)] for n in range(len(rows))]
    apart = export_pairs(write(tmp_path / "mixed.jsonl", mixed), "trl-dpo", str(out))
    assert (apart.examples, apart.groups) == (20, 0)
    together = export_pairs(write(tmp_path / "in.jsonl", rows), "trl-dpo", str(out))
    assert (apart.train, apart.validation) == (together.train, together.validation)


def test_a_missing_package_is_named(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", many(2))
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[preferences\]"):
        export_pairs(source, "trl-dpo", str(out))
    assert export_pairs(source, "trl-dpo", str(out), options(near_duplicates=False)).train
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[datasets\]"):
        export_pairs(source, "datasets", str(out))


def test_parquet_is_read_too(tmp_path: Path, out: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        {
            "example_id": n,
            "prompt": chat(question(n)),
            "chosen": "a",
            "rejected": "b",
            "margin": 1.0,
        }
        for n in range(10)
    ]
    rows[3]["margin"] = float("nan")
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    done = export_pairs(str(tmp_path / "in.parquet"), "trl-dpo", str(out))
    assert (done.pairs, done.rejected, done.style) == (10, 0, "conversational")


def test_what_can_be_read_once_only_is_kept(tmp_path: Path, out: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = write(tmp_path / "in.jsonl", [*many(5), b"bad"])
    if os.fork() == 0:
        pipe.write_bytes(Path(source).read_bytes())
        os._exit(0)
    done = export_pairs(str(pipe), "trl-dpo", str(out))
    os.wait()
    assert (done.pairs, done.rejected) == (10, 1)
    assert rows_of(tmp_path / "out.rejected.jsonl")[0]["where"] == f"{pipe}:11"


def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(write(tmp_path / "in.jsonl", many(5)))
    real = PairSource.pairs

    def growing(self: PairSource, on_reject: Any) -> Iterator[Any]:
        yield from real(self, on_reject)
        write(source, [*many(5), pair("e0", question(0), "one more")])

    monkeypatch.setattr(PairSource, "pairs", growing)
    with pytest.raises(InputError, match="changed while it was read"):
        export_pairs(str(source), "trl-dpo", str(out))
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl"]


# The folder


def test_a_folder_that_was_exported_is_replaced_whole(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(20))
    export_pairs(source, "nemo-customizer", str(out))
    export_pairs(source, "llama-factory", str(out), options(val_fraction=0))
    assert sorted(os.listdir(out)) == [MANIFEST, "dataset_info.json", "train.jsonl"]
    assert json.loads((out / MANIFEST).read_bytes())["format"] == "llama-factory"


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(5))
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="has not written"):
        export_pairs(source, "trl-dpo", str(out))
    (out / "thesis.tex").rename(tmp_path / "thesis.tex")
    export_pairs(source, "trl-dpo", str(out))
    (out / "notes").mkdir()
    (out / "notes/mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="has not written"):
        export_pairs(source, "trl-dpo", str(out))
    assert (out / "notes/mine.txt").read_text() == "kept"


def test_into_the_folder_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "in.jsonl", [*many(5), b"bad"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export_pairs(source, "trl-dpo", ".")
    assert sorted(os.listdir(tmp_path)) == ["here", "here.rejected.jsonl", "in.jsonl"]
    assert (tmp_path / "here/train.jsonl").exists()


@pytest.mark.parametrize("name", ["-", "in.jsonl", "nowhere/out"])
def test_what_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "in.jsonl", many(2))
    with pytest.raises(UsageError):
        export_pairs(source, "trl-dpo", name if name == "-" else str(tmp_path / name))


def test_a_failure_leaves_the_old_folder(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_pairs(write(tmp_path / "in.jsonl", many(5)), "trl-dpo", str(out))
    before = (out / "train.jsonl").read_bytes()
    more = write(tmp_path / "more.jsonl", many(9))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        export_pairs(more, "trl-dpo", str(out))
    assert (out / "train.jsonl").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "more.jsonl", "out"]


def test_a_kill_between_two_renames_is_undone(tmp_path: Path, out: Path) -> None:
    export_pairs(write(tmp_path / "in.jsonl", many(5)), "trl-dpo", str(out))
    out.rename(tmp_path / ".out.old")
    (tmp_path / ".out.new").mkdir()
    folder = PartialFolder(out)
    assert (out / "train.jsonl").exists()
    folder.abort()
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "out"]


def test_two_at_once_are_refused(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(5))
    held = disk.lock(tmp_path / ".out.lock")
    assert held is not None
    with pytest.raises(StoreError, match="another plaudit"):
        export_pairs(source, "trl-dpo", str(out))
    os.close(held)


def test_memory_does_not_grow_with_the_pairs(tmp_path: Path) -> None:
    def peak(each: int) -> int:
        text = "x" * 2_000
        rows = (
            pair(f"e{n}", question(n), f"{text}{k}", text) for n in range(40) for k in range(each)
        )
        source = write(tmp_path / f"{each}.jsonl", rows)
        tracemalloc.start()
        export_pairs(source, "trl-kto", str(tmp_path / f"out{each}"))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)
    assert peak(100) < peak(25) + 3 * 2**20  # 8 MiB more were read, several times


def test_pairs_without_ids_and_scores_are_exported(tmp_path: Path, out: Path) -> None:
    rows = [{"query": question(n), "chosen": f"It is {n}.", "rejected": "No."} for n in range(40)]
    source = write(tmp_path / "in.jsonl", rows)
    done = export_pairs(source, "trl-dpo", str(out), ExportOptions(columns={"prompt": "query"}))
    assert (done.pairs, done.examples, done.exit_status) == (40, 40, 0)
    made = rows_of(out / "train.jsonl") + rows_of(out / "validation.jsonl")
    assert sorted(one["chosen"] for one in made) == sorted(str(one["chosen"]) for one in rows)
