"""Stored verdicts, read narrowly: what is measured of a line, and nothing else is decoded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from plaudit.errors import InputError
from plaudit.io.blocks import BlockReader, LineBlock
from plaudit.types import Status, Usage, Value, Verdict

Probability = Annotated[float, Meta(ge=0, le=1)]


class OrderLine(msgspec.Struct, frozen=True, gc=False):
    """One order of a pair, A and B mapped back."""

    value: str
    p_a: Probability | None = None


class FieldsLine(msgspec.Struct, frozen=True, gc=False):
    """What else a judge said, as far as it is measured; see `Verdict.fields`."""

    p_a: Probability | None = None
    orders: list[OrderLine] | None = None
    expected_reward: float | None = None
    expected_score: float | None = None
    raw_score: float | None = None


class RowMetadata(msgspec.Struct, frozen=True, gc=False):
    """Columns of a labelled row; of what type is checked where they are used."""

    label: Any = None
    subset: Any = None
    system: Any = None
    cluster: Any = None
    tags: Any = None


class AskedAbout(msgspec.Struct, frozen=True, gc=False):
    """What was judged, as far as samples may share it."""

    question: Any = None
    prompt: Any = None
    conversation_A: list[Any] | None = None

    @property
    def shared(self) -> Any:
        """The question or prompt, or the first message of both dialogues."""
        return self.question or self.prompt or (self.conversation_A or [None])[0]


class Chances(msgspec.Struct, frozen=True, gc=False):
    """Probabilities that a verdict without a value may have."""

    correct: Probability | None = None


class CauseLine(msgspec.Struct, frozen=True, gc=False):
    """Why a verdict is not `ok`."""

    cause: str


class VerdictLine(msgspec.Struct, frozen=True, gc=False):
    """A verdict as a file of JSON Lines holds it."""

    id: str
    status: Status
    value: Value | None = None
    confidence: Probability | None = None
    probabilities: Chances | None = None
    fields: FieldsLine | None = None
    usage: Usage = Usage()
    judge: str = ""
    error: CauseLine | None = None
    metadata: RowMetadata | None = None
    input: AskedAbout | msgspec.UnsetType | None = msgspec.UNSET


_Text = str | None


class _TableLine(msgspec.Struct, frozen=True):
    """A verdict as a table holds it: objects that have no fixed columns are JSON text."""

    id: str
    status: Status
    value: Value | None = None
    confidence: Probability | None = None
    probabilities: Chances | None = None
    fields: _Text = None
    usage: Usage = Usage()
    judge: str = ""
    error: CauseLine | None = None
    metadata: _Text = None
    input: _Text = None


_decode = msgspec.json.Decoder(VerdictLine).decode
_decode_lines = msgspec.json.Decoder(VerdictLine).decode_lines
_decode_table = msgspec.json.Decoder(_TableLine).decode


def line_of(verdict: Verdict) -> VerdictLine:
    """Return what is measured of a verdict.

    Raises:
        InputError: its fields or metadata are not those of a judge.
    """
    try:
        return msgspec.convert(verdict, VerdictLine, from_attributes=True)
    except msgspec.ValidationError as error:
        raise InputError(f"sample {verdict.id!r}: not a verdict of a judge: {error}") from None


def lines_of_file(path: str | Path) -> Iterator[VerdictLine]:
    """Read a file of verdicts, of the kinds that `RowReader` reads, a block at a time.

    Raises:
        InputError: there is no such file, or a line is no verdict; the message names the line.
    """
    with BlockReader(path) as blocks:
        for block in blocks:
            if not isinstance(block, LineBlock):
                raise InputError(f"{block.where}: {block.error}")
            yield from _lines(block)


def _lines(block: LineBlock) -> Iterator[VerdictLine]:
    try:
        lines = _decode_lines(block.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lines = (_line(where, line) for where, line in block.rows())
    yield from lines


def _line(where: str, line: bytes) -> VerdictLine:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _from_table(line)
        if found is None:
            raise InputError(
                f"{where}: not a verdict as `plaudit judge` writes it: {error}"
            ) from None
        return found


def _from_table(line: bytes) -> VerdictLine | None:
    """Return the verdict of a table's row; None where it is none."""
    try:
        row = _decode_table(line)
        columns = {name: getattr(row, name) for name in row.__struct_fields__}
        for name, form in (
            ("fields", FieldsLine),
            ("metadata", RowMetadata),
            ("input", AskedAbout),
        ):
            if columns[name] is not None:
                columns[name] = msgspec.json.decode(columns[name], type=form)
        return VerdictLine(**columns)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
