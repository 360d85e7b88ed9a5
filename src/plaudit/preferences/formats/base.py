"""The contract of a format, and what formats share."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Raw

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit.errors import InputError
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.texts import same_text_key
from plaudit.preferences.types import Candidate, CandidateGroup, Id, PairOptions, Tally

ABSENT = Raw()
"""The value of a field that a row does not have; no JSON is empty."""

STEP_NAME = "dpo_candidate_move"
"""The default name of candidate steps in NVIDIA's toolkit."""

COLUMNS = Help(
    "Another name of a column, such as prompt=instruction; may be repeated.",
    "Input",
    "NAME=COLUMN",
    flags=("--column",),
)
"""Column of the file by the name that plaudit expects, such as `{"prompt": "instruction"}`."""


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How files are read that leave a choice."""

    scores: Annotated[
        Literal["direct", "bradley-terry"],
        Help("Of pairwise verdicts: `direct` preferences, or `bradley-terry` strengths.", "Input"),
    ] = "direct"
    """`direct`: each verdict is a turn of its two responses; `bradley-terry`: all responses to a
    prompt are a turn, with a strength each."""
    step_name: Annotated[
        str, Help("Of intermediate steps: which are candidates.", "Input", "NAME")
    ] = STEP_NAME
    run_column: Annotated[
        str | None,
        Help("Column that names the run; candidates of one run compete.", "Input", "NAME"),
    ] = None
    """A column of the rows, or of their metadata; None: each file is a run."""
    columns: Annotated[Mapping[str, str], COLUMNS] = {}

    def __post_init__(self) -> None:
        """Check the choice.

        Raises:
            ArgumentError: `scores` is none of its choices.
        """
        check_choices(self)


class CandidateFormat(Protocol):
    """Reads candidates from the rows of one file, in order."""

    name: str

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """Return the candidates of a row, and those that an earlier row held back.

        Args:
            line: one JSON object in UTF-8, which the caller has checked: texts are copied unread.
            number: of the row in its file, from 0.

        Raises:
            InputError: the row is malformed; the message names neither file nor row.
        """
        ...

    def read_many(self, lines: bytes) -> Sequence[Candidate] | None:
        """Return the candidates of many rows at once; None where only `read` does that.

        Raises:
            InputError: one of the rows is malformed; `read` says which.
            msgspec.MsgspecError: likewise.
            RecursionError: likewise.
        """
        del lines
        return None

    def end(self) -> Sequence[Candidate]:
        """Return the candidates that were held back when the last row was read."""
        return ()

    def pair(
        self, turn: list[Candidate], options: PairOptions, tally: Tally
    ) -> CandidateGroup | None:
        """Make the pairs of a turn: all candidates of one example, turn and run, as read."""
        return pair_turn(turn, options, tally)

    def nothing_found(self) -> str:
        """Return the message for a file without candidates; it says what the file holds."""
        return "it has no rows that could be read"


def prompt_id(prompt: Raw) -> str:
    """Return an id made of a prompt: the same for prompts that say the same."""
    return hashlib.blake2b(same_text_key(prompt), digest_size=8).hexdigest()


def malformed(what: str, error: Exception) -> InputError:
    """Return the error for a row that is not what it should be."""
    problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return InputError(f"not a {what}: {problem}")


def unpacked(value: Raw) -> Raw:
    """Return a field whose JSON a table holds as text; others as they are; `ABSENT` for null.

    Raises:
        InputError: the text is not JSON.
    """
    data = bytes(value)
    if data == b"null":
        return ABSENT
    if data[:1] != b'"':
        return value
    try:
        return msgspec.json.decode(msgspec.json.decode(data, type=str), type=Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("JSON text", error) from None


def object_of(metadata: Raw) -> Raw | None:
    """Return metadata, in tables a text, as a JSON object; None for an empty one.

    Raises:
        InputError: it is something else.
    """
    data = bytes(metadata)
    if data in (b"{}", b"null", b""):
        return None
    if data[:1] == b'"':
        return object_of(unpacked(metadata))
    if data[:1] != b"{":
        raise InputError("not a candidate: metadata must be an object")
    return metadata


# Columns and runs

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.json.Decoder(Id).decode


def object_in(line: bytes) -> dict[str, Raw]:
    """Return the columns of a row.

    Raises:
        InputError: it is no JSON object.
    """
    try:
        return _decode_object(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("row", error) from None


def renamed(line: bytes, columns: Mapping[str, str]) -> bytes:
    """Return a row with its columns under the names that plaudit expects (`ReadOptions.columns`).

    Raises:
        InputError: it is no JSON object.
    """
    if not columns:
        return line
    held = object_in(line)
    return msgspec.json.encode(held | {n: held[c] for n, c in columns.items() if c in held})


def run_in(line: bytes, column: str) -> Id:
    """Return the run that a column of a row, or of its metadata, names.

    Raises:
        InputError: there is no such column, or it is neither text nor a whole number.
    """
    columns = object_in(line)
    raw = columns.get(column)
    if raw is None and "metadata" in columns:
        raw = object_in(unpacked(columns["metadata"])).get(column)
    if raw is None or bytes(raw) == b"null":
        raise InputError(f"it has no column {column!r}, which names the run")
    try:
        return _decode_id(raw)
    except msgspec.DecodeError:
        raise InputError(f"column {column!r} must be a text or a whole number") from None


def of_run(candidates: Sequence[Candidate], run: Id | None) -> Sequence[Candidate]:
    """Return candidates as those of a run; None: there is only one."""
    if run is None:
        return candidates
    return [msgspec.structs.replace(candidate, run=run) for candidate in candidates]


# Scores

_BOOLEANS = {b"true": b"1", b"false": b"0"}


def finite(score: float | None) -> float | None:
    """Return a score; None for one that is not finite: no judgement is behind it."""
    return score if score is not None and math.isfinite(score) else None


def score_of(raw: Raw) -> float | None:
    """Return the score of a step, read as NVIDIA's toolkit reads it.

    Numbers as text are numbers; true is 1 and false 0. None where it is missing, null, not finite
    or too large.

    Raises:
        InputError: it is a text that is no number, a list or an object.
    """
    data = _without_quotes(raw)
    if data in (b"", b"null") and bytes(raw) == data:
        return None
    try:
        return finite(float(_BOOLEANS.get(data, data)))
    except (ValueError, OverflowError):
        kind = {34: "a text that is no number", 91: "a list", 123: "an object"}
        raise InputError(f"the score is {kind.get(bytes(raw)[0], 'no number')}") from None


def index_of(raw: Raw) -> int | None:
    """Return the index of a step, read likewise; None where it is missing or null.

    Raises:
        InputError: it is no whole number of 0 or more.
    """
    data = _without_quotes(raw)
    if data in (b"", b"null") and bytes(raw) == data:
        return None
    data = _BOOLEANS.get(data, data)
    try:
        number = int(data) if data.lstrip(b"+").isdigit() else _whole(float(data))
    except (ValueError, OverflowError):
        number = -1
    if number < 0:
        raise InputError(f"candidate_index {bytes(raw)[:40].decode()} is no index")
    return number


def _without_quotes(raw: Raw) -> bytes:
    """Return a JSON number, or the content of a JSON text; as a text, true and null are empty."""
    data = bytes(raw)
    if data[:1] != b'"':
        return data
    held = data[1:-1].strip()
    return b"" if held in (b"true", b"false", b"null") else held


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError(number)
    return int(number)


# Messages, taken apart and put together without decoding them


class _Role(msgspec.Struct, frozen=True, gc=False):
    role: str


_role = msgspec.json.Decoder(_Role).decode


def joined(messages: Sequence[Raw]) -> Raw:
    """Return messages as one list."""
    return Raw(b"[" + b",".join(map(bytes, messages)) + b"]")


def split_last(messages: Sequence[Raw]) -> tuple[Raw, Raw]:
    """Return all messages but the last, and the last, which is the response.

    Raises:
        InputError: it is not a message of the assistant, or there is nothing before it.
    """
    if len(messages) < 2 or role_of(messages[-1]) != "assistant":
        raise InputError("the conversation must end with the assistant's response to something")
    return joined(messages[:-1]), messages[-1]


def split_at_response(messages: Sequence[Raw]) -> tuple[Sequence[Raw], Sequence[Raw]]:
    """Return the messages before the first one of the assistant, and the rest.

    Raises:
        InputError: one of those up to there is no message.
    """
    places = (place for place, one in enumerate(messages) if role_of(one) == "assistant")
    first = next(places, len(messages))
    return messages[:first], messages[first:]


def role_of(message: Raw) -> str:
    """Return the role of a message.

    Raises:
        InputError: it is no message.
    """
    try:
        return _role(message).role
    except msgspec.DecodeError as error:
        raise InputError(f"not a message: {error}") from None
