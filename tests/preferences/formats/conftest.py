"""What tests of several formats share."""

from pathlib import Path

import pytest

from tests.support.judged import JudgeSession


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JudgeSession:
    return JudgeSession(tmp_path, monkeypatch)
