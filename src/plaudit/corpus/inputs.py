"""Which files a corpus is made of: the files given, and those in the folders given."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from plaudit._util.paths import possible
from plaudit.corpus.layout import holds_index
from plaudit.errors import InputError, UsageError

Kind = Literal["markdown", "text", "html", "pdf", "rows"]

_KINDS: dict[str, Kind] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".jsonl": "rows",
    ".ndjson": "rows",
}
_NAMED_KINDS: dict[str, Kind] = {".json": "rows", ".parquet": "rows"}
"""Only where the file itself is named: in a folder, most such files are no documents."""


class SourceFile(msgspec.Struct, frozen=True):
    """One file to read."""

    path: Path
    name: str
    """Its path within the folder that was given, with `/`; else its file name."""
    kind: Kind


class FoundFiles(msgspec.Struct):
    """What was found."""

    inputs: list[SourceFile] = []
    """In the order given; of a folder, in the order of their names."""
    skipped: Counter[str] = msgspec.field(default_factory=Counter[str])
    """Files in folders that are of no known type, by their ending."""
    problems: list[str] = []
    """Folders that cannot be looked into."""


def find_inputs(documents: Sequence[str | Path], *, follow_links: bool = False) -> FoundFiles:
    """Find the files that documents are to be read from.

    Folders are gone through with all that is in them; what is hidden, is no regular file or belongs
    to an index is left out. A file that is named itself is taken whatever its ending: as text, if
    that says nothing.

    Args:
        documents: files and folders.
        follow_links: whether links in a folder to files outside of it are read.

    Raises:
        InputError: there is no such file or folder.
        UsageError: two files would have one name in the index.
    """
    found = FoundFiles()
    for document in documents:
        try:
            path = possible(document)
        except UsageError as error:
            raise InputError(str(error)) from None
        if path.is_dir():
            _add_folder(path, found, follow_links)
        else:
            found.inputs.append(_named(path))
    found.inputs = list(_distinct(found.inputs))
    return found


def _named(path: Path) -> SourceFile:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {str(reason).lower()}") from None
    if not regular:
        raise InputError(f"{path} is no regular file: save it as one first")
    kind = (_KINDS | _NAMED_KINDS).get(path.suffix.lower()) or _kind_by_content(path)
    return SourceFile(path, _printable(path.name), kind)


def _kind_by_content(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            return "pdf" if file.read(5) == b"%PDF-" else "text"
    except OSError:
        return "text"  # Its reader says why it cannot be read.


def _add_folder(folder: Path, found: FoundFiles, follow_links: bool) -> None:
    def note(error: OSError) -> None:
        found.problems.append(f"{error.filename} cannot be looked into: {error.strerror}")

    files, inside = list[SourceFile](), os.path.realpath(folder)
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if holds_index(Path(place)):
            folders.clear()
            continue
        for name in names:
            path = Path(place, name)
            if name.startswith(".") or not path.is_file():
                continue
            kind = _KINDS.get(path.suffix.lower())
            if (
                kind
                and not follow_links
                and not Path(os.path.realpath(path)).is_relative_to(inside)
            ):
                found.problems.append(
                    f"{path} is a link out of the folder, so it was not read: name the file "
                    "itself, or follow links (--follow-links)"
                )
            elif kind is None:
                found.skipped[_printable(path.suffix.lower()) or "no ending"] += 1
            else:
                files.append(
                    SourceFile(path, _printable(path.relative_to(folder).as_posix()), kind)
                )
    found.inputs += sorted(files, key=lambda one: one.name)


def _printable(name: str) -> str:
    """Return a file's name as text that UTF-8 can hold; names are bytes."""
    return os.fsencode(name).decode("utf-8", "replace")


def _distinct(inputs: list[SourceFile]) -> Iterator[SourceFile]:
    """Leave out what was given twice."""
    taken: dict[str, Path] = {}
    for one in inputs:
        first = taken.setdefault(one.name, one.path)
        if first is one.path:
            yield one
        elif not first.samefile(one.path):
            raise UsageError(
                f"{first} and {one.path} would both be called {one.name} in the index: give the "
                "folder that holds both"
            )
