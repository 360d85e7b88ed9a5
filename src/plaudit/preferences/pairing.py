"""Pairs of the candidates of one turn: which of them compete, and the pairs as rows."""

from collections.abc import Iterator, Sequence
from typing import TypeGuard, TypeVar

import msgspec
from msgspec import UNSET

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.competing import Competing, Pick
from plaudit.preferences.options import PairOptions
from plaudit.preferences.picking import picks_of
from plaudit.preferences.preference import Preference
from plaudit.preferences.tally import Tally
from plaudit.preferences.texts import prompt_key, response_key

T = TypeVar("T")

MOST_CANDIDATES = 10_000
"""A turn with more is refused: its ids cannot be what tells prompts apart."""


class CandidateGroup(msgspec.Struct, frozen=True, gc=False):
    """The candidates of a turn that compete, and the pairs to learn from."""

    candidates: Sequence[Candidate]
    indices: Sequence[int]
    """The candidates' numbers within the turn."""
    picks: Sequence[Pick]
    """The pairs, widest margin first, then by the indices of both."""


def pair_turn(
    candidates: Sequence[Candidate], options: PairOptions, tally: Tally
) -> CandidateGroup | None:
    """Make the pairs of one turn.

    A pair has a strictly better score by at least the least margin, one prompt, and two different
    responses that are not empty. Of pairs that contradict each other none is made. What concerns
    several turns is not looked at here: `max_pairs`, and pairs that are those of another turn or
    contradict them.

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
    picks = picks_of(competing, options, tally)
    return CandidateGroup(competing.candidates, competing.numbers, picks)


def preferences(turn: CandidateGroup, options: PairOptions) -> Iterator[Preference]:
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
            run=UNSET if chosen.run is None else chosen.run,
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
