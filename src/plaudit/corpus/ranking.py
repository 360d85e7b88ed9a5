"""Which chunks are about a query: BM25 (Robertson et al. 1994), computed by bm25s.

The score of every word in every chunk is computed when the index is made. A search adds up the
columns of the query's words, straight from the files, which are not loaded but mapped.
"""

import io
import logging
import re
from array import array
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.corpus.layout import WORDS, Chunk, Manifest, check_file, damaged
from plaudit.errors import InputError, UsageError
from plaudit.prompts.selection import words

RANKING = "bm25s lucene k1=1.5 b=0.75, words 1, telling words of a query"
"""What ranks chunks; part of an index's fingerprint."""
MOST_WORDS = 1_000
"""Words of a query that count, from its beginning."""
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")


def terms(text: str) -> list[str]:
    """Return the words of a text by which it is found; HTML tags within it have none."""
    return words(_TAG.sub(" ", text) if "<" in text else text)


def searched(chunk: Chunk) -> str:
    """Return the text by which a chunk is found: title, headings and its own."""
    return "\n".join((chunk.title, *chunk.heading, chunk.text))


def telling(query: str) -> list[str]:
    """Return the words by which is searched: without English function words, if others are left.

    In a small corpus these would outweigh the one word that matters, for they are rare in it too.
    """
    asked = terms(query)[:MOST_WORDS]
    plain = frozenset(load_package("bm25s", "corpus").stopwords.STOPWORDS_EN)
    return [word for word in asked if word not in plain] or asked


class WordScores:
    """Gathers the words of chunks, in order, for an index."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._chunks: list[array[int]] = []

    def add(self, text: str) -> None:
        """Add the next chunk."""
        numbers = self._numbers
        found = [numbers.setdefault(word, len(numbers)) for word in terms(text)]
        self._chunks.append(array("i", found))

    def files(self) -> dict[str, bytes]:
        """Compute the scores; return the files of the index that hold them.

        Raises:
            InputError: there is no word in all of them.
            MissingDependencyError: bm25s is not installed.
        """
        if not self._numbers:
            raise InputError("the documents hold no word, so nothing could be found in them")
        index: Any = _bm25()
        found = index.build_index_from_ids(
            list(range(len(self._numbers))), self._chunks, show_progress=False
        )
        return {
            WORDS: msgspec.json.encode(list(self._numbers)),
            "scores.npy": npy(found["data"], "float32"),
            "holders.npy": npy(found["indices"], "uint32"),
            "columns.npy": npy(found["indptr"], "int64"),
        }


class Ranking:
    """The BM25 scores of an index."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Open those of an index.

        Raises:
            InputError: they are damaged.
            MissingDependencyError: bm25s is not installed.
        """
        self._folder = folder
        scores, holders = (
            load_array(folder, manifest, "scores", "float32"),
            load_array(folder, manifest, "holders", "uint32"),
        )
        columns = load_array(folder, manifest, "columns", "int64")
        try:
            known = msgspec.json.decode(
                check_file(folder, manifest, WORDS).read_bytes(), type=list[str]
            )
        except (OSError, msgspec.MsgspecError) as error:
            raise damaged(folder, f"{WORDS}: {error}") from error
        sound = (
            len(columns) == len(known) + 1
            and columns[0] == 0
            and (columns[1:] >= columns[:-1]).all()
        )
        if not sound or not columns[-1] == len(scores) == len(holders):
            raise damaged(folder, "its arrays do not fit together")
        self._numbers = {word: number for number, word in enumerate(known)}
        self._index: Any = _bm25()
        self._index.nonoccurrence_array = None
        self._index.scores = {
            "data": scores, "indices": holders, "indptr": columns, "num_docs": manifest.chunks
        }  # fmt: skip

    def scores(self, query: str) -> Any:
        """Return the score of each chunk (float32, n): 0 for those that have none of its words."""
        # Always added in the same order, so that the same words give the same sums.
        known = sorted(word for word in telling(query) if word in self._numbers)
        try:
            return self._index.get_scores_from_ids([self._numbers[word] for word in known])
        except (IndexError, ValueError) as error:
            raise damaged(self._folder, f"its arrays do not fit together: {error}") from error


def best(scores: Any, count: int) -> list[int]:
    """Return the places of the highest scores above 0, the highest first, ties in order."""
    np = load_package("numpy", "corpus")
    least = 0.0
    if count < len(scores):
        least = float(np.partition(scores, len(scores) - count)[len(scores) - count])
    found = np.flatnonzero((scores >= least) & (scores > 0))
    return found[np.argsort(-scores[found], kind="stable")][:count].tolist()


def npy(values: Any, kind: str) -> bytes:
    """Return numbers as the content of an .npy file."""
    np = load_package("numpy", "corpus")
    file = io.BytesIO()
    np.save(file, np.asarray(values, kind), allow_pickle=False)
    return file.getvalue()


def load_array(folder: Path, manifest: Manifest, name: str, kind: str, dimensions: int = 1) -> Any:
    """Map an array of an index into memory.

    Raises:
        InputError: it is damaged.
    """
    np = load_package("numpy", "corpus")
    path = check_file(folder, manifest, f"{name}.npy")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(folder, f"{name}.npy: {error}") from error
    if found.dtype != kind or found.ndim != dimensions:
        raise damaged(folder, f"{name}.npy holds something else")
    return found


def _bm25() -> Any:
    found = load_package("bm25s", "corpus")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # It logs every step otherwise.
    return found.BM25()


MODEL = "wordllama l2_supercat_256"
DIMENSIONS = 256
_STEADY = 60
"""The constant of reciprocal rank fusion, as in its source."""


@contextmanager
def _logging_unchanged() -> Generator[None]:
    """Undo what wordllama does to the root logger when it is imported."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


@cache
def _model() -> Any:
    with _logging_unchanged():
        package = load_package("wordllama", "embeddings")
    # Its own folder stands in for a cache: there it looks for the tokenizer under the right name.
    folder = Path(package.__file__).parent
    try:
        return package.WordLlama.load(cache_dir=folder, disable_download=True)
    except FileNotFoundError as error:
        raise UsageError(
            f"the installed wordllama came without its model ({error}): install it from its wheel, "
            "with pip install --force-reinstall 'plaudit[embeddings]'"
        ) from error


def embed(texts: Sequence[str]) -> Any:
    """Return a vector of length 1 for each text (float32, n x 256); of length 0 for an empty one.

    Raises:
        MissingDependencyError: wordllama is not installed.
        UsageError: its model is not there.
    """
    np = load_package("numpy", "corpus")
    # One by one: faster than padded batches, and no text's vector depends on its neighbours.
    whole = [text.encode(errors="replace").decode() for text in texts]
    vectors = _model().embed(whole, batch_size=1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def fuse(rankings: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
    """Combine rankings by reciprocal rank fusion (Cormack, Clarke and Buettcher 2009).

    Args:
        rankings: places, the best first.

    Returns:
        Each place with its score, the best first, ties in order of place. The score is the sum of
        1 / (60 + rank) over the rankings that have the place, ranks counted from 1.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            scores[place] = scores.get(place, 0.0) + 1 / (_STEADY + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
