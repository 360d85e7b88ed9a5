"""Views for notebooks: an escaped HTML table, and a pandas frame."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from plaudit._util.packages import load_package

_SHOWN_ROWS = 50
_SHOWN_CHARACTERS = 120


class Tabular:
    """Something that is rows of a table: `to_pandas()`, and a table in a notebook."""

    __slots__ = ()

    def table_rows(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows, each a value by column."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Return the rows as a pandas `DataFrame`; nested values stay Python objects.

        Raises:
            MissingDependencyError: pandas is not installed (extra `notebook`).
        """
        return load_package("pandas", "notebook").DataFrame(list(self.table_rows()))

    def _repr_html_(self) -> str:
        """Return the first 50 rows as an HTML table; untrusted text is escaped and cut."""
        from html import escape  # A large table of entities, of use in notebooks only.

        rows = list(itertools.islice(self.table_rows(), _SHOWN_ROWS + 1))
        names = dict.fromkeys(name for row in rows for name in row)
        columns = [name for name in names if any(_is_given(row.get(name)) for row in rows)]
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        lines = [
            "".join(f"<td>{escape(_text(row.get(name)))}</td>" for name in columns)
            for row in rows[:_SHOWN_ROWS]
        ]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        more = "" if len(rows) <= _SHOWN_ROWS else f"<p>The first {_SHOWN_ROWS} rows.</p>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _is_given(value: Any) -> bool:
    return value is not None and value not in ("", {}, [])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}\u2026"
