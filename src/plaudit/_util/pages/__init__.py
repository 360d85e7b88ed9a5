"""Pages that stand alone: one look, and text that shows all of its characters."""

import unicodedata
from functools import lru_cache
from importlib import resources
from typing import Any

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as printable, and show nothing."""
_KEPT = frozenset("\n\t")


def render(package: str, template: str, **values: Any) -> str:
    """Return a page. Values are escaped, and `{% include "style.css" %}` is the common look.

    Filters: `count`, `percent` and `number` for numbers, `visible` for untrusted text.

    Args:
        package: where the template lies.
        template: its name.
        values: what the template shows.
    """
    return _environment(package).get_template(template).render(**values)


@lru_cache
def _environment(package: str) -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # slow, and for pages only

    def load(name: str) -> str:
        place = __name__ if name.endswith(".css") else package
        return resources.files(place).joinpath(name).read_text(encoding="utf-8")

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(load),
    )
    environment.filters.update(count=_count, percent=_percent, number=_number, visible=_marked)
    return environment


def visible(text: str) -> str:
    """Return a text in which each character can be seen: U+202E becomes `[U+202E]`.

    So become control characters other than newline and tab, marks of direction, characters without
    width, variation selectors, and what Unicode leaves unassigned or private.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(one if _is_seen(one) else f"[{_code(one)}]" for one in text)


def _marked(text: str) -> Any:
    """Return the same as HTML, with the codes set apart from text that looks like one."""
    from markupsafe import Markup, escape

    return Markup("").join(
        escape(one) if _is_seen(one) else Markup('<span class="code">{}</span>').format(_code(one))
        for one in text
    )


def _code(one: str) -> str:
    return f"U+{ord(one):04X}"


def _is_seen(one: str) -> bool:
    if one in _KEPT or one.isascii():
        return one in _KEPT or one.isprintable()
    if one in _BLANK or "\ufe00" <= one <= "\ufe0f" or "\U000e0100" <= one <= "\U000e01ef":
        return False
    return one.isprintable() or unicodedata.category(one) == "Zs"


def _count(value: int) -> str:
    return f"{value:,}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    """Return a number with four digits, and whole ones below a million as they are."""
    if abs(value) < 1e6 and value == round(value):
        return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")
    return f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")
