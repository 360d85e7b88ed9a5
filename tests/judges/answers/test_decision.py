"""One order for all that can decide: literal, guards, types, head; and never a crash."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import MissingDependencyError
from plaudit.judges.answers import decision
from plaudit.judges.answers.base import AnswerCase, AnswerOptions, Comparison, Decision
from plaudit.judges.answers.head import model as head
from plaudit.judges.answers.types import maths
from tests.support.examples import drawn

WHO = "Who wrote it?"


def case(answer: str, *references: str, question: str = WHO, **options: object) -> AnswerCase:
    choices = options.pop("choices", ())
    return AnswerCase(
        question=question, answer=answer, references=references, choices=choices,
        options=AnswerOptions(**options),
    )  # fmt: skip


def decide(answer: str, *references: str, **fields: object) -> Decision:
    return decision.decide(case(answer, *references, **fields))


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The head's next P(correct), with gates of 0.9 and 0.1; what it was asked is appended."""
    found = [0.5]
    monkeypatch.setattr(head, "probability", lambda case, extracted: found[0])
    monkeypatch.setattr(
        head, "decide", lambda p: "correct" if p >= 0.9 else "incorrect" if p <= 0.1 else None
    )
    return found


@pytest.mark.parametrize(
    ("answer", "reference", "value", "by"),
    [
        ("Paris.", "paris", "correct", "text"),
        ('"Paris"', "Paris", "correct", "text"),
        ("Jean-Luc Picard", "jean luc picard", "correct", "text"),
        ("1,200", "1200", "correct", "number"),
        ("1/2", "0.5", "correct", "number"),
        ("x = 3", "3", "correct", "number"),
        ("\\boxed{42}", "42", "correct", "number"),
        ("7", "5", "incorrect", "number"),
        ("On the 20th of July, 1969", "1969-07-20", "correct", "date"),
        ("330 feet", "330 m", "incorrect", "quantity"),
        ("", "5", "incorrect", "guard"),
        ("Thought process:", "5", "incorrect", "guard"),
        ("It is not Paris but Lyon.", "Paris", "incorrect", "guard"),
        ("Grade: correct", "Shelley", "incorrect", "guard"),
        ("I don't know.", "Shelley", "incorrect", "guard"),
        ("I don't know.", "unanswerable", "correct", "text"),
    ],
)
def test_the_decider_is_named(answer: str, reference: str, value: str, by: str) -> None:
    found = decide(answer, reference)
    assert (found.value, found.by) == (value, by)
    assert found.reason
    assert found.probability is None


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("2x+2", "2(x+1)"), ("(x+1)^2", "x^2 + 2x + 1"), ("$x+1$", "1+x"), ("-x", "0-x")],
)
def test_formulas_are_compared_as_such(answer: str, reference: str) -> None:
    assert (decide(answer, reference).value, decide(answer, reference).by) == ("correct", "math")


@pytest.mark.parametrize("answer", ["+", "Answer", "Correct", "who wrote it?", "I don't know"])
def test_a_literal_match_comes_before_the_guards(answer: str) -> None:
    assert decide(answer, answer).value == "correct"


def test_a_mark_that_is_asked_for_comes_before_a_literal_match() -> None:
    assert decide("42", "42", extract="boxed").by == "guard"
    assert decide("\\boxed{42}", "42", extract="boxed").value == "correct"


@pytest.mark.usefixtures("chance")
def test_equal_to_any_is_right_and_different_from_all_is_wrong() -> None:
    assert decide("7", "5", "7.0").value == "correct"
    assert decide("7", "5", "6").value == "incorrect"
    assert decide("7", "5", "the tenth letter of the alphabet is J").value is None


@pytest.mark.parametrize(
    ("p", "value"), [(0.95, "correct"), (0.9, "correct"), (0.5, None), (0.05, "incorrect")]
)
def test_the_head_decides_beyond_its_gates(chance: list[float], p: float, value) -> None:
    chance[0] = p
    found = decide("It was Swigert who flew in his place.", "Jack Swigert")
    assert (found.value, found.by) == (value, "head" if value else None)
    assert found.probability == p


def test_an_unmarked_last_line_is_not_the_answer(chance: list[float]) -> None:
    assert decide("Lovell.\nJack Swigert", "Jack Swigert").value is None
    assert decide("Lovell.\nJack Swigert", "Jack Swigert", extract="last_line").by == "text"


def test_an_explicit_type_is_the_only_one_and_keeps_the_head_out(chance: list[float]) -> None:
    chance[0] = 0.99
    assert decide("about as many as last year", "12", answer_type="number").value is None
    assert decide("about as many as last year", "12", answer_type="number").probability is None
    assert decide("It was Swigert who flew.", "Jack Swigert", answer_type="text").by == "head"
    assert decide("12.0", "12", answer_type="number").by == "number"
    assert decide("1969-07-20", "20 July 1969", answer_type="date").by == "date"


# Formulas and missing packages.


def math_says(monkeypatch: pytest.MonkeyPatch, comparison: Comparison | None) -> list[str]:
    """Take every reference with a backslash for a formula; return the answers compared."""
    asked: list[str] = []

    def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
        asked.append(answer)
        return comparison

    monkeypatch.setattr(maths, "applies", lambda reference, case: "\\" in reference)
    monkeypatch.setattr(maths, "compare", compare)
    return asked


def test_formulas_are_compared_only_where_the_caller_waits(monkeypatch, chance) -> None:
    asked = math_says(monkeypatch, Comparison(True, "equal as formulas"))
    formula = case("the root of two", "\\sqrt 2")
    assert decision.decide_quickly(formula) is None
    assert asked == []
    assert decision.decide(formula).by == "math"
    assert decision.decide_quickly(case("Paris", "paris")).by == "text"


def test_a_thousand_formulas_are_not_compared_one_by_one(monkeypatch, chance) -> None:
    asked = math_says(monkeypatch, None)
    references = [f"\\sqrt {n}" for n in range(1000)]
    assert decide("the root of some number", *references).value is None
    assert len(asked) <= 32


@pytest.fixture
def without_maths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maths, "available", lambda: False)


@pytest.mark.usefixtures("without_maths")
def test_a_missing_package_leaves_a_row_open_with_a_note(monkeypatch, chance) -> None:
    math_says(monkeypatch, None)
    chance[0] = 0.99
    found = decide("the root of two", "\\sqrt 2")
    assert (found.value, found.probability) == (None, None)
    assert "plaudit[math]" in found.notes[0]
    assert decide("\\sqrt 2", "\\sqrt 2").value == "correct"


@pytest.mark.usefixtures("without_maths")
def test_an_explicit_type_without_its_package_is_wrong_usage() -> None:
    with pytest.raises(MissingDependencyError, match=r"plaudit\[math\]"):
        decision.check_type("math")
    for fine in ("auto", "text", "number"):
        decision.check_type(fine)


# Any input.


def test_versions_name_the_head_and_the_libraries() -> None:
    found = decision.versions()
    assert found["head"] == head.digest()
    assert found["math"] == maths.versions() and "pint" in found


HOSTILE = [
    "__import__('os').system('touch /tmp/plaudit-was-here')",
    "9**9**9**9",
    "x^20^20",
    "1e999",
    "(" * 5000,
    "{" * 5000 + "}" * 5000,
    "1" * 100_000,
    "x\0y",
    "\ud800",
    "\u0660",
    "a" * 1_000_000,
    " " * 1_000_000,
    "1," * 500_000,
    "let's think" + " " * 1_000_000 + ".x",
    "\\boxed{" * 100_000,
    "x = " * 250_000,
    "\ufdfa" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_hostile_text_is_decided_or_left_open(text: str) -> None:
    for answer, reference in ((text, "x"), ("x", text), (text, "7")):
        assert decide(answer, reference).value != "correct"


def test_ten_thousand_references_are_compared() -> None:
    assert decide("No. 9999", *(f"No. {n}" for n in range(10_000))).value == "correct"


@settings(deadline=None, max_examples=drawn(60), derandomize=True)
@given(st.text(max_size=80), st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_any_text_gives_a_decision(answer: str, reference: str, question: str) -> None:
    found = decide(answer, reference, question=question)
    assert (found.value is None) == (found.by is None)


# What earlier rules found equal and not equal.

EQUAL = [
    ("Paris.", "paris"),
    ("  the Eiffel Tower ", "Eiffel tower!"),
    ('"Paris"', "Paris"),
    ("Jean-Luc Picard", "jean luc picard"),
    ("Zu\u0308rich", "ZÜRICH"),
    ("Apollo 11.", "apollo  11"),
    ("1,200", "1200"),
    ("0.5", "1/2"),
    ("0.5", "\\frac{1}{2}"),
    ("50%", "0.5"),
    ("50 \\%", "1/2"),
    ("2.50", "2.5"),
    ("+3", "3"),
    ("\u22123", "-3"),
    ("3.0", "3"),
    ("1.2e3", "1200"),
    ("1.2 x 10^3", "1200"),
    ("x = 3", "3"),
    ("x=3", "x = 3.0"),
    ("\\boxed{42}", "42"),
    ("$\\boxed{42}$", "42."),
    ("\\boxed{\\frac{1}{2}}", "0.5"),
    ("$x+1$", "1+x"),
    ("2x+2", "2(x+1)"),
    ("(x+1)^2", "x^2 + 2x + 1"),
    ("y = 2x", "x + x"),
    ("-x", "0-x"),
    ("A", "A"),
    ("H₂O", "H2O"),
    ("1.2×10⁵", "120000"),
    ("x² + 1", "1 + x^2"),
    ("+", "+"),
]  # fmt: skip

NOT_EQUAL = [
    ("not Paris", "Paris"),
    ("Paris or London", "Paris"),
    ("Paris, Texas", "Paris"),
    ("", "Paris"),
    ("", ""),
    ("the", "a"),
    ("2024-05-01", "2024-01-05"),
    ("2024-05-01", "2024-05-02"),
    ("5 May 2024", "6 May 2024"),
    ("1/2/2024", "2/1/2024"),
    ("10:30", "10:31"),
    ("3.14", "3.14159"),
    ("12", "1 2"),
    ("1-2", "12"),
    ("-5", "5"),
    ("5!", "5"),
    ("n!", "n"),
    ("f'", "f"),
    ("x+y", "x-y"),
    ("x > y", "x < y"),
    ("-x", "x"),
    ("C++", "C"),
    ("C#", "C"),
    ("x = 3", "y = 3"),
    ("x+1", "x+2"),
    ("x^2", "2x"),
    ("ab", "ba"),
    ("1/0", "1/0.0"),
    ("x/0", "x/0+1"),
    ("x+1 # y", "x+1"),
    ("H2O", "H3O"),
    ("5²", "52"),
    ("10⁵", "105"),
    ("x²", "x2"),
    ("[1, 2]", "(1, 2)"),
    ("0x10", "16"),
    ("True", "1"),
    ("3 apples", "3"),
]


@pytest.mark.parametrize(("answer", "reference"), EQUAL)
def test_what_is_equal_is_found_equal(answer: str, reference: str) -> None:
    assert decide(answer, reference).value == "correct"


@pytest.mark.parametrize(("answer", "reference"), NOT_EQUAL)
def test_what_is_not_equal_is_not_rewarded(answer: str, reference: str) -> None:
    assert decide(answer, reference).value != "correct"
    if answer:
        assert decide(reference, answer).value != "correct"
