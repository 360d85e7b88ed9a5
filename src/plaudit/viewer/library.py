"""What is looked at: files, folders of results, and runs of a store."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from plaudit._util.paths import possible
from plaudit.errors import InputError, PlauditError, UsageError
from plaudit.io.blocks import BlockReader, LineBlock
from plaudit.io.partial import PartialFile
from plaudit.runs.history import Kept, kept_of
from plaudit.runs.runner import StoredVerdict
from plaudit.store.base import RunInfo
from plaudit.store.store import Store
from plaudit.viewer.index import index_folder
from plaudit.viewer.table import Table

_ROWS = (".jsonl", ".ndjson", ".json", ".parquet", ".gz", ".zst", ".csv", ".tsv")
"""Ends of names of files that are opened with their folder."""
_MOST_OF_A_FOLDER = 500
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

OpenStore = Callable[[], Store]
"""Opens the store of runs, to be closed by who asked for it."""


class ViewedFile:
    """A file of rows, indexed when it is first looked at."""

    def __init__(self, path: Path, title: str = "", notice: str = "") -> None:
        """Name a file; it is not opened yet."""
        self.path = path
        self.title = title or path.name
        self.notice = notice
        """What a reader must know of where the rows come from."""
        self.run = ""
        """The run of the store whose verdicts these are; empty: not known."""
        self.expected: int | None = None
        """Rows that the run wrote; None: not known."""
        self.slug = slug_of(path)
        self.table: Table | None = None
        self.problem = ""
        self.read, self.size = 0, 0
        """Bytes that are indexed so far, of how many."""
        self._work: asyncio.Task[None] | None = None

    async def ready(self, wait: float) -> Table | None:
        """Return the table, or None where it takes longer than `wait` seconds; see `read`.

        Raises:
            InputError: the file cannot be read.
        """
        if self._work is None or (self._work.done() and self._stale()):
            self.problem = ""
            self._work = asyncio.get_running_loop().create_task(asyncio.to_thread(self._open))
        await asyncio.wait([self._work], timeout=wait)
        if self.problem:
            raise InputError(self.problem)
        return self.table if self._work.done() else None

    def close(self) -> None:
        """Close the file."""
        if self.table is not None:
            self.table.close()

    def _stale(self) -> bool:
        return self.table is None or self.table.status in ("grown", "cut")

    def _open(self) -> None:
        try:
            made = Table(rows_file(self.path), self._note)
        except PlauditError as error:
            self.problem = str(error)
            return
        old, self.table = self.table, made
        if old is not None:
            old.close()

    def _note(self, read: int, size: int) -> None:
        self.read, self.size = read, size


class RunLine(NamedTuple):
    """A run of the store, as the list shows it."""

    name: str
    kind: str
    state: str
    started: str
    source: str
    engine: str
    counts: Mapping[str, int]
    """By status; a rollout's by `ok` and `failed`."""
    agreement: str
    cost: float | None
    seconds: float | None
    out: str


class Library:
    """The documents that are open, and the runs of a store."""

    def __init__(self, open_store: OpenStore | None) -> None:
        """Take a way to the store; None: no runs are shown."""
        self._open_store = open_store
        self.documents: dict[str, ViewedFile] = {}

    def add(self, thing: str) -> list[ViewedFile]:
        """Open what a user named: a file, a folder, or a run.

        Raises:
            UsageError: there is nothing of that name.
        """
        path = possible(thing)
        if path.is_dir():
            files = sorted(one for one in path.iterdir() if _holds_rows(one))[:_MOST_OF_A_FOLDER]
            if not files:
                raise UsageError(f"{thing}: no file of rows in this folder")
            return [self._keep(ViewedFile(one, f"{path.name}/{one.name}")) for one in files]
        if path.exists():
            return [self._keep(ViewedFile(path))]
        if self._open_store is None or "/" in thing or path.suffix:
            raise UsageError(f"{thing}: there is no such file")
        return [self.add_run(thing)]

    def add_run(self, name: str) -> ViewedFile:
        """Open the output of a run; where it is gone, what the store has of it.

        Raises:
            UsageError: there is no such run, or nothing of it is left.
        """
        with self._store() as store:
            info = store.find_run(name)
            out = _record(info).get("options", {}).get("out")
            path = None if out in (None, "-") else Path(str(out)).absolute()
            if path is not None and path.is_file():
                return self._of_run(info, ViewedFile(path, f"{info.name}: {path.name}"))
            why = "kept no output" if path is None else f"wrote {out}, which is gone"
            file = _of_store(store, info)
        if file is None:
            raise UsageError(f"{info.name} {why}, and the store has no verdicts of it")
        notice = f"{info.name} {why}. These are its verdicts in the store, without their inputs."
        return self._of_run(info, ViewedFile(file, info.name, notice))

    def run_of(self, document: ViewedFile) -> RunInfo | None:
        """Return the newest run that wrote a file; None: none is known."""
        if self._open_store is None:
            return None
        place = document.path.absolute()
        try:
            with self._store() as store:
                for info in store.runs():
                    options: dict[str, Any] = _record(info).get("options") or {}
                    out = options.get("out")
                    if info.name == document.run or (out and Path(str(out)).absolute() == place):
                        return info
        except PlauditError:
            return None
        return None

    def kept_of(self, document: ViewedFile, index: int, id: str) -> Kept | None:
        """Return the replies and failed attempts of a verdict that the store keeps."""
        info = self.run_of(document)
        if info is None:
            return None
        with self._store() as store:
            return kept_of(store, info, index, id)

    def record_of(self, document: ViewedFile) -> dict[str, Any]:
        """Return what that run was asked for, without its files; empty where none is known."""
        info = self.run_of(document)
        found = {} if info is None else _record(info)
        return {name: one for name, one in found.items() if name != "options"}

    def runs(self, limit: int = 500) -> list[RunLine]:
        """Return the newest runs, newest first.

        Raises:
            PlauditError: the store cannot be read.
        """
        if self._open_store is None:
            return []
        with self._store() as store:
            return [_line(info) for info in store.runs(limit)]

    def _store(self) -> Store:
        if self._open_store is None:
            raise UsageError("no store of runs is open")
        return self._open_store()

    def _of_run(self, info: RunInfo, document: ViewedFile) -> ViewedFile:
        kept = self._keep(document)
        kept.run = info.name
        kept.expected = sum(_line(info).counts.values()) or None
        return kept

    def _keep(self, document: ViewedFile) -> ViewedFile:
        return self.documents.setdefault(document.slug, document)

    def close(self) -> None:
        """Close all files."""
        for document in self.documents.values():
            document.close()


def slug_of(path: Path) -> str:
    """Return the name of a file in URLs: its own, and a digest of where it lies."""
    digest = hashlib.blake2b(str(path.absolute()).encode(), digest_size=4).hexdigest()
    return f"{_UNSAFE.sub('-', path.name)[:60].strip('-')}-{digest}"


def rows_file(path: Path) -> Path:
    """Return a file as JSON Lines: itself, or a copy in the cache folder of what is packed.

    Raises:
        InputError: it cannot be read.
    """
    path = path.absolute()
    try:
        with path.open("rb") as file:
            head = file.read(4_096).lstrip(b"\xef\xbb\xbf \t\r\n")
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if head.startswith(b"{") or not head:
        return path
    stamp = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}"
    copy = index_folder() / f"{hashlib.blake2b(stamp.encode(), digest_size=12).hexdigest()}.jsonl"
    if not copy.exists():
        _write(copy, _lines_of(path))
    return copy


def _lines_of(path: Path) -> Iterator[bytes]:
    with BlockReader(path) as blocks:
        for block in blocks:
            if isinstance(block, LineBlock):
                yield block.data.rstrip(b"\n") + b"\n"
            else:
                message = {"malformed": block.where, "error": str(block.error)}
                yield msgspec.json.encode([message]) + b"\n"


def _of_store(store: Store, info: RunInfo) -> Path | None:
    """Write the verdicts of a run from the store into the cache folder; None: there are none."""
    stamp = f"{store.path}\0{info.number}\0{info.started}\0{info.finished}"
    copy = index_folder() / f"{hashlib.blake2b(stamp.encode(), digest_size=12).hexdigest()}.jsonl"

    def lines() -> Iterator[bytes]:
        for _, _, payload in store.verdicts(info.number):
            stored = msgspec.msgpack.decode(payload, type=StoredVerdict)
            yield msgspec.json.encode(stored.verdict) + b"\n"

    if next(store.verdicts(info.number, limit=1), None) is None:
        return None
    _write(copy, lines())
    return copy


def _write(copy: Path, lines: Iterator[bytes]) -> None:
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = PartialFile(copy)
        try:
            partial.file.writelines(lines)
            partial.commit(durable=False)
        finally:
            partial.abort()
    except OSError as error:
        raise InputError(f"{copy}: {error.strerror}; set PLAUDIT_CACHE to another folder") from None


def _holds_rows(path: Path) -> bool:
    return path.is_file() and path.suffix in _ROWS and not path.name.startswith((".", "results."))


def _record(info: RunInfo) -> dict[str, Any]:
    return msgspec.json.decode(info.config, type=dict[str, Any])


def _line(info: RunInfo) -> RunLine:
    record = _record(info)
    done: dict[str, Any] = msgspec.json.decode(info.summary) if info.summary else {}
    counts = {name: int(done.get(name) or 0) for name in ("ok", "abstained", "invalid", "failed")}
    if "rollouts" in done:
        broken = int(done["broken_off"]) + int(done.get("tool_failed") or 0)
        counts = {"ok": int(done["rollouts"]) - broken, "failed": broken}
    labelled = done.get("labelled") or 0
    options: dict[str, Any] = record.get("options") or {}
    panel = record.get("panel")
    engines = [one["engine"] for one in panel["members"]] if panel else [record.get("engine", "")]
    return RunLine(
        name=info.name,
        kind=info.kind,
        state=info.state,
        started=info.started[:16].replace("T", " "),
        source=str(options.get("source", "")),
        engine=", ".join(dict.fromkeys(engines)),
        counts=counts if done else {},
        agreement=f"{done['agree'] / labelled:.0%} of {labelled}" if labelled else "",
        cost=done.get("cost_usd"),
        seconds=done.get("seconds"),
        out=str(options.get("out") or ""),
    )
