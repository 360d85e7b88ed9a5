"""What is shown of a table: a filter, an order and a place, as a URL holds them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from plaudit.errors import UsageError
from plaudit.viewer.kinds import RowKind

_RESERVED = frozenset({"text", "id", "sort", "after", "before", "columns"})
_MOST_TEXT = 1_000


class NumberRange(NamedTuple):
    """A closed range of numbers; infinite where an end is open."""

    low: float
    high: float

    def __str__(self) -> str:
        low = "" if math.isinf(self.low) else f"{self.low:g}"
        high = "" if math.isinf(self.high) else f"{self.high:g}"
        return f"{low}..{high}"


class Filter(NamedTuple):
    """Which rows are shown."""

    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Columns with the words of which a row has one; an empty word: none."""
    ranges: tuple[tuple[str, NumberRange], ...] = ()
    """Columns with the range in which a row's number lies."""
    id: str = ""
    """The exact id; empty: any."""
    text: str = ""
    """What the row's line holds, in any case of ASCII letters; empty: anything."""

    @property
    def without_text(self) -> "Filter":
        """The part of it that the index answers."""
        return self._replace(text="")

    def __bool__(self) -> bool:
        return self != Filter()


class TableView(NamedTuple):
    """What a page of a table shows."""

    filter: Filter = Filter()
    sort: str = ""
    """A column, with `-` before it from high to low; empty: the order of the file."""
    after: int | None = None
    """The row before the first that is shown."""
    before: int | None = None
    """The row after the last that is shown."""
    columns: tuple[str, ...] = ()
    """Those that are shown; empty: those of the kind."""

    def query(self, **changes: object) -> str:
        """Return it as the query of a URL, with some parts changed; `after` and `before` go."""
        view = self._replace(**{"after": None, "before": None, **changes})
        pairs = [(name, word) for name, words in view.filter.words for word in words]
        pairs += [(name, str(bounds)) for name, bounds in view.filter.ranges]
        single = {
            "id": view.filter.id,
            "text": view.filter.text,
            "sort": view.sort,
            "columns": ",".join(view.columns),
            "after": "" if view.after is None else str(view.after),
            "before": "" if view.before is None else str(view.before),
        }
        return urlencode([*pairs, *((name, text) for name, text in single.items() if text)])

    def toggled(self, column: str, word: str) -> "TableView":
        """Return the view with a word of a column let in, or no longer."""
        words = dict(self.filter.words)
        old = words.pop(column, ())
        new = tuple(one for one in old if one != word) if word in old else (*old, word)
        if new:
            words[column] = new
        changed = self.filter._replace(words=tuple(sorted(words.items())))
        return self._replace(filter=changed, after=None, before=None)

    def ranged(self, column: str, bounds: NumberRange | None) -> "TableView":
        """Return the view with the range of a column set, or taken away."""
        ranges = dict(self.filter.ranges)
        ranges.pop(column, None)
        if bounds is not None:
            ranges[column] = bounds
        changed = self.filter._replace(ranges=tuple(sorted(ranges.items())))
        return self._replace(filter=changed, after=None, before=None)


def read_view(kind: RowKind, given: Iterable[tuple[str, str]]) -> TableView:
    """Read the query of a URL.

    Raises:
        UsageError: it names no column of the kind, or a number cannot be read.
    """
    words: dict[str, list[str]] = {}
    ranges: dict[str, NumberRange] = {}
    single: dict[str, str] = {}
    shown: list[str] = []
    for name, text in given:
        column = kind.by_name.get(name)
        if name == "columns":
            shown += [one for one in text.split(",") if one]
        elif name in _RESERVED:
            single[name] = text
        elif column is None or column.type == "key":
            raise UsageError(f"{kind.name} have no column {name!r}; {_known(kind)}")
        elif column.type == "word":
            words.setdefault(name, []).append(text)
        elif text:
            ranges[name] = _bounds(name, text)
    sort = single.get("sort", "")
    _check(kind, [*([sort.removeprefix("-")] if sort else []), *shown])
    return TableView(
        Filter(
            tuple(sorted((name, tuple(dict.fromkeys(some))) for name, some in words.items())),
            tuple(sorted(ranges.items())),
            single.get("id", ""),
            single.get("text", "")[:_MOST_TEXT],
        ),
        sort,
        _row(single, "after"),
        _row(single, "before"),
        tuple(dict.fromkeys(shown)),
    )


def _check(kind: RowKind, names: Sequence[str]) -> None:
    for name in names:
        if name not in kind.by_name or kind.by_name[name].type == "key":
            raise UsageError(f"{kind.name} have no column {name!r}; {_known(kind)}")


def _known(kind: RowKind) -> str:
    return f"there are {', '.join(c.name for c in kind.columns if c.type != 'key')}"


def _bounds(name: str, text: str) -> NumberRange:
    low, separator, high = text.partition("..")
    try:
        found = NumberRange(
            float(low) if low else -math.inf,
            float(high if separator else low) if high or not separator else math.inf,
        )
    except ValueError:
        found = NumberRange(math.nan, math.nan)
    if math.isnan(found.low) or math.isnan(found.high):
        raise UsageError(f"{name}={text!r}: write a range of numbers as 0.2..0.5, 0.2.. or ..0.5")
    return found


def _row(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UsageError(f"{name}={text!r} is no row")
    return int(text)
