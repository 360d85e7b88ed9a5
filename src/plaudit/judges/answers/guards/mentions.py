"""Where references are mentioned in an answer."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import islice

_LOOKED_AT = 2_000
"""Characters at the beginning and at the end that are looked at."""
_REFERENCES = 200
_REFERENCE = 200
"""Characters of a reference that is looked for."""
_MENTIONS = 20
"""Mentions of one reference that are looked at."""
_AROUND = 25
"""Words around a mention that are looked at."""
_NEAR = 10
"""Words before a mention that may negate it, or name an alternative."""
_LATER = 100
"""Words after a mention that may take it back."""

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\n|\S"
)
_NOT = re.compile(r"(?<=[a-z])n['\u2019]t\b|(?<=\bcan)not\b", re.IGNORECASE)
_DECORATION = dict.fromkeys(map(ord, '*`"\u201c\u201d\u201e\u00ab\u00bb'))
"""Emphasis and quotes, which say nothing of what they stand around."""
_ENDS = frozenset(".!?;\n\u3002\uff01\uff1f")
_ARTICLES = frozenset({"a", "an", "the"})
_POLAR = frozenset({"yes", "no", "true", "false", "right", "wrong", "correct", "incorrect", "not"})


class Mention:
    """One place where a reference stands in an answer.

    Attributes:
        text: the answer.
        words: the words of the mention.
    """

    def __init__(self, text: "Mentions", start: int, end: int) -> None:
        self.text = text
        self.words = text.words[start:end]
        self._start, self._end = start, end

    @cached_property
    def before(self) -> str:
        """What stands before it in its sentence, up to 25 words, each with a space behind."""
        return self._up_to_it(self._start - _AROUND)

    @cached_property
    def near(self) -> str:
        """The last ten words of `before`."""
        return self._up_to_it(self._start - _NEAR)

    @cached_property
    def after(self) -> str:
        """What follows in its sentence and the first word of the next, up to 25 words."""
        words, end = self.text.words, self._end
        last = next((i for i in range(end, len(words)) if words[i] in _ENDS), len(words))
        return " ".join(words[end : min(last + 2, end + _AROUND)])

    def _up_to_it(self, first: int) -> str:
        """Return its sentence from a word on, up to the mention, each word with a space behind."""
        found: list[str] = []
        for word in reversed(self.text.words[max(0, first) : self._start]):
            if word in _ENDS:
                break
            found.append(f"{word} ")
        return "".join(reversed(found))

    @property
    def later(self) -> str:
        """What follows, over the ends of sentences."""
        return " ".join(self.text.words[self._end : self._end + _LATER])

    @property
    def is_polar(self) -> bool:
        """Whether the reference is a yes or a no: "No, that is wrong" takes no "no" back."""
        return self.words[0].casefold() in _POLAR

    def has(self, cues: frozenset[str]) -> bool:
        """Whether the answer holds one of some words; to look for these first is much faster."""
        return self.text.has(cues)

    def accepts(self, other: str) -> bool:
        """Whether a candidate is of words of the references."""
        return {word.casefold() for word in tokens(other)} <= self.text.accepted


class Mentions:
    """The mentions of references in an answer.

    Args:
        answer: the text; its beginning and its end are looked at.
        question: what was asked.
        references: accepted answers; the first 200 are looked for.
    """

    def __init__(self, answer: str, question: str, references: Sequence[str]) -> None:
        if len(answer) > 2 * _LOOKED_AT:
            answer = f"{answer[:_LOOKED_AT]}\n{answer[-_LOOKED_AT:]}"
        self.words = tokens(answer)
        self.question = question[:_LOOKED_AT]
        self._references = [
            _reference_tokens(reference[:_REFERENCE]) for reference in references[:_REFERENCES]
        ]

    def all(self) -> list[Mention]:
        """Return the mentions of all references, in order; of one within another the longer."""
        spans = {span for reference in self._references for span in self._spans(reference)}
        outermost: list[tuple[int, int]] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if not outermost or end > outermost[-1][1]:
                outermost.append((start, end))
        return [Mention(self, *span) for span in outermost]

    def _spans(self, reference: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield where a reference stands; a single letter counts in its own case only."""
        exact = len(reference) == 1 and len(reference[0]) == 1
        wanted = list(reference) if exact else _without_article([w.casefold() for w in reference])
        if not wanted:
            return
        words, size = self.words if exact else self._folded, len(wanted)
        if wanted[0] not in words:
            return
        starts = (i for i, word in enumerate(words) if word == wanted[0])
        for start in islice(starts, _MENTIONS):
            if words[start : start + size] == wanted:
                yield start, start + size

    @cached_property
    def _folded(self) -> list[str]:
        return list(map(str.casefold, self.words))

    @cached_property
    def _held(self) -> frozenset[str]:
        return frozenset(self._folded)

    def has(self, cues: frozenset[str]) -> bool:
        """Whether the answer holds one of some words."""
        return not cues.isdisjoint(self._held)

    @cached_property
    def accepted(self) -> frozenset[str]:
        """The words of all references."""
        return frozenset(word.casefold() for reference in self._references for word in reference)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The words of the question."""
        return frozenset(word.casefold() for word in tokens(self.question))

    @cached_property
    def asked_stems(self) -> frozenset[str]:
        """The first four letters of the words of the question."""
        return frozenset(word[:4] for word in self.asked)


def tokens(text: str) -> list[str]:
    """Return the words, numbers and signs of a text, without emphasis and quotes.

    "Isn't" and "cannot" hold a "not".
    """
    if "n't" in text or "n\u2019t" in text or "annot" in text:
        text = _NOT.sub(" not", text)
    return _TOKEN.findall(text.translate(_DECORATION))


@lru_cache(1024)
def _reference_tokens(reference: str) -> tuple[str, ...]:
    return tuple(tokens(reference))


def _without_article(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
