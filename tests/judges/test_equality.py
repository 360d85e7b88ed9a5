"""Rules of equality: right where they decide, silent where they cannot, and never executed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.equality import equal, number
from plaudit.judges.rules import decide

EQUAL = [
    ("Paris.", "paris", "text"),
    ("  the Eiffel Tower ", "Eiffel tower!", "text"),
    ('"Paris"', "Paris", "text"),
    ("Jean-Luc Picard", "jean luc picard", "text"),
    ("Zu\u0308rich", "ZÜRICH", "text"),
    ("Apollo 11.", "apollo  11", "text"),
    ("1,200", "1200", "number"),
    ("0.5", "1/2", "number"),
    ("0.5", "\\frac{1}{2}", "number"),
    ("50%", "0.5", "number"),
    ("50 \\%", "1/2", "number"),
    ("2.50", "2.5", "number"),
    ("+3", "3", "number"),
    ("\u22123", "-3", "number"),
    ("3.0", "3", "number"),
    ("1.2e3", "1200", "number"),
    ("1.2 x 10^3", "1200", "number"),
    ("$5", "5", "number"),
    ("x = 3", "3", "number"),
    ("x=3", "x = 3.0", "number"),
    ("\\boxed{42}", "42", "number"),
    ("$\\boxed{42}$", "42.", "number"),
    ("\\boxed{\\frac{1}{2}}", "0.5", "number"),
    ("$x+1$", "1+x", "formula"),
    ("2x+2", "2(x+1)", "formula"),
    ("(x+1)^2", "x^2 + 2x + 1", "formula"),
    ("y = 2x", "x + x", "formula"),
    ("-x", "0-x", "formula"),
    ("A", "A", "formula"),
    ("(B)", "b", "text"),
    ("H₂O", "H2O", "text"),
    ("1.2×10⁵", "120000", "number"),
    ("x² + 1", "1 + x^2", "formula"),
    ("+", "+", "text"),
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


@pytest.mark.parametrize(("answer", "reference", "how"), EQUAL)
def test_what_is_equal_is_found_equal(answer: str, reference: str, how: str) -> None:
    assert equal(answer, reference) == how
    assert equal(reference, answer) is not None
    decision = decide("q", answer, ["no", reference])
    assert (decision.value, decision.by) == ("correct", "rule")


@pytest.mark.parametrize(("answer", "reference"), NOT_EQUAL)
def test_what_is_not_equal_is_not_rewarded(answer: str, reference: str) -> None:
    assert equal(answer, reference) is None
    assert equal(reference, answer) is None
    decision = decide("q", answer, [reference])
    assert decision is None or decision.value == "incorrect"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("3.14", "3.14159"),
        ("50%", "50"),
        ("50", "50%"),
        ("five", "5"),
        ("3 apples", "3"),
        ("2024-05-01", "1 May 2024"),
        ("Paris, the capital", "Paris"),
        ("not Paris", "Paris"),
    ],
)
def test_what_a_rule_cannot_tell_is_left_to_the_model(answer: str, reference: str) -> None:
    assert decide("q", answer, [reference]) is None


def test_another_number_is_wrong_for_all_references_or_none() -> None:
    assert decide("q", "7", ["5"]).value == "incorrect"
    assert decide("q", "7", ["5", "6"]).value == "incorrect"
    assert decide("q", "7", ["5", "seven"]) is None
    assert decide("q", "7", ["5", "7.0"]).value == "correct"


DANGEROUS = [
    "__import__('os').system('touch /tmp/plaudit-was-here')",
    "().__class__.__base__.__subclasses__()",
    "open('/etc/passwd').read()",
    "(lambda: 1)()",
    "[x for x in (1,2)]",
    "f'{1+1}'",
    "9**9**9**9",
    "x**9**9**9",
    "x^20^20",
    "((((((x^20)^20)^20)^20)^20)^20)^20",
    "((((((x^-20)^20)^20)^20)^20)^20)^20",
    "1.e999*x",
    "x*1e308*1e308*1.e9999",
    "1e999",
    "9e999-9e998",
    "x" + "*9" * 98,
    "(" * 98 + "x+1" + ")" * 98,
    "-" * 199 + "x",
    "x" + "+x" * 99,
    "(" * 100_000,
    "1" * 100_000,
    "x\0y",
    "'\\d'",
    "1or x",
    "x\nx",
    "\ud800",
    "\u0660",
    "x if x else x",
    "x@x",
    "x//x",
    "x<<x",
    "~x",
    "1j*x",
    "x*True",
    "a" * 1_000_000,
    " " * 1_000_000,
    ":" * 1_000_000,
    "1," * 500_000,
    "let's think" + " " * 1_000_000 + ".x",
    "\\boxed{" * 100_000,
    "x = " * 250_000,
    "\ufdfa" * 20_000,
    "$" * 1_000_000,
    "%" * 1_000_000,
]


@pytest.mark.parametrize("text", DANGEROUS, ids=lambda text: ascii(text[:24]))
def test_nothing_is_executed_and_nothing_hangs(text: str, tmp_path) -> None:
    for answer, reference in ((text, "x"), ("x", text), (text, "7")):
        decision = decide("q", answer, [reference])
        assert decision is None or decision.value == "incorrect"


ANSWERS = st.text(alphabet="0123456789xy+-*/^().,%=! \\{}", max_size=20) | st.text(max_size=20)


@settings(deadline=None)
@given(ANSWERS, ANSWERS)
def test_equality_never_crashes_and_is_symmetric(answer: str, reference: str) -> None:
    assert (equal(answer, reference) is None) == (equal(reference, answer) is None)
    decide("q", answer, [reference])


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_numbers_are_read_exactly(top: int, bottom: int) -> None:
    assert number(f"{top}/{bottom}") * bottom == top
    assert number(f"{top:,}") == top
    assert number(f"{top}%") * 100 == top


@pytest.mark.parametrize(
    "text", ["", "1,20", "1,2,3", "1 2", "one", "1.2.3", "--1", "1/0", "0b1", "1" * 61]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert number(text) is None
