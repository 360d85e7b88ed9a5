"""Rows that other tools write too: one candidate, a list of responses, or a pair in a row."""

from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.formats.base import (
    ABSENT,
    CandidateFormat,
    finite,
    joined,
    malformed,
    object_of,
    prompt_id,
    renamed,
    split_at_response,
    unpacked,
)
from plaudit.preferences.margins import scale_of
from plaudit.preferences.pairing import grouped_pairs, margin_of
from plaudit.preferences.texts import response_key
from plaudit.preferences.types import Candidate, CandidateGroup, Id, PairOptions, Tally

_KINDS = {b"n": "null", b"t": "true", b"f": "false", b"{": "an object", b"[": "a list"}
_RESPONSES = frozenset(b'"{[n')
_PROMPTS = frozenset(b'"[')

Score = float | bool | str | None
"""A score as a row holds it."""


class CandidateRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One candidate in a row; `prompt` and `response` must be there.

    Its `Raw` fields keep alive what they were decoded from. Other columns are not read.
    """

    example_id: Id | None = None
    """None: a hash of the prompt, so that rows without ids are grouped by their prompt."""
    turn_id: Id | None = None
    candidate_index: int | None = None
    prompt: Raw
    response: Raw
    score: Score = None
    confidence: float | None = None
    metadata: Raw = ABSENT


CANDIDATE_ROWS = msgspec.json.Decoder(CandidateRow)
"""Decodes rows; its `decode_lines` takes many at once, and fails for all if one is malformed."""


class CandidateRows(CandidateFormat):
    """One candidate in a row; see `CandidateRow`."""

    name = "rows"

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        try:
            return (candidate(_decode(line)),)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("candidate", error) from None

    def read_many(self, lines: bytes) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        return list(map(candidate, CANDIDATE_ROWS.decode_lines(lines)))


def candidate(row: CandidateRow) -> Candidate:
    """Return the candidate of a row; a score that is a boolean or not finite is unscored.

    Raises:
        InputError: a field is of the wrong kind or out of range.
    """
    score, prompt, index, confidence = row.score, row.prompt, row.candidate_index, row.confidence
    if score.__class__ is not float:
        score = _other_score(score)
    if bytes(row.response)[0] not in _RESPONSES or bytes(prompt)[0] not in _PROMPTS:
        raise _wrong_kind(prompt, row.response)
    if index is not None and index < 0:
        raise InputError(f"not a candidate: candidate_index {index} is negative")
    if confidence is not None and not 0 <= confidence <= 1:
        raise InputError(f"not a candidate: confidence {confidence} is not between 0 and 1")
    example, turn, metadata = row.example_id, row.turn_id, row.metadata
    if example is None or turn is None:
        known = prompt_id(prompt)
        example, turn = known if example is None else example, known if turn is None else turn
    return Candidate(
        example_id=example,
        turn_id=turn,
        index=index,
        prompt=prompt,
        response=row.response,
        score=score,  # pyright: ignore[reportArgumentType]
        confidence=confidence,
        metadata=None if metadata is ABSENT else object_of(metadata),
    )


def _decode(line: bytes) -> CandidateRow:
    """Decode a row; a score that no number can hold is left out of it."""
    try:
        return CANDIDATE_ROWS.decode(line)
    except msgspec.ValidationError as error:
        if "out of range" not in str(error) or "$.score" not in str(error):
            raise
    held = msgspec.json.decode(line, type=dict[str, Raw])
    held["score"] = Raw(b"null")
    return CANDIDATE_ROWS.decode(msgspec.json.encode(held))


def _other_score(score: Score) -> float | None:
    if isinstance(score, str):
        raise InputError(f"not a candidate: the score is a text, {score[:40]!r}, and no number")
    return None if score is None or isinstance(score, bool) else finite(score)


def _wrong_kind(prompt: Raw, response: Raw) -> InputError:
    is_prompt = bytes(prompt)[0] not in _PROMPTS
    wrong = bytes(prompt if is_prompt else response)
    kind = _KINDS.get(wrong[:1], "a number")
    name = "prompt" if is_prompt else "response"
    return InputError(f"not a candidate: {name} must be a text or messages, not {kind}")


# Lists

LISTS = frozenset({"responses", "generations", "completions"})
_TEXTS = ("response", "text", "completion", "generation")
_SCORES = ("score", "overall_score", "rating", "fine-grained_score")


class _ListRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    example_id: Id | None = None
    turn_id: Id | None = None
    prompt: Raw = ABSENT
    instruction: Raw = ABSENT
    responses: Raw = ABSENT
    generations: Raw = ABSENT
    completions: Raw = ABSENT
    scores: list[Score] | None = None
    ratings: list[Score] | None = None
    metadata: Raw = ABSENT


_decode_list_row = msgspec.json.Decoder(_ListRow).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_score = msgspec.json.Decoder(Score).decode


class ResponseLists(CandidateFormat):
    """All responses to a prompt in a row, and their scores in a second list or beside each.

    The responses are in `responses`, `generations` or `completions`, the scores in `scores` or
    `ratings`. A response may be an object with a text and a score of its own, as in UltraFeedback.
    """

    name = "lists"

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        """See `ReadOptions.columns`, which name fields of the responses, too."""
        self._columns = columns or {}

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        try:
            row = _decode_list_row(line)
            return self._candidates(row)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("row of responses", error) from None

    def _candidates(self, row: _ListRow) -> Sequence[Candidate]:
        prompt = row.prompt if bytes(row.prompt) else row.instruction
        held = next(filter(bytes, (row.responses, row.generations, row.completions)), Raw(b"[]"))
        responses = _decode_list(unpacked(held))
        scores = row.scores if row.scores is not None else row.ratings
        if scores is not None and len(scores) != len(responses):
            raise InputError(
                f"not a row of responses: {len(responses)} responses and {len(scores)} scores"
            )
        return [
            candidate(
                CandidateRow(
                    example_id=row.example_id,
                    turn_id=row.turn_id,
                    candidate_index=place,
                    prompt=prompt if bytes(prompt) else Raw(b"null"),
                    response=response,
                    score=own if scores is None else scores[place],
                    metadata=row.metadata,
                )
            )
            for place, (response, own) in enumerate(map(self._read_one, responses))
        ]

    def _read_one(self, raw: Raw) -> tuple[Raw, Score]:
        """Return a response and the score beside it, if any."""
        if bytes(raw)[:1] != b"{":
            return raw, None
        fields = _decode_object(renamed(bytes(raw), self._columns))
        if "role" in fields:
            return raw, None
        text = next((fields[name] for name in _TEXTS if name in fields), None)
        if text is None:
            raise InputError(
                f"not a row of responses: one has no text; its fields are {', '.join(fields)}"
            )
        score = next((fields[name] for name in _SCORES if name in fields), Raw(b"null"))
        return text, _score(score)


def _score(raw: Raw) -> Score:
    try:
        return _decode_score(raw)
    except msgspec.ValidationError as error:
        if "out of range" in str(error):
            return None
        raise


# Pairs


class PairRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A pair in a row: a row of `Preference`, or one without ids and scores."""

    example_id: Id | None = None
    turn_id: Id | None = None
    run: Id | None = None
    prompt: Raw = ABSENT
    chosen: Raw
    rejected: Raw
    chosen_score: float | None = None
    rejected_score: float | None = None
    score_chosen: float | None = None
    score_rejected: float | None = None
    chosen_index: int | None = None
    rejected_index: int | None = None
    margin: float | None = None
    """None: the difference of the scores; unknown without scores."""
    metadata: Raw = Raw(b"null")


_decode_pair = msgspec.json.Decoder(PairRow).decode


def read_pair(line: bytes) -> PairRow:
    """Return a pair with its prompt, example id and margin; the margin is None without scores.

    Where both responses are lists of messages that begin with the same ones before the assistant's
    first, these are the prompt.

    Raises:
        InputError: there is no prompt.
        msgspec.DecodeError: it is no such row.
        RecursionError: it is nested too deeply.
    """
    row = _decode_pair(line)
    prompt, chosen, rejected = _with_prompt(row)
    if not bytes(prompt):
        raise InputError("a pair needs a prompt: a column, or messages before the assistant's")
    scores = [
        finite(first if first is not None else second)
        for first, second in (
            (row.chosen_score, row.score_chosen),
            (row.rejected_score, row.score_rejected),
        )
    ]
    margin = row.margin
    if margin is None and None not in scores:
        margin = margin_of(*scores)
    return msgspec.structs.replace(
        row,
        example_id=prompt_id(prompt) if row.example_id is None else row.example_id,
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        chosen_score=scores[0],
        rejected_score=scores[1],
        margin=margin,
    )


def _with_prompt(row: PairRow) -> tuple[Raw, Raw, Raw]:
    """Return the prompt and both responses, the prompt cut off from the latter."""
    if not bytes(row.chosen)[:1] == bytes(row.rejected)[:1] == b"[":
        return row.prompt, row.chosen, row.rejected
    try:
        (asked, chosen), (same, rejected) = (
            split_at_response(_decode_list(raw)) for raw in (row.chosen, row.rejected)
        )
    except InputError:
        return row.prompt, row.chosen, row.rejected
    if not asked or not chosen or not rejected or asked != same:
        return row.prompt, row.chosen, row.rejected
    return joined(asked), joined(chosen), joined(rejected)


class PairRows(CandidateFormat):
    """A pair in a row, which stays as it is: with its scores, or without."""

    name = "pairs"

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        try:
            row = read_pair(line)
            metadata = _metadata_of(row)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("pair", error) from None
        assert row.example_id is not None
        sides = (
            (row.chosen, row.chosen_score, row.chosen_index),
            (row.rejected, row.rejected_score, row.rejected_index),
        )
        for response, _, _ in sides:
            if bytes(response)[0] not in _RESPONSES or bytes(row.prompt)[0] not in _PROMPTS:
                raise _wrong_kind(row.prompt, response)
            if not response_key(response):
                raise InputError("not a pair: a response is empty")
        return [
            Candidate(
                example_id=row.example_id,
                turn_id=number if row.turn_id is None else row.turn_id,
                run=row.run,
                index=index,
                prompt=row.prompt,
                response=response,
                score=score,
                metadata=about,
            )
            for (response, score, index), about in zip(sides, metadata, strict=True)
        ]

    def pair(
        self, turn: list[Candidate], options: PairOptions, tally: Tally
    ) -> CandidateGroup | None:
        """Return the pairs that were read: chosen and rejected candidates come in turns."""
        sides = zip(islice(turn, 0, None, 2), islice(turn, 1, None, 2), strict=True)
        pairs = [(margin_of(one.score, other.score), one, other) for one, other in sides]
        kept = [one for one in pairs if _is_good(*one, options, tally)]
        most = len(kept) if options.max_per_turn is None else options.max_per_turn
        tally.turns += 1
        tally.candidates += len(turn)
        tally.used += len(turn)
        tally.possible += len(pairs)
        tally.pairs += len(kept[:most])
        tally.drop_pairs("over_cap", len(kept[most:]))
        return grouped_pairs(kept[:most]) if kept else None


def _is_good(
    margin: float, chosen: Candidate, rejected: Candidate, options: PairOptions, tally: Tally
) -> bool:
    """Whether a pair can be learned from; counts one that cannot."""
    scale = scale_of()
    if chosen.score is not None and rejected.score is not None:
        scale = scale_of(*sorted((chosen.score, rejected.score)))
    if response_key(chosen.response) == response_key(rejected.response):
        tally.drop_pairs("same_text")
    elif scale.is_tie(margin):
        tally.drop_pairs("tie")
    elif margin == float("inf"):
        tally.drop_pairs("overflow")
    elif margin < 0 or (options.min_margin and not scale.reaches(margin, options.min_margin)):
        tally.drop_pairs("below_margin")
    else:
        return True
    return False


def _metadata_of(row: PairRow) -> tuple[Raw | None, Raw | None]:
    """Return the metadata of both candidates: its fields `chosen` and `rejected`, or all of it."""
    held = object_of(row.metadata)
    if held is None:
        return None, None
    fields = _decode_object(held)
    if fields.keys() <= {"chosen", "rejected"}:
        chosen, rejected = (object_of(fields.get(side, ABSENT)) for side in ("chosen", "rejected"))
        return chosen, rejected
    return held, None
