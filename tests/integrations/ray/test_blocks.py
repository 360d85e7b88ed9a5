import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from plaudit.errors import InputError
from plaudit.integrations.ray.blocks import RayBlock, RayBlockReader, cut


def lines(count: int) -> Iterator[str]:
    return (json.dumps({"id": str(n), "text": "é" * (n % 40)}) for n in range(count))


def ids(blocks: list[RayBlock]) -> list[list[str]]:
    reader = RayBlockReader()
    return [[row.data["id"] if row.data else "?" for row in reader.rows(one)] for one in blocks]


def joined(blocks: list[RayBlock]) -> list[str]:
    return [one for block in ids(blocks) for one in block]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    rows = [{"id": str(n)} for n in range(100)]
    parquet.write_table(arrow.Table.from_pylist(rows), path, row_group_size=30)
    return path


@pytest.mark.parametrize("rows", [1, 7, 30, 1000])
def test_blocks_of_parquet_hold_each_row_once(table: Path, rows: int) -> None:
    blocks = cut(str(table), rows)
    assert [len(block) for block in ids(blocks)][:-1] == [rows] * (len(blocks) - 1)
    assert joined(blocks) == [str(n) for n in range(100)]


@pytest.mark.parametrize("size", [1, 3, 50, 64, 1000, 10**6])
@pytest.mark.parametrize("end", ["", "\n"])
def test_blocks_of_lines_hold_each_row_once(tmp_path: Path, size: int, end: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines(60)) + end)
    total = path.stat().st_size
    blocks = [
        RayBlock(n, str(path), "lines", start, min(start + size, total), total, 0)
        for n, start in enumerate(range(0, total, size))
    ]
    assert joined(blocks) == [str(n) for n in range(60)]


def test_a_bad_line_is_a_row_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\ufeff{"id": "0"}\n{"id": \n\n{"id": "1"}\r\n')
    (block,) = cut(str(path))
    rows = list(RayBlockReader().rows(block))
    assert [row.data and row.data["id"] for row in rows] == ["0", None, "1"]
    assert rows[1].where == f"{path}, byte 15"
    assert rows[1].error == "not JSON: it ends too early at column 7"


def test_a_folder_is_read_by_names_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden", "_SUCCESS"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": name}) + "\n")
    blocks = cut(f"{tmp_path}/")
    assert [block.number for block in blocks] == [0, 1]
    assert joined(blocks) == ["a", "b"]


def test_a_url_is_read(table: Path) -> None:
    assert joined(cut(f"file://{table}", 40)) == [str(n) for n in range(100)]


def test_blocks_are_the_same_in_every_attempt_until_the_file_changes(table: Path) -> None:
    before = cut(str(table), 40)
    assert cut(str(table), 40) == before
    table.write_bytes(table.read_bytes())
    assert cut(str(table), 40) != before


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(b'{"id": "0"}\n'))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.touch(), "is empty: no rows to judge"),
        (lambda path: path.write_text('[{"id": "0"}]'), "cannot be cut into blocks"),
        (write_gzip, "cannot be cut into blocks"),
        (lambda path: path.write_bytes(b"PAR1 no table"), "cannot be read as Parquet"),
    ],
)
def test_what_cannot_be_cut_is_refused(tmp_path: Path, write: Any, said: str) -> None:
    path = tmp_path / "rows"
    write(path)
    with pytest.raises(InputError, match=said):
        cut(str(path))
