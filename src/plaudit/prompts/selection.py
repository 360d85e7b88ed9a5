"""Which shots of a pool a sample gets: seeded or alike, balanced, and never the sample itself.

All of it works on texts and labels. The text of a pair must be the same for both orders of its
responses; then swapping them changes neither the shots nor their order.
"""

import hashlib
import logging
import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from plaudit.errors import MissingDependencyError

NEAR = 0.8
"""Jaccard index of two texts' sets of words from which on they count as the same."""
_ROUNDING = 1e-9
_LENGTHS = 2
"""Texts whose lengths differ by more than this factor are never compared."""

# Scripts without spaces between words: each character is a word.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
)
_PLAIN = bytes(ord(chr(b).lower()) if chr(b).isalnum() else 32 for b in range(128)).ljust(256)
"""ASCII in lower case, and spaces for what is in no word; three times as fast as a pattern."""
_WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")


def words(text: str) -> list[str]:
    """Return a text's words in order, without case and punctuation."""
    if text.isascii():
        return text.encode().translate(_PLAIN).decode().split()
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def balanced(ranking: Iterable[int], labels: Sequence[str], count: int) -> tuple[int, ...]:
    """Take `count` of a ranking, in turns over the labels: the first of each, the second, ...

    The labels' counts differ by at most one, where the ranking has enough of each.
    """
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, int]] = []
    for rank, place in enumerate(ranking):
        turn = seen[labels[place]]
        if turn < count:
            turns.append((turn, rank, place))
            seen[labels[place]] = turn + 1
    return tuple(place for _, _, place in sorted(turns)[:count])


def seeded(key: str, labels: Sequence[str], most: int) -> list[int]:
    """Return up to `most` places of each label, in an order that the key alone decides.

    Only `random.Random.random` is used, whose sequence Python keeps from version to version.
    """
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    source = random.Random(int.from_bytes(digest))
    groups: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        groups.setdefault(label, []).append(place)
    drawn = [
        (source.random(), place)
        for group in groups.values()
        for place in _draw(source, group, most)
    ]
    return [place for _, place in sorted(drawn)]


def _draw(source: random.Random, group: Sequence[int], most: int) -> Iterator[int]:
    """Draw without replacement, at the cost of what is drawn (Fisher and Yates, kept sparse)."""
    moved: dict[int, int] = {}
    for i in range(min(most, len(group))):
        j = i + int(source.random() * (len(group) - i))
        yield group[moved.get(j, j)]
        moved[j] = moved.get(i, i)


class Nearest:
    """Ranks texts by their likeness to another one: BM25, with the parameters of bm25s."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Index the texts, once.

        Raises:
            MissingDependencyError: bm25s is not installed.
        """
        try:
            import bm25s  # pyright: ignore[reportMissingTypeStubs]
        except ImportError:
            raise MissingDependencyError("bm25s", "search") from None
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # It logs every step otherwise.
        self._count = len(texts)
        self._index: Any = bm25s.BM25()
        self._index.index([words(text) for text in texts], show_progress=False)

    def ranking(self, text: str) -> list[int]:
        """Return all places, the most alike first; what is as much alike in the pool's order."""
        known = [word for word in sorted(words(text)) if word in self._index.vocab_dict]
        if not known:
            return list(range(self._count))
        return (-self._index.get_scores(known)).argsort(kind="stable").tolist()


class Lookalikes:
    """Finds texts that are nearly another one: equal, or `NEAR` by the words they have in common.

    Two sets of words have a Jaccard index of at least `NEAR` only if the smaller lacks less than a
    fifth of the larger one's words. So of each text the rarest fifth, and one more, is indexed: a
    text that holds none of these words is like none of the texts (the prefix filter of Chaudhuri
    et al. 2006).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index the texts."""
        self._words = [_set_of(text) for text in texts]
        self._lengths = [len(text) for text in texts]
        self._shortest = min(self._lengths, default=1) / _LENGTHS
        self._longest = max(self._lengths, default=0) * _LENGTHS
        often = Counter(word for found in self._words for word in found)
        self._rare: dict[str, list[int]] = {}
        for place, found in enumerate(self._words):
            size = len(found) - math.ceil(NEAR * len(found) - _ROUNDING) + 1
            for word in sorted(found, key=lambda word: (often[word], word))[:size]:
                self._rare.setdefault(word, []).append(place)
        self._any = frozenset(self._rare)

    def find(self, text: str) -> frozenset[int]:
        """Return the places of the texts that are nearly this one."""
        if not self._shortest <= len(text) <= self._longest:
            return frozenset()
        found = _set_of(text)
        if self._any.isdisjoint(found):
            return frozenset()
        near = {place for word in self._any & found for place in self._rare[word]}
        return frozenset(place for place in near if self._alike(place, found, len(text)))

    def _alike(self, place: int, found: frozenset[str], length: int) -> bool:
        known, long = self._words[place], self._lengths[place]
        common = len(known & found)
        return (
            common >= NEAR * (len(known) + len(found) - common) - _ROUNDING
            and long <= _LENGTHS * length
            and length <= _LENGTHS * long
        )


def _set_of(text: str) -> frozenset[str]:
    return frozenset(words(text)) or frozenset({text.strip()})
