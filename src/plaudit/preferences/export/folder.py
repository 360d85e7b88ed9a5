"""The folder of an export: where it may go, and what names its files."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from plaudit.errors import UsageError
from plaudit.io.partial import PartialFolder
from plaudit.io.places import check_folder_output, check_not_read
from plaudit.types import Json

MANIFEST = ".plaudit-export.json"
"""Names what plaudit wrote into a folder. Hidden, so that no reader takes it for data."""


class _Manifest(msgspec.Struct):
    files: list[str]


def check_folder(out: str, inputs: Iterable[Json]) -> None:
    """Check, before anything is read, that a folder can be written.

    Raises:
        UsageError: it cannot, it holds what plaudit has not written, or what is read.
    """
    path = check_folder_output(out)
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path):
        raise UsageError(
            f"{out} holds files that plaudit export has not written, which it would replace: give "
            "the name of a new folder"
        )
    check_not_read(out, inputs)


def _is_ours(path: Path) -> bool:
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, ValueError):
        return False
    known = {MANIFEST, *manifest.files}
    found = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    return found <= known


def write_manifest(folder: PartialFolder, about: Mapping[str, object]) -> list[str]:
    """Name the folder's files, and what they are `about`, in its manifest; return their names."""
    names = folder.names
    data = msgspec.json.encode({"files": names, **about})
    folder.open(MANIFEST).write(msgspec.json.format(data) + b"\n")
    return names
