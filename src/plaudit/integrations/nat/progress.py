"""Progress logs as the toolkit's DPO components write them: a line of JSON for each call."""

from datetime import datetime
from pathlib import Path

import msgspec

from plaudit.integrations.nat.names import file_name
from plaudit.types import Json


def log_line(folder: Path, prefix: str, run_id: str, fields: dict[str, Json]) -> None:
    """Append a line to `PREFIX_RUN.jsonl` in a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    line = {"timestamp": datetime.now().isoformat(), "run_id": run_id, **fields}
    with open(folder / f"{prefix}_{file_name(run_id)}.jsonl", "ab") as file:
        file.write(msgspec.json.encode(line, enc_hook=str) + b"\n")
