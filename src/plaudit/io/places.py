"""Where outputs may go: checked before anything is read or asked.

An output is a file, a folder, a pipe or `-`. It is refused where it would take the place of an
input, of a folder that plaudit has not written, or of a device that holds data.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from plaudit._util import disk
from plaudit._util.packages import load_package
from plaudit._util.paths import possible
from plaudit.errors import UsageError
from plaudit.io.tables import is_verdict_folder
from plaudit.types import Json


def check_output(out: str | Path, inputs: Iterable[Json] = (), *, replaces: bool = False) -> None:
    """Check, before anything is asked of an engine, that `out` can be written.

    Args:
        out: a file, a folder (its name ends in `/`), a pipe, or `-`.
        inputs: what the command reads; see `check_not_read`.
        replaces: whether a file is put in the place of `out`, so that it can be no pipe or device.

    Raises:
        UsageError: it cannot; the message says what to do.
    """
    if str(out) == "-":
        return
    path = possible(out)
    check_not_read(out, inputs)
    if path.name:
        beside = rejected_path(out) or path
        possible(beside.with_name(f".{beside.name}.partial"), of=out)
    if names_folder(out):
        _check_folder(path)
    elif path.is_dir():
        raise UsageError(
            f"{path} is a folder: give the name of a file in it, or the name of a new folder with "
            "a / at its end"
        )
    if is_special(path):
        if replaces or path.is_block_device():
            raise UsageError(f"{path} is no regular file: give the name of a file")
        if not os.access(path, os.W_OK):
            raise UsageError(f"{path} is not writable")
        return
    _check_parent(path)
    if path.suffix == ".parquet" or names_folder(out):
        load_package("pyarrow", "parquet")


def _check_parent(path: Path) -> None:
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist: make it with mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {folder} is not writable: give another output")


def check_folder_output(out: str | Path) -> Path:
    """Check likewise a folder of several files; return its path.

    Raises:
        UsageError: it cannot be made or replaced.
    """
    if str(out) == "-":
        raise UsageError("the output is a folder of files: give -o the name of one")
    path = possible(os.path.realpath(out), of=out)
    possible(path.with_name(f".{path.name}.lock"), of=out)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{out} is a file: give the name of a folder")
    _check_parent(path)
    return path


def check_not_read(out: str | Path, inputs: Iterable[Json]) -> None:
    """Refuse an output, or a file of rejected rows beside it, that the command also reads.

    Args:
        out: a file, a folder, or `-`.
        inputs: texts that may name a file that the command reads, alone or in lists and objects:
            paths, `-`, and engine URIs such as `scripted:PATH`.

    Raises:
        UsageError: a file is both, or an input lies in the folder that would be replaced.
    """
    if str(out) == "-":
        return
    rejected = rejected_path(out)
    for source in _named_files(inputs):
        if _is_file(source, Path(out)):
            raise UsageError(f"{out} is also read by this command: give another output")
        if rejected is not None and _is_file(source, rejected):
            raise UsageError(
                f"{rejected} is read by this command, and rows that are rejected would go there: "
                "give another output"
            )
        if Path(out).is_dir() and _lies_in(source, Path(out)):
            raise UsageError(
                f"this command reads {source}, and would replace the folder {out}: give another "
                "output"
            )


def _named_files(values: Json | Iterable[Json]) -> Iterator[Path | int]:
    """Yield the files that texts name; 0 stands for standard input."""
    if isinstance(values, str):
        if values == "-":
            yield 0
        else:
            yield from map(Path, (values, values.partition(":")[2]) if ":" in values else (values,))
    elif isinstance(values, Mapping):
        yield from _named_files(cast("Mapping[str, Json]", values).values())
    elif isinstance(values, Iterable):
        for value in cast("Iterable[Json]", values):
            yield from _named_files(value)


def _is_file(source: Path | int, path: Path) -> bool:
    """Whether both are one regular file or folder, under whatever names."""
    try:
        found = os.stat(source)
        return stat.S_ISCHR(found.st_mode) is False and os.path.samestat(found, path.stat())
    except (OSError, ValueError):  # A text that is no name of a file.
        return False


def _lies_in(source: Path | int, folder: Path) -> bool:
    try:
        return (
            isinstance(source, Path)
            and source.exists()
            and (Path(os.path.realpath(source)).is_relative_to(os.path.realpath(folder)))
        )
    except (OSError, ValueError):
        return False


def make_folder(out: str | Path) -> Path:
    """Make a folder for several files, if it is not there yet, and return its path.

    Raises:
        UsageError: it cannot be made; the message says what to do.
    """
    path = Path(out)
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{path} is a file: give the name of a folder") from None
    except FileNotFoundError:
        raise UsageError(
            f"the folder {path.parent} does not exist: make it with mkdir -p {path.parent}"
        ) from None
    except OSError as error:
        raise disk.output_error(path, error) from error
    return path


def check_lines_output(out: str, what: str, inputs: Iterable[Json] = ()) -> None:
    """Check likewise an output that can be JSON Lines alone.

    Args:
        out: a file, or `-`.
        what: what is written there, for the message.
        inputs: what the command reads; see `check_not_read`.

    Raises:
        UsageError: it cannot be written.
    """
    if out.endswith((".parquet", "/")):
        raise UsageError(f"{out}: {what} are written as JSON Lines; name a .jsonl file")
    check_output(out, inputs)


def names_folder(out: str | Path) -> bool:
    """Whether verdicts go to a folder of `datasets`: it ends in `/`, or it is such a folder."""
    return str(out).endswith("/") or is_verdict_folder(Path(out))


def _check_folder(path: Path) -> None:
    """Refuse to replace what plaudit has not written."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder: leave out the / at its end")
    if path.is_dir() and any(path.iterdir()) and not is_verdict_folder(path):
        raise UsageError(f"{path} is a folder that plaudit has not written: give a new one")


def rejected_path(out: str | Path | None) -> Path | None:
    """Return where rejected rows go: `out.jsonl` gives `out.rejected.jsonl`.

    None where there is no file to lie beside: no output, standard output, a device, a pipe, `.`.
    """
    if out is None or is_direct(out):
        return None
    path = Path(out)
    return path.with_name(f"{path.stem}.rejected.jsonl") if path.name else None


def is_direct(out: str | Path) -> bool:
    """Whether what is written to OUT is there at once: standard output, a device or a pipe."""
    return str(out) == "-" or is_special(Path(out))


def is_special(path: Path) -> bool:
    """Whether a device or a pipe, which is written to and never replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
