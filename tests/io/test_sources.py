"""Every form of input, and every way in which it can be bad."""

import gzip
import io
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, MissingDependencyError, UsageError
from plaudit.io.rows import Row, Sizes
from plaudit.io.sources import RowReader, count_hint
from tests.support.examples import drawn

ROWS = [{"id": "a", "n": 1}, {"id": "b", "text": 'quote " and ] } [ { , \\ "'}, {"id": "ü😀"}]


@pytest.fixture
def write(tmp_path: Path, monkeypatch):
    """Write a file in the current folder and return its name."""
    monkeypatch.chdir(tmp_path)

    def write(data: bytes | str, name: str = "file.jsonl") -> str:
        Path(name).write_bytes(data.encode() if isinstance(data, str) else data)
        return name

    return write


def data(source: str | Path) -> list[dict]:
    rows = list(RowReader(source))
    assert [row.number for row in rows] == list(range(len(rows)))
    assert all(row.error is None for row in rows)
    return [row.data for row in rows if row.data is not None]


FORMS = {
    "lines": "\n".join(map(json.dumps, ROWS)),
    "lines, line end": "".join(json.dumps(row) + "\n" for row in ROWS),
    "lines, CRLF": "".join(json.dumps(row) + "\r\n" for row in ROWS),
    "lines, unescaped": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS),
    "lines, blank ones": "\n \n" + "\n\t\n\n".join(map(json.dumps, ROWS)) + "\n\n\n",
    "lines, BOM": "\ufeff" + "\n".join(map(json.dumps, ROWS)),
    "array": json.dumps(ROWS),
    "array, line end": json.dumps(ROWS) + "\n\n",
    "array, indented": json.dumps(ROWS, indent=2),
    "array, BOM": "\ufeff" + json.dumps(ROWS, indent=2),
    "array, a line each": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "array, opened on a data line": "[" + ",\n".join(map(json.dumps, ROWS)) + "]",
    "objects over many lines": "\n".join(json.dumps(row, indent=1) for row in ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_told_apart_by_content(write, form: str):
    assert data(write(FORMS[form], "anything.txt")) == ROWS


@pytest.mark.parametrize("form", FORMS)
def test_forms_on_standard_input(monkeypatch, form: str):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FORMS[form].encode())))
    assert data("-") == ROWS
    assert count_hint("-") is None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7])
def test_forms_that_come_in_small_pieces(tmp_path: Path, form: str, size: int):
    sizes = Sizes(head=16, chunk=size)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    text = FORMS[form].encode()

    def feed() -> None:
        with fifo.open("wb", buffering=0) as file:
            for start in range(0, len(text), size):
                file.write(text[start : start + size])

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        assert [row.data for row in RowReader(fifo, sizes=sizes)] == ROWS
    finally:
        thread.join()
    assert count_hint(fifo) is None


def test_one_object(write):
    assert data(write('{"a": 1}')) == [{"a": 1}]
    assert data(write('{"a": 1}\n')) == [{"a": 1}]
    assert data(write('{\n  "a": [{\n}, {}]\n}\n')) == [{"a": [{}, {}]}]


def test_where(write):
    lines = RowReader(write('\n{"a": 1}\n\n{"a": 2}\n'))
    assert [row.where for row in lines] == ["file.jsonl:2", "file.jsonl:4"]
    array = RowReader(write('[{"a": 1}, {"a": 2}]', "file.json"))
    assert [row.where for row in array] == ["file.json, element 1", "file.json, element 2"]


def test_lines_arrive_as_they_come(monkeypatch):
    """A pipe that stays open does not hold back the rows that came."""
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reading))
    with sys.stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        pipe.write(b'{"a": 1}\n{"a": 2}\n')
        rows = iter(RowReader("-"))
        assert [next(rows).data, next(rows).data] == [{"a": 1}, {"a": 2}]
        pipe.write(b'{"a": 3}\n')
        assert next(rows).where == "standard input:3"


BAD_LINES = {
    b'{"a": 1': "not JSON: it ends too early at column 8",
    b'{"a": 1,}': "not JSON: trailing comma in object at column 9",
    b"{'a': 1}": "not JSON: .* at column 2",
    '{"ü": 1 x}'.encode(): "not JSON: .* at column 9",
    b"hello": "not JSON: invalid character at column 1",
    b'{"a": NaN}': "not JSON: NaN and Infinity are not JSON numbers, at column 7",
    b'{"a": -Infinity}': "not JSON: NaN and Infinity are not JSON numbers, at column 8",
    b'{"a": 1e999}': "not JSON: Number out of range",
    b"[1, 2]": "not a JSON object but a list",
    b'"text"': "not a JSON object but a text",
    b"17": "not a JSON object but a number",
    b"1.5": "not a JSON object but a number",
    b"true": "not a JSON object but true or false",
    b"null": "not a JSON object but null",
    b'{"a": "x\xff"}': "invalid UTF-8 at byte 9",
    b'{"a": "\xed\xa0\x80"}': "invalid UTF-8 at byte 8",
    b'{"a": "\\ud800"}': r"half a character \(\\ud800, a lone surrogate\) at column 8",
    b'{"a": "\\ud800 x"}': r"half a character \(\\ud800, a lone surrogate\) at column 8",
    b'{"a": "\\udc00"}': r"half a character \(\\udc00, a lone surrogate\) at column 8",
    b'{"a": "x\0"}': r"NUL byte at column 9 \(was the file cut off",
    b"\0\0\0\0": "NUL byte at column 1",
    b'{"a": "tab\there"}': "not JSON: invalid character at column 11",
    b'{"a":' * 5_000: "nested too deeply|not JSON: it ends too early",
    b'{"a": 1} {"a": 2}': "not JSON: trailing characters at column 11",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: repr(line[:20]))
def test_bad_line_is_rejected_alone(write, line: bytes):
    name = write(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    good, bad, after = RowReader(name)
    assert (good.data, after.data) == ({"a": 1}, {"a": 2})
    assert (bad.number, bad.where, bad.data) == (1, "file.jsonl:2", None)
    assert bad.error is not None
    with pytest.raises(InputError, match=f"^file.jsonl:2: {BAD_LINES[line]}"):
        list(RowReader(name, strict=True))
    assert bad.text == line.decode("utf-8", "replace")[:200]


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: repr(line[:20]))
def test_bad_first_line_does_not_hide_the_form(write, line: bytes):
    rows = list(RowReader(write(line + b'\n{"a": 1}\n{"a": 2}\n')))
    assert [row.data for row in rows] == [None, {"a": 1}, {"a": 2}]
    with pytest.raises(InputError, match=r"^file\.jsonl:1: "):
        RowReader("file.jsonl", strict=True)


@pytest.mark.parametrize("line", list(BAD_LINES)[:-1], ids=lambda line: repr(line[:20]))
def test_bad_element_of_an_array(write, line: bytes):
    rows = list(RowReader(write(b'[{"a": 1},\n' + line + b',\n{"a": 2}]', "file.json")))
    assert rows[0].data == {"a": 1}
    bad = rows[1]
    assert (bad.number, bad.where, bad.data) == (1, "file.json, element 2", None)
    if len(rows) == 2:  # What is not closed takes the rest with it, and the message says so.
        assert bad.error is not None
        assert bad.error.endswith("nothing after it can be read")
    else:
        assert {"a": 2} in [row.data for row in rows]


def test_harmless_oddities(write):
    text = '{"a": 1, "a": 2}\n  {"b": "\\ud83d\\ude00 \\u0000"}  \n{"c": 123456789012345678901}'
    assert data(write(text)) == [{"a": 2}, {"b": "😀 \0"}, {"c": 123456789012345678901}]


def test_array_that_ends_early(write):
    rows = list(RowReader(write('[{"a": 1},\n{"a": 2}, {"a": [1, ', "file.json")))
    assert [row.data for row in rows] == [{"a": 1}, {"a": 2}, None]
    assert rows[2].error == "not JSON: the file ends inside it: nothing after it can be read"
    assert rows[2].text == '{"a": [1,'


@pytest.mark.parametrize("ending", ["", ",", ", "])
def test_array_that_is_not_closed(write, ending: str):
    rows = list(RowReader(write('[\n{"a": 1}' + ending, "file.json")))
    assert rows[0].data == {"a": 1}
    assert rows[1].error == "the file ends inside the array: nothing after it can be read"


def test_array_with_brackets_that_do_not_match(write):
    rows = list(RowReader(write('[{"a": 1}, {"a": [1}, {"a": 2}]', "file.json")))
    assert rows[0].data == {"a": 1}
    assert rows[1].error == "not JSON: '}' closes nothing: nothing after it can be read"
    assert len(rows) == 2


def test_text_after_an_array(write):
    rows = list(RowReader(write('[\n{"a": 1}\n]\n{"a": 2}', "file.json")))
    assert [row.data for row in rows] == [{"a": 1}, None]
    assert rows[1].where == "file.json, after the array"
    assert rows[1].error == "text after the end of the array is not read"


@pytest.mark.parametrize("text", ["", "\n", " \n\t\r\n  ", "\ufeff", "[]", "[\n]", "[ ]\n"])
def test_empty(write, text: str):
    with pytest.raises(InputError, match=r"file\.jsonl is empty: no rows to judge"):
        RowReader(write(text))


def test_null_device():
    with pytest.raises(InputError, match="/dev/null is empty"):
        RowReader("/dev/null")


def test_empty_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="standard input is empty"):
        RowReader("-")


def test_sources_that_are_none(tmp_path: Path):
    with pytest.raises(InputError, match=r"missing\.jsonl: no such file"):
        RowReader(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="is a folder without data"):
        RowReader(tmp_path)
    with pytest.raises(InputError, match="cannot be read: "):
        RowReader("x" * 5_000)
    (tmp_path / "file").write_text("{}")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        RowReader(tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("magic", "problem"),
    [
        (b"\x1f\x8b\x08\x00", "cannot be decompressed"),
        (gzip.compress(b'{"a": 1}\n' * 9, mtime=0)[:-9], "cannot be decompressed"),
        (b"PK\x03\x04", "ZIP"),
        ("\ufeff{}".encode("utf-16-le"), "UTF-16"),
        ("\ufeff{}".encode("utf-16-be"), "UTF-16"),
        (b"SQLite format 3\0", "SQLite"),
    ],
)
def test_other_formats_are_named(write, magic: bytes, problem: str):
    with pytest.raises(InputError, match=f"file.jsonl .*{problem}"):
        RowReader(write(magic))


def test_a_huge_line_is_fine(write):
    text = "x" * 50_000_000
    assert data(write(json.dumps({"a": text}) + '\n{"a": 1}\n')) == [{"a": text}, {"a": 1}]
    assert data(write(json.dumps([{"a": text}, {"a": 1}]))) == [{"a": text}, {"a": 1}]


def test_a_line_over_the_limit_is_rejected_alone(write):
    name, sizes = write('{"a": 1}\n{"a": "' + "x" * 2_500_000 + '"}\n{"a": 2}\n'), Sizes(row=2**20)
    rows = list(RowReader(name, sizes=sizes))
    assert [row.data for row in rows] == [{"a": 1}, None, {"a": 2}]
    assert rows[1].error == "longer than 1 MiB"
    assert [row.where for row in rows][2] == "file.jsonl:3"
    name = write('[{"a": 1}, {"a": "' + "x" * 2_500_000 + '"}, {"a": 2}]')
    rows = list(RowReader(name, sizes=sizes))
    assert rows[1].error is not None
    assert rows[1].error.startswith("longer than 1 MiB, or a quote or bracket is missing")


def test_a_document_is_looked_for_within_bounds(write):
    lines = '{"a": [\n' + '{"b": 1}\n' * 200_000
    rows = RowReader(write(lines), sizes=Sizes(document=10_000))
    errors = [row for row in rows if row.error]
    assert len(errors) == 1
    assert errors[0].where == "file.jsonl:1"


_MEMORY = """
    import sys, resource
    from plaudit.io.sources import RowReader
    if sys.argv[1].endswith("parquet"): import pyarrow.parquet
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = sum(1 for _ in RowReader(sys.argv[1]))
    print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """


@pytest.mark.parametrize("form", ["lines", "array", "array in one line", "bad first line"])
def test_memory_does_not_grow_with_the_input(write, form: str):
    row = json.dumps({"query": "q" * 500, "answer": "a" * 500})
    between = ",\n" if form == "array" else ", " if form == "array in one line" else "\n"
    text = between.join([row] * 50_000)
    if form.startswith("array"):
        text = f"[{text}]"
    elif form == "bad first line":
        text = f"hello\n{text}"
    name = write(text)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_MEMORY), name],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, kilobytes = map(int, done.stdout.split())
    assert rows == 50_000 + (form == "bad first line")
    assert kilobytes < 16_000  # the file has 50 MB


def test_bytes_read_reaches_the_hint(write):
    name = write("".join(json.dumps(row) + "\n" for row in ROWS))
    reader = RowReader(name)
    seen = [reader.bytes_read for _ in reader]
    assert seen == sorted(seen)
    assert seen[-1] == count_hint(name) == Path(name).stat().st_size
    name = write(json.dumps(ROWS))
    reader = RowReader(name)
    list(reader)
    assert reader.bytes_read == count_hint(name)


def test_reader_is_closed(write):
    name = write('{"a": 1}\n' * 10)
    with RowReader(name) as reader:
        assert next(reader).data == {"a": 1}
    list(RowReader(name))
    assert next(iter(RowReader(name))).data == {"a": 1}  # forgotten: no warning either
    assert isinstance(reader, RowReader)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
rows_of_anything = st.lists(st.dictionaries(st.text(), json_values, max_size=5), min_size=1)


@settings(
    deadline=None,
    max_examples=drawn(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=rows_of_anything, indent=st.sampled_from([None, 0, 3]), ascii=st.booleans())
def test_any_rows_survive(write, rows: list[dict], indent: int | None, ascii: bool):
    lines = "\n".join(json.dumps(row, ensure_ascii=ascii) for row in rows)
    assert data(write(lines)) == rows
    assert data(write(json.dumps(rows, indent=indent, ensure_ascii=ascii))) == rows
    if rows[0]:  # {} on the first line would say that these are lines
        documents = "\n".join(json.dumps(row, indent=indent, ensure_ascii=ascii) for row in rows)
        assert data(write(documents)) == rows


@settings(
    deadline=None,
    max_examples=drawn(80),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    text=st.binary(max_size=60)
    | st.text('[]{}",:\\a1 \n', max_size=60).map(str.encode)
    | st.tuples(rows_of_anything.map(lambda r: json.dumps(r).encode()), st.integers(0, 60)).map(
        lambda cut: cut[0][: cut[1]]
    )
)
def test_no_input_breaks_the_reader(write, text: bytes):
    try:
        rows = list(RowReader(write(text)))
    except InputError:
        return
    for number, row in enumerate(rows):
        assert row.number == number
        assert (row.data is None) == (row.error is not None)
        msgspec.json.encode(row)


# Tables


def test_parquet(tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    from datetime import UTC, datetime
    from decimal import Decimal

    table = pa.table(
        {
            "id": ["a", "b", None],
            "x": [1.5, float("nan"), float("inf")],
            "messages": [[{"role": "user", "content": "ü"}], [], None],
            "probabilities": pa.array([[("a", 0.5)], [], None], pa.map_(pa.string(), pa.float64())),
            "when": [datetime(2026, 1, 2, tzinfo=UTC), None, None],
            "price": [Decimal("1.20"), None, None],
            "blob": [b"\0\xff", None, None],
        }
    )
    path = tmp_path / "no-suffix"
    pq.write_table(table, path)
    reader = RowReader(path)
    rows = list(reader)
    assert rows[0] == Row(
        0,
        f"{path}, row 1",
        {
            "id": "a",
            "x": 1.5,
            "messages": [{"role": "user", "content": "ü"}],
            "probabilities": {"a": 0.5},
            "when": "2026-01-02T00:00:00Z",
            "price": "1.20",
            "blob": "AP8=",
        },
    )
    assert rows[1].data is not None
    assert rows[1].data["x"] is None
    assert [row.where for row in rows][2] == f"{path}, row 3"
    assert reader.bytes_read == count_hint(path)
    msgspec.json.encode([row.data for row in rows])


def test_parquet_that_is_damaged(tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InputError, match=r"t\.parquet cannot be read as Parquet"):
        RowReader(path)
    pq.write_table(pa.table({"a": list(range(5_000))}), path, row_group_size=1_000)
    whole = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).dictionary_page_offset
    whole[start : start + 200] = b"\xff" * 200
    path.write_bytes(whole)
    rows = list(RowReader(path))
    assert len(rows) == 2_001
    assert rows[-1].error is not None
    assert rows[-1].error.endswith("nothing after it can be read")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(InputError, match="is empty"):
        RowReader(path)


def test_parquet_on_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"PAR1....")))
    with pytest.raises(InputError, match="give the file"):
        RowReader("-")


@pytest.mark.parametrize(
    ("package", "module", "extra"),
    [("pyarrow", "pyarrow.parquet", "parquet"), ("datasets", "datasets", "datasets")],
)
def test_missing_package(tmp_path: Path, monkeypatch, package: str, module: str, extra: str):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "x"
    if package == "pyarrow":
        path.write_bytes(b"PAR1")
    else:
        path.mkdir()
        (path / "dataset_info.json").write_text("{}")
    with pytest.raises(MissingDependencyError, match=rf"pip install 'plaudit\[{extra}\]'"):
        RowReader(path)


def test_folder_of_several_splits(tmp_path: Path):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "dataset_info.json").write_text("{}")
    with pytest.raises(UsageError, match=f"{tmp_path}/test, {tmp_path}/train"):
        RowReader(tmp_path)


def test_datasets_folder(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    rows = [{"id": str(n), "messages": [{"role": "user", "content": "x"}]} for n in range(2_500)]
    path = tmp_path / "saved"
    datasets.Dataset.from_list(rows).save_to_disk(str(path))
    reader = RowReader(path)
    assert [row.data for row in reader] == rows
    assert reader.bytes_read == count_hint(path)
    filtered = tmp_path / "filtered"
    datasets.load_from_disk(str(path)).select([5, 3]).save_to_disk(str(filtered))
    assert data(filtered) == [rows[5], rows[3]]
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(UsageError, match="d/train"):
        RowReader(tmp_path / "d")
