"""Which pairs of a turn's candidates are made: by mode, margin, text and cap."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from operator import itemgetter, sub

from plaudit.errors import InputError
from plaudit.preferences.competing import Competing, Pick
from plaudit.preferences.margins import Scale, scale_of
from plaudit.preferences.options import PairOptions
from plaudit.preferences.tally import Tally
from plaudit.preferences.widest import widest

MOST_PAIRS = 1_000_000
"""A turn that would make more without a cap is refused, since they are ordered in memory."""

_WALKED = 10_000
"""Of a turn with more pairs than this and a cap, only the pairs that are kept are made."""

_MARGIN = itemgetter(0)

Place = tuple[int, int]
"""The places of the better and the worse candidate of a pair."""


def picks_of(competing: Competing, options: PairOptions, tally: Tally) -> list[Pick]:
    """Return the pairs that are good enough and not over the cap, in order; count the others.

    Margins are compared by `Scale`; of equal ones the pair with the lower indices comes first.
    """
    scores = competing.scores
    ranked = sorted(scores)
    scale = scale_of(ranked[0], ranked[-1])
    gaps = list(map(sub, ranked[1:], ranked))
    closest = min(gaps)
    cap = options.max_per_turn
    if cap is not None and options.mode == "exhaustive" and _pairs_of(scores) > _WALKED:
        return widest(competing, options, scale, cap, tally)
    apart = closest > scale.half
    if not apart and _noisy(gaps, scale.half):
        scores = _settled(ranked, scores, scale)
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    places = _places(competing, options, order)
    repeated = len(set(competing.texts)) < len(scores)
    countable = ranked[-1] - ranked[0] < math.inf
    if apart and closest >= options.min_margin and countable and not repeated:
        numbers = competing.numbers
        good = [(scores[j] - scores[i], numbers[i], numbers[j], i, j) for i, j in places]
        tally.possible += len(good)
    else:
        good, overflow = _sifted(competing, places, options, scale, tally)
        if repeated and options.contradictions == "drop":
            good = _agreed(good, overflow, competing.texts, tally)
    picks = _ordered(good, scale)[:cap]
    tally.pairs += len(picks)
    tally.drop_pairs("over_cap", len(good) - len(picks))
    return picks


def _pairs_of(scores: Sequence[float]) -> int:
    return len(scores) * (len(scores) - 1) // 2


def _settled(ranked: Sequence[float], scores: Sequence[float], scale: Scale) -> list[float]:
    """Return scores of which those that are equal but for noise are equal."""
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
    if wanted > MOST_PAIRS:
        advice = "give --max-per-turn or another --mode" if drawn is None else "draw fewer"
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


def _sifted(
    competing: Competing,
    places: Iterable[Place],
    options: PairOptions,
    scale: Scale,
    tally: Tally,
) -> tuple[list[Pick], list[Place]]:
    """Return the pairs that are good enough, in any order, and those whose margin is no number.

    Counts the others, and the latter, by reason.
    """
    _, numbers, scores, texts = competing
    half, least = scale.half, options.min_margin - scale.half
    possible = same = ties = below = 0
    good, overflow = list[Pick](), list[Place]()
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
            overflow.append((i, j))
        else:
            good.append((-margin, numbers[i], numbers[j], i, j))
    tally.possible += possible
    tally.drop_pairs("same_text", same)
    tally.drop_pairs("tie", ties)
    tally.drop_pairs("below_margin", below)
    tally.drop_pairs("overflow", len(overflow))
    return good, overflow


def _agreed(
    picks: list[Pick], others: Iterable[Place], texts: Sequence[bytes], tally: Tally
) -> list[Pick]:
    """Return the pairs whose responses are not the other way round in another, or in `others`."""
    said = {(texts[i], texts[j]) for i, j in others}
    said.update((texts[i], texts[j]) for _, _, _, i, j in picks)
    agreed = [pick for pick in picks if (texts[pick[4]], texts[pick[3]]) not in said]
    tally.drop_pairs("contradiction", len(picks) - len(agreed))
    return agreed


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
