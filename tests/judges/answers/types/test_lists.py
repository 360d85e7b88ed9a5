"""Lists: the same items in any order, unless the question asks for one."""

import pytest

from plaudit.judges.answers.base import AnswerCase, AnswerOptions, AnswerType
from plaudit.judges.answers.types import lists

COLOURS = "What are the primary colours?"
RGB = "red, green, blue"


def made(answer: str, reference: str, question=COLOURS, kind: AnswerType = "auto") -> AnswerCase:
    options = AnswerOptions(answer_type=kind)
    return AnswerCase(question=question, answer=answer, references=(reference,), options=options)


def equal(answer: str, reference: str, question=COLOURS, kind: AnswerType = "auto") -> bool | None:
    case = made(answer, reference, question, kind)
    assert lists.applies(reference, case)
    found = lists.compare(answer, reference, case)
    return None if found is None else found.equal


SAME = [
    "red, green, blue", "blue, green and red", "red, green, and blue", "red; green; blue",
    "Red and green and blue", "red & green & blue", "red\ngreen\nblue", "- red\n- green\n- blue",
    "* Red\n* Green\n* Blue", "1. red\n2. green\n3. blue", "1) red 2) green 3) blue",
    "a) red\nb) green\nc) blue", '["red", "green", "blue"]', "['red', 'green', 'blue']",
    "[red, green, blue]", "{red, green, blue}", "(red, green, blue)", "red,green,blue",
    "red, green, blue, red", "Red, Green, Blue.", "They are red, green and blue.",
    "The primary colours are red, green and blue.", "The colours are: red, green, blue",
    "Answer:\n- red\n- green\n- blue", "rot".replace("rot", "red") + ", green und blue",
    "red, green et blue", "red, green y blue", "• red\n• green\n• blue", '"red", "green", "blue"',
    "red, green as well as blue",
]  # fmt: skip

DIFFERENT = [
    "red, green", "red", "red, green, blue, yellow", "red and blue", "- red\n- green",
    "red, green, blue and black", '["red"]', "red, green, not blue",
]  # fmt: skip

OPEN = [
    "red, green, yellow", "red, green or blue", "", "none of these",
    "red, green, blue, as seen in light", "redgreenblue", "red/green/blue", "black, white, grey",
    "red, green, blue and not black", "red, green and perhaps blue", "light red, green, blue",
]  # fmt: skip


@pytest.mark.parametrize("answer", SAME)
@pytest.mark.parametrize(
    "reference", [RGB, "Blue, red and green", '["green", "red", "blue"]', "- blue\n- red\n- green"]
)
def test_the_same_items_are_equal_in_any_order(answer: str, reference: str) -> None:
    assert equal(answer, reference) is True


@pytest.mark.parametrize("answer", DIFFERENT)
def test_an_item_too_many_or_too_few_is_different(answer: str) -> None:
    assert equal(answer, RGB) is False


@pytest.mark.parametrize("answer", OPEN)
def test_what_no_type_can_compare_is_left_open(answer: str) -> None:
    assert equal(answer, RGB) is None


@pytest.mark.parametrize(
    "question",
    ["List the planets in order from the Sun.", "Rank the cities.",
     "Name them in alphabetical order",
     "Name the colours from left to right", "In what order do they come?"],
)  # fmt: skip
def test_order_counts_where_the_question_asks_for_one(question: str) -> None:
    assert equal("1. Mercury\n2. Venus\n3. Earth", "Mercury, Venus, Earth", question) is True
    assert equal("Venus, Mercury, Earth", "Mercury, Venus, Earth", question) is False
    assert equal("Mercury, Venus", "Mercury, Venus, Earth", question) is False


NAMES = [
    ("Washington, D.C.", "Where is the White House?"),
    ("Lennon, John", "Who wrote Imagine?"),
    ("Paris, France", "Where was the treaty signed?"),
    ("Atlanta, Georgia", "Where were the 1996 Olympics held?"),
    ("Martin Luther King, Jr.", "Who was it?"),
    ("1,200", "How many are there?"),
    ("July 4, 1776", "When was it?"),
    ("(1, 2)", "What is the point?"),
    ("[1, 2]", "What is the interval?"),
    ("{1, 2, 3}", "What is the set?"),
    ("x = 1, y = 2", "Solve."),
    ("Paris", "What is it?"),
    ("", "What are they?"),
]


@pytest.mark.parametrize(("reference", "question"), NAMES)
def test_a_name_with_a_comma_is_no_list(reference: str, question: str) -> None:
    assert not lists.applies(reference, made("x", reference, question))


def test_two_items_need_a_word_between_or_a_question_for_several() -> None:
    assert equal("Garfunkel, Simon", "Simon, Garfunkel", "Which two sang it?") is True
    assert equal("Garfunkel and Simon", "Simon and Garfunkel", "Which two sang it?") is True
    assert equal("Simon & Garfunkel", "Simon and Garfunkel", "What is the duo?") is True
    assert equal("Peace and War", "War and Peace", "What is the novel?") is None


def test_items_may_hold_and() -> None:
    question = "Which islands did he name?"
    assert equal("Cuba; Trinidad and Tobago", "Trinidad and Tobago; Cuba", question) is True
    assert equal('["Cuba", "Trinidad and Tobago"]', "Trinidad and Tobago; Cuba", question) is True


def test_one_item_is_a_list_of_the_type() -> None:
    assert equal("red", "red", kind="list") is True
    assert equal("red, blue", "red", kind="list") is False
    assert not lists.applies("", made("", "", kind="list"))
    assert not lists.applies("[]", made("", "[]", kind="list"))


HOSTILE = [
    "\0", "\ud800", "," * 1_000_000, ", " * 2_000, "[" * 100_000, "[" * 3_999, "[1e999]", "[null]",
    "[[1], 2]", "a, " * 1_300, "and " * 900, "\n" * 3_999, "1. " * 1_300, "- " * 1_900,
    "a" * 1_000_000,
    '["\\ud800", 1]', "[" + "9" * 3_990 + "]", "{" * 3_999, " , " * 1_300, "x\n\n" * 900,
    "a" + " " * 3_990 + "b", "a," + "\u00a0" * 3_990 + "b",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_raises_nothing(hostile: str) -> None:
    for kind in ("auto", "list"):
        found = lists.compare(hostile, RGB, made(hostile, RGB, hostile, kind))
        assert found is None or not found.equal
        lists.applies(hostile, made("x", hostile, hostile, kind))
        lists.compare(RGB, hostile, made(RGB, hostile, hostile, kind))
