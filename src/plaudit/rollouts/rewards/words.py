"""Texts as words: how rewards compare what was written with what was found."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

_WORD = re.compile(
    # A character of a script without spaces is a word; so no sentence passes for one.
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff]"
    r"|(?:(?![\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff])[^\W_])+"
)
_THOUSANDS = re.compile(r"(?<=\d)[,\u2009\u202f](?=\d{3}(?!\d))")
_READ = 500_000
_LONGEST = 24
_PIECE = 8

STOP_WORDS = frozenset(
    {
        "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as",
        "at", "be", "because", "been", "before", "being", "both", "but", "by", "can", "could",
        "did", "do", "does", "doing", "done", "for", "from", "further", "had", "has", "have",
        "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into",
        "is", "it", "its", "itself", "just", "me", "more", "most", "my", "no", "nor", "not",
        "now", "of", "off", "on", "once", "only", "or", "other", "our", "out", "over", "own",
        "s", "same", "she", "should", "so", "some", "such", "t", "than", "that", "the", "their",
        "them", "then", "there", "these", "they", "this", "those", "through", "to", "too",
        "under", "until", "up", "us", "very", "was", "we", "were", "what", "when", "where",
        "which", "while", "who", "whom", "why", "will", "with", "would", "yes", "you", "your",
    }
)  # fmt: skip


def words(text: str) -> list[str]:
    """Return the words of a text, folded in case, width and accents' encoding.

    A thousands separator is dropped. A word longer than any real one is cut into pieces, so that
    repetition within it is seen. Of a text of more than 500,000 characters only so many are read,
    so that no single one holds up all others.
    """
    folded = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text[:_READ]).casefold())
    found = _WORD.findall(folded)
    if max(map(len, found), default=0) <= _LONGEST:
        return found
    return [piece for word in found for piece in _pieces(word)]


def _pieces(word: str) -> list[str]:
    if len(word) <= _LONGEST:
        return [word]
    return [word[i : i + _PIECE] for i in range(0, len(word), _PIECE)]


def normal(text: str) -> str:
    """Return the words of a text as one line."""
    return " ".join(words(text))


def content(text: str) -> set[str]:
    """Return the words that say something: English function words are left out."""
    return set(words(text)) - STOP_WORDS


def runs(found: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Yield all runs of so many words (n-grams), in order."""
    return zip(*(islice(found, start, None) for start in range(length)), strict=False)


def copied_share(text: Sequence[str], sources: Iterable[Sequence[str]], length: int = 6) -> float:
    """Return which share of a text's words stands in a run that a source has word for word.

    Args:
        text: its words.
        sources: the words of each text that it may be copied from.
        length: words of a run.
    """
    own = set(runs(text, length))
    if not own:
        return 0.0
    known = {run for source in sources for run in runs(source, length) if run in own}
    covered = [False] * len(text)
    for start, run in enumerate(runs(text, length)):
        if run in known:
            covered[start : start + length] = [True] * length
    return sum(covered) / len(text)
