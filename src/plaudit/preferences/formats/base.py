"""What every format is to who reads a file: rows go in, candidates come out."""

import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.texts import same_text_key

ABSENT = Raw()
"""What a field holds that a row does not have; no JSON is empty."""


STEP_NAME = "dpo_candidate_move"
"""What the toolkit whose steps are read calls those of candidates unless told otherwise."""


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How files are read that leave a choice."""

    step_name: str = STEP_NAME
    """Name of the steps that are candidates, in files of intermediate steps."""
    scores: Literal["direct", "bradley-terry"] = "direct"
    """What pairwise verdicts give: `direct`, each verdict is a turn of its two responses;
    `bradley-terry`, all responses to a prompt are a turn, with a strength each."""
    run_column: str | None = None
    """A column of the rows, or of their metadata, that names the run; candidates of one run
    compete. None: each file is a run."""


class Format(Protocol):
    """Reads candidates from the rows of one file, in order."""

    name: str

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """Return the candidates of a row, and what an earlier row held back.

        Args:
            line: one JSON object in UTF-8. Whether it is UTF-8 is the caller's to check: texts go
                out as they came in, and are not looked at.
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

    def group(self, turn: list[Candidate]) -> list[Candidate]:
        """Return a whole turn as it is to be paired.

        Args:
            turn: all candidates of one example, turn and run, in the order read.
        """
        return turn

    def nothing_found(self) -> str:
        """Return what to say of a file in which there was no candidate, and what was seen."""
        return "it has no rows that could be read"


def prompt_id(prompt: Raw) -> str:
    """Return an identity made of what a prompt says: the same for whatever says the same."""
    return hashlib.blake2b(same_text_key(prompt), digest_size=8).hexdigest()


def columns_of(line: bytes) -> list[str]:
    """Return the names of a row's columns.

    Raises:
        InputError: it is no JSON object.
    """
    try:
        return list(msgspec.json.decode(line, type=dict[str, Raw]))
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("row", error) from None


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
