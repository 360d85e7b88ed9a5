"""A corpus that was built: its chunks, and the search in them."""

import mmap
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, overload

import msgspec

from plaudit._util.packages import load_package
from plaudit.corpus import ranking
from plaudit.corpus.layout import (
    CHUNKS,
    DOCUMENTS,
    EMBEDDINGS,
    Chunk,
    DocumentRecord,
    Manifest,
    check_file,
    chunk_id,
    damaged,
    read_manifest,
)
from plaudit.corpus.ranking import Ranking, best, load_array
from plaudit.errors import InputError, UsageError
from plaudit.prompts.escape import Escaper

_DEPTH = 100
"""How far down the two rankings of a hybrid search are combined, at least."""
_HEAD = "[[chunk "
"""How a chunk begins in ready text."""
BETWEEN = "\n\n"
"""What stands between two chunks in ready text."""

_decode = msgspec.json.Decoder(Chunk).decode


class Hit(msgspec.Struct, frozen=True):
    """A chunk that a search found."""

    chunk: Chunk
    rank: int
    """From 1, the best."""
    score: float
    """BM25; with embeddings, the sum of 1 / (60 + rank) over both rankings."""


class Corpus:
    """An index: chunks by number or id, and search. Made by `open_corpus`.

    It reads what it needs from the files, which are mapped into memory; it is cheap to open, it
    pickles, and it may be used from several threads.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Open an index; use `open_corpus`."""
        self.path = folder
        self.manifest = manifest
        self._places = load_array(folder, manifest, "places", "int64")
        self._lines = _map(folder)
        if len(self._places) != manifest.chunks + 1 or self._places[-1] != len(self._lines):
            raise damaged(folder, "places.npy does not fit to chunks.jsonl")
        self._ids = load_array(folder, manifest, "ids", "uint64")
        if len(self._ids) != manifest.chunks:
            raise damaged(folder, "ids.npy does not fit to chunks.jsonl")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path: the files are opened again, and must be the same."""
        return _reopen, (self.path, self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """Hash of all that results depend on: chunks, settings, and what ranks them."""
        return self.manifest.fingerprint

    def __len__(self) -> int:
        """How many chunks there are."""
        return self.manifest.chunks

    def __iter__(self) -> Iterator[Chunk]:
        """Go through the chunks, in order."""
        return map(self._read, range(len(self)))

    @property
    def chunks(self) -> Sequence[Chunk]:
        """All chunks in order, each read when it is asked for."""
        return _Chunks(self)

    @cached_property
    def documents(self) -> list[DocumentRecord]:
        """The documents, in order.

        Raises:
            InputError: the index is damaged.
        """
        try:
            lines = check_file(self.path, self.manifest, DOCUMENTS).read_bytes().splitlines()
            return [msgspec.json.decode(line, type=DocumentRecord) for line in lines]
        except (OSError, msgspec.MsgspecError) as error:
            raise damaged(self.path, f"{DOCUMENTS}: {error}") from error

    def number(self, id: str) -> int | None:
        """Return the number of the chunk with an id, or None."""
        np = load_package("numpy", "corpus")
        try:
            wanted = np.uint64(int(id, 16))
        except (ValueError, OverflowError):
            return None
        place = int(np.searchsorted(self._ids, wanted, sorter=self._order))
        number = int(self._order[place]) if place < len(self) else 0
        return number if self._ids[number] == wanted and len(id) == 16 else None

    def around(self, number: int) -> list[int]:
        """Return the numbers of a chunk and of its neighbours in the same document, in order."""
        document = self._read(number).document
        beside = [n for n in (number - 1, number, number + 1) if 0 <= n < len(self)]
        return [n for n in beside if self._read(n).document == document]

    def chunk(self, id: str) -> Chunk:
        """Return the chunk with an id.

        Raises:
            UsageError: there is none.
        """
        number = self.number(id)
        if number is None:
            raise UsageError(f"{self.path} has no chunk {id!r}")
        return self._read(number)

    def vector(self, id: str) -> Any:
        """Return the embedding of the chunk with an id (float32, 256), or None."""
        number = self.number(id)
        return None if number is None else self._embeddings[number]

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """Return the chunks that are most about a query, the best first.

        The same query gives the same hits; chunks of the same score come in order. Only the first
        1,000 words count. Where no chunk has any of them, and there are no embeddings, there is no
        hit.

        Raises:
            UsageError: `k` is less than 1.
            InputError: the index is damaged.
        """
        if k < 1:
            raise UsageError(f"at least one hit must be asked for, not {k}")
        scores = self._ranking.scores(query)
        if not self.manifest.settings.embeddings:
            ranked = [(number, float(scores[number])) for number in best(scores, k)]
        else:
            depth = max(k, _DEPTH)
            near = self._embeddings @ ranking.embed([query])[0]
            ranked = ranking.fuse([best(scores, depth), best(near, depth)])[:k]
        return [
            Hit(self._read(number), rank, score) for rank, (number, score) in enumerate(ranked, 1)
        ]

    def load(self) -> None:
        """Read now what the first search would read: what ranks chunks, and the embeddings.

        Raises:
            InputError: the index is damaged.
            MissingDependencyError: a package of the extra `corpus` or `embeddings` is missing.
        """
        self.search("", 1)

    def text(self, query: str, k: int = 5) -> str:
        """Return the hits of a query as text that a model can read; see `hits_text`."""
        return hits_text(self.search(query, k))

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking(self.path, self.manifest)

    @cached_property
    def _embeddings(self) -> Any:
        found = load_array(self.path, self.manifest, EMBEDDINGS, "float32", dimensions=2)
        if found.shape != (len(self), ranking.DIMENSIONS):
            raise damaged(self.path, "its embeddings do not fit to its chunks")
        return found

    @cached_property
    def _order(self) -> Any:
        return load_package("numpy", "corpus").argsort(self._ids, kind="stable")

    def _read(self, number: int) -> Chunk:
        line = self._lines[int(self._places[number]) : int(self._places[number + 1])]
        try:
            chunk = _decode(line)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise damaged(self.path, f"chunk {number}: {error}") from error
        if chunk.id != chunk_id(chunk.document, chunk.text, chunk.copy):
            raise damaged(self.path, f"chunk {number} has another text than its id says")
        return chunk


class _Chunks(Sequence[Chunk]):
    """The chunks of a corpus as a sequence."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __len__(self) -> int:
        return len(self._corpus)

    @overload
    def __getitem__(self, index: int) -> Chunk: ...
    @overload
    def __getitem__(self, index: slice) -> list[Chunk]: ...
    def __getitem__(self, index: int | slice) -> Chunk | list[Chunk]:
        numbers = range(len(self))[index]
        read = self._corpus._read  # pyright: ignore[reportPrivateUsage]
        return read(numbers) if isinstance(numbers, int) else [read(number) for number in numbers]


def open_corpus(path: str | Path) -> Corpus:
    """Open an index that `build_corpus` or `plaudit corpus build` made.

    Raises:
        InputError: it is no index, of another version, or damaged.
        MissingDependencyError: a package of the extra `corpus` is missing.
    """
    folder = Path(path)
    return Corpus(folder, read_manifest(folder))


def hits_text(hits: Sequence[Hit]) -> str:
    """Return hits as text that a model can read: id, place and text of each chunk, the best first.

    What a document says cannot pass for the beginning of another chunk, nor for a special token:
    both are broken by an invisible character, as in prompts.
    """
    return BETWEEN.join(map(hit_text, hits))


def hit_text(hit: Hit) -> str:
    """Return one of the hits of `hits_text`."""
    escape, chunk = _escaper().escape, hit.chunk
    return f"{_HEAD}{chunk.id}]] {escape(chunk.place)}\n{escape(chunk.text)}"


@cache
def _escaper() -> Escaper:
    return Escaper([_HEAD])


def _map(folder: Path) -> mmap.mmap:
    try:
        with (folder / CHUNKS).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # An empty file cannot be mapped.
        raise damaged(folder, f"{CHUNKS}: {error}") from error


def _reopen(path: Path, fingerprint: str) -> Corpus:
    corpus = open_corpus(path)
    if corpus.fingerprint != fingerprint:
        raise InputError(f"the index {path} was built anew since it was opened: open it again")
    return corpus
