"""The run that the candidates of a row are of."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate, Id
from plaudit.preferences.formats.base import malformed, unpacked

_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.json.Decoder(Id).decode


def run_in(line: bytes, column: str) -> Id:
    """Return the run that a column of a row, or of its metadata, names.

    Raises:
        InputError: there is no such column, or it is neither text nor a whole number.
    """
    try:
        columns = _decode(line)
        raw = columns.get(column)
        if raw is None and "metadata" in columns:
            raw = _decode(unpacked(columns["metadata"])).get(column)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("row", error) from None
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
