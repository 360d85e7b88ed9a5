"""Files of the Hugging Face hub."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plaudit.engines.llama.file import hub_file
from plaudit.errors import MissingDependencyError, UsageError

HUB = """
import sys
from plaudit.engines.llama.file import hub_file
print(hub_file(sys.argv[1]))
"""


def hub(place: Path, name: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"HF_HOME": str(place / "hf"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", HUB, name], env=environment, capture_output=True, text=True
    )


def test_the_hub(tmp_path: Path) -> None:
    place = tmp_path
    folder = place / "hf" / "hub" / "models--owner--repo"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    file = folder / "snapshots" / "abc" / "q4" / "model.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"GGUF")
    assert Path(hub(place, "owner/repo/q4/model.gguf").stdout.strip()) == file
    said = hub(place, "owner/other/model.gguf").stderr
    assert "EngineUnusableError: model.gguf of owner/other (main) cannot be fetched" in said


def test_the_hub_needs_a_whole_name_and_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match=r"write hf:OWNER/REPO/FILE\.gguf"):
        hub_file("owner/repo")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[hf\]"):
        hub_file("owner/repo/file.gguf")
