"""Answers that are no answers but what a tool returned, poured out."""

from collections.abc import Sequence

from plaudit.rollouts.rewards import words
from plaudit.rollouts.rewards.reading import answer_of, references_of, results_of
from plaudit.rollouts.trace import Trace

SHORT = 40
"""Words that an answer may quote without being a copy."""
SHARE = 0.6
"""Share of words that stand in copied runs from which on it is one."""
RUN = 3
"""Words of a run; a filler behind every few words leaves runs as short as this."""


def is_poured_out(trace: Trace) -> bool:
    """Whether the answer is mostly copied from tool results, and longer than an answer would be.

    It is, if it has more than 40 words and twice those of the longest reference, and 60 % of them
    stand in runs of three words that a tool result has too.
    """
    answer = words.words(answer_of(trace))
    return len(answer) > _allowed(references_of(trace)) and _share(answer, trace) >= SHARE


def _allowed(references: Sequence[str]) -> int:
    return SHORT + 2 * max((len(words.words(text)) for text in references), default=0)


def _share(answer: Sequence[str], trace: Trace) -> float:
    results = (words.words(result.text) for result in results_of(trace))
    return words.copied_share(answer, results, RUN)
