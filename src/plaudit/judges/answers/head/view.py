"""An answer beside its references: which one is nearest, where it stands, what stands around it."""

from collections.abc import Collection, Sequence
from functools import cached_property, lru_cache
from itertools import takewhile

import msgspec

from plaudit.judges.answers.head.cues import NEGATION, cues
from plaudit.judges.answers.head.tokens import STOP, Word, read_words

MOST_REFERENCES = 40
"""References that are looked at."""
_MOST_WORDS = 60
"""Words of a reference that are looked at."""
_LONG_REFERENCE = 1000
"""Characters of a reference that are looked at."""
_MOST_SPANS = 6
_MOST_NOVEL = 60
_LEAST_RESTATED = 3
"""Words that a question must have for its repetition to be known as one."""
_SLACK = 4
"""Words that may stand between those of a reference that is not found in one piece."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """Where a reference stands: words `start` to `end` of an answer, the end left out."""

    start: int
    end: int
    exact: bool
    """Whether its words stand side by side, in order."""


class Reference(msgspec.Struct, frozen=True):
    """A reference, read."""

    text: str
    """Its first characters, as they are written."""
    words: tuple[Word, ...]
    content: tuple[str, ...]
    """Its words without those that say nothing, unless there are only such."""
    key: frozenset[str]
    """Those that the question does not hold already, unless it holds all."""


class QuestionView(msgspec.Struct, frozen=True):
    """A question, read."""

    content: tuple[str, ...]
    """Its words without those that say nothing."""
    words: frozenset[str]
    every: frozenset[str]
    """All of its words."""
    negated: bool


@lru_cache(512)
def read_question(text: str) -> QuestionView:
    """Return a question, read."""
    words = [w.text for w in read_words(text)]
    content = tuple(w for w in words if w not in STOP)
    negated = any(cues().get(w, 0) & NEGATION for w in words)
    return QuestionView(content, frozenset(content), frozenset(words), negated)


@lru_cache(4096)
def read_reference(text: str, question: str) -> Reference:
    """Return a reference to a question, read."""
    words = tuple(read_words(text[:_LONG_REFERENCE])[:_MOST_WORDS])
    content = tuple(w.text for w in words if w.text not in STOP) or tuple(w.text for w in words)
    key = frozenset(content) - read_question(question).words
    return Reference(text[:_LONG_REFERENCE], words, content, key or frozenset(content))


class View:
    """An answer beside the reference that it is nearest to; what several features need."""

    def __init__(
        self, answer: Sequence[Word], question: QuestionView, references: Sequence[Reference]
    ) -> None:
        texts = [w.text for w in answer]
        self.echo = len(question.words.intersection(texts))
        answer = _without_question(answer, texts, question.content)
        self.restated = len(answer) < len(texts)
        self.answer, self.references = answer, references
        self.asked, self.question = question, question.words
        texts = [w.text for w in answer] if self.restated else texts
        self.texts = frozenset(texts)
        self.content = [text for text in texts if text not in STOP]
        self.coverages = [_coverage(r.key, self.texts) for r in references] or [0.0]
        self._joined = f" {' '.join(self.content)} "
        self.reference = self._nearest()
        self.coverage = _coverage(self.reference.key, self.texts)
        self.letters = self._letters()
        self.spans = _find_spans(texts, self.reference.content, self.reference.key)
        self.span = self.spans[0] if self.spans else None
        self.known = {w for r in references for w in r.content}
        self.known_or_asked = self.known | self.question
        table = cues()
        given = self.known_or_asked
        self.kinds = [0 if text in given else table.get(text, 0) for text in texts]
        self.any_kind = 0
        for kind in self.kinds:
            self.any_kind |= kind

    @cached_property
    def novel(self) -> list[int]:
        """Places of words that neither the question nor a reference holds."""
        known = self.known_or_asked
        return [
            n
            for n, w in enumerate(self.answer)
            if w.text not in known and w.text not in STOP and not w.sign
        ]

    @cached_property
    def missing(self) -> list[str]:
        """Words of the reference that the answer lacks, sorted."""
        return sorted(w for w in self.reference.key if w not in self.texts)

    @cached_property
    def likeness(self) -> list[float]:
        """How like each missing word is to the likest novel word, 0 to 1."""
        others = [self.answer[n].text for n in self.novel[:_MOST_NOVEL]]
        return [closest(w, others) for w in self.missing]

    @cached_property
    def numeric(self) -> bool:
        """Whether the reference holds a number."""
        return any(w.number or w.text.isdecimal() for w in self.reference.words)

    @cached_property
    def rivals(self) -> list[tuple[int, int]]:
        """Runs of names, or numbers where the reference is one, that are not its own."""
        if self.numeric:
            runs = [(n, n + 1) for n, w in enumerate(self.answer) if w.text.isdecimal()]
        else:
            runs = _runs(self.answer, self.kinds)
        return [run for run in runs if self._foreign(run)]

    def _nearest(self) -> Reference:
        if not self.references:
            return Reference("", (), (), frozenset())
        best = max(
            range(len(self.references)),
            key=lambda n: (
                self.coverages[n] + (f" {' '.join(self.references[n].content)} " in self._joined),
                min(len(self.references[n].content), 12) * (self.coverages[n] or -1),
            ),
        )
        return self.references[best]

    def _letters(self) -> float:
        """Return the share of the reference's runs of three letters that the answer holds."""
        joined, own = self._joined, " ".join(self.reference.content)
        runs = {own[n : n + 3] for n in range(max(1, len(own) - 2))}
        return len([run for run in runs if run in joined]) / len(runs) if own else 0.0

    def _foreign(self, run: tuple[int, int]) -> bool:
        words = {self.answer[n].text for n in range(*run)}
        return self.known.isdisjoint(words) and not words <= self.question

    def added(self) -> list[Word]:
        """Return what neither question nor reference holds; initials and "not Y" left out."""
        return [
            w
            for n, w in enumerate(self.answer)
            if w.text not in self.known_or_asked
            and not w.initial
            and not any(kind & NEGATION for kind in self.kinds[max(0, n - 3) : n])
        ]

    def near(self, kind: int, before: int, after: int, *, clause: bool = False) -> int:
        """Return how often a kind of cue stands near any of the spans, in its sentence."""
        if not self.any_kind & kind:
            return 0
        found: set[int] = set()
        for span in self.spans:
            around = range(max(0, span.start - before), min(len(self.answer), span.end + after))
            for n in around:
                if not self.kinds[n] & kind or span.start <= n < span.end:
                    continue
                edge = self.answer[span.start if n < span.start else span.end - 1]
                word = self.answer[n]
                if word.sentence == edge.sentence and (not clause or word.clause == edge.clause):
                    found.add(n)
        return len(found)

    def count(self, kind: int, start: int = 0, end: int | None = None) -> int:
        """Return how many words of the answer are cues of a kind."""
        return sum(1 for k in self.kinds[start:end] if k & kind) if self.any_kind & kind else 0

    @cached_property
    def sentence(self) -> range:
        """Places of the words of the first span's sentence."""
        if self.span is None:
            return range(0)
        number = self.answer[self.span.start].sentence
        start, end = self.span.start, self.span.end
        while start > 0 and self.answer[start - 1].sentence == number:
            start -= 1
        while end < len(self.answer) and self.answer[end].sentence == number:
            end += 1
        return range(start, end)

    @cached_property
    def closing(self) -> list[int]:
        """Places of the last sentence from its end, where the reference stands before it only."""
        if not self.spans or not self.answer:
            return []
        last = self.answer[-1].sentence
        if self.answer[self.spans[-1].end - 1].sentence == last:
            return []
        backwards = range(len(self.answer) - 1, -1, -1)
        return list(takewhile(lambda n: self.answer[n].sentence == last, backwards))


def _without_question(
    answer: Sequence[Word], texts: Sequence[str], question: tuple[str, ...]
) -> Sequence[Word]:
    """Return an answer, without the question where it repeats that word for word."""
    size = len(question)
    if size < _LEAST_RESTATED or question[0] not in texts or question[-1] not in texts:
        return answer
    places = [n for n, text in enumerate(texts) if text not in STOP]
    content = tuple(texts[n] for n in places)
    for n in range(len(content) - size + 1):
        if content[n] == question[0] and content[n : n + size] == question:
            start, end = places[n], places[n + size - 1] + 1
            return [*answer[:start], *answer[end:]]
    return answer


def _coverage(key: Collection[str], texts: Collection[str]) -> float:
    whole = len("".join(key))
    return len("".join([w for w in key if w in texts])) / whole if whole else 0.0


def closest(word: str, others: Sequence[str]) -> float:
    """Return how like a word is to the likest of some others, 0 to 1."""
    first, then = word[:1], word[1:3]
    akin = [other for other in others if other[:1] == first or other[1:3] == then]
    return max([_likeness(word, other) for other in akin], default=0.0)


@lru_cache(16384)
def _likeness(a: str, b: str) -> float:
    """Return how alike two words are, 0 to 1: pairs of letters (Dice), or the same beginning."""
    if a[0].isdecimal() or b[0].isdecimal():
        return 0.0
    pairs, others = {a[n : n + 2] for n in range(len(a))}, {b[n : n + 2] for n in range(len(b))}
    dice = 2 * len(pairs & others) / (len(pairs) + len(others))
    common = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        common += 1
    return max(dice, common / max(len(a), len(b)) if common > 3 else 0.0)


def _runs(answer: Sequence[Word], kinds: Sequence[int]) -> list[tuple[int, int]]:
    """Return where runs of capitalised words stand; a sentence's first word alone may be none."""
    runs: list[tuple[int, int]] = []
    start = None
    for n, word in enumerate(answer):
        named = word.capital and not (word.opens and (word.text in STOP or kinds[n]))
        if start is not None and (not named or word.clause != answer[n - 1].clause):
            runs.append((start, n))
            start = None
        if named and start is None:
            start = n
    if start is not None:
        runs.append((start, len(answer)))
    return runs


def _find_spans(answer: Sequence[str], content: Sequence[str], key: Collection[str]) -> list[Span]:
    """Return where a reference stands in one piece, else the first place with most of its words."""
    if not any(text in key for text in answer):
        return []
    places = [n for n, text in enumerate(answer) if text not in STOP or text in content[:1]]
    texts = [answer[n] for n in places]
    exact: list[Span] = []
    size = len(content)
    for n, text in enumerate(texts):
        if size and text == content[0] and tuple(texts[n : n + size]) == tuple(content):
            exact.append(Span(places[n], places[n + size - 1] + 1, True))
            if len(exact) == _MOST_SPANS:
                break
    return exact or _loose_span(answer, size + _SLACK, key)


def _loose_span(answer: Sequence[str], width: int, key: Collection[str]) -> list[Span]:
    hits = [n for n, text in enumerate(answer) if text in key]
    best: tuple[int, int, int] = (0, 0, 0)
    for place, start in enumerate(hits[:50]):
        within = [n for n in hits[place : place + width] if n < start + width]
        best = max(best, (len({answer[n] for n in within}), -start, within[-1]))
    return [Span(-best[1], best[2] + 1, False)] if best[0] else []
