"""`answer_support`: whether the answer stands in what was retrieved."""

import math
from typing import ClassVar

from plaudit.rollouts.rewards import words
from plaudit.rollouts.rewards.base import Measure, check_range, scored, unscored
from plaudit.rollouts.rewards.copying import is_poured_out
from plaudit.rollouts.rewards.reading import answer_of, no_answer, question_of, results_of
from plaudit.rollouts.trace import Score, Trace, Unscored


class AnswerSupport(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share of what the answer adds to the question that tool results say too, 0..1.

    What it adds are its words without function words and those of the question. Under `least` the
    value is 0, and so it is where a number of the answer stands in no result. An answer of more
    than `words` words is paid `words / its length`, and one that is poured out of the results
    nothing. It needs no reference, and says nothing of whether the answer is right.
    """

    name: ClassVar[str] = "answer_support"
    reads_tools: ClassVar[bool] = True

    least: float = 0.6
    words: int = 60

    def __post_init__(self) -> None:
        """Check the options."""
        check_range(0, 1, least=self.least)
        check_range(1, math.inf, words=self.words)

    def measure(self, trace: Trace) -> Score:
        """Score how far results support the answer, 0..1."""
        nothing = no_answer(trace)
        if nothing:
            return scored(0.0, nothing)
        results = [result.text for result in results_of(trace) if result.text.strip()]
        if not results:
            return scored(0.0, "nothing was retrieved")
        adds = _added(answer_of(trace), question_of(trace))
        if adds is None:
            return unscored(Unscored.NOTHING_TO_CHECK, "the answer holds no word to look for")
        if not adds:
            return scored(0.0, "the answer adds nothing to the question")
        if is_poured_out(trace):
            return scored(0.0, "the answer is poured out of tool results")
        return self._supported(adds, {w for text in results for w in words.words(text)}, trace)

    def _supported(self, adds: set[str], shown: set[str], trace: Trace) -> Score:
        missing = adds - shown
        share = 1 - len(missing) / len(adds)
        length = len(words.words(answer_of(trace)))
        numbers = sorted(word for word in missing if any(c.isdigit() for c in word))
        if numbers:
            return scored(0.0, f"no tool result has the number {numbers[0]!r}", share=share)
        if share < self.least:
            return scored(0.0, f"{share:.0%} of the answer stands in tool results", share=share)
        value = share * min(1.0, self.words / length)
        return scored(
            value, f"{share:.0%} of the answer stands in tool results", share=share, length=length
        )


def _added(answer: str, question: str) -> set[str] | None:
    """Return the content words that an answer adds to its question; None if it has none at all.

    Where it names a part of the question ("the first or the second?"), that part is what it adds.
    """
    said, asked = words.content(answer), words.content(question)
    if not said:
        return None
    added = said - asked
    if added or 2 * len(said) > len(asked):
        return added
    return said
