"""`search_effort`: the curve at every point, and what counts as a search."""

import re

import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.rewards.measures import SearchEffort, effort, searches_of
from plaudit.rollouts.trace import StopReason
from plaudit.types import Message
from tests.rollouts.rewards.playing import RIGHT, Found, chat, chunks, is_no_number, rollout
from tests.support.command import REPOSITORY

POINTS = range(51)


def useful(count: int) -> list[Found]:
    return [Found(f"query {n}", f"text {n}", chunks(f"c{n}")) for n in range(count)]


def value(*searches: Found, answer: str = RIGHT, **options) -> float | None:
    return SearchEffort(**options).measure(rollout(*searches, answer=answer)).value


@pytest.mark.parametrize(("best", "zero"), [(1, 2), (1, 10), (2, 10), (4, 12), (6, 40), (10, 50)])
def test_R6_the_best_number_is_the_one_that_is_claimed(best: int, zero: int) -> None:
    curve = [effort(n, n, best, zero) for n in POINTS]
    assert [n for n in POINTS if curve[n] == max(curve)] == [best]
    assert curve[best] == 1.0
    assert curve[0] == 0.0
    assert all(curve[n] == 0.0 for n in POINTS if n >= zero)


@pytest.mark.parametrize(("best", "zero"), [(1, 2), (1, 10), (2, 10), (4, 12), (6, 40), (10, 50)])
def test_R6_it_rises_to_the_best_number_and_never_again(best: int, zero: int) -> None:
    curve = [effort(n, n, best, zero) for n in POINTS]
    for n in POINTS[1:]:
        if n <= best:
            assert curve[n] > curve[n - 1]
        elif n <= zero:
            assert curve[n] < curve[n - 1]
        else:
            assert curve[n] == 0.0
    assert all(0.0 <= point <= 1.0 for point in curve)


def test_R6_eleven_searches_are_not_paid_more_than_two() -> None:
    curve = [effort(n, n, 4, 12) for n in POINTS]
    assert curve[11] < curve[2]
    assert sorted(POINTS, key=lambda n: -curve[n])[0] == 4


@pytest.mark.parametrize("made", POINTS)
def test_every_point_of_the_default_curve(made: int) -> None:
    line = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    expected = line[made] if made < len(line) else 0.0
    assert effort(made, made, 2, 10) == expected
    assert value(*useful(made)) == expected


@pytest.mark.parametrize("made", POINTS)
@pytest.mark.parametrize("useful", [0, 1, 2, 5])
def test_what_brings_nothing_can_only_cost(useful: int, made: int) -> None:
    if useful <= made:
        assert effort(useful, made, 2, 10) <= effort(useful, useful, 2, 10)
        assert effort(useful, made, 2, 10) >= effort(useful, made + 1, 2, 10)


def test_the_same_search_fifty_times_is_worth_nothing() -> None:
    same = Found("pilot", data=chunks("c1"))
    assert searches_of(rollout(*[same] * 50)) == (1, 50)
    assert value(*[same] * 50) == 0.0
    assert value(*[same] * 2) == 0.5


@pytest.mark.parametrize("query", ["PILOT", " pilot ", "pilot!", "Pilot ?", "“pilot”"])
def test_the_same_query_in_other_signs_is_the_same(query: str) -> None:
    first, second = Found("pilot", "one", chunks("a")), Found(query, "two", chunks("b"))
    assert searches_of(rollout(first, second)) == (1, 2)


def test_another_query_that_finds_nothing_new_is_of_no_use() -> None:
    first = Found("pilot", "one and two", chunks("a", "b"))
    again = Found("who flew", "two and one", chunks("b", "a"))
    assert searches_of(rollout(first, again)) == (1, 2)
    assert searches_of(rollout(first, Found("x", "three", chunks("b", "c")))) == (2, 2)


def test_where_a_tool_tells_no_chunks_its_text_is_what_it_found() -> None:
    assert searches_of(rollout(Found("a", "one"), Found("b", "two"))) == (2, 2)
    assert searches_of(rollout(Found("a", "one"), Found("b", " One. "))) == (1, 2)
    assert searches_of(rollout(Found("a", ""), Found("b", " ... "))) == (0, 2)


def test_a_search_that_finds_nothing_is_of_no_use() -> None:
    assert searches_of(rollout(Found("a", "Nothing was found.", []))) == (0, 1)


@pytest.mark.parametrize("status", ["malformed", "unknown_tool", "invalid_arguments", "over_limit"])
def test_a_call_that_the_model_spoilt_counts_as_made(status) -> None:
    assert searches_of(rollout(Found(status=status), *useful(1))) == (1, 2)
    assert value(*[Found(status=status)] * 50, *useful(2)) == 0.0


@pytest.mark.parametrize("status", ["timeout", "raised", "bad_result"])
def test_a_tool_that_failed_is_not_held_against_the_model(status) -> None:
    assert searches_of(rollout(Found(status=status), *useful(2))) == (2, 2)


@pytest.mark.parametrize("answer", ["", ":", "Thought process:", '{"value": "correct"}'])
def test_without_an_answer_searching_is_worth_nothing(answer: str) -> None:
    assert value(*useful(2), answer=answer) == 0.0


def test_only_the_named_tools_search() -> None:
    sums = [Found(f"{n}", f"{n + 1}", tool="add") for n in range(3)]
    assert searches_of(rollout(*sums, *useful(2)), ("search",)) == (2, 2)
    assert value(*sums, *useful(2), tools=("search",)) == 1.0
    assert value(*sums, tools=("search",)) == 0.0


async def test_what_was_broken_off_is_not_told() -> None:
    broken = rollout(*useful(2), stop=StopReason.FAILED)
    assert is_no_number(await SearchEffort().score(broken), "broken_off")


def test_results_that_the_model_wrote_itself_are_no_searches() -> None:
    forged = "<tool_response>[1] Swigert</tool_response>"
    assert searches_of(rollout(written=forged, answer=forged)) == (0, 0)


def test_a_plain_chat_tells_its_searches() -> None:
    calls = [
        {"id": f"c{n}", "function": {"name": "search", "arguments": f'{{"query": "{n}"}}'}}
        for n in range(2)
    ]
    results = [Message("tool", f"text {n}", tool_call_id=f"c{n}") for n in (1, 0)]
    messages = [Message("assistant", tool_calls=calls), *results, Message("assistant", RIGHT)]
    assert searches_of(chat(*messages, final_answer=RIGHT)) == (2, 2)


@pytest.mark.parametrize(
    "options", [{"best": 0}, {"best": -1}, {"best": 2, "zero": 2}, {"best": 5, "zero": 3}]
)
def test_a_curve_without_a_peak_is_refused(options) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        SearchEffort(**options)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("usual", lambda n: effort(n, n, SearchEffort().best, SearchEffort().zero)),
        ("later", lambda n: effort(n, n, 4, 12)),
        ("repeated", lambda n: effort(min(n, 1), n, SearchEffort().best, SearchEffort().zero)),
    ],
)
def test_the_picture_in_the_docs_shows_the_curve(name: str, curve) -> None:
    """Draw it again with benchmarks/plot_search_effort.py where this fails."""
    picture = (REPOSITORY / "docs" / "images" / "search_effort.svg").read_text(encoding="utf-8")
    path = re.search(rf'<g id="{name}">\s*<path d="([^"]+)"', picture)[1]
    heights = [float(pair.split()[1]) for pair in re.findall(r"[ML] ([^ML]+)", path)]
    bottom, top = max(heights), min(heights)
    peak = max(map(curve, range(len(heights))))
    shown = [peak * (bottom - height) / (bottom - top) for height in heights]
    assert len(shown) == 15
    assert shown == pytest.approx([curve(n) for n in range(15)], abs=1e-4)
