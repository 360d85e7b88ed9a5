"""Pairs of the candidates of one turn: which compete, and which of them make a preference."""

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise
from operator import sub
from typing import NamedTuple, TypeGuard, TypeVar

import msgspec

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.options import PairOptions
from plaudit.preferences.preference import Preference
from plaudit.preferences.tally import Tally
from plaudit.preferences.texts import prompt_key, response_key

T = TypeVar("T")

MOST_CANDIDATES = 10_000
"""A turn with more is refused: its ids cannot be what tells prompts apart."""

MOST_PAIRS = 1_000_000
"""A turn that would make more without a cap is refused, since they are ordered in memory."""

Pick = tuple[float, int, int, int, int]
"""The margin, negative so that the widest comes first; the chosen and the rejected candidate's
index; and their places in `Turn.candidates`."""


class Turn(msgspec.Struct, frozen=True, gc=False):
    """The candidates of a turn that compete, and the pairs to learn from."""

    candidates: Sequence[Candidate]
    indices: Sequence[int]
    """The candidates' numbers within the turn."""
    picks: Sequence[Pick]
    """The pairs, widest margin first, then by the indices of both."""


def pair_turn(candidates: Sequence[Candidate], options: PairOptions, tally: Tally) -> Turn | None:
    """Make the pairs of one turn.

    A pair has a strictly better score by at least the least margin, one prompt, and two different
    responses that are not empty. What concerns several turns is not looked at here: `max_pairs`,
    and pairs that are those of another turn.

    Args:
        candidates: all of one turn, in the order read; at least one.
        options: which pairs.
        tally: is added to.

    Returns:
        The turn; None where no two candidates compete.

    Raises:
        InputError: the turn has more than `MOST_CANDIDATES`, or would make more than `MOST_PAIRS`.
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
    picks = _picks(competing, options, tally)
    tally.pairs += len(picks)
    return Turn(competing.candidates, competing.numbers, picks)


def preferences(turn: Turn, options: PairOptions) -> Iterator[Preference]:
    """Yield a turn's pairs as rows."""
    prompt = turn.candidates[0].prompt
    for negative, chosen_index, rejected_index, i, j in turn.picks:
        chosen, rejected = turn.candidates[i], turn.candidates[j]
        assert chosen.score is not None
        assert rejected.score is not None
        given = (("chosen", chosen.metadata), ("rejected", rejected.metadata))
        yield Preference(
            example_id=chosen.example_id,
            turn_id=chosen.turn_id,
            prompt=prompt,
            chosen=chosen.response,
            chosen_score=chosen.score,
            chosen_index=chosen_index,
            rejected=rejected.response,
            rejected_score=rejected.score,
            rejected_index=rejected_index,
            margin=-negative,
            reward=-negative if options.reward == "margin" else chosen.score,
            num_candidates=len(turn.candidates),
            metadata={name: raw for name, raw in given if raw is not None},
        )


def too_many(candidate: Candidate) -> InputError:
    """Return the error for a turn with too many candidates."""
    return InputError(
        f"turn {candidate.turn_id!r} of example {candidate.example_id!r} has more than "
        f"{MOST_CANDIDATES:,} candidates: example_id and turn_id must tell prompts apart"
    )


class _Competing(NamedTuple):
    """Candidates that can be in a pair: a list for each of their properties, which is fast."""

    candidates: Sequence[Candidate]
    numbers: list[int]
    scores: list[float]
    texts: list[bytes]


def _usable(candidates: Sequence[Candidate], options: PairOptions, tally: Tally) -> _Competing:
    """Return the candidates that can be in a pair, and count the others by reason."""
    least, prompt = options.min_confidence, candidates[0].prompt
    numbers = _numbers(candidates)
    texts = [response_key(candidate.response) for candidate in candidates]
    scores = [candidate.score for candidate in candidates]
    if least is None and not options.dedupe and _is_complete(scores) and all(texts):
        prompts = [candidate.prompt for candidate in candidates]
        if prompts.count(prompt) == len(prompts):
            return _Competing(candidates, numbers, scores, texts)
    usable = list[Candidate]()
    kept = _Competing(usable, [], [], [])
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
    """Return each candidate's number; one without gets its place, or the next that is free."""
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


def _picks(competing: _Competing, options: PairOptions, tally: Tally) -> list[Pick]:
    """Return the pairs that are good enough and not over the cap, in order; count the others."""
    counts = [0, 0, 0, 0]
    good = _good(competing, options, counts)
    cap = options.max_per_turn
    picks = sorted(good) if cap is None else heapq.nsmallest(cap, good)
    possible, same, ties, below = counts
    tally.possible += possible
    tally.drop_pairs("same_text", same)
    tally.drop_pairs("tie", ties)
    tally.drop_pairs("below_margin", below)
    tally.drop_pairs("over_cap", possible - same - ties - below - len(picks))
    return picks


def _good(competing: _Competing, options: PairOptions, counts: list[int]) -> Iterable[Pick]:
    """Return the pairs that are good enough; `counts` gets: possible, same text, ties, below."""
    _, numbers, scores, texts = competing
    places = _places(competing, options)
    ranked = sorted(scores)
    closest = min(map(sub, ranked[1:], ranked))
    if closest > 0 and closest >= options.min_margin and len(set(texts)) == len(texts):
        picks = [(scores[j] - scores[i], numbers[i], numbers[j], i, j) for i, j in places]
        counts[0] = len(picks)
        return picks
    return _sifted(places, scores, numbers, texts, options.min_margin, counts)


def _sifted(
    places: Iterable[tuple[int, int]],
    scores: Sequence[float],
    numbers: Sequence[int],
    texts: Sequence[bytes],
    least: float,
    counts: list[int],
) -> Iterator[Pick]:
    for i, j in places:
        counts[0] += 1
        margin = scores[i] - scores[j]
        if texts[i] == texts[j]:
            counts[1] += 1
        elif margin <= 0:
            counts[2] += 1
        elif margin < least:
            counts[3] += 1
        else:
            yield -margin, numbers[i], numbers[j], i, j


def _places(competing: _Competing, options: PairOptions) -> Iterable[tuple[int, int]]:
    """Return the places of the better and the worse candidate of each pair of the mode."""
    scores = competing.scores
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    if options.mode == "best-worst":
        return [(order[0], order[-1])]
    if options.mode == "adjacent":
        return pairwise(order)
    total = len(order) * (len(order) - 1) // 2
    first = competing.candidates[0]
    if options.drawn is not None:
        draw = random.Random(f"{options.seed}/{first.example_id!r}/{first.turn_id!r}")
        drawn = draw.sample(range(total), min(options.drawn, total))
        return [(order[i], order[j]) for i, j in map(_two_of, drawn)]
    if total > MOST_PAIRS and options.max_per_turn is None:
        raise InputError(
            f"turn {first.turn_id!r} of example {first.example_id!r} has {len(order):,} "
            f"candidates, which make {total:,} pairs: give --max-per-turn or another --mode"
        )
    return combinations(order, 2)


def _two_of(number: int) -> tuple[int, int]:
    """Return pair `number` of (0, 1), (0, 2), (1, 2), (0, 3), ... ."""
    j = (1 + math.isqrt(8 * number + 1)) // 2
    return number - j * (j - 1) // 2, j
