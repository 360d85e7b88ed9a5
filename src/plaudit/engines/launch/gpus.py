"""The GPUs of this machine, and how servers share them."""

import itertools
import os
import shutil
import subprocess

from plaudit.errors import UsageError

_PATIENCE_SECONDS = 30


def visible_gpus() -> list[str]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them.

    Those that this variable names; where it is not set, those that `nvidia-smi` lists, if any.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = (name.strip() for name in named.split(","))
        return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        done = subprocess.run(
            [command, "--list-gpus"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    listed = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(listed))]


def divide(gpus: list[str], servers: int, each: int | None) -> list[tuple[str, ...]]:
    """Return the GPUs of each server.

    Args:
        gpus: those that there are.
        servers: how many servers share them.
        each: how many a server gets; None: one where there are any, else none.

    Raises:
        UsageError: there are too few.
    """
    if not gpus and each is None:
        return [()] * servers
    each = each or 1
    needed = servers * each
    if len(gpus) < needed:
        raise UsageError(
            f"{servers} x {each} = {needed} GPUs are needed and {len(gpus)} visible; lower "
            "--launch or --gpus-per-worker, or check CUDA_VISIBLE_DEVICES"
        )
    return [tuple(gpus[start : start + each]) for start in range(0, needed, each)]
