"""Kinds of rows: the columns that are indexed of each, read narrowly from its line."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.runs.labels import as_text

ColumnType = Literal["word", "number", "whole", "key"]
"""`word`: one of few texts; `number`: a float; `whole`: an integer; `key`: the hash of a text, by
which equal ones are found. Any value may be missing."""

MALFORMED = "malformed"
"""The status of a line that is no row of its file's kind."""
STATUS = "status"
YES, NO = "yes", "no"

Facts = tuple[Any, ...]
"""The values of a row's columns, in their order; None where one is missing."""


class IndexColumn(NamedTuple):
    """A column of the index."""

    name: str
    type: ColumnType
    facet: bool = False
    """Whether its words are offered as a filter."""


class RowKind(NamedTuple):
    """A kind of row."""

    name: str
    columns: tuple[IndexColumn, ...]
    """`status` is the first."""
    read: Callable[[bytes], tuple[str, Facts]]
    """Returns the id and the facts of a line; raises `msgspec.DecodeError`."""
    measure: str
    """The column of the histogram; empty: none."""
    shown: tuple[str, ...]
    """The columns of the table."""

    @property
    def by_name(self) -> Mapping[str, IndexColumn]:
        """The columns by name."""
        return {column.name: column for column in self.columns}


class _Cause(msgspec.Struct, frozen=True, gc=False):
    cause: str


class _Labelled(msgspec.Struct, frozen=True, gc=False):
    label: Any = None


class _Verdict(msgspec.Struct, frozen=True, gc=False):
    id: str
    status: str
    value: str | int | float | None = None
    reward: float | None = None
    confidence: float | None = None
    judge: str = ""
    error: _Cause | None = None
    metadata: _Labelled | str | None = None


_VERDICT_COLUMNS = (
    IndexColumn(STATUS, "word", facet=True),
    IndexColumn("value", "word", facet=True),
    IndexColumn("reward", "number"),
    IndexColumn("confidence", "number"),
    IndexColumn("cause", "word", facet=True),
    IndexColumn("label", "word", facet=True),
    IndexColumn("agrees", "word", facet=True),
    IndexColumn("judge", "word", facet=True),
)
_decode_verdict = msgspec.json.Decoder(_Verdict).decode


def _read_verdict(line: bytes) -> tuple[str, Facts]:
    row = _decode_verdict(line)
    metadata = row.metadata
    if isinstance(metadata, str):  # In tables it is JSON text.
        metadata = decode_json(metadata, _Labelled)
    label = None if metadata is None or metadata.label is None else as_text(metadata.label)
    value = None if row.value is None else as_text(row.value)
    agrees = None
    if label is not None and row.status == "ok":
        agrees = YES if label == value else NO
    cause = row.error.cause if row.error else None
    facts = (row.status, value, row.reward, row.confidence, cause, label, agrees, row.judge)
    return row.id, facts


class _Score(msgspec.Struct, frozen=True, gc=False):
    value: float | None = None
    cause: str | None = None


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    output_tokens: int = 0


class _Timing(msgspec.Struct, frozen=True, gc=False):
    total: float = 0.0


class _Trace(msgspec.Struct, frozen=True, gc=False):
    id: str
    messages: list[msgspec.Raw]
    group: str = ""
    draw: int = 0
    turns: list[msgspec.Raw] = []
    tool_calls: list[msgspec.Raw] = []
    stop_reason: str | None = None
    rewards: dict[str, _Score] | None = None
    timing: _Timing | None = None
    usage: _Tokens = _Tokens()
    engine: str = ""


_TRACE_COLUMNS = (
    IndexColumn(STATUS, "word", facet=True),
    IndexColumn("group", "key"),
    IndexColumn("draw", "whole"),
    IndexColumn("reward", "number"),
    IndexColumn("unscored", "word", facet=True),
    IndexColumn("turns", "whole"),
    IndexColumn("calls", "whole"),
    IndexColumn("tokens", "whole"),
    IndexColumn("seconds", "number"),
    IndexColumn("engine", "word", facet=True),
)
_decode_trace = msgspec.json.Decoder(_Trace).decode


def _read_trace(line: bytes) -> tuple[str, Facts]:
    row = _decode_trace(line)
    total = (row.rewards or {}).get("total") or _Score()
    facts = (
        row.stop_reason or "chat",
        row.group or None,
        row.draw,
        total.value,
        total.cause,
        len(row.turns),
        len(row.tool_calls),
        row.usage.output_tokens,
        row.timing.total if row.timing else None,
        row.engine or None,
    )
    return row.id, facts


class _Pair(msgspec.Struct, frozen=True, gc=False):
    chosen: msgspec.Raw
    rejected: msgspec.Raw
    example_id: str | int | None = None
    turn_id: str | int | None = None
    run: str | int | None = None
    margin: float | None = None
    chosen_score: float | None = None
    rejected_score: float | None = None


_PAIR_COLUMNS = (
    IndexColumn(STATUS, "word", facet=True),
    IndexColumn("margin", "number"),
    IndexColumn("chosen_score", "number"),
    IndexColumn("rejected_score", "number"),
    IndexColumn("longer", "word", facet=True),
    IndexColumn("run", "word", facet=True),
)
_decode_pair = msgspec.json.Decoder(_Pair).decode


def _read_pair(line: bytes) -> tuple[str, Facts]:
    row = _decode_pair(line)
    lengths = len(bytes(row.chosen)), len(bytes(row.rejected))
    longer = "equal" if lengths[0] == lengths[1] else "chosen"
    if lengths[0] < lengths[1]:
        longer = "rejected"
    margin = row.margin
    if margin is None and row.chosen_score is not None and row.rejected_score is not None:
        margin = row.chosen_score - row.rejected_score
    names = [str(name) for name in (row.example_id, row.turn_id) if name is not None]
    run = None if row.run is None else str(row.run)
    facts = ("pair", margin, row.chosen_score, row.rejected_score, longer, run)
    return "/".join(names), facts


class _Outcome(msgspec.Struct, frozen=True, gc=False):
    id: str
    status: str
    credit: float | None
    agrees: bool | None = None
    confidence: float | None = None
    score: float | None = None
    cause: str = ""
    subset: str = ""
    value: Any = None
    label: Any = None


_OUTCOME_COLUMNS = (
    IndexColumn(STATUS, "word", facet=True),
    IndexColumn("value", "word", facet=True),
    IndexColumn("label", "word", facet=True),
    IndexColumn("agrees", "word", facet=True),
    IndexColumn("credit", "number"),
    IndexColumn("score", "number"),
    IndexColumn("confidence", "number"),
    IndexColumn("cause", "word", facet=True),
    IndexColumn("subset", "word", facet=True),
)
_decode_outcome = msgspec.json.Decoder(_Outcome).decode


def _read_outcome(line: bytes) -> tuple[str, Facts]:
    row = _decode_outcome(line)
    facts = (
        row.status,
        None if row.value is None else str(row.value),
        None if row.label is None else str(row.label),
        None if row.agrees is None else YES if row.agrees else NO,
        row.credit,
        row.score,
        row.confidence,
        row.cause or None,
        row.subset or None,
    )
    return row.id, facts


class _Other(msgspec.Struct, frozen=True, gc=False):
    id: Any = None
    label: Any = None
    score: Any = None


_decode_other = msgspec.json.Decoder(_Other).decode


def _read_other(line: bytes) -> tuple[str, Facts]:
    row = _decode_other(line)
    score = row.score if isinstance(row.score, int | float) else None
    label = None if row.label is None else str(row.label)
    return "" if row.id is None else str(row.id), ("row", label, score)


VERDICTS = RowKind(
    "verdicts",
    _VERDICT_COLUMNS,
    _read_verdict,
    "reward",
    (STATUS, "value", "reward", "confidence", "label"),
)
TRACES = RowKind(
    "traces",
    _TRACE_COLUMNS,
    _read_trace,
    "reward",
    (STATUS, "reward", "turns", "calls", "tokens"),
)
PAIRS = RowKind(
    "pairs",
    _PAIR_COLUMNS,
    _read_pair,
    "margin",
    ("margin", "chosen_score", "rejected_score", "longer"),
)
OUTCOMES = RowKind(
    "outcomes",
    _OUTCOME_COLUMNS,
    _read_outcome,
    "credit",
    (STATUS, "value", "label", "credit", "confidence"),
)
ROWS = RowKind(
    "rows",
    (
        IndexColumn(STATUS, "word", facet=True),
        IndexColumn("label", "word", facet=True),
        IndexColumn("score", "number"),
    ),
    _read_other,
    "score",
    ("label", "score"),
)

KINDS = {kind.name: kind for kind in (OUTCOMES, VERDICTS, TRACES, PAIRS, ROWS)}
"""All kinds, in the order in which they are tried on a file's first rows."""


def kind_of(lines: Iterable[bytes]) -> RowKind:
    """Return the kind of a file by its first lines: that of the first line that is of any."""
    for line in lines:
        for kind in KINDS.values():
            try:
                kind.read(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            return kind
    return ROWS
