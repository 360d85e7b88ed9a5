"""The side index of a file of JSON Lines: where each row lies, and its sortable columns.

The index is made once, kept in the cache folder as plain arrays, and grows with its file. The file
itself is never changed.
"""

import hashlib
import os
import shutil
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import platformdirs

from plaudit._util.packages import load_package
from plaudit.errors import InputError
from plaudit.viewer.kinds import KINDS, MALFORMED, ColumnType, RowKind, kind_of

EXTRA = "view"
_VERSION = 1
_BLOCK = 4 * 2**20
_HEAD = 65_536
"""Bytes by which a file is known again."""
_MOST_WORDS = 2_000
OTHERS = "(others)"
"""In place of words beyond the first 2,000 of a column."""
MISSING = -(2**31)
"""In place of an integer that is missing."""
_CODES: Mapping[ColumnType, str] = {"word": "i", "number": "d", "whole": "i", "key": "Q"}
_SEEN = 64
"""Lines by which the kind of a file is found."""

IndexProgress = Callable[[int, int], object]
"""Is given the bytes that were read, and those that there are."""


def index_folder() -> Path:
    """Return `$PLAUDIT_CACHE/views`, or `views` in the platform's cache folder for plaudit."""
    root = os.environ.get("PLAUDIT_CACHE") or platformdirs.user_cache_dir(
        "plaudit", appauthor=False
    )
    return Path(root) / "views"


class _About(msgspec.Struct, kw_only=True):
    """What an index is of."""

    version: int
    kind: str
    head: str
    """Digest of the first bytes, as many as `head_bytes`."""
    head_bytes: int
    end: int
    """Where the first byte lies that is not indexed."""
    lines: int
    """Lines before `end`, blank ones among them."""
    words: dict[str, list[str]]


@dataclass(frozen=True)
class Index:
    """The rows of a file. N: their number; arrays have length N."""

    kind: RowKind
    offsets: Any
    """int64: where a row begins, in bytes."""
    lengths: Any
    """int64: its bytes, without the line end."""
    lines: Any
    """int64: its line, from 1."""
    keys: Any
    """uint64: a hash of its id; 0 where it has none."""
    columns: Mapping[str, Any]
    """By name: int32 (a word's number, or -1), float64 (NaN where missing), int32 or uint64."""
    words: Mapping[str, list[str]]
    """The words of a column, by their number."""
    end: int
    """Bytes of the file that are indexed."""
    tail: int
    """Bytes after them: the beginning of a line that is not whole yet."""

    def __len__(self) -> int:
        return len(self.offsets)


def key_of(id: str) -> int:
    """Return the hash by which an id is found; 0 for an empty one."""
    if not id:
        return 0
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little") or 1


class _Growing:
    """Columns to which rows are appended."""

    def __init__(self, kind: RowKind, words: Mapping[str, list[str]]) -> None:
        self.kind = kind
        self.offsets, self.lengths, self.lines = array("q"), array("q"), array("q")
        self.keys = array("Q")
        self.columns: list[Any] = [array(_CODES[column.type]) for column in kind.columns]
        self.words = {
            c.name: {word: n for n, word in enumerate(words.get(c.name, ()))}
            for c in kind.columns
            if c.type == "word"
        }
        self._words = [self.words.get(column.name) for column in kind.columns]
        self._types = [column.type for column in kind.columns]

    def add(self, offset: int, line: bytes, number: int) -> None:
        """Append a line; one that cannot be read is a row with the status `malformed`."""
        try:
            id, facts = self.kind.read(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            id, facts = "", (MALFORMED,) + (None,) * (len(self.columns) - 1)
        self.offsets.append(offset)
        self.lengths.append(len(line))
        self.lines.append(number)
        self.keys.append(key_of(id))
        for column, type, words, fact in zip(
            self.columns, self._types, self._words, facts, strict=True
        ):
            if words is not None:
                column.append(-1 if fact is None else _word(words, fact))
            elif type == "number":
                column.append(float("nan") if fact is None else fact)
            elif type == "key":
                column.append(key_of(fact or ""))
            else:
                column.append(MISSING if fact is None else min(fact, 2**31 - 1))


def _word(words: dict[str, int], word: str) -> int:
    found = words.get(word)
    if found is None:
        if len(words) >= _MOST_WORDS:
            word = OTHERS
        found = words.setdefault(word, len(words))
    return found


def open_index(path: Path, progress: IndexProgress | None = None) -> Index:
    """Return the index of a file: the kept one where it still fits, grown or made anew.

    Raises:
        InputError: the file cannot be read.
        MissingDependencyError: numpy is not installed.
    """
    np = load_package("numpy", EXTRA)
    folder = index_folder() / hashlib.blake2b(str(path).encode(), digest_size=12).hexdigest()
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            about, index = _kept(np, folder, file, size)
            if about is None or size > about.end:
                about, index = _grown(np, file, size, about, index, progress)
                _keep(np, folder, about, index)
            return replace(index, tail=size - about.end)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _kept(np: Any, folder: Path, file: BinaryIO, size: int) -> tuple[_About | None, Index]:
    """Return the index that is kept of a file, if it is of what the file now begins with."""
    try:
        about = msgspec.json.decode((folder / "about.json").read_bytes(), type=_About)
        fits = about.version == _VERSION and about.end <= size
        if fits and about.head == _digest(file, about.head_bytes):
            kind = KINDS[about.kind]
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _names(kind)}
            if len({len(one) for one in arrays.values()}) == 1:
                return about, _index(kind, arrays, about.words, about.end)
    except (OSError, ValueError, KeyError, EOFError, msgspec.DecodeError):
        pass
    return None, _index(KINDS["rows"], {}, {}, 0)


def _names(kind: RowKind) -> list[str]:
    own = [f"column-{column.name}" for column in kind.columns]
    return ["offsets", "lengths", "lines", "keys", *own]


def _index(
    kind: RowKind, arrays: Mapping[str, Any], words: Mapping[str, list[str]], end: int
) -> Index:
    columns = {c.name: arrays.get(f"column-{c.name}") for c in kind.columns}
    rows = [arrays.get(name) for name in ("offsets", "lengths", "lines", "keys")]
    return Index(kind, *rows, columns=columns, words=words, end=end, tail=0)


def _digest(file: BinaryIO, count: int) -> str:
    return hashlib.blake2b(os.pread(file.fileno(), count, 0), digest_size=16).hexdigest()


def _grown(
    np: Any,
    file: BinaryIO,
    size: int,
    about: _About | None,
    index: Index,
    progress: IndexProgress | None,
) -> tuple[_About, Index]:
    """Read what comes after the end of an index, up to a size."""
    start, lines = (about.end, about.lines) if about else (0, 0)
    kind = index.kind if about else _kind(file)
    growing = _Growing(kind, index.words)
    end = start
    if start and os.pread(file.fileno(), 1, start - 1) != b"\n":
        lines -= 1  # The last line had no end, and its end is read as a line of its own.
    for offset, line, end in _lines(file, start, size):
        lines += 1
        if line and not line.isspace():
            growing.add(offset, line, lines)
        if progress is not None and not lines & 0x3FF:
            progress(end, size)
    names = ["offsets", "lengths", "lines", "keys"]
    parts: list[Any] = [*(getattr(growing, name) for name in names), *growing.columns]
    made = dict(zip(_names(kind), parts, strict=True))
    arrays = {
        name: np.frombuffer(one, dtype=one.typecode) if one else np.array([], one.typecode)
        for name, one in made.items()
    }
    if about:
        old = [index.offsets, index.lengths, index.lines, index.keys, *index.columns.values()]
        arrays = {
            name: np.concatenate([before, after])
            for before, (name, after) in zip(old, arrays.items(), strict=True)
        }
    words = {name: list(known) for name, known in growing.words.items()}
    head = min(_HEAD, end)
    found = _About(
        version=_VERSION,
        kind=kind.name,
        head=_digest(file, head),
        head_bytes=head,
        end=end,
        lines=lines,
        words=words,
    )
    return found, _index(kind, arrays, words, end)


def _kind(file: BinaryIO) -> RowKind:
    lines = (line for _, line, _ in _lines(file, 0, os.fstat(file.fileno()).st_size))
    return kind_of(line for line, _ in zip(lines, range(_SEEN), strict=False) if line.strip())


def _lines(file: BinaryIO, start: int, size: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield offset, bytes and the end of each whole line, and of the last one if it is a row."""
    file.seek(start)
    offset, begun = start, list[bytes]()
    while offset < size and (block := file.read(min(_BLOCK, size - file.tell()))):
        first, *others = block.split(b"\n")
        begun.append(first)
        for line in others:
            whole = b"".join(begun) if len(begun) > 1 else begun[0]
            begun = [line]
            yield offset, whole, offset + len(whole) + 1
            offset += len(whole) + 1
        if file.tell() >= size:
            break
    last = b"".join(begun)
    if last and _is_whole(last):
        yield offset, last, offset + len(last)


def _is_whole(line: bytes) -> bool:
    """Whether a line without an end is a row all the same."""
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _keep(np: Any, folder: Path, about: _About, index: Index) -> None:
    """Keep an index; where the cache folder cannot be written, it lasts as long as the process."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        rows = [index.offsets, index.lengths, index.lines, index.keys, *index.columns.values()]
        for name, one in zip(_names(index.kind), rows, strict=True):
            np.save(partial / f"{name}.npy", one, allow_pickle=False)
        (partial / "about.json").write_bytes(msgspec.json.encode(about))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
