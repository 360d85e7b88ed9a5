from pathlib import Path

import pytest

from plaudit._util.paths import possible
from plaudit.errors import UsageError


def test_a_path_need_not_exist(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere" / "deeper", "/"):
        assert possible(path) == Path(path)


@pytest.mark.parametrize("name", ["x" * 300, "é" * 200, "a\0b"])
def test_a_name_that_no_system_takes_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a path") as caught:
        possible(tmp_path / name)
    assert len(str(caught.value)) < 300
