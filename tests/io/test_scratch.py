from pathlib import Path

import pytest

from plaudit.errors import StoreError
from plaudit.io.scratch import open_scratch, scratch_error


def test_what_is_written_can_be_read_and_no_file_is_seen(tmp_path: Path) -> None:
    with open_scratch(tmp_path) as file:
        file.write(b"one")
        file.seek(0)
        assert file.read() == b"one"
        assert list(tmp_path.iterdir()) == []


def test_where_none_can_be_made_the_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere cannot be written \(No such file"):
        open_scratch(tmp_path / "nowhere")


def test_the_system_s_place_can_be_changed() -> None:
    assert "TMPDIR" in str(scratch_error(OSError(28, "No space left on device")))
    assert "TMPDIR" not in str(scratch_error(OSError(28, "No space left"), Path("there")))
