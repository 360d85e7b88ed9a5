"""What a function tool is identified by: all that its code reaches, in every process the same."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plaudit._util.named import load_named
from plaudit.rollouts.tools import function_tool

MODULE = """
import functools, logging, re
from dataclasses import dataclass
from enum import Enum

import {helpers}
from {helpers} import shorten

LIMIT = 3
PEOPLE = {{"Ada": ["keeper", 1873]}}
KINDS = {{"lamp", "keeper", "hut"}}
FORM = re.compile(r"a+")
log = logging.getLogger(__name__)

class Order(Enum):
    UP = 1

@dataclass
class Index:
    folder: str = "notes"

    def find(self, query: str) -> str:
        return clean(query)

INDEX = Index()

def clean(text):
    return text.strip()

@functools.cache
def kept(text):
    return deep(text)

def deep(text):
    return text.lower()

def wrap(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs).upper()
    return inner

def unrelated():
    return 1

@wrap
def search(query: str, most: int = LIMIT) -> str:
    log.info("%s", __file__)
    found = [kept(word) for word in query.split() if word in KINDS]
    if FORM.match(query) and Order.UP:
        found.append(INDEX.find(query))
    return {helpers}.join(found)[:most] + shorten(str(PEOPLE))
"""
HELPERS = """
MARK = ", "

def join(parts):
    return MARK.join(parts)

def shorten(text):
    return text[:10]

def idle():
    return 2
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives the identity of the tool of a module and its helpers, each made anew."""
    number = iter(range(100))

    def make(edit: tuple[str, str] = ("", "")) -> str:
        folder = tmp_path / str(next(number))
        folder.mkdir()
        for name, text in (("tools.py", MODULE), ("plaudit_test_helpers.py", HELPERS)):
            changed = text.format(helpers="plaudit_test_helpers") if name == "tools.py" else text
            (folder / name).write_text(changed.replace(*edit) if edit[0] else changed)
        monkeypatch.delitem(sys.modules, "plaudit_test_helpers", raising=False)
        monkeypatch.syspath_prepend(folder)
        return function_tool(load_named(f"{folder / 'tools.py'}:search")).identity

    return make


@pytest.mark.parametrize(
    "edit",
    [
        ("text.strip()", "text.rstrip()"),
        ("text.lower()", "text.upper()"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("1873", "1891"),
        ('"hut"', '"fire"'),
        ("a+", "b+"),
        ("UP = 1", "UP = 2"),
        ('"notes"', '"letters"'),
        (").upper()", ").title()"),
        ('MARK = ", "', 'MARK = "; "'),
        ("text[:10]", "text[:11]"),
        ("MARK.join(parts)", "MARK.join(sorted(parts))"),
    ],
)
def test_defect_30_the_identity_of_a_tool_covers_what_it_calls(
    made: Callable[..., str], edit: tuple[str, str]
) -> None:
    assert made() != made(edit)


@pytest.mark.parametrize(
    "edit", [("return 1\n", "return 100\n"), ("return 2\n", "return 200\n"), ("hut", "hut")]
)
def test_what_a_tool_does_not_reach_is_no_part_of_it(
    made: Callable[..., str], edit: tuple[str, str]
) -> None:
    assert made() == made(edit)


def of(function: Any, **options: Any) -> str:
    return function_tool(function, name="f", **options).identity


def scaled(factor: Any) -> Callable[..., Any]:
    def scale(of: int) -> str:
        return str(of * factor)

    return scale


class Searching:
    def __init__(self, index: Any) -> None:
        self.index = index

    def __call__(self, query: str) -> str:
        return f"{self.index} {query}"

    def search(self, query: str) -> str:
        return f"{self.index} {query}"


def test_closures_partials_and_objects_differ() -> None:
    from functools import partial

    def add(a: int, b: int) -> int:
        return a + b

    assert of(scaled(2)) == of(scaled(2)) != of(scaled(3))
    assert of(scaled({"a", "b"})) == of(scaled({"b", "a"})) != of(scaled({"a"}))
    assert of(partial(add, b=1)) == of(partial(add, b=1)) != of(partial(add, b=2))
    assert of(Searching("x")) == of(Searching("x")) != of(Searching("y"))
    assert of(Searching("x").search) == of(Searching("x").search) != of(Searching("y").search)
    assert of(Searching(object())) == of(Searching(object()))  # No address is in it.


def test_a_version_takes_the_place_of_the_code() -> None:
    assert of(scaled(2), version="1") == of(scaled(3), version="1") != of(scaled(2), version="2")


def test_code_without_source_is_read_as_it_was_compiled() -> None:
    def compiled(text: str) -> Any:
        names: dict[str, Any] = {"__name__": "plaudit_test_compiled"}
        exec(text, names)
        return names["f"]

    one, same, two = (
        compiled(f"def g(): return {value}\ndef f(a: int) -> int: return g() + a")
        for value in (1, 1, 2)
    )
    assert of(one) == of(same) != of(two)


def test_a_table_a_cycle_and_deep_values_are_walked_to_a_bound() -> None:
    table = {str(n): n for n in range(60_000)}
    cycle: list[Any] = [1]
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert of(scaled(table)) != of(scaled(table | {"0": 1}))
    assert of(scaled(cycle)) == of(scaled(cycle))
    assert of(scaled(deep)) == of(scaled(deep))


def test_a_module_that_a_tool_imports_when_it_runs_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    helper = tmp_path / "plaudit_test_late.py"

    def late(query: str) -> str:
        import json

        import plaudit_test_late  # type: ignore[import-not-found]

        return json.dumps(plaudit_test_late.find(query))

    helper.write_text("def find(query): return query")
    first = of(late)
    assert first == of(late)
    helper.write_text("def find(query): return 'gone'")
    assert first != of(late)
    assert "plaudit_test_late" not in sys.modules
