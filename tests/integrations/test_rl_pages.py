"""The files of the page on OpenRLHF, slime, AReaL and NeMo make what these trainers load."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import docs

from tests.support.rl_peers import EnvironmentInterface, SimpleResourcesServer, standing_in

PAGE = docs.DOCS / "reference" / "rl-trainers.md"


@pytest.mark.parametrize(
    ("file", "name", "base"),
    [
        ("app.py", "Quality", SimpleResourcesServer),
        ("quality_env.py", "Quality", EnvironmentInterface),
    ],
)
def test_a_file_of_the_page_makes_a_class(
    file: str, name: str, base: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f.marks["file"]: f.lines for f in docs.fences(PAGE) if "file" in f.marks}
    (tmp_path / "rewards.toml").write_text("\n".join(files["rewards.toml"]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ray: Any = ModuleType("ray")
    ray.remote = lambda given: given
    found: dict[str, Any] = {"__name__": "loaded"}
    with standing_in():
        monkeypatch.setitem(sys.modules, "ray", ray)
        exec(compile("\n".join(files[file]), file, "exec"), found)
    assert issubclass(found[name], base)
