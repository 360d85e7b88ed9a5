"""Embeddings of chunks and queries, by a model that comes with its package: nothing is fetched.

WordLlama looks up a vector for each token and takes the mean, so that a text costs a millisecond.
It finds texts that say the same in other words, and is no match for BM25 where words are the same:
therefore both are asked, and their ranks combined.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from plaudit._util.packages import load_package
from plaudit.errors import UsageError

MODEL = "wordllama l2_supercat_256"
DIMENSIONS = 256
_STEADY = 60
"""The constant of reciprocal rank fusion, as in its source."""


@cache
def _model() -> Any:
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
