"""Figures as cells of tables. What has no value says why; it is never shown as 0."""

from collections.abc import Mapping

from plaudit.bench.results import Figure, Method

NONE = "none"
"""In place of a number that does not exist."""
UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"

FIGURE_COLUMNS = ("value", "95% interval", "n", "method, and what is missing")
FIGURE_NUMBERS = ("value", "95% interval", "n")

_METHODS: Mapping[Method, str] = {
    "wilson": "Wilson",
    "cluster": "cluster-robust",
    "delong": "DeLong",
    "bootstrap": "bootstrap",
    "student": "Student's t",
    "none": "",
}


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals, or `none`."""
    if value is None:
        return NONE
    text = f"{value:,.{digits}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) else text.replace("-", "")


def whole(value: int) -> str:
    """Return a count."""
    return f"{value:,}"


def plural(number: int, noun: str) -> str:
    """Return `1 row` or `2 rows`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def chance(p: float | None) -> str:
    """Return a p value, or `none`."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else decimal(p)


def interval(figure: Figure) -> str:
    """Return an interval in brackets, or `none`."""
    if figure.value is None or figure.low is None or figure.high is None:
        return NONE
    return f"[{decimal(figure.low)}, {decimal(figure.high)}]"


def method(figure: Figure) -> str:
    """Return how the interval was computed, or why a number is missing."""
    if figure.value is None:
        return figure.why or ("no samples" if not figure.n else "not defined")
    if figure.low is None or figure.high is None:
        return figure.why or "no interval was computed"
    parts = [_METHODS[figure.method]]
    if figure.clusters is not None:
        parts.append(plural(figure.clusters, "cluster"))
    return "; ".join(part for part in (", ".join(filter(None, parts)), figure.why) if part)


def figure_cells(figure: Figure) -> tuple[str, str, str, str]:
    """Return the cells under `FIGURE_COLUMNS`."""
    return decimal(figure.value), interval(figure), whole(figure.n), method(figure)


def in_words(figure: Figure) -> str:
    """Return value, interval and n in one text."""
    if figure.value is None:
        return f"none ({method(figure)})"
    between = interval(figure)
    shown = between if between != NONE else f"({method(figure)})"
    return f"{decimal(figure.value)} {shown}, n = {whole(figure.n)}"


def shortened(text: str, most: int) -> str:
    """Return a text on one line, cut with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def sentence(what: str) -> str:
    """Return words as a sentence."""
    return f"{what[:1].upper()}{what[1:].rstrip('.')}."
