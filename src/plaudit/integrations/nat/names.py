"""Safe names for files and services, made of run ids; and the progress log of a run."""

import hashlib
import re
from datetime import datetime
from pathlib import Path

import msgspec

from plaudit.types import Json

LONGEST = 96
"""What the Hugging Face client lets `namespace/name` be."""

_SAFE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_OTHER = re.compile(r"[^A-Za-z0-9_]+")


def file_name(run_id: str) -> str:
    """Return the run id where it can be part of a file's name as it is, else one like it.

    Slashes, dots at its ends, nothing at all, or more than 100 characters cannot; then a hash of
    the id follows what is left of it, so that two ids are two names.
    """
    return run_id if _SAFE.fullmatch(run_id) else _alike(run_id, 60)


def dataset_name(prefix: str, run_id: str, namespace: str) -> str:
    """Return the name of a run's data set: the prefix and the run id, as far as they go."""
    name = f"{prefix}-{run_id}"
    room = LONGEST - len(namespace) - 1
    plain = re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_]|[.-](?![.-]))*", name)
    fits = len(name) <= room and name[-1] not in ".-" and not name.endswith(".git")
    return name if plain and fits else _alike(name, max(room - 9, 8))


def _alike(text: str, most: int) -> str:
    kept = _OTHER.sub("-", text).strip("-_")[:most].rstrip("-_") or "run"
    return f"{kept}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def log_line(folder: Path, prefix: str, run_id: str, fields: dict[str, Json]) -> None:
    """Append a line to `PREFIX_RUN.jsonl` in a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    line = {"timestamp": datetime.now().isoformat(), "run_id": run_id, **fields}
    with open(folder / f"{prefix}_{file_name(run_id)}.jsonl", "ab") as file:
        file.write(msgspec.json.encode(line, enc_hook=str) + b"\n")
