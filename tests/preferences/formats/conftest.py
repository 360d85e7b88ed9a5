"""What tests of several formats share."""

from pathlib import Path

import pytest

from tests.support.judged import Judging


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judging:
    return Judging(tmp_path, monkeypatch)
