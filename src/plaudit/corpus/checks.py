"""Which chunks are asked about, which questions are kept, and on which side of the split."""

import hashlib
import heapq
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from plaudit._util.packages import DeferredModule
from plaudit.corpus.index import Corpus
from plaudit.corpus.layout import Chunk
from plaudit.corpus.questions import Question, Split
from plaudit.errors import UsageError
from plaudit.judges.answers.base import AnswerCase
from plaudit.prompts.selection import UNSPACED, Lookalikes, words

if TYPE_CHECKING:
    from plaudit.judges.answers import decision
    from plaudit.judges.answers.guards import guard as guards
else:
    decision = DeferredModule("plaudit.judges.answers.decision")
    guards = DeferredModule("plaudit.judges.answers.guards.guard")


class Drop(StrEnum):
    """Why a question that a model wrote is not kept."""

    MALFORMED = "malformed"
    """Not of the form that was asked for."""
    EMPTY = "empty"
    """Question or answer holds no word, or the answer says nothing ("not known")."""
    TOO_LONG = "too_long"
    """The question has more than 400 characters, or the answer more than 300."""
    ABOUT_THE_PASSAGE = "about_the_passage"
    """It speaks of a passage or text that somebody who answers does not see."""
    YES_OR_NO = "yes_or_no"
    """The answer can be guessed half of the time."""
    GIVEN_AWAY = "given_away"
    """The question holds the answer: no word of the answer is new."""
    UNSUPPORTED = "unsupported"
    """Neither the answer nor the words that are to hold it stand in the chunk or beside it."""
    ELSEWHERE = "elsewhere"
    """What holds the answer stands in a neighbour of the chunk, or reaches into it."""
    ACROSS_THE_SPLIT = "across_the_split"
    """What holds the answer stands in chunks on both sides of the split."""
    DUPLICATE = "duplicate"
    """The same was asked before, in the same or nearly the same words."""
    AMBIGUOUS = "ambiguous"
    """The same question has different answers in different places."""


class Draft(msgspec.Struct, frozen=True):
    """A question as a model wrote it."""

    question: str
    answer: str
    supporting_text: str = ""
    difficulty: str = ""


class Support(NamedTuple):
    """Where in a chunk the words stand that hold an answer."""

    start: int
    end: int


_MOST_QUESTION, _MOST_ANSWER = 400, 300
_LEAST_QUOTE = 3
_SHARE, _SPOKEN_OF = 1 / 2, 1 / 3
_GUESSABLE = frozenset({"yes", "no", "true", "false", "not", "correct", "incorrect"})
# Words that say nothing by themselves; leaving them out changes no answer.
_PLAIN = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "did", "do", "does",
        "for", "from", "had", "has", "have", "he", "her", "his", "how", "if", "in", "into",
        "is", "it", "its", "not", "of", "on", "or", "she", "so", "than", "that", "the", "their",
        "then", "there", "these", "they", "this", "those", "to", "was", "were", "what", "when",
        "where", "which", "who", "whom", "whose", "why", "will", "with", "would",
    }
)  # fmt: skip
_ARTICLES = frozenset({"a", "an", "the"})
_TOKEN = re.compile(rf"\d+(?:[.,:]\d+)*|[{UNSPACED}]|[^\W\d_{UNSPACED}]+")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")
_SHOWN = r"(?:passage|excerpt|snippet|chunk|quotation|quote)s?"
_WRITTEN = r"(?:text|document|paragraph|section|article|context|sentence)s?"
_SAYS = (
    r"(?:says?|states?|mentions?|describes?|discuss(?:es)?|refers?|lists?|explains?|indicates?|"
    r"suggests?|impl(?:y|ies)|reports?|contains?|provides?|gives?|tells?)"
)
# "The text" alone is none of these: there are questions about the text of a treaty.
_ABOUT = re.compile(
    rf"\b(?:this|that|these|those|given|above|following|provided|preceding)\s+(?:{_SHOWN}|{_WRITTEN})\b"
    rf"|\bthe\s+{_SHOWN}\b"
    rf"|\b(?:in|from|by|to|of)\s+the\s+{_WRITTEN}\s*(?:[?,.;:]|$)"
    rf"|\b(?:the\s+{_WRITTEN}|the\s+authors?)\s+{_SAYS}\b"
    rf"|\baccording\s+to\s+the\s+(?:{_WRITTEN}|authors?)\s*(?:[?,.;:]|$)"
    r"|\b(?:mentioned|described|stated|listed|shown|given|discussed|quoted)\s+(?:above|below|here)\b",
    re.IGNORECASE,
)


class _Token(NamedTuple):
    word: str
    start: int
    end: int


def _tokens(text: str) -> list[_Token]:
    """Return words and numbers without case and articles, with their places in the text."""
    if "<" in text:
        text = _TAG.sub(lambda tag: " " * len(tag[0]), text)
    return [
        _Token(word, match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if (word := unicodedata.normalize("NFKC", match[0]).casefold()) not in _ARTICLES
    ]


def _find(needle: Sequence[_Token], text: Sequence[_Token]) -> Support | None:
    """Return where words stand one after the other in a text."""
    wanted = [token.word for token in needle]
    if not wanted:
        return None
    words = [token.word for token in text]
    for place in range(len(words) - len(wanted) + 1):
        if words[place] == wanted[0] and words[place : place + len(wanted)] == wanted:
            return Support(text[place].start, text[place + len(wanted) - 1].end)
    return None


def check_draft(draft: Draft) -> Drop | None:
    """Check what can be seen of a question without its chunk; None: nothing is wrong."""
    question, answer = _tokens(draft.question), _tokens(draft.answer)
    if not question or not answer:
        return Drop.EMPTY
    if len(draft.question) > _MOST_QUESTION or len(draft.answer) > _MOST_ANSWER:
        return Drop.TOO_LONG
    if _ABOUT.search(draft.question):
        return Drop.ABOUT_THE_PASSAGE
    if answer[0].word in ("yes", "no") or {token.word for token in answer} <= _GUESSABLE:
        return Drop.YES_OR_NO
    telling = _telling(answer) or {token.word for token in answer}
    if telling <= {token.word for token in question}:
        return Drop.GIVEN_AWAY
    nothing = guards.says_nothing(draft.question, draft.answer) or guards.gives_up(draft.answer)
    return Drop.EMPTY if nothing else None


def find_support(draft: Draft, chunk: str) -> Support | None:
    """Return where a chunk holds the answer to a question, or None.

    Either the quotation (three words or more) stands in the chunk, and so do the answer's numbers
    and half of its other telling words, and a telling word of the question; or the answer itself
    stands in the chunk, in a sentence or row of a table that has a third of the question's telling
    words, and that is returned. Case, punctuation, articles and HTML tags do not count.
    """
    text, answer = _tokens(chunk), _tokens(draft.answer)
    quote, asked = _tokens(draft.supporting_text), _telling(_tokens(draft.question))
    quoted = _find(quote, text) if len(quote) >= _LEAST_QUOTE else None
    if quoted and (_find(answer, quote) or _follows(answer, text)) and _shared(asked, text):
        return quoted
    stands = _find(answer, text)
    if stands is None:
        return None
    sentence = _sentence(chunk, stands)
    said = _tokens(chunk[sentence.start : sentence.end])
    return sentence if _shared(asked, said) >= _SPOKEN_OF else None


def holds(text: str, quote: str) -> bool:
    """Whether a quotation stands in a text; case, punctuation, articles and tags do not count."""
    return _find(_tokens(quote), _tokens(text)) is not None


def _follows(answer: Sequence[_Token], text: Sequence[_Token]) -> bool:
    """Whether an answer in words of its own may come from a text."""
    there = {token.word for token in text}
    numbers = {token.word for token in answer if token.word[0].isdigit()}
    return numbers <= there and _shared(_telling(answer) - numbers, text) >= _SHARE


def _shared(asked: set[str], text: Sequence[_Token]) -> float:
    """Return which part of a question's telling words a text has; all, if it has none."""
    return len(asked & {token.word for token in text}) / len(asked) if asked else 1.0


def _telling(tokens: Sequence[_Token]) -> set[str]:
    return {token.word for token in tokens} - _PLAIN


_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s|\n|</tr>")


def _sentence(text: str, place: Support) -> Support:
    """Return the sentence or line around a place."""
    starts = [match.end() for match in _SENTENCE_END.finditer(text, 0, place.start)]
    following = _SENTENCE_END.search(text, place.end)
    start, end = starts[-1] if starts else 0, following.end() if following else len(text)
    shown = text[start:end]
    start += len(shown) - len(shown.lstrip())
    return Support(start, start + len(shown.strip()))


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


class Sieve:
    """Checks questions, and counts by reason what is dropped."""

    def __init__(
        self, corpus: Corpus, keys: Sequence[bytes], seed: int, test_fraction: float
    ) -> None:
        """Prepare for a corpus.

        Args:
            corpus: where the questions are from.
            keys: of its chunks' texts, in order; see `text_key`.
            seed: of the split.
            test_fraction: chance of a chunk to be on the test side.
        """
        self._corpus = corpus
        self._keys = keys
        self._seed = seed
        self._test_fraction = test_fraction
        self._alike: defaultdict[bytes, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            self._alike[key].append(number)
        self.dropped: Counter[Drop] = Counter()
        """How many were dropped, by reason."""

    def sound(self, number: int, drafts: Iterable[Draft | None]) -> list[Question]:
        """Return the questions about a chunk that are sound by themselves."""
        found: list[Question] = []
        for draft in drafts:
            question = self._question(number, draft)
            if isinstance(question, Drop):
                self.dropped[question] += 1
            else:
                found.append(question)
        return found

    def _question(self, number: int, draft: Draft | None) -> Question | Drop:
        if draft is None:
            return Drop.MALFORMED
        if reason := check_draft(draft):
            return reason
        chunk = self._corpus.chunks[number]
        support = find_support(draft, chunk.text)
        if support is None:
            around = "\n".join(self._corpus.chunks[n].text for n in self._corpus.around(number))
            return Drop.ELSEWHERE if find_support(draft, around) else Drop.UNSUPPORTED
        quote = chunk.text[support.start : support.end]
        gold = self._holders(number, quote)
        sides: set[Split] = {side(self._keys[n], self._seed, self._test_fraction) for n in gold}
        if len(sides) > 1:
            return Drop.ACROSS_THE_SPLIT
        return Question(
            id=_id(chunk, draft.question),
            question=draft.question,
            answer=draft.answer,
            difficulty=draft.difficulty or None,
            chunk_ids=[self._corpus.chunks[n].id for n in gold],
            supporting_text=quote,
            split=sides.pop(),
            metadata={"place": chunk.place},
        )

    def _holders(self, number: int, quote: str) -> list[int]:
        """Return the chunks that hold a quotation: the one asked about first, then others.

        Others are its neighbours, which may repeat its end, and chunks of the same words.
        """
        beside = [n for n in self._corpus.around(number) if n != number]
        repeated = [n for n in beside if holds(self._corpus.chunks[n].text, quote)]
        return list(dict.fromkeys([number, *repeated, *self._alike[self._keys[number]]]))

    def different(self, questions: Sequence[Question]) -> list[Question]:
        """Return the questions that are not asked twice; of those that are, the first."""
        groups: defaultdict[str, list[Question]] = defaultdict(list)
        for question in questions:
            groups[" ".join(words(question.question))].append(question)
        firsts = [first for group in groups.values() if (first := self._first(group))]
        return self._without_near(firsts)

    def _first(self, group: Sequence[Question]) -> Question | None:
        """Return one of the same questions; none where their answers differ."""
        first, *others = group
        if not all(_same_answer(first, other) for other in others):
            self.dropped[Drop.AMBIGUOUS] += len(group)
            return None
        if others:
            self.dropped[Drop.DUPLICATE] += len(others)
        return first

    def _without_near(self, questions: Sequence[Question]) -> list[Question]:
        lookalikes = Lookalikes([question.question for question in questions])
        kept: dict[int, Question] = {}
        for place, question in enumerate(questions):
            near = lookalikes.find(question.question)
            if any(n in kept and _same_answer(kept[n], question) for n in near):
                self.dropped[Drop.DUPLICATE] += 1
            else:
                kept[place] = question
        return list(kept.values())


def _same_answer(one: Question, other: Question) -> bool:
    a, b = one.references[0], other.references[0]
    return decision.says_the_same(AnswerCase(question=one.question, answer=a, references=(b,)))


def _id(chunk: Chunk, question: str) -> str:
    content = f"{chunk.id}\0{' '.join(words(question))}".encode(errors="replace")
    return hashlib.blake2b(content, digest_size=8).hexdigest()
