"""The judgements of an arm in a folder of results: an outcome a line."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from plaudit.bench.outcomes import RowOutcome
from plaudit.errors import InputError, StoreError


def write_outcomes(outcomes: Iterable[RowOutcome], file: BinaryIO) -> Iterator[RowOutcome]:
    """Yield outcomes, and write each as a line."""
    encode = msgspec.json.Encoder().encode
    for outcome in outcomes:
        file.write(encode(outcome) + b"\n")
        yield outcome


def read_outcomes(path: Path) -> Iterator[RowOutcome]:
    """Yield the outcomes of a file.

    Raises:
        InputError: there is no such file, or a line is no outcome; the message names it.
    """
    decode = msgspec.json.Decoder(RowOutcome).decode
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise InputError(
                        f"{path}: line {number}: no outcome of a bench: {error}"
                    ) from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, though the results name it") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
