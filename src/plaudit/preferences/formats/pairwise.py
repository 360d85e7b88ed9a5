"""Pairwise verdicts: two responses each, and how probable it is that the first is better."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.formats.base import (
    ABSENT,
    CandidateFormat,
    malformed,
    object_of,
    prompt_id,
    split_last,
    unpacked,
)
from plaudit.preferences.formats.verdicts import CandidateIds, JudgedRow, ids_in, read_verdict
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.strengths import bradley_terry
from plaudit.preferences.texts import prompt_key, response_key
from plaudit.preferences.types import Candidate, CandidateGroup, PairOptions, Tally


class _Input(msgspec.Struct, frozen=True, gc=False):
    prompt: Raw = ABSENT
    response_a: Raw = ABSENT
    response_b: Raw = ABSENT
    conversation_A: list[Raw] | None = None
    conversation_B: list[Raw] | None = None


class _Fields(msgspec.Struct, frozen=True, gc=False):
    p_a: float | None = None
    order_gap: float | None = None


_decode_input = msgspec.json.Decoder(_Input).decode
_decode_fields = msgspec.json.Decoder(_Fields).decode


class Comparisons(CandidateFormat):
    """Pairwise verdicts, as preferences or as strengths.

    `direct`: each verdict is a turn of its own, named by the row's number, of A (0) and B (1) with
    the scores `p_a` and 1 - `p_a`. `bradley-terry`: all responses to a prompt are a turn; each has
    the logarithm of its Bradley-Terry strength as its score, and the mean confidence of the
    verdicts behind it.

    A candidate's metadata are the verdict's, with its `order_gap`.

    The example is the verdict's column `example_id`, else the prompt's hash; so is, for strengths,
    the turn (`turn_id`). Where A and B answer different prompts, each keeps its own.
    """

    name = "pairwise verdicts"

    def __init__(self, scores: Literal["direct", "bradley-terry"]) -> None:
        """See `ReadOptions.scores`."""
        self._direct = scores == "direct"

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        verdict = read_verdict(line, "pairwise")
        try:
            sides = _sides(_decode_input(verdict.input))
            p_a, gap = _reported(verdict)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("verdict", error) from None
        metadata = object_of(verdict.metadata)
        example, turn = self._ids(ids_in(metadata), sides[0][0], number)
        # For strengths the index says which two candidates of the turn were compared.
        first = 0 if self._direct else 2 * number
        shares = (None, None) if p_a is None else (p_a, 1 - p_a)
        return [
            Candidate(
                example_id=example,
                turn_id=turn,
                index=first + side,
                prompt=prompt,
                response=response,
                score=shares[side],
                confidence=verdict.confidence,
                metadata=_with_gap(metadata, gap),
            )
            for side, (prompt, response) in enumerate(sides)
        ]

    def pair(
        self, turn: list[Candidate], options: PairOptions, tally: Tally
    ) -> CandidateGroup | None:
        """See `CandidateFormat`: for strengths, one candidate for each different response."""
        return pair_turn(self.competing(turn), options, tally)

    def competing(self, turn: list[Candidate]) -> list[Candidate]:
        """Return the candidates of a turn with the scores by which they compete."""
        return turn if self._direct else _with_strengths(turn)

    def _ids(self, ids: CandidateIds, prompt: Raw, number: int) -> tuple[str | int, str | int]:
        known = "" if ids.example_id is not None and ids.turn_id is not None else prompt_id(prompt)
        example = known if ids.example_id is None else ids.example_id
        if self._direct:
            return example, number
        return example, known if ids.turn_id is None else ids.turn_id


def _sides(held: _Input) -> list[tuple[Raw, Raw]]:
    """Return the prompt and the response of A and of B."""
    if held.conversation_A and held.conversation_B:
        return [split_last(held.conversation_A), split_last(held.conversation_B)]
    if all(map(bytes, (held.prompt, held.response_a, held.response_b))):
        return [(held.prompt, held.response_a), (held.prompt, held.response_b)]
    raise InputError("the verdict's input does not hold two responses")


def _reported(verdict: JudgedRow) -> tuple[float | None, float | None]:
    """Return the chance that A is better, None unless the verdict is ok, and the order gap."""
    if not verdict.ok:
        return None, None
    fields = unpacked(verdict.fields)
    reported = _decode_fields(fields) if bytes(fields) else _Fields()
    if reported.p_a is None or not 0 <= reported.p_a <= 1:
        raise InputError(f"not a pairwise verdict: fields.p_a is {reported.p_a}, and no chance")
    return reported.p_a, reported.order_gap


def _with_gap(metadata: Raw | None, gap: float | None) -> Raw | None:
    """Return metadata and, for who looks at the pairs, how far the two orders lay apart."""
    if gap is None:
        return metadata
    reported = b'{"order_gap":%b' % msgspec.json.encode(gap)
    return Raw(reported + (b"}" if metadata is None else b"," + bytes(metadata)[1:]))


class _Response(NamedTuple):
    """One of a turn's different responses, by its number."""

    place: int
    candidate: Candidate
    """As it was read first."""
    confidences: list[float]
    """Of the verdicts on it."""


def _with_strengths(turn: list[Candidate]) -> list[Candidate]:
    """Return the different responses of a turn, scored by their strengths."""
    responses: dict[tuple[bytes, bytes], _Response] = {}
    sides: dict[int, _Response] = {}
    for one in turn:
        key = prompt_key(one.prompt), response_key(one.response)
        response = responses.setdefault(key, _Response(len(responses), one, []))
        assert one.index is not None
        sides[one.index] = response
        if one.confidence is not None:
            response.confidences.append(one.confidence)
    contests = [
        (sides[one.index].place, sides[one.index + 1].place, one.score)
        for one in turn
        if one.index is not None and one.index % 2 == 0 and one.score is not None
    ]
    strengths = bradley_terry(len(responses), contests)
    return [
        msgspec.structs.replace(
            candidate,
            index=None,
            score=strength,
            confidence=math.fsum(sure) / len(sure) if sure else None,
        )
        for strength, (_, candidate, sure) in zip(strengths, responses.values(), strict=True)
    ]
