"""Which of the questions that came are kept, where their answers stand, and on which side."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from plaudit.corpus.checks import Draft, Drop, check_draft, find_support, holds
from plaudit.corpus.index import Corpus
from plaudit.corpus.layout import Chunk
from plaudit.corpus.question import Question, Split
from plaudit.corpus.split import side
from plaudit.judges.answers import decision
from plaudit.judges.answers.base import AnswerCase
from plaudit.prompts.selection import Lookalikes, words


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
