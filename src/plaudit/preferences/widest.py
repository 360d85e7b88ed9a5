"""The widest margins of a turn with many candidates, without making its other pairs.

The rejected candidates of one chosen one, from the worst up, make pairs of falling margins. The
streams of all chosen ones, merged, give the pairs of the turn in order, of which the first are
taken. How many pairs are left out for which reason is counted by bisection. So memory grows with
the candidates, not with their pairs.
"""

import heapq
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

from plaudit.preferences.competing import Competing, Pick
from plaudit.preferences.margins import Scale
from plaudit.preferences.options import PairOptions
from plaudit.preferences.tally import Tally

_RUNS = 128


def widest(
    competing: Competing, options: PairOptions, scale: Scale, most: int, tally: Tally
) -> list[Pick]:
    """Return at most `most` pairs of all candidates, as sorting all of them would; count the rest.

    Args:
        competing: the candidates.
        options: the least margin, and what becomes of contradictions.
        scale: how margins are compared.
        most: how many pairs.
        tally: is added to.
    """
    turn = _Turn(competing, options, scale)
    streams = map(turn.stream, range(len(turn.order) - 1))
    found = list(islice(heapq.merge(*streams), most))
    turn.count(tally, len(found))
    scores = competing.scores
    return [(scores[j] - scores[i], number, other, i, j) for _, number, other, i, j in found]


class _Turn:
    def __init__(self, competing: Competing, options: PairOptions, scale: Scale) -> None:
        self.texts, self.numbers = competing.texts, competing.numbers
        self.scale, self.least = scale, options.min_margin
        scores = competing.scores
        self.order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        """Places, the best first."""
        self.scores = [scores[place] for place in self.order]
        """Falling."""
        self.by_text: dict[bytes, list[float]] = {}
        """The scores of each text, falling."""
        for place in self.order:
            self.by_text.setdefault(self.texts[place], []).append(scores[place])
        several = [text for text, own in self.by_text.items() if own[0] != own[-1]]
        self.unsure = [] if options.contradictions == "keep" else several
        """Texts with more than one score, which alone can be better and worse than another."""
        self.run = lru_cache(_RUNS)(self._run)
        half, least = scale.half, options.min_margin - scale.half
        self._widely: Callable[[float], bool] = lambda margin: margin > half and margin >= least
        """Whether one of two scores is better by enough, if not by a number."""

    def stream(self, best: int) -> Iterator[Pick]:
        """Yield the pairs of one chosen candidate; the margin is in units."""
        i, score = self.order[best], self.scores[best]
        end = len(self.order)
        while end > best + 1 and self._widely(score - self.scores[end - 1]):
            start, units = self._level(best, end)
            for number, j in self.run(start, end):
                if units is None:
                    break
                if self.texts[i] != self.texts[j] and not self._contradicts(i, j):
                    yield -units, self.numbers[i], number, i, j
            end = start

    def _level(self, best: int, end: int) -> tuple[int, int | None]:
        """Return where the candidates begin whose margin is that of the last, and this margin.

        Below `end`; None: it is too large for a number.
        """
        score, units = self.scores[best], self.scale.units
        if math.isinf(score - self.scores[end - 1]):
            return self._first(best, end, lambda margin: math.isinf(margin)), None
        level: int = units(score - self.scores[end - 1])
        return self._first(best, end, lambda margin: units(margin) >= level), level

    def _first(self, best: int, end: int, holds: Callable[[float], bool]) -> int:
        """Return the first candidate below `end` for whose margin something holds."""
        score, scores = self.scores[best], self.scores
        return bisect_left(range(end), True, best + 1, key=lambda b: holds(score - scores[b]))

    def _run(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the numbers and places of candidates that follow each other, by number."""
        return sorted((self.numbers[place], place) for place in self.order[start:end])

    def _is_good(self, margin: float) -> bool:
        return self.scale.reaches(margin, self.least)

    def _contradicts(self, i: int, j: int) -> bool:
        """Whether the texts of a good pair make a good pair the other way round, too."""
        if not self.unsure:
            return False
        better, worse = self.by_text[self.texts[i]], self.by_text[self.texts[j]]
        return self._widely(worse[0] - better[-1])

    def count(self, tally: Tally, made: int) -> None:
        """Count the pairs that are made, and the others by reason."""
        same = sum(len(own) * (len(own) - 1) // 2 for own in self.by_text.values())
        ties = self._others(lambda margin: margin <= self.scale.half)
        near = self._others(lambda margin: not self._widely(margin))
        finite = self._others(lambda margin: margin < math.inf)
        possible = len(self.order) * (len(self.order) - 1) // 2
        overflow, contradictions = possible - same - finite, self._contradictions()
        tally.possible += possible
        tally.pairs += made
        tally.drop_pairs("same_text", same)
        tally.drop_pairs("tie", ties)
        tally.drop_pairs("below_margin", near - ties)
        tally.drop_pairs("overflow", overflow)
        tally.drop_pairs("contradiction", contradictions)
        tally.drop_pairs("over_cap", possible - same - near - overflow - contradictions - made)

    def _others(self, holds: Callable[[float], bool]) -> int:
        """Return of how many pairs of two texts something holds that holds of small margins."""
        return _count(self.scores, holds) - sum(
            _count(own, holds) for own in self.by_text.values() if len(own) > 1
        )

    def _contradictions(self) -> int:
        """Return how many good pairs have texts that make a good pair the other way round."""
        found, seen, wide = 0, set[bytes](), self._widely
        for text in self.unsure:
            seen.add(text)
            own = self.by_text[text]
            best, worst = own[0], own[-1]
            for other, scores in self.by_text.items():
                if wide(best - scores[-1]) and wide(scores[0] - worst) and other not in seen:
                    found += sum(self._is_good(abs(a - b)) for a in own for b in scores)
        return found


def _count(scores: Sequence[float], holds: Callable[[float], bool]) -> int:
    """Count the pairs of falling scores whose margin is small enough."""
    total = 0
    for place, score in enumerate(scores):
        end = bisect_left(
            range(len(scores)), True, place + 1, key=lambda b: not holds(score - scores[b])
        )
        total += end - place - 1
    return total
