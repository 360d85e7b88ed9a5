from pathlib import Path

import pytest

from plaudit.errors import StoreError
from plaudit.io.scratch import open_scratch, scratch_error


def test_written_bytes_can_be_read_and_no_file_is_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_scratch() as file:
        file.write(b"one")
        file.seek(0)
        assert file.read() == b"one"
        assert list(tmp_path.iterdir()) == []


def test_where_none_can_be_made_the_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match=r"nowhere cannot be written \(No such file"):
        open_scratch()


def test_the_error_names_the_variable_that_sets_the_place() -> None:
    assert "TMPDIR" in str(scratch_error(OSError(28, "No space left on device")))
