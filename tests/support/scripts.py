"""Python source that runs in a process of its own."""

import subprocess
import sys
import textwrap


def run_script(
    source: str, *args: object, timeout: float = 100
) -> "subprocess.CompletedProcess[str]":
    """Run Python source; `args` are its `sys.argv[1:]`."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(source)]
        + [str(arg) for arg in args],
        capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
