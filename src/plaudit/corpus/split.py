"""Which chunks are asked about, and on which side of the split their questions are.

Both are decided for each chunk by itself, by a hash of its words: other documents move no chunk,
and chunks of the same words are always on the same side.
"""

import hashlib
import heapq
from collections.abc import Sequence

from plaudit.corpus.question import Split
from plaudit.errors import UsageError
from plaudit.prompts.selection import words


def text_key(text: str) -> bytes:
    """Return what two chunks have in common if they say the same, case and punctuation aside."""
    content = " ".join(words(text)).encode(errors="replace")
    return hashlib.blake2b(content, digest_size=16).digest()


def side(key: bytes, seed: int, test_fraction: float) -> Split:
    """Return the side of a chunk.

    Args:
        key: of its text.
        seed: of the split.
        test_fraction: chance of each chunk to be on the test side, 0..1.

    Raises:
        UsageError: the fraction is no chance.
    """
    if not 0 <= test_fraction <= 1:
        raise UsageError(f"the test fraction must be from 0 to 1, not {test_fraction}")
    return "test" if _chance(key, seed, b"split") < test_fraction else "train"


def sample(keys: Sequence[bytes], seed: int, count: int | None) -> list[int]:
    """Choose chunks; return their numbers in order. A larger count chooses the same and more.

    Args:
        keys: of the chunks' texts, in order.
        seed: of the choice.
        count: how many; None: all.
    """
    if count is None:
        return list(range(len(keys)))
    drawn = ((_chance(key, seed, b"sample"), number) for number, key in enumerate(keys))
    return sorted(number for _, number in heapq.nsmallest(count, drawn))


def _chance(key: bytes, seed: int, purpose: bytes) -> float:
    """Return a number from 0 to 1, 1 left out, that is spread evenly over keys."""
    digest = hashlib.blake2b(b"%d %s " % (seed, purpose) + key, digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
