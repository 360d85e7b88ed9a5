"""Building an index: read what is new, keep what is unchanged, write all of it at once."""

import hashlib
import os
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec

from plaudit._util.options import Help
from plaudit._util.paths import possible
from plaudit._util.ranges import WHOLE_32, Range, check_ranges
from plaudit.corpus import layout, ranking
from plaudit.corpus.chunks import Document, cut
from plaudit.corpus.index import Corpus, open_corpus
from plaudit.corpus.inputs import SourceFile, find_inputs
from plaudit.corpus.layout import Chunk, DocumentRecord, IndexSettings, Manifest, chunk_id
from plaudit.corpus.ranking import RANKING, WordScores, npy, searched
from plaudit.corpus.readers import digest_file, read_documents
from plaudit.errors import ArgumentError, InputError, StoreError, UsageError
from plaudit.io.partial import PartialFolder

_BATCH = 1_000
"""Chunks that are embedded at once."""


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How documents are cut and searched."""

    chunk_size: Annotated[int, Range(20, WHOLE_32), Help("Most characters of a chunk.")] = 1000
    overlap: Annotated[
        int,
        Range(0, WHOLE_32),
        Help("Characters that a chunk repeats from the one before."),
    ] = 0
    """Less than half of a chunk."""
    embed: Annotated[
        bool,
        Help(
            "Search by embeddings too, with the model of plaudit\\[embeddings].",
            flags=("--embeddings",),
        ),
    ] = False
    """Beside BM25; needs the extra `embeddings`."""
    follow_links: Annotated[bool, Help("In folders, also read links to files outside of them.")] = (
        False
    )

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ArgumentError: no document can be cut so.
        """
        check_ranges(self)
        if 2 * self.overlap >= self.chunk_size:
            raise ArgumentError(
                "overlap",
                f"must be less than half of a chunk ({self.chunk_size}), not {self.overlap}",
            )

    @property
    def settings(self) -> IndexSettings:
        """What an index keeps of the options."""
        model = ranking.MODEL if self.embed else ""
        return IndexSettings(chunk_size=self.chunk_size, overlap=self.overlap, embeddings=model)


class BuildReport(msgspec.Struct, kw_only=True):
    """What an index was made of, and what changed since it was made before."""

    index: str
    documents: int = 0
    chunks: int = 0
    characters: int = 0
    """Of all chunks together."""
    added: int = 0
    """Documents that the index did not have before."""
    changed: int = 0
    """Documents that were another before, and were read again."""
    kept: int = 0
    """Documents that are as they were, and were not read again."""
    removed: int = 0
    """Documents that the index had before."""
    anew: str | None = None
    """Why an index that was there could not be built upon; None: it was, or there was none."""
    skipped: dict[str, int] = {}
    """Files in folders that are of no known type, by their ending."""
    problems: list[str] = []
    """What could not be read, and why; one sentence each."""
    fingerprint: str = ""
    seconds: float = 0.0


def build_corpus(
    documents: str | Path | Sequence[str | Path],
    index: str | Path,
    *,
    chunk_size: int = 1000,
    overlap: int = 0,
    embed: bool = False,
    follow_links: bool = False,
) -> BuildReport:
    """Cut documents into chunks and make an index of them.

    Where the index is there already, and was made with the same settings, documents that did not
    change are taken over from it, and those that are not given any more leave it. The old index
    stays until the new one is whole.

    Args:
        documents: files (Markdown, text, HTML, PDF, JSON Lines) and folders.
        index: the folder of the index.
        chunk_size: most characters of a chunk.
        overlap: characters that a chunk repeats from the one before; less than half of a chunk.
        embed: whether embeddings are searched beside BM25; needs the extra `embeddings`.
        follow_links: whether links in a folder to files outside of it are read.

    Raises:
        InputError: a document is not there, or none could be read.
        UsageError: the folder holds something else than an index, or a setting is out of range.
        StoreError: the index cannot be written.
        MissingDependencyError: a package of the extra `corpus` or `embeddings` is missing.
    """
    started = time.monotonic()
    options = BuildOptions(
        chunk_size=chunk_size, overlap=overlap, embed=embed, follow_links=follow_links
    )
    out = Path(index)
    _check_place(out)
    given = [documents] if isinstance(documents, str | Path) else documents
    found = find_inputs(given, follow_links=follow_links)
    report = BuildReport(
        index=str(out), skipped=dict(sorted(found.skipped.items())), problems=found.problems
    )
    _write(out, options.settings, found.inputs, report)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _write(
    out: Path, settings: IndexSettings, inputs: Sequence[SourceFile], report: BuildReport
) -> None:
    """Put an index in its place, built upon the one that is there."""
    old, report.anew = _open_old(out, settings)
    try:
        partial = PartialFolder(out)
        try:
            _Builder(partial, settings, old, report).build(inputs)
            partial.commit()
        finally:
            partial.abort()
    except OSError as error:
        raise StoreError(f"{out} could not be written: {error.strerror or error}") from error


def _check_place(out: Path) -> None:
    """Refuse a place where something else would be replaced by the index.

    Raises:
        UsageError: there is something else, or nothing can be written there.
    """
    if possible(out).is_dir():
        others = sorted(set(os.listdir(out)) - layout.FILES)
        if others or (os.listdir(out) and not layout.holds_index(out)):
            raise UsageError(
                f"{out} is a folder that holds something else than an index "
                f"({', '.join(others[:3])}): give the name of a new one"
            )
    elif out.exists():
        raise UsageError(f"{out} is a file: an index is a folder, give another name")


def _open_old(out: Path, settings: IndexSettings) -> tuple[Corpus | None, str | None]:
    """Open the index that is there, if it can be built upon; else say why not."""
    if not layout.holds_index(out):
        return None, None
    try:
        old = open_corpus(out)
        _ = old.documents
        for _ in old:  # A chunk that is damaged is found now, and not when half is written.
            pass
    except InputError as error:
        return None, str(error)
    if old.manifest.settings != settings:
        return None, "it was made with other settings"
    return old, None


class _Builder:
    """An index on its way."""

    def __init__(
        self,
        partial: PartialFolder,
        settings: IndexSettings,
        old: Corpus | None,
        report: BuildReport,
    ) -> None:
        self._partial = partial
        self._chunks = partial.open(layout.CHUNKS)
        self._settings = settings
        self._report = report
        self._old = _Old(old)
        self._records: list[DocumentRecord] = []
        self._terms = WordScores()
        self._ids = array("Q")
        self._places = array("q", [0])
        self._hasher = hashlib.blake2b(digest_size=16)
        self._vectors = _Vectors(old) if settings.embeddings else None

    def build(self, inputs: Sequence[SourceFile]) -> None:
        """Write all files.

        Raises:
            InputError: nothing could be read.
        """
        for source in inputs:
            try:
                self._add_input(source)
            except InputError as error:
                self._report.problems.append(str(error))
        if not self._records:
            reasons = "".join(f"\n  {problem}" for problem in self._report.problems[:5])
            raise InputError(f"there is no document that could be read{reasons}")
        self._finish()

    def _add_input(self, source: SourceFile) -> None:
        digest = digest_file(source.path)
        if kept := self._old.of_input(source.name, digest):
            for record in kept:
                self._keep(record)
            return
        before = len(self._report.problems)
        first = len(self._records)
        for document in read_documents(source, digest, self._report.problems.append):
            self._add_document(document, source)
        if len(self._report.problems) == before:
            whole = [
                msgspec.structs.replace(record, input_digest=digest)
                for record in self._records[first:]
            ]
            self._records[first:] = whole

    def _add_document(self, document: Document, source: SourceFile) -> None:
        """Add a document, from the old index if it is the same there."""
        old = self._old.by_name.get(document.name)
        if old is not None and old.digest == document.digest:
            self._keep(msgspec.structs.replace(old, input=source.name, input_digest=""))
            return
        first, copies = len(self._ids), Counter[str]()
        for piece in cut(document.parts, self._settings.chunk_size, self._settings.overlap):
            copy = copies[piece.text]
            copies[piece.text] += 1
            self._write(
                Chunk(
                    id=chunk_id(document.name, piece.text, copy),
                    document=document.name,
                    title=document.title,
                    heading=piece.heading,
                    start=piece.start,
                    end=piece.end,
                    text=piece.text,
                    copy=copy,
                )
            )
        if len(self._ids) == first:
            raise InputError(f"{source.path} holds nothing but white space")
        record = DocumentRecord(
            name=document.name,
            digest=document.digest,
            input=source.name,
            first=first,
            chunks=len(self._ids) - first,
        )
        self._records.append(record)
        if old is None:
            self._report.added += 1
        else:
            self._report.changed += 1

    def _keep(self, record: DocumentRecord) -> None:
        first = len(self._ids)
        for chunk in self._old.chunks(record):
            self._write(chunk)
        self._records.append(msgspec.structs.replace(record, first=first))
        self._report.kept += 1

    def _write(self, chunk: Chunk) -> None:
        line = msgspec.json.encode(chunk) + b"\n"
        self._chunks.write(line)
        self._hasher.update(line)
        self._ids.append(int(chunk.id, 16))
        self._places.append(self._places[-1] + len(line))
        self._terms.add(searched(chunk))
        if self._vectors is not None:
            self._vectors.add(chunk)
        self._report.characters += len(chunk.text)

    def _finish(self) -> None:
        report, files = self._report, dict[str, bytes]()
        names = {record.name for record in self._records}
        report.removed = len(self._old.by_name.keys() - names)
        report.documents, report.chunks = len(self._records), len(self._ids)
        files[layout.DOCUMENTS] = b"".join(
            msgspec.json.encode(record) + b"\n" for record in self._records
        )
        files |= self._terms.files()
        files["ids.npy"] = npy(self._ids, "uint64")
        files["places.npy"] = npy(self._places, "int64")
        if self._vectors is not None:
            files[f"{layout.EMBEDDINGS}.npy"] = self._vectors.file()
        report.fingerprint = self._fingerprint()
        files[layout.MANIFEST] = self._manifest(files)
        for name, content in files.items():
            self._partial.open(name).write(content)

    def _fingerprint(self) -> str:
        self._hasher.update(msgspec.json.encode([self._settings, RANKING]))
        return self._hasher.hexdigest()

    def _manifest(self, files: dict[str, bytes]) -> bytes:
        sizes = {name: len(content) for name, content in files.items()}
        manifest = Manifest(
            plaudit=version("plaudit"),
            settings=self._settings,
            fingerprint=self._report.fingerprint,
            documents=self._report.documents,
            chunks=self._report.chunks,
            sizes=sizes | {layout.CHUNKS: self._places[-1]},
            digests={name: layout.digest(data).hexdigest() for name, data in files.items()},
        )
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


class _Old:
    """The index that was there before, if it can be built upon."""

    def __init__(self, corpus: Corpus | None) -> None:
        self._corpus = corpus
        records = corpus.documents if corpus is not None else []
        self.by_name = {record.name: record for record in records}
        self._by_input: dict[str, list[DocumentRecord]] = {}
        for record in records:
            self._by_input.setdefault(record.input, []).append(record)

    def of_input(self, name: str, digest: str) -> list[DocumentRecord]:
        """Return the documents of a file, if it is the same file; else none."""
        records = self._by_input.get(name, [])
        return records if all(record.input_digest == digest for record in records) else []

    def chunks(self, record: DocumentRecord) -> Iterator[Chunk]:
        """Return the chunks of a document."""
        assert self._corpus is not None
        return iter(self._corpus.chunks[record.first : record.first + record.chunks])


class _Vectors:
    """The embeddings of chunks; those that an old index has are taken from it."""

    def __init__(self, old: Corpus | None) -> None:
        self._old = old
        self._found: list[Any] = []
        self._waiting: list[tuple[int, str]] = []

    def add(self, chunk: Chunk) -> None:
        """Add the next chunk."""
        known = None if self._old is None else self._old.vector(chunk.id)
        if known is None:
            self._waiting.append((len(self._found), searched(chunk)))
        self._found.append(known)
        if len(self._waiting) == _BATCH:
            self._embed()

    def _embed(self) -> None:
        vectors = ranking.embed([text for _, text in self._waiting])
        for (place, _), vector in zip(self._waiting, vectors, strict=True):
            self._found[place] = vector
        self._waiting.clear()

    def file(self) -> bytes:
        """Return the file of all vectors."""
        self._embed()
        return npy(self._found, "float32")
