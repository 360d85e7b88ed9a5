import asyncio
import dataclasses
import enum
import functools
import threading
from typing import Annotated, Any, Literal, Optional, TypedDict

import msgspec
import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.tools import ToolError, ToolResult, function_tool
from plaudit.rollouts.tools.function import MOST_STUCK


def schema_of(function: Any) -> dict[str, Any]:
    return msgspec.json.decode(function_tool(function).spec.parameters)


def google(query: str, k: int = 2) -> str:
    """Search the documents.

    Best first.

    Args:
        query: words to look for
        k (int): how many
    """
    return f"{query} {k}"


def numpy(query: str, k: int = 2) -> str:
    """Search the documents.

    Best first.

    Parameters
    ----------
    query : str
        words to look for
    k : int
        how many
    """
    return f"{query} {k}"


def sphinx(query: str, k: int = 2) -> str:
    """Search the documents.

    Best first.

    :param query: words to look for
    :param k: how many
    """
    return f"{query} {k}"


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_signature_and_docstring_become_what_a_model_sees(function: Any) -> None:
    spec = function_tool(function).spec
    assert (spec.name, spec.description) == (
        function.__name__,
        "Search the documents.\n\nBest first.",
    )
    assert msgspec.json.decode(spec.parameters) == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "words to look for"},
            "k": {"type": "integer", "default": 2, "description": "how many"},
        },
        "required": ["query"],
        "additionalProperties": False,
    }


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Place:
    name: str
    floor: int = 0


class Range(TypedDict):
    low: float


def kinds(
    literal: Literal["a", "b"],
    colour: Colour,
    place: Place,
    span: Range,
    names: list[str],
    counts: dict[str, int],
    either: int | str,
    maybe: Optional[str] = None,  # noqa: UP045
    small: Annotated[int, msgspec.Meta(ge=1, le=3, description="from 1 to 3")] = 1,
    pairs: tuple[int, ...] = (),
    flags: set[str] = frozenset(),  # type: ignore[assignment]
    anything: Any = None,
) -> str:
    assert isinstance(colour, Colour)
    assert isinstance(place, Place)
    return f"{literal} {colour.name} {place.floor} {span['low']} {names} {counts} {either} {maybe}"


async def test_arguments_arrive_as_the_types_that_the_function_asks_for() -> None:
    properties = schema_of(kinds)["properties"]
    assert properties["literal"] == {"enum": ["a", "b"]}
    assert properties["small"]["description"] == "from 1 to 3"
    assert set(schema_of(kinds)["$defs"]) == {"Colour", "Place", "Range"}
    result = await function_tool(kinds).call(
        {
            "literal": "a",
            "colour": "red",
            "place": {"name": "hall"},
            "span": {"low": 1},
            "names": ["x"],
            "counts": {"y": 2},
            "either": 3,
        }
    )
    assert result.content == "a RED 0 1.0 ['x'] {'y': 2} 3 None"


async def test_what_the_schema_cannot_tell_is_checked_by_type() -> None:
    async def share(of: float) -> float:
        return of

    with pytest.raises(ToolError, match="do not fit") as caught:
        await function_tool(share).call({"of": "half"})
    assert caught.value.status == "invalid_arguments"


async def test_defaults_are_the_functions_own() -> None:
    seen: list[object] = []
    nothing = object()

    def look(query: str, into: list[str] = seen, mark: Any = nothing) -> str:  # type: ignore[assignment]
        assert into is seen
        assert mark is nothing
        return query

    assert schema_of(look)["required"] == ["query"]
    assert (await function_tool(look).call({"query": "x"})).content == "x"


@pytest.mark.parametrize(
    "kind",
    [bytes, bytearray, list[bytes], Optional[bytes], dict[str, bytes], Annotated[bytes, "raw"]],  # noqa: UP045
)
def test_defect_30_bytes_are_no_parameter(kind: Any) -> None:
    def read(data: Any) -> str:
        return str(data)

    read.__annotations__["data"] = kind
    with pytest.raises(UsageError, match=r"parameter 'data' is a .*byte.*, which JSON cannot hold"):
        function_tool(read)


def unannotated(query) -> str:  # type: ignore[no-untyped-def]
    return query


def many(*queries: str) -> str:
    return ""


def named(**queries: str) -> str:
    return ""


def positional(query: str, /) -> str:
    return query


def unknown_type(query: "Nowhere") -> str:  # type: ignore[name-defined] # noqa: F821
    return ""


def no_json(query: threading.Thread) -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unannotated, "'unannotated': parameter 'query' has no annotation"),
        (many, r"'many': parameter \*queries"),
        (named, r"'named': parameter \*\*queries"),
        (positional, "'positional': parameter query"),
        (unknown_type, "'unknown_type': an annotation cannot be read: NameError"),
        (no_json, "'no_json': parameter 'query' is a .*Thread.*JSON cannot hold"),
        (3, "3 is no function"),
        (Place, "no function"),
        (min, "'min'"),
    ],
)
def test_what_a_model_cannot_be_shown_is_named_with_its_place(function: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        function_tool(function)


class Index:
    """Holds documents."""

    def search(self, query: str) -> str:
        """Search here."""
        return f"found {query}"

    def __call__(self, query: str) -> str:
        """Call it."""
        return f"called {query}"


async def test_methods_objects_and_partials_are_functions() -> None:
    index = Index()
    method = function_tool(index.search)
    assert (method.spec.name, method.spec.description) == ("search", "Search here.")
    assert (await method.call({"query": "x"})).content == "found x"
    called = function_tool(index)
    assert (called.spec.name, called.spec.description) == ("Index", "Call it.")
    assert (await called.call({"query": "x"})).content == "called x"
    partial = function_tool(functools.partial(google, k=5), name="five")
    assert partial.spec.name == "five"
    assert (await partial.call({"query": "x"})).content == "x 5"


async def test_sync_functions_run_in_a_thread_and_async_ones_in_the_loop() -> None:
    async def there() -> str:
        return threading.current_thread().name

    def here() -> str:
        return threading.current_thread().name

    @functools.wraps(there)
    def wrapped() -> Any:
        return there()

    main = threading.current_thread().name
    assert (await function_tool(there).call({})).content == main
    assert (await function_tool(here).call({})).content != main
    assert (await function_tool(wrapped).call({})).content == main


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        ({"a": [1, "ü"]}, '{"a": [1, "ü"]}'),
        ([], "[]"),
        (4, "4"),
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
        ((1, 2), "[1, 2]"),
    ],
)
async def test_texts_are_results_as_they_are_and_other_values_as_json(
    value: Any, content: str
) -> None:
    def give() -> Any:
        return value

    assert await function_tool(give).call({}) == ToolResult(content)


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, object(), {"a": b"x"}, float("nan"), Place("hall"), iter([])]
)
async def test_what_is_neither_text_nor_json_is_a_bad_result(value: Any) -> None:
    def give() -> Any:
        return value

    with pytest.raises(ToolError, match=type(value).__name__) as caught:
        await function_tool(give).call({})
    assert caught.value.status == "bad_result"


async def test_a_result_with_data_is_given_on_as_it_is() -> None:
    given = ToolResult("text", {"chunk_ids": ["a"]})

    async def give() -> ToolResult:
        return given

    assert await function_tool(give).call({}) is given


def test_the_identity_follows_the_code() -> None:
    def one() -> str:
        return "1"

    def two() -> str:
        return "2"

    first = function_tool(one, name="f").identity
    assert first == function_tool(one, name="f").identity
    assert first != function_tool(two, name="f").identity
    assert function_tool(eval("lambda: 'x'"), name="f").identity.startswith("function:f/")


async def test_calls_that_hang_do_not_pile_up_threads() -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> str:
        begun.release()
        release.wait(60)
        return "late"

    tool = function_tool(hang)
    calls = [asyncio.ensure_future(tool.call({})) for _ in range(MOST_STUCK)]
    for _ in calls:
        while not begun.acquire(blocking=False):
            await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(ToolError, match="still hang") as caught:
        await tool.call({})
    assert caught.value.status == "timeout"
    release.set()
    for _ in range(3000):
        await asyncio.sleep(0.02)
        try:
            assert (await tool.call({})).content == "late"
            return
        except ToolError:
            continue
    pytest.fail("the threads never came back")
