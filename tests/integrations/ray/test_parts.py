from pathlib import Path

import msgspec
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from plaudit.errors import StoreError, UsageError
from plaudit.integrations.ray.blocks import RayBlock
from plaudit.integrations.ray.parts import OutputPart, PartsFolder
from plaudit.io.tables import VERDICT, ParquetPart

BLOCKS = [RayBlock(n, "rows.jsonl", "lines", 10 * n, 10 * n + 10, 30, 5) for n in range(3)]


def table(number: int, rows: int) -> bytes:
    part = ParquetPart("part", VERDICT.split(), "string")
    for n in range(rows):
        part.write(msgspec.json.encode({"index": (number << 32) + n, "id": "x", "status": "ok"}))
    return part.whole()


def finish(folder: PartsFolder, number: int, rows: int, *rejected: str) -> OutputPart:
    lines = [msgspec.Raw(msgspec.json.encode(one)) for one in rejected]
    part = OutputPart(block=BLOCKS[number], fingerprint="f", rows=rows, rejected=lines)
    folder.finish(part, table(number, rows))
    return part


def test_finished_parts_are_known_to_the_next_attempt(tmp_path: Path) -> None:
    folder = PartsFolder(tmp_path / "out", "f")
    assert folder.open(BLOCKS) == {}
    finish(folder, 1, 2)
    (tmp_path / "out" / ".part-000002.parquet.abc.new").touch()
    (tmp_path / "out" / "part-000000.parquet").touch()  # Killed before its note.
    assert list(PartsFolder(tmp_path / "out", "f").open(BLOCKS)) == [1]
    names = sorted(file.name for file in (tmp_path / "out").glob("*"))
    assert names == [".parts", "part-000000.parquet", "part-000001.parquet"]


@pytest.mark.parametrize("how", ["fingerprint", "blocks", "fewer", "files"])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    if how == "files":
        out.mkdir()
        (out / "notes.txt").touch()
    else:
        folder = PartsFolder(out, "f")
        folder.open(BLOCKS)
        finish(folder, 2, 1)
    blocks = {"blocks": [msgspec.structs.replace(one, changed=6) for one in BLOCKS]}.get(
        how, BLOCKS[:2] if how == "fewer" else BLOCKS
    )
    with pytest.raises(UsageError, match="give the name of a new folder"):
        PartsFolder(out, "g" if how == "fingerprint" else "f").open(blocks)


def test_parts_are_merged_in_order_and_counted_through(tmp_path: Path) -> None:
    folder, out = PartsFolder(tmp_path / "out", "f"), tmp_path / "all.parquet"
    folder.open(BLOCKS)
    parts = [finish(folder, n, rows) for n, rows in enumerate((2, 0, 3))]
    folder.merge(parts, str(out))
    merged = parquet.read_table(out)
    assert merged["index"].to_pylist() == [0, 1, 2, 3, 4]
    (tmp_path / "out" / "part-000001.parquet").unlink()
    with pytest.raises(StoreError, match="give the same command again"):
        folder.merge(parts, str(out))
    assert parquet.read_table(out) == merged


def test_rejected_rows_lie_beside_the_parts(tmp_path: Path) -> None:
    folder, path = PartsFolder(tmp_path / "out", "f"), tmp_path / "out" / "rejected.jsonl"
    folder.open(BLOCKS)
    parts = [finish(folder, 0, 1, "a"), finish(folder, 1, 1), finish(folder, 2, 1, "b", "c")]
    assert folder.put_rejected(parts) == 3
    assert path.read_text() == '"a"\n"b"\n"c"\n'
    assert folder.put_rejected(parts[1:2]) == 0
    assert not path.exists()


def test_columns_are_the_same_whatever_the_rows_hold() -> None:
    empty, full = (parquet.read_schema(arrow.BufferReader(table(0, rows))).names for rows in (0, 3))
    assert empty == full == VERDICT.split()
