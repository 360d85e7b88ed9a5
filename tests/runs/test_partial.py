import json

import pytest

from plaudit.errors import StoreError
from plaudit.runs.partial import write_json


def test_json_is_written_whole_and_read_back(tmp_path):
    out = tmp_path / "out.json"
    out.write_text("old")
    write_json(out, {"ä": [1.5, None]})
    assert json.loads(out.read_text()) == {"ä": [1.5, None]}
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_place_that_cannot_be_written_is_told_and_left_alone(tmp_path):
    with pytest.raises(StoreError, match=r"w\.json could not be written"):
        write_json(tmp_path / "none" / "w.json", {})
    assert list(tmp_path.iterdir()) == []
