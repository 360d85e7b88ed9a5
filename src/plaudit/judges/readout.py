"""Reads the distribution over the options of a reply; raises `ReplyError`, and never guesses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import compress
from operator import not_

import msgspec

from plaudit.engines.base import Completion
from plaudit.engines.replies import check_logprobs
from plaudit.errors import Cause, ReplyError, UsageError

MIN_OPTION_MASS = 0.05
"""Least probability on all options together; under it the judge did not answer the question."""
MIN_PREFIX = 3
"""Letters in which option words must differ, so that a first token is enough."""
MIN_PRIOR = 0.02
"""Least prior of an option, so that removing it never multiplies noise without bound."""
_SPELLINGS = 6
"""Ways to spell an option: lower, title and upper case, with a space and without.

A tokenizer begins each spelling with one token, so no more candidates than that can be hidden.
"""
_LEFT = [_SPELLINGS - spelled.bit_count() for spelled in range(2**_SPELLINGS)]
"""How many spellings are not among those seen, by the bits of these."""
_MOST_TOKENS = 65_536
"""Most tokens whose option is remembered."""
_OTHER_WORDS = frozenset({"correct"})
"""Beginnings of option words that are words of another meaning."""
_SPACE = " \u2581\u0120\t\r\n"
"""What stands around the word in a token, the marks of SentencePiece and of GPT-2 included."""


class Option(msgspec.Struct, frozen=True):
    """One thing that a judge can answer."""

    label: str
    """The value in the verdict and in the json readout."""
    word: str
    """The word by which the logprob readout knows it."""
    meaning: str = ""
    """What it stands for, as the prompt explains it."""


class Bounds(msgspec.Struct, frozen=True):
    """Probability of each option, as far as the reply shows it: at least `low`, at most `high`."""

    low: tuple[float, ...]
    high: tuple[float, ...]


def check_words(words: Sequence[str]) -> None:
    """Refuse option words that a first token could confuse.

    Raises:
        UsageError: two words share their first letters.
    """
    starts = [word.casefold()[:MIN_PREFIX] for word in words]
    for start in starts:
        if starts.count(start) > 1:
            clash = [word for word in words if word.casefold().startswith(start)]
            raise UsageError(f"options {clash} begin alike; one token could not tell them apart")


def options_of(tokens: Iterable[str], words: tuple[str, ...]) -> list[int | None]:
    """Return which option word each first token stands for: it is the word, or a long enough start.

    Args:
        tokens: texts of tokens; spaces around them and their case do not count.
        words: option words in lower case that `check_words` accepts.
    """
    known = _spellings(words)
    return [known[token][0] for token in tokens]


class _Spellings(dict[str, tuple[int | None, int]]):
    """Option of a token, and its spelling as one of `_SPELLINGS` bits."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__()
        self._options = _beginnings(words)

    def __missing__(self, token: str) -> tuple[int | None, int]:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        word = token.strip(_SPACE)
        case = 0 if word.islower() else 1 if word.isupper() else 2
        spelling = 1 << (2 * case + (not token.startswith(word)))
        found = self[token] = (self._options.get(word.casefold()), spelling)
        return found


_spellings = cache(_Spellings)


def _beginnings(words: tuple[str, ...]) -> dict[str, int]:
    """Map every text that stands for an option to the option's number."""
    found = {
        word[:length]: number
        for number, word in enumerate(words)
        for length in range(MIN_PREFIX, len(word))
        if word[:length] not in _OTHER_WORDS
    }
    return found | {word: number for number, word in enumerate(words)}


def read_options(
    completion: Completion, words: tuple[str, ...], least: float = MIN_OPTION_MASS
) -> Bounds:
    """Sum the shown candidates of the first token over the options.

    Args:
        completion: a reply with log-probabilities.
        words: option words in lower case that `check_words` accepts.
        least: probability that must be on the options together.

    Raises:
        ReplyError: no log-probabilities, numbers that are none, or less than `least` on the
            options.
    """
    shown = completion.logprobs
    if not shown:
        raise ReplyError(Cause.OPTIONS_NOT_VISIBLE, "the reply shows no log-probabilities")
    check_logprobs(shown)
    floor = completion.logprob_floor
    hidden = math.exp(shown[-1].logprob if floor is None else floor)
    low, spelled = [0.0] * len(words), [0] * len(words)
    known = _spellings(words)
    for candidate in shown:
        i, spelling = known[candidate.token]
        if i is not None:
            low[i] += math.exp(candidate.logprob)
            spelled[i] |= spelling
    mass = sum(low)
    if mass < least:
        raise ReplyError(
            Cause.LOW_OPTION_MASS,
            f"only {mass:.3f} of the probability is on the options; the reply began with "
            f"{completion.text[:40]!r}",
        )
    rest = 1.0 - mass if mass < 1.0 else 0.0
    unseen = hidden * _SPELLINGS if hidden * _SPELLINGS < rest else rest
    high = [
        p + (unseen if not bits else most if (most := hidden * _LEFT[bits]) < rest else rest)
        for p, bits in zip(low, spelled, strict=True)
    ]
    return Bounds(tuple(low), tuple(high))


def mean_bounds(bounds: Sequence[Bounds]) -> Bounds:
    """Average over several replies; each option at least `MIN_PRIOR`."""
    low, high = (
        tuple(max(MIN_PRIOR, math.fsum(column) / len(bounds)) for column in zip(*rows, strict=True))
        for rows in ([b.low for b in bounds], [b.high for b in bounds])
    )
    return Bounds(low, high)


def distribution(shown: Bounds, prior: Bounds | None, labels: Sequence[str]) -> dict[str, float]:
    """Return the options' probabilities with the prior removed, summing to 1.

    Removal divides by the mean probability that each option gets over a balanced set (batch
    calibration, Zhou et al. 2023, arXiv:2309.17249). Bounds are carried through: if what the
    reply does not show could change the winner, there is none.

    Raises:
        ReplyError: options that are not shown could change the winner.
    """
    if prior is None:
        low, high = shown.low, shown.high
    else:
        low = [p / q for p, q in zip(shown.low, prior.high, strict=True)]
        high = [p / q for p, q in zip(shown.high, prior.low, strict=True)]
    point = low if prior is None else [p / q for p, q in zip(shown.low, prior.low, strict=True)]
    best = point.index(max(point))
    least = low[best]
    for i, p in enumerate(high):
        if p > least and i != best:
            raise _no_difference(labels, best, [p > least for p in high])
    total = math.fsum(point)
    return {label: p / total for label, p in zip(labels, point, strict=True)}


def _no_difference(labels: Sequence[str], best: int, above: Sequence[bool]) -> ReplyError:
    rivals = [repr(labels[i]) for i, could_win in enumerate(above) if could_win and i != best]
    return ReplyError(
        Cause.OPTIONS_NOT_VISIBLE,
        f"too few log-probabilities are shown to tell {labels[best]!r} from {', '.join(rivals)}",
    )


def likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the most probable of some labels, the first of several."""
    labels = list(probabilities)
    values = list(probabilities.values())
    return labels[values.index(max(values))]


def censored(shown: Bounds, labels: Sequence[str]) -> list[str]:
    """Name the options of which the reply shows nothing."""
    if 0.0 not in shown.low:
        return []
    return list(compress(labels, map(not_, shown.low)))
