"""Ordered output against real files, devices, pipes, full disks and a real store."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.errors import Cause, MissingDependencyError, StoreError, UsageError
from plaudit.io.output import RejectWriter
from plaudit.io.places import check_output, rejected_path
from plaudit.io.rows import Row
from plaudit.io.sinks import OrderedWriter
from plaudit.io.sources import RowReader
from plaudit.io.tables import is_verdict_folder
from plaudit.store.store import Store
from plaudit.types import Failure, Usage, Verdict
from tests.support.examples import drawn


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "home" / "store.sqlite") as store:
        yield store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "out.jsonl"


def line(index: int) -> bytes:
    return b'{"index":%d}' % index


def text(count: int) -> bytes:
    return b"".join(line(index) + b"\n" for index in range(count))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@settings(
    deadline=None,
    max_examples=drawn(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    order=st.integers(1, 40).flatmap(lambda n: st.permutations(range(n))), memory=st.integers(0, 9)
)
def test_any_order_gives_ordered_output(store: Store, out: Path, order: list[int], memory: int):
    writer = OrderedWriter(out, store, 1, memory_lines=memory)
    for index in order:
        writer.write(index, line(index))
    writer.commit()
    assert out.read_bytes() == text(len(order))
    assert names(out.parent) == ["out.jsonl"]
    assert list(store.take_held(1, 0)) == []


def test_lines_are_written_as_soon_as_they_may(store: Store, out: Path):
    writer = OrderedWriter(out, store, 1, memory_lines=1)
    partial = out.with_name(".out.jsonl.partial")
    big = b"x" * 300_000
    writer.write(0, big)
    assert partial.stat().st_size >= 300_000
    writer.write(2, big)
    writer.write(3, big)
    assert partial.stat().st_size < 600_000
    writer.write(1, big)
    assert partial.stat().st_size >= 1_200_000
    assert not out.exists()
    writer.abort()


class Held:
    """Counts the lines that are held in a store."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self.take_held = store.take_held
        self._hold = store.hold

    def hold(self, run: int, index: int, line: bytes) -> None:
        self.count += 1
        self._hold(run, index, line)


def test_memory_stays_bounded_while_the_first_sample_hangs(store: Store, out: Path):
    held = Held(store)
    writer = OrderedWriter(out, held, 1, memory_lines=100)
    order = list(range(1, 20_000))
    for start in range(0, len(order), 50):  # in flight: finished in some order
        chunk = order[start : start + 50]
        random.Random(start).shuffle(chunk)
        order[start : start + 50] = chunk
    for written, index in enumerate(order, 1):
        writer.write(index, line(index))
        assert written - held.count <= 100
    writer.write(0, line(0))
    writer.write(20_000, line(20_000))
    writer.write(20_001, line(20_001))
    writer.commit()
    assert out.read_bytes() == text(20_002)


def test_large_lines_leave_memory_early(store: Store, out: Path):
    held = Held(store)
    writer = OrderedWriter(out, held, 1)
    for index in range(1, 50):
        writer.write(index, b"x" * 2_000_000)
    assert (49 - held.count) * 2_000_000 < 33 * 2**20
    writer.write(0, b"")
    writer.commit()
    assert out.stat().st_size == 49 * 2_000_001 + 1


def test_output_is_untouched_until_commit_and_by_abort(store: Store, out: Path):
    out.write_text("old")
    out.chmod(0o640)
    writer = OrderedWriter(out, store, 1)
    writer.write(0, line(0))
    assert out.read_text() == "old"
    assert names(out.parent) == [".out.jsonl.partial", "out.jsonl"]
    writer.abort()
    writer.abort()
    assert (out.read_text(), names(out.parent)) == ("old", ["out.jsonl"])
    writer = OrderedWriter(out, store, 1)
    writer.write(0, line(0))
    writer.commit()
    writer.abort()
    assert (out.read_bytes(), names(out.parent)) == (text(1), ["out.jsonl"])
    assert out.stat().st_mode & 0o777 == 0o640


def test_no_lines_give_an_empty_file(store: Store, out: Path):
    OrderedWriter(out, store, 1).commit()
    assert out.read_bytes() == b""


def test_a_missing_line_is_never_papered_over(store: Store, out: Path):
    writer = OrderedWriter(out, store, 1)
    writer.write(0, line(0))
    writer.write(2, line(2))
    with pytest.raises(RuntimeError, match="no line for index 1"):
        writer.commit()
    assert names(out.parent) == []


def test_a_link_stays_a_link(store: Store, out: Path, tmp_path: Path):
    link = tmp_path / "link.jsonl"
    link.symlink_to(out)
    writer = OrderedWriter(link, store, 1)
    writer.write(0, line(0))
    writer.commit()
    assert link.is_symlink()
    assert out.read_bytes() == text(1)


def test_two_writers_of_one_file(store: Store, out: Path):
    first = OrderedWriter(out, store, 1)
    first.write(0, line(0))
    with pytest.raises(StoreError, match="is being written by another plaudit"):
        OrderedWriter(out, store, 2)
    first.commit()
    assert out.read_bytes() == text(1)


def test_partial_file_of_a_killed_process_is_taken_over(store: Store, out: Path):
    code = """
        import sys, os, signal
        from plaudit.io.sinks import OrderedWriter
        writer = OrderedWriter(sys.argv[1], None, 1)
        writer.write(0, b"x" * 10_000_000)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), out])
    assert done.returncode == -signal.SIGKILL
    assert names(out.parent) == [".out.jsonl.partial"]
    writer = OrderedWriter(out, store, 1)
    writer.write(0, line(0))
    writer.commit()
    assert (out.read_bytes(), names(out.parent)) == (text(1), ["out.jsonl"])


def test_check_output(out: Path, tmp_path: Path, monkeypatch):
    for good in ("-", out, str(out), "/dev/null", "/dev/full", "relative.jsonl", "x.parquet"):
        check_output(good)
    with pytest.raises(UsageError, match=r"the folder .*/no does not exist: make it with mkdir -p"):
        check_output(tmp_path / "no" / "out.jsonl")
    with pytest.raises(UsageError, match="is a folder: give the name of a file in it"):
        check_output(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="is not writable"):
        check_output(out)
    with pytest.raises(UsageError, match="/dev/null is not writable"):
        check_output("/dev/null")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match="parquet"):
        check_output(tmp_path / "x.parquet")
    assert names(out.parent) == []


# Devices, pipes, standard output


def test_special_files_are_written_never_replaced(store: Store, tmp_path: Path):
    writer = OrderedWriter("/dev/null", store, 1)
    writer.write(0, line(0))
    writer.commit()
    assert Path("/dev/null").is_char_device()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    writer = OrderedWriter(fifo, store, 1)
    writer.write(1, line(1))
    writer.write(0, line(0))
    writer.commit()
    reader.join()
    assert (got, fifo.is_fifo()) == ([text(2)], True)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_full_device(store: Store, size: int):
    writer = OrderedWriter("/dev/full", store, 1)
    with pytest.raises(StoreError, match="/dev/full could not be written: No space left"):
        writer.write(0, b"x" * size)
        writer.commit()


_STANDARD_OUTPUT = """
    import sys
    from plaudit.io.sinks import OrderedWriter
    writer = OrderedWriter("-", None, 1)
    for index in range(200_000):
        writer.write(index, b'{"index":%d}' % index)
        if writer.broken:
            break
    writer.commit()
    print(index, writer.broken, file=sys.stderr)
    """


def test_standard_output():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(_STANDARD_OUTPUT)],
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"199999 False\n")
    assert done.stdout == text(200_000)


def test_standard_output_whose_reader_goes():
    command = f'{sys.executable} -W error -c "$CODE" | head -n 1'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "CODE": textwrap.dedent(_STANDARD_OUTPUT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, '{"index":0}\n')
    last, broken = done.stderr.split()
    assert (int(last) < 199_999, broken) == (True, "True")


# A full disk

_FULL = """
    import sys, signal
    from pathlib import Path
    from plaudit.errors import StoreError
    from plaudit.io.output import RejectWriter
    from plaudit.io.sinks import OrderedWriter
    from plaudit.io.rows import Row
    out = Path(sys.argv[1])
    row = b'{"index":0,"id":"%s","status":"ok"}'
    try:
        if sys.argv[2] == "reject":
            writer = RejectWriter(out)
            for index in range(100_000):
                writer.write(Row(index, f"in:{index}", None, "bad", "x" * 200))
        else:
            writer = OrderedWriter(out, None, 1)
            for index in range(int(sys.argv[2])):
                writer.write(index, row % (b"%032x" % (index * 7919**8)))
        writer.commit()
    except StoreError as error:
        print(error)
    writer.abort()
    print(sorted(file.name for file in out.parent.iterdir()), out.read_text())
    """


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("out.jsonl", "100000"),
        ("out.jsonl", "16500"),
        ("out.jsonl", "reject"),
        ("out.parquet", "100000"),
    ],
)
def test_full_disk(out: Path, name: str, rows: str):
    """100,000 rows fail while they are written, 16,500 when the rest is flushed at the end."""
    out = out.with_name(name)
    out.write_text("old")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(_FULL), out, rows],
        capture_output=True,
        text=True,
        preexec_fn=_limit,
    )
    assert done.stderr == ""
    message, left = done.stdout.splitlines()
    assert "could not be written: File too large" in message
    assert "Free some space and give the same command again" in message
    assert left == f"['{name}'] old"


# Parquet

VERDICTS = [
    Verdict(
        index=0,
        id="a",
        status="ok",
        value="pos_praise",
        reward=0.5,
        confidence=0.9,
        probabilities={"pos_praise": 0.75, "neutral": 0.25},
        fields={"expected_reward": 0.5, "rationale": "ü"},
        usage=Usage(7, 1),
        judge="feedback/123",
        metadata={"label": "x", "n": [1, None]},
        input={"query": "q"},
    ),
    Verdict(
        index=1,
        id="b",
        status="failed",
        error=Failure(Cause.TIMEOUT, "no reply", 3),
        judge="feedback/123",
        input={"query": "q2"},
    ),
]


def write_parquet(
    out: Path, store: Store, verdicts: list[Verdict], group_rows: int = 10_000
) -> list[dict]:
    writer = OrderedWriter(out, store, 1, group_rows=group_rows)
    for verdict in reversed(verdicts):
        writer.write(verdict.index, msgspec.json.encode(verdict))
    writer.commit()
    return pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()


def test_parquet(store: Store, out: Path):
    out = out.with_suffix(".parquet")
    ok, failed = write_parquet(out, store, VERDICTS)
    assert ok == {
        "index": 0,
        "id": "a",
        "status": "ok",
        "value": "pos_praise",
        "reward": 0.5,
        "confidence": 0.9,
        "probabilities": [("pos_praise", 0.75), ("neutral", 0.25)],
        "fields": '{"expected_reward":0.5,"rationale":"ü"}',
        "usage": {"input_tokens": 7, "output_tokens": 1},
        "judge": "feedback/123",
        "error": None,
        "metadata": '{"label":"x","n":[1,null]}',
        "input": '{"query":"q"}',
    }
    assert failed["reward"] is failed["value"] is failed["probabilities"] is None
    assert failed["error"] == {"cause": "timeout", "message": "no reply", "attempts": 3}
    first = out.read_bytes()
    write_parquet(out, store, VERDICTS)
    assert (out.read_bytes(), names(out.parent)) == (first, ["out.parquet"])
    row = next(iter(RowReader(out)))
    assert row.data is not None
    assert row.data["probabilities"] == {"pos_praise": 0.75, "neutral": 0.25}


def test_parquet_values_are_numbers_where_the_judge_gives_numbers(store: Store, out: Path):
    out = out.with_suffix(".parquet")
    verdicts = [
        Verdict(index=0, id="a", status="failed"),
        Verdict(index=1, id="b", status="ok", value=7),
        Verdict(index=2, id="c", status="ok", value=7.5, raw=["{}"]),
    ]
    rows = write_parquet(out, store, verdicts)
    assert [row["value"] for row in rows] == [None, 7.0, 7.5]
    assert [row["raw"] for row in rows] == [None, None, '["{}"]']


def test_parquet_of_many_rows_and_of_none(store: Store, out: Path):
    out = out.with_suffix(".parquet")
    verdicts = [Verdict(index=n, id=str(n), status="ok", value="x") for n in range(25_000)]
    assert [row["id"] for row in write_parquet(out, store, verdicts)] == [
        str(n) for n in range(25_000)
    ]
    assert write_parquet(out, store, []) == []


@pytest.mark.parametrize("rows", [[{"a": 1}, {"b": 1}], [{"id": 1}, {"id": "x"}]])
def test_rows_that_fit_no_table(store: Store, out: Path, rows: list[dict]):
    pytest.importorskip("pyarrow")
    out = out.with_suffix(".parquet")
    writer = OrderedWriter(out, store, 1, group_rows=1)
    with pytest.raises(StoreError, match="write JSON Lines"):
        for index, row in enumerate(rows):
            writer.write(index, json.dumps(row).encode())
    assert names(out.parent) == []


def test_a_value_of_another_type_is_named(store: Store, out: Path):
    writer = OrderedWriter(out.with_suffix(".parquet"), store, 1, group_rows=1)
    writer.write(0, b'{"index":0,"value":3}')
    with pytest.raises(StoreError, match="the value of sample 1 is text, where earlier ones are"):
        writer.write(1, b'{"index":1,"value":"A"}')
    assert names(out.parent) == []


def test_the_type_of_values_does_not_hang_on_an_outage_at_the_beginning(store: Store, out: Path):
    for judge, value in (("pointwise/1", 7.0), ("verify/1", "correct")):
        verdicts = [
            Verdict(index=0, id="a", status="failed", judge=judge),
            Verdict(index=1, id="b", status="ok", value=value, judge=judge),
        ]
        rows = write_parquet(out.with_suffix(".parquet"), store, verdicts, group_rows=1)
        assert [row["value"] for row in rows] == [None, value]


def test_metadata_of_any_type_is_json_text(store: Store, out: Path):
    kinds = [{"x": 1}, {"x": "one"}, {"x": [1, {"y": None}]}, {"z": 1.5}]
    verdicts = [Verdict(index=n, id="i", status="ok", metadata=m) for n, m in enumerate(kinds)]
    rows = write_parquet(out.with_suffix(".parquet"), store, verdicts, group_rows=1)
    assert [json.loads(row["metadata"]) for row in rows] == kinds


def test_large_rows_make_small_row_groups(store: Store, out: Path):
    out = out.with_suffix(".parquet")
    verdicts = [
        Verdict(index=n, id="i", status="ok", input={"query": "x" * 4_000_000}) for n in range(20)
    ]
    write_parquet(out, store, verdicts)
    assert pytest.importorskip("pyarrow.parquet").ParquetFile(out).num_row_groups == 3


_MANY = """
    import resource, sys
    from plaudit.io.sinks import OrderedWriter
    writer = OrderedWriter(sys.argv[1], None, 1)
    text = b"lorem ipsum " * 40
    for n in range(int(sys.argv[2])):
        writer.write(
            n, b'{"index":%d,"id":"i%d","status":"ok","input":{"query":"%d %b"}}' % (n, n, n, text)
        )
    writer.commit()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_memory_of_a_table_does_not_grow_with_its_rows(out: Path, name: str):
    """Ten times the rows, 70 MB of text more."""
    pytest.importorskip("pyarrow")
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(_MANY), f"{out.parent}/{name}", str(rows)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for rows in (20_000, 160_000)
    ]
    assert peaks[1] < peaks[0] + 40


# Folders of datasets


def write_folder(folder: Path, store: Store, verdicts: list[Verdict]):
    datasets = pytest.importorskip("datasets")
    writer = OrderedWriter(f"{folder}/", store, 1)
    for verdict in reversed(verdicts):
        writer.write(verdict.index, msgspec.json.encode(verdict))
    writer.commit()
    return datasets.load_from_disk(str(folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_folder_of_datasets(store: Store, out: Path):
    folder = out.parent / "verdicts"
    data = write_folder(folder, store, VERDICTS)
    ok, failed = data
    assert data.column_names == list(Verdict.__struct_fields__[:-1])  # no raw
    assert (ok["index"], ok["status"], ok["value"], ok["reward"]) == (0, "ok", "pos_praise", 0.5)
    assert json.loads(ok["probabilities"]) == {"pos_praise": 0.75, "neutral": 0.25}
    assert json.loads(ok["metadata"]) == {"label": "x", "n": [1, None]}
    assert ok["usage"] == {"input_tokens": 7, "output_tokens": 1}
    assert (ok["error"], failed["reward"], failed["probabilities"]) == (None, None, None)
    assert failed["error"] == {"cause": "timeout", "message": "no reply", "attempts": 3}
    before = contents(folder)
    write_folder(folder, store, VERDICTS)
    assert contents(folder) == before
    rows = [row.data for row in RowReader(folder)]
    assert [row["id"] for row in rows if row] == ["a", "b"]


def fingerprint_of(folder: Path) -> str:
    return json.loads((folder / "state.json").read_text())["_fingerprint"]


def test_a_folder_is_replaced_as_a_whole_and_only_at_the_end(store: Store, out: Path):
    folder = out.parent / "verdicts"
    data = write_folder(folder, store, VERDICTS)
    fingerprint = fingerprint_of(folder)
    data.map(lambda row: {"more": 1})  # datasets keeps a cache in the folder
    before = contents(folder)
    writer = OrderedWriter(folder, store, 1)  # known without the / now that it is there
    writer.write(0, msgspec.json.encode(VERDICTS[0]))
    assert contents(folder) == before
    assert names(out.parent) == [".verdicts.lock", ".verdicts.new", "verdicts"]
    with pytest.raises(StoreError, match="being written by another"):
        OrderedWriter(f"{folder}/", store, 2)
    writer.abort()
    assert (contents(folder), names(out.parent)) == (before, ["verdicts"])
    data = write_folder(folder, store, VERDICTS[:1])
    assert (len(data), fingerprint_of(folder) == fingerprint) == (1, False)
    assert len(contents(folder)) == 3
    assert names(out.parent) == ["verdicts"]
    assert len(write_folder(out.parent / "none", store, [])) == 0


@pytest.mark.parametrize("killed_before", ["first rename", "second rename", "the old is removed"])
def test_a_kill_while_a_folder_is_replaced(store: Store, out: Path, killed_before: str):
    """The states that a kill can leave; the next run ends with one folder and nothing beside it."""
    folder = out.parent / "verdicts"
    new, old = out.parent / ".verdicts.new", out.parent / ".verdicts.old"
    write_folder(folder, store, VERDICTS)
    shutil.copytree(folder, new)
    if killed_before == "second rename":
        folder.rename(old)
    if killed_before == "the old is removed":
        new.rename(old)
    writer = OrderedWriter(f"{folder}/", store, 1)
    assert is_verdict_folder(folder)
    writer.abort()
    assert is_verdict_folder(folder)
    assert len(write_folder(folder, store, VERDICTS[:1])) == 1
    assert names(out.parent) == ["verdicts"]


def test_folders_that_are_not_ours_are_never_replaced(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "empty").mkdir()
    check_output(f"{tmp_path}/empty/")
    check_output(f"{tmp_path}/new/")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file, not a folder: leave out the /"):
        check_output(f"{tmp_path}/file/")
    datasets.Dataset.from_dict({"x": [1]}).save_to_disk(str(tmp_path / "data"))
    with pytest.raises(UsageError, match="is a folder that plaudit has not written"):
        check_output(f"{tmp_path}/data/")
    with pytest.raises(UsageError, match="or the name of a new folder with a / at its end"):
        check_output(tmp_path / "data")


# Rejected rows


@pytest.mark.parametrize(
    ("out", "path"),
    [
        ("out.jsonl", "out.rejected.jsonl"),
        ("a/out.parquet", "a/out.rejected.jsonl"),
        ("out", "out.rejected.jsonl"),
        ("v1.2.jsonl", "v1.2.rejected.jsonl"),
        ("-", None),
        (None, None),
        ("/dev/null", None),
    ],
)
def test_rejected_path(out: str | None, path: str | None):
    assert rejected_path(out) == (None if path is None else Path(path))


def test_rejected_rows(out: Path):
    rejects = RejectWriter(out)
    assert names(out.parent) == []
    rejects.write(Row(0, "in.jsonl:1", None, "not JSON", "he said ü\ufffd"))
    rejects.write(Row(1, "in.jsonl:2", {"a": "x" * 500}), "no query")
    rejects.commit()
    assert names(out.parent) == ["out.rejected.jsonl"]
    assert rejects.path is not None
    first, second = map(json.loads, rejects.path.read_text().splitlines())
    assert first == {"where": "in.jsonl:1", "error": "not JSON", "text": "he said ü\ufffd"}
    assert (second["where"], second["error"]) == ("in.jsonl:2", "no query")
    assert len(second["text"]) == 200
    assert (rejects.count, rejects.first) == (2, "in.jsonl:1: not JSON")


def test_stale_rejects_go_when_there_are_none(out: Path):
    stale = out.with_name("out.rejected.jsonl")
    stale.write_text("old")
    aborted = RejectWriter(out)
    aborted.write(Row(0, "in.jsonl:1", None, "not JSON", ""))
    aborted.abort()
    assert (stale.read_text(), names(out.parent)) == ("old", ["out.rejected.jsonl"])
    RejectWriter(out).commit()
    assert names(out.parent) == []
    RejectWriter(out).commit()


def test_rejects_without_a_place_are_counted():
    rejects = RejectWriter("-")
    rejects.write(Row(0, "standard input:1", None, "not JSON", ""))
    rejects.commit()
    rejects.abort()
    assert (rejects.path, rejects.count) == (None, 1)
