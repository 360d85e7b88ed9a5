"""Stand-ins for the commands that `--launch` starts, and a look at what they left."""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("standin_vllm.py")

_SGLANG = """
import json, os, runpy, sys

config = sys.argv[sys.argv.index("--config") + 1]
assert os.stat(config).st_mode & 0o077 == 0
key = json.load(open(config))["api-key"]
print(f"server_args=ServerArgs(api_key='{key}')", flush=True)
runpy.run_path(SCRIPT)["main"](sys.argv[1:], key)
"""


class StandIns:
    """Puts `vllm` on PATH and `sglang` where Python looks, and reads what they note down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "noted"
        self.temporary = folder / "temporary"
        bin_folder, packages = folder / "bin", folder / "packages" / "sglang"
        for each in (self.folder, self.temporary, bin_folder, packages):
            each.mkdir(parents=True)
        command = bin_folder / "vllm"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {SCRIPT} "$@"\n')
        command.chmod(0o755)
        (packages / "__init__.py").touch()
        program = _SGLANG.replace("SCRIPT", repr(str(SCRIPT)))
        (packages / "launch_server.py").write_text(program)
        self.env = {
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "PYTHONPATH": str(packages.parent),
            "STANDIN_FOLDER": str(self.folder),
            "TMPDIR": str(self.temporary),
        }

    def noted(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def starts(self) -> list[dict[str, Any]]:
        return self.noted("starts")

    @property
    def pids(self) -> list[int]:
        return [pid for start in self.starts for pid in start["pids"]]

    @property
    def keys(self) -> set[str]:
        return {start["key"] for start in self.starts}

    @property
    def asked(self) -> dict[int, int]:
        """Requests by port."""
        ports = [request["port"] for request in self.noted("requests")]
        return {port: ports.count(port) for port in ports}

    @property
    def left_behind(self) -> list[Path]:
        return sorted(path for path in self.temporary.rglob("*") if path.is_file())

    def wait_for(self, name: str, count: int, seconds: float = 100) -> None:
        until(lambda: len(self.noted(name)) >= count, seconds, f"{count} {name}")


def until(condition: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)


def alive(pids: Iterable[int]) -> list[int]:
    """Those of the processes that run; one that ended and was not waited for does not."""
    return [pid for pid in pids if _state(pid) not in ("", "Z", "X")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def until_gone(pids: Iterable[int], seconds: float = 100) -> None:
    pids = list(pids)
    assert pids
    until(lambda: not alive(pids), seconds, f"end of {pids}")


def where_is(text: str, folders: Iterable[Path]) -> list[Path]:
    """The files that hold a text."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]
