"""Candidate rows: files that hold candidates as plaudit has them.

A row is ``{"example_id", "turn_id", "candidate_index", "prompt", "response", "score", "confidence",
"metadata"}``, of which `prompt` and `response` must be there. An id that is missing or null is a
hash of the prompt: so rows without ids are grouped by their prompt, and those without a
`candidate_index` are numbered in order. Other columns are not read.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.formats.base import ABSENT, Format, malformed, prompt_id, unpacked
from plaudit.preferences.formats.numbers import finite

_KINDS = {b"n": "null", b"t": "true", b"f": "false", b"{": "an object", b"[": "a list"}
_NOTHING = (b"{}", b"null", b"")
_RESPONSES = frozenset(b'"{[n')
_PROMPTS = frozenset(b'"[')


class CandidateRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row as it is decoded; `candidate` makes a candidate of it.

    Its `Raw` fields keep what they were decoded from alive.
    """

    example_id: Id | None = None
    turn_id: Id | None = None
    candidate_index: int | None = None
    prompt: Raw
    response: Raw
    score: float | bool | str | None = None
    confidence: float | None = None
    metadata: Raw = ABSENT


CANDIDATE_ROWS = msgspec.json.Decoder(CandidateRow)
"""Decodes rows; its `decode_lines` takes many at once, and fails for all if one is malformed."""


class Rows(Format):
    """Candidate rows; see the module."""

    name = "rows"

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `Format`."""
        try:
            return (candidate(_decode(line)),)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("candidate", error) from None

    def read_many(self, lines: bytes) -> Sequence[Candidate]:
        """See `Format`."""
        return list(map(candidate, CANDIDATE_ROWS.decode_lines(lines)))


def candidate(row: CandidateRow) -> Candidate:
    """Return the candidate of a row.

    A score that is a boolean or not finite is none.

    Raises:
        InputError: a field is of the wrong kind or out of range.
    """
    score, prompt, index, confidence = row.score, row.prompt, row.candidate_index, row.confidence
    if score.__class__ is not float:
        score = _other_score(score)
    if bytes(row.response)[0] not in _RESPONSES or bytes(prompt)[0] not in _PROMPTS:
        raise _wrong_kind(row)
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


def object_of(metadata: Raw) -> Raw | None:
    """Return metadata, in tables text, as a JSON object; None where there is nothing in it.

    Raises:
        InputError: it is something else.
    """
    data = bytes(metadata)
    if data in _NOTHING:
        return None
    if data[:1] == b'"':
        return object_of(unpacked(metadata))
    if data[:1] != b"{":
        raise InputError("not a candidate: metadata must be an object")
    return metadata


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


def _other_score(score: float | bool | str | None) -> float | None:
    if isinstance(score, str):
        raise InputError(f"not a candidate: the score is a text, {score[:40]!r}, and no number")
    return None if score is None or isinstance(score, bool) else finite(score)


def _wrong_kind(row: CandidateRow) -> InputError:
    prompt, response = bytes(row.prompt), bytes(row.response)
    wrong = prompt if prompt[0] not in _PROMPTS else response
    kind = _KINDS.get(wrong[:1], "a number")
    if wrong is prompt:
        return InputError(f"not a candidate: prompt must be a text or messages, not {kind}")
    return InputError(f"not a candidate: response must be a text or messages, not {kind}")
