"""Pairs of the candidates of one turn: which compete, and which pairs are made."""

import heapq
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, pairwise
from operator import itemgetter, sub
from typing import TypeGuard, TypeVar

from plaudit.errors import InputError
from plaudit.preferences.gather import MOST_CANDIDATES, too_many
from plaudit.preferences.margins import Scale, scale_of
from plaudit.preferences.texts import prompt_key, response_key
from plaudit.preferences.types import (
    Candidate,
    CandidateGroup,
    Competing,
    PairDrop,
    PairOptions,
    Pick,
    Tally,
)

T = TypeVar("T")

MOST_PAIRS = 1_000_000
"""A turn that makes more without a cap is refused, since its pairs are sorted in memory."""

Place = tuple[int, int]
"""The places of the better and the worse candidate of a pair."""

_MARGIN = itemgetter(0)


def pair_turn(
    candidates: Sequence[Candidate], options: PairOptions, tally: Tally
) -> CandidateGroup | None:
    """Make the pairs of one turn.

    A pair has a strictly better score by at least the least margin, one prompt, and two different
    responses that are not empty. Of pairs that contradict each other none is made. What concerns
    several turns is not done here: `max_pairs`, and pairs that repeat or contradict those of
    another turn.

    Args:
        candidates: all of one turn, in the order read; at least one.
        options: which pairs.
        tally: is added to.

    Returns:
        The turn; None where no two candidates compete.

    Raises:
        InputError: the turn has more than `MOST_CANDIDATES`, or makes more than `MOST_PAIRS`.
    """
    tally.turns += 1
    tally.candidates += len(candidates)
    if len(candidates) > MOST_CANDIDATES:
        raise too_many(candidates[0])
    competing = _usable(candidates, options, tally)
    count = len(competing.candidates)
    if count < 2:
        tally.drop("single_candidate", count)
        return None
    tally.used += count
    picks = _picks_of(competing, options, tally)
    return CandidateGroup(competing.candidates, competing.numbers, competing.texts, picks)


def grouped_pairs(pairs: Iterable[tuple[float, Candidate, Candidate]]) -> CandidateGroup:
    """Return pairs of one turn as its group, in their order.

    Args:
        pairs: the margin (NaN: unknown), the chosen and the rejected candidate of each. One that is
            in several pairs is in the group once.
    """
    places: dict[tuple[int | None, bytes, bytes | None], int] = {}
    candidates, numbers, picks = list[Candidate](), list[int](), list[Pick]()

    def place_of(one: Candidate) -> int:
        key = one.index, bytes(one.response), None if one.metadata is None else bytes(one.metadata)
        place = places.setdefault(key, len(places))
        if place == len(candidates):
            candidates.append(one)
            numbers.append(place if one.index is None else one.index)
        return place

    for margin, chosen, rejected in pairs:
        i, j = place_of(chosen), place_of(rejected)
        picks.append((-margin, numbers[i], numbers[j], i, j))
    texts = [response_key(one.response) for one in candidates]
    return CandidateGroup(candidates, numbers, texts, picks)


def margin_of(chosen: float | None, rejected: float | None) -> float:
    """Return the difference of two scores; NaN where one of them is unknown."""
    return math.nan if chosen is None or rejected is None else chosen - rejected


# Which candidates compete


def _usable(candidates: Sequence[Candidate], options: PairOptions, tally: Tally) -> Competing:
    """Return the candidates that can be in a pair, and count the others by reason."""
    least, prompt = options.min_confidence, candidates[0].prompt
    numbers = _numbers(candidates)
    texts = [response_key(candidate.response) for candidate in candidates]
    scores = [candidate.score for candidate in candidates]
    if least is None and not options.dedupe and _is_complete(scores) and all(texts):
        prompts = [candidate.prompt for candidate in candidates]
        if prompts.count(prompt) == len(prompts):
            return Competing(candidates, numbers, scores, texts)
    usable = list[Candidate]()
    kept = Competing(usable, [], [], [])
    for candidate, number, text in zip(candidates, numbers, texts, strict=True):
        score, confidence = candidate.score, candidate.confidence
        if score is None:
            tally.drop("no_score")
        elif not text:
            tally.drop("empty")
        elif least is not None and (confidence is None or confidence < least):
            tally.drop("low_confidence")
        elif candidate.prompt != prompt and prompt_key(candidate.prompt) != prompt_key(prompt):
            tally.drop("prompt_mismatch")
        elif options.dedupe and text in kept.texts:
            tally.drop("duplicate")
        else:
            usable.append(candidate)
            kept.numbers.append(number)
            kept.scores.append(score)
            kept.texts.append(text)
    return kept


def _numbers(candidates: Sequence[Candidate]) -> list[int]:
    """Return the number of each candidate; one without gets its place, or the next free number."""
    indices = [candidate.index for candidate in candidates]
    if _is_complete(indices):
        return indices
    taken, numbers = set(indices), list[int]()
    for place, number in enumerate(indices):
        if number is None:
            number = place
            while number in taken:
                number += 1
            taken.add(number)
        numbers.append(number)
    return numbers


def _is_complete(values: list[T | None]) -> TypeGuard[list[T]]:
    return None not in values


# Which pairs are made


def _picks_of(competing: Competing, options: PairOptions, tally: Tally) -> list[Pick]:
    """Return the pairs that are good enough and not over the cap, in order; count the others.

    Margins are compared by `Scale`; of equal ones the pair with the lower indices comes first.
    """
    scores, cap = competing.scores, options.max_per_turn
    ranked = sorted(scores)
    scale = scale_of(ranked[0], ranked[-1])
    gaps = list(map(sub, ranked[1:], ranked))
    closest = min(gaps)
    apart = closest > scale.half
    if not apart and _noisy(gaps, scale.half):
        scores = _settled(ranked, scores, scale)
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    places = _places(competing, options, order)
    repeated = len(set(competing.texts)) < len(scores)
    countable = ranked[-1] - ranked[0] < math.inf
    if apart and closest >= options.min_margin and countable and not repeated and cap is None:
        numbers = competing.numbers
        good = [(scores[j] - scores[i], numbers[i], numbers[j], i, j) for i, j in places]
        tally.possible += len(good)
        tally.pairs += len(good)
        return _ordered(good, scale)
    contradicts = None
    if repeated and options.contradictions == "drop":
        places, contradicts = _contradictions(competing, places, options, scale)
    sieve = _Sieve(competing, options, scale)
    good = sieve.good(places, contradicts)
    if cap is None:
        picks = _ordered(list(good), scale)
    else:
        picks = heapq.nsmallest(cap, good, key=lambda one: (round(one[0] / scale.unit), one[1:]))
    tally.pairs += len(picks)
    tally.drop_pairs("over_cap", sieve.passed - len(picks))
    sieve.count(tally)
    return picks


def _pairs_of(scores: Sequence[float]) -> int:
    return len(scores) * (len(scores) - 1) // 2


def _settled(ranked: Sequence[float], scores: Sequence[float], scale: Scale) -> list[float]:
    """Return scores in which those that differ by noise only are equal."""
    settled, first = dict[float, float](), ranked[0]
    for score in ranked:
        if not scale.is_tie(score - first):
            first = score
        settled[score] = first
    return [settled[score] for score in scores]


def _noisy(gaps: Sequence[float], limit: float) -> bool:
    """Whether two numbers are different, but compare as equal."""
    return any(filter(limit.__ge__, gaps))


def _places(competing: Competing, options: PairOptions, order: Sequence[int]) -> Iterable[Place]:
    """Return the places of each pair of the mode; `order` has the best candidate first."""
    if options.mode == "best-worst":
        return [(order[0], order[-1])]
    if options.mode == "adjacent":
        return pairwise(order)
    total, drawn = _pairs_of(order), options.drawn
    first = competing.candidates[0]
    wanted = total if drawn is None else min(drawn, total)
    if wanted > MOST_PAIRS and (drawn is not None or options.max_per_turn is None):
        advice = "give max_per_turn=N or another mode" if drawn is None else "draw fewer"
        raise InputError(
            f"turn {first.turn_id!r} of example {first.example_id!r} has {len(order):,} "
            f"candidates, which make {wanted:,} pairs: {advice}"
        )
    if drawn is not None:
        draw = random.Random(f"{options.seed}/{first.example_id!r}/{first.turn_id!r}")
        numbers = draw.sample(range(total), wanted)
        return [(order[i], order[j]) for i, j in map(_two_of, numbers)]
    return combinations(order, 2)


def _two_of(number: int) -> tuple[int, int]:
    """Return pair `number` of (0, 1), (0, 2), (1, 2), (0, 3), ... ."""
    j = (1 + math.isqrt(8 * number + 1)) // 2
    return number - j * (j - 1) // 2, j


class _Sieve:
    """Lets pairs through that are good enough, and counts the others by reason."""

    def __init__(self, competing: Competing, options: PairOptions, scale: Scale) -> None:
        self._competing = competing
        self._half, self._least = scale.half, options.min_margin - scale.half
        self._possible = 0
        self._dropped: dict[PairDrop, int] = {}
        self.passed = 0
        """Pairs that came through."""

    def good(
        self, places: Iterable[Place], contradicts: Callable[[int, int], bool] | None
    ) -> Iterator[Pick]:
        """Yield the pairs that are good enough and that no other one contradicts."""
        _, numbers, scores, texts = self._competing
        half, least = self._half, self._least
        possible = same = ties = below = overflow = contradicted = 0
        for i, j in places:
            possible += 1
            margin = scores[i] - scores[j]
            if texts[i] == texts[j]:
                same += 1
            elif margin <= half:
                ties += 1
            elif margin < least:
                below += 1
            elif margin == math.inf:
                overflow += 1
            elif contradicts is not None and contradicts(i, j):
                contradicted += 1
            else:
                yield -margin, numbers[i], numbers[j], i, j
        self._possible = possible
        self._dropped = {"same_text": same, "tie": ties, "below_margin": below}
        self._dropped |= {"overflow": overflow, "contradiction": contradicted}
        self.passed = possible - sum(self._dropped.values())

    def count(self, tally: Tally) -> None:
        """Add the counts."""
        tally.possible += self._possible
        for reason, number in self._dropped.items():
            tally.drop_pairs(reason, number)


def _contradictions(
    competing: Competing, places: Iterable[Place], options: PairOptions, scale: Scale
) -> tuple[Iterable[Place], Callable[[int, int], bool]]:
    """Return the places, and whether a pair is the other way round in another pair of the mode."""
    scores, texts = competing.scores, competing.texts
    half, least = scale.half, options.min_margin - scale.half
    if options.mode == "exhaustive":
        best, worst = dict[bytes, float](), dict[bytes, float]()
        for text, score in zip(texts, scores, strict=True):
            best[text] = max(best.get(text, score), score)
            worst[text] = min(worst.get(text, score), score)

        def turned(i: int, j: int) -> bool:
            margin = best[texts[j]] - worst[texts[i]]
            return margin > half and margin >= least

        return places, turned
    drawn = list(places)
    margins = ((texts[i], texts[j], scores[i] - scores[j]) for i, j in drawn)
    found = {(one, other) for one, other, margin in margins if margin > half and margin >= least}
    return drawn, lambda i, j: (texts[j], texts[i]) in found


def _ordered(picks: list[Pick], scale: Scale) -> list[Pick]:
    """Sort pairs, widest margin first; those of margins that compare as equal by their indices."""
    picks.sort()
    margins = list(map(_MARGIN, picks))
    gaps = list(map(sub, margins[1:], margins))
    if not gaps or min(gaps) >= scale.unit or not _noisy(gaps, scale.unit):
        return picks
    unit = scale.unit
    keyed = [(round(margin / unit), one, other, i, j, margin) for margin, one, other, i, j in picks]
    keyed.sort()
    return [(margin, one, other, i, j) for _, one, other, i, j, margin in keyed]
