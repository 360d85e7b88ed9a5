"""Numbers are equal by value, and only with the currency, percent sign and noun of a reference."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.base import AnswerCase, AnswerOptions
from plaudit.judges.answers.types.numbers import applies, compare
from tests.support.examples import drawn

HOW_MANY = "How many apples are in the basket?"
PERCENT = "What percentage of the vote did she get?"

EQUAL = [
    ("42", "42", ""),
    ("42.", "42", ""),
    ("**42**", "42", ""),
    ('"42"', "42", ""),
    ("$42$", "42", ""),
    ("\\boxed{42}", "42", ""),
    ("$\\boxed{\\frac{1}{2}}$.", "0.5", ""),
    ("It was 42.", "42", ""),
    ("'42'", "42", ""),
    ("\u00a37m", "7 million pounds", ""),
    ("42.0", "42", ""),
    ("+42", "42", ""),
    ("\u221242", "-42", ""),
    ("minus forty-two", "-42", ""),
    ("negative 42", "-42", ""),
    ("1,200", "1200", ""),
    ("1,200,000", "1200000", ""),
    ("1.200.000", "1200000", ""),
    ("1.200.000,5", "1200000.5", ""),
    ("1,200,000.50", "1200000.5", ""),
    ("1 200 000", "1200000", ""),
    ("1\u202f200", "1200", ""),
    ("1\u00a0200", "1200", ""),
    ("1'200", "1200", ""),
    ("1\u2019200\u2019000", "1200000", ""),
    ("1,20,000", "120000", ""),
    ("12,34,567", "1234567", ""),
    ("1{,}200", "1200", ""),
    ("3,5", "3.5", ""),
    ("0,75", "3/4", ""),
    (".5", "0.5", ""),
    ("0.50", "0.5", ""),
    ("\uff14\uff12", "42", ""),
    ("\u0664\u0662", "42", ""),
    ("1/2", "0.5", ""),
    ("\u00bd", "0.5", ""),
    ("1\u00bd", "1.5", ""),
    ("1 1/2", "1.5", ""),
    ("one half", "1/2", ""),
    ("a quarter", "0.25", ""),
    ("three quarters", "0.75", ""),
    ("two thirds", "2/3", ""),
    ("two and a half", "2.5", ""),
    ("\\frac{3}{4}", "0.75", ""),
    ("-\\dfrac{3}{4}", "-0.75", ""),
    ("50%", "0.5", ""),
    ("50 %", "1/2", ""),
    ("50 percent", "50%", ""),
    ("50 per cent", "50 %", ""),
    ("fifty percent", "50%", ""),
    ("50\\%", "50%", ""),
    ("50 Prozent", "50 %", ""),
    ("5\u2030", "0.5%", ""),
    ("5 per mille", "0.005", ""),
    ("50", "50%", PERCENT),
    ("33.3", "33.3 %", PERCENT),
    ("1.5e3", "1500", ""),
    ("1.5E+3", "1500", ""),
    ("1.5 x 10^3", "1500", ""),
    ("1.5 \u00d7 10\u00b3", "1500", ""),
    ("1.5 \\times 10^{3}", "1500", ""),
    ("6.02\u00b710^23", "6.02e23", ""),
    ("10^3", "1000", ""),
    ("10\u207b\u00b3", "0.001", ""),
    ("5\u00b2", "25", ""),
    ("2^10", "1024", ""),
    ("forty-two", "42", ""),
    ("Forty Two", "42", ""),
    ("one hundred and five", "105", ""),
    ("a hundred", "100", ""),
    ("a hundred and fifty", "150", ""),
    ("one hundred fifty thousand", "150000", ""),
    ("two thousand and five", "2005", ""),
    ("a thousand and one", "1001", ""),
    ("three point one four", "3.14", ""),
    ("three point five million", "3.5 million", ""),
    ("zweitausend", "2000", ""),
    ("duemila", "2000", ""),
    ("deux mille", "2000", ""),
    ("dos mil", "2000", ""),
    ("fifteen hundred", "1500", ""),
    ("one thousand two hundred and thirty-four", "1234", ""),
    ("two million five hundred thousand", "2,500,000", ""),
    ("three trillion", "3,000,000,000,000", ""),
    ("nineteen sixty-nine", "1969", ""),
    ("a dozen", "12", ""),
    ("two dozen", "24", ""),
    ("half a million", "500000", ""),
    ("zero", "0", ""),
    ("none", "0", ""),
    ("siebenundneunzig", "97", ""),
    ("zweihundertf\u00fcnf", "205", ""),
    ("quatre-vingt-dix-sept", "97", ""),
    ("soixante et onze", "71", ""),
    ("ciento cinco", "105", ""),
    ("treinta y uno", "31", ""),
    ("duecentoventidue", "222", ""),
    ("3 million", "3,000,000", ""),
    ("3.5 million", "3500000", ""),
    ("three and a half million", "3.5 million", ""),
    ("1.2bn", "1.2 billion", ""),
    ("1.2 bn", "1,200,000,000", ""),
    ("5k", "5000", ""),
    ("2 Millionen", "2 million", ""),
    ("2 Mrd", "2 billion", ""),
    ("$5", "5 dollars", ""),
    ("$5", "USD 5", ""),
    ("5 USD", "$5.00", ""),
    ("US$5", "$5", ""),
    ("5\u20ac", "\u20ac5", ""),
    ("five euros", "EUR 5", ""),
    ("\u00a35", "5 pounds", ""),
    ("5 pounds sterling", "\u00a35", ""),
    ("50 cents", "$0.50", ""),
    ("20 pence", "\u00a30.20", ""),
    ("$3m", "$3 million", ""),
    ("$-5", "-$5", ""),
    ("\\$5", "$5", ""),
    ("5", "$5", "How many dollars does it cost?"),
    ("5", "\u20ac5", "How much is it in euros?"),
    ("3rd", "third", ""),
    ("3", "third", ""),
    ("third", "3", "In which place did she finish?"),
    ("twenty-first", "21st", ""),
    ("42 apples", "42", HOW_MANY),
    ("forty-two apples", "42", HOW_MANY),
    ("42", "42 apples", HOW_MANY),
    ("42 apples in total", "42 apples", ""),
    ("42 in total", "42", ""),
    ("about 42", "42", ""),
    ("approximately 42", "42", ""),
    ("~42", "42", ""),
    ("exactly 42", "42", ""),
    ("There are 42 apples", "42", HOW_MANY),
    ("over 42", "more than 42", ""),
    ("40-45", "40 to 45", ""),
    ("40\u201345", "between 40 and 45", ""),
    ("1914-1918", "from 1914 to 1918", ""),
    ("x = 3", "3", ""),
    ("x=3", "x = 3.0", ""),
    ("x = 3", "3", "Solve for x: 2x = 6"),
    ("366 days", "366", "How many days are in a leap year?"),
    ("42 (forty-two)", "42", ""),
    ("forty-two (42)", "42", ""),
    ("42", "forty-two (42)", ""),
    ("1861-65", "1861-1865", ""),
    ("from 1861 until 1865", "1861\u20131865", ""),
    ("5 reais", "R$5", ""),
    ("330 m", "330", "How many metres tall is it?"),
]

NEVER_EQUAL = [
    ("5", "-5", ""),
    ("-5", "5", ""),
    ("(5)", "-5", ""),
    ("\u00b15", "5", ""),
    ("5\u00b2", "52", ""),
    ("10\u00b3", "103", ""),
    ("10^3", "103", ""),
    ("10\u207b\u00b3", "10\u00b3", ""),
    ("5\u2082", "52", ""),
    ("CO\u2082", "2", ""),
    ("50", "50%", ""),
    ("5", "5%", ""),
    ("5%", "5", ""),
    ("5%", "5\u2030", ""),
    ("0.5", "50%", PERCENT),
    ("5 percentage points", "5%", ""),
    ("5 euros", "5 dollars", ""),
    ("$5", "\u20ac5", ""),
    ("\u00a35", "$5", ""),
    ("5 CAD", "5 USD", ""),
    ("$5", "C$5", ""),
    ("\u00a55", "5 yuan", ""),
    ("5", "$5", ""),
    ("5 cents", "$5", ""),
    ("50 cents", "\u20ac0.50", ""),
    ("5 pounds", "\u20ac5", ""),
    ("007", "7", ""),
    ("02138", "2138", ""),
    ("3.10", "3.1", "Which version of Python is it?"),
    ("3.10.0", "3.10", ""),
    ("v3.10", "3.10", ""),
    ("Python 3.1", "3.1", ""),
    ("3:10", "3.10", ""),
    ("3.10 pm", "3.1", ""),
    ("5 pm", "5", ""),
    ("1.5", "15", ""),
    ("1,5", "15", ""),
    ("1.200", "1200", ""),
    ("1,200", "1.2", ""),
    ("10.000", "10", ""),
    ("10", "10.000", ""),
    ("3 mi", "3 m", ""),
    ("'99", "1999", ""),
    ("7 below zero", "7", ""),
    ("12 apples-12", "12 apples", ""),
    ("12", "21", ""),
    ("1,2,3", "123", ""),
    ("1 2 3", "123", ""),
    ("1/2", "2", ""),
    ("1/2", "12", ""),
    ("2/1", "1/2", ""),
    ("1:2", "1/2", ""),
    ("1 1/2", "11/2", ""),
    ("1\u00bd", "11/2", ""),
    ("5 or 6", "5", ""),
    ("5 and 6", "56", ""),
    ("5 to 6", "5", ""),
    ("5-6", "56", ""),
    ("40-45", "42", ""),
    ("more than 42", "42", ""),
    ("less than 42", "42", ""),
    ("almost 42", "42", ""),
    ("at least 42", "42", ""),
    ("at least 42", "more than 42", ""),
    ("> 42", "42", ""),
    ("not 42", "42", ""),
    ("42 or more", "42", ""),
    ("42", "42 apples", ""),
    ("42 pears", "42 apples", ""),
    ("42 km", "42", HOW_MANY),
    ("42 km", "42 m", ""),
    ("third", "3", ""),
    ("a third", "3", ""),
    ("a third", "third", ""),
    ("3 million", "3", ""),
    ("3 million", "3 billion", ""),
    ("three hundred", "3", ""),
    ("one two", "12", ""),
    ("twenty", "12", ""),
    ("thirteen", "30", ""),
    ("once", "11", ""),
    ("cent", "100", ""),
    ("Otto", "8", ""),
    ("x = 3", "y = 3", ""),
    ("y = 3", "3", "Solve for x: 2x = 6"),
    ("42B", "42", ""),
    ("5G", "5", ""),
    ("3D", "3", ""),
    ("555-1234", "555", ""),
    ("2020-03-04", "2020", ""),
    ("44 BC", "44", ""),
    ("1e3", "13", ""),
    ("1.5e3", "1.53", ""),
    ("5 dollars and 20 cents", "$5", ""),
    ("40-45%", "40-45", ""),
    ("42 (43)", "42", ""),
    ("43 (42)", "42", ""),
    ("42 (not 43)", "42", ""),
    ("5!", "5", ""),
    ("10 cubed", "10", ""),
    ("3.10", "3.1", "Which Python release introduced it?"),
    ("5.10", "5.1", "When does the train leave?"),
    ("one in five", "1", ""),
    ("$40-45", "40-45", ""),
    ("40-45 kg", "40-45 lb", ""),
]

DIFFERENT = [
    ("41", "42", ""),
    ("24", "42", ""),
    ("-42", "42", ""),
    ("420", "42", ""),
    ("4.2", "42", ""),
    ("1/3", "1/2", ""),
    ("3/4", "0.6", ""),
    ("60%", "50%", ""),
    ("60", "50%", ""),
    ("60", "50%", PERCENT),
    ("five", "6", ""),
    ("thirteen", "thirty", ""),
    ("one hundred", "one thousand", ""),
    ("3 million", "3 billion", ""),
    ("1891", "1873", ""),
    ("$5", "$6", ""),
    ("$5", "\u20ac5", ""),
    ("5 euros", "5 dollars", ""),
    ("\u00a35", "\u20ac5", ""),
    ("10^3", "103", ""),
    ("5\u00b2", "52", ""),
    ("third", "fourth", ""),
    ("2nd", "third", ""),
    ("41 apples", "42", HOW_MANY),
    ("41 apples", "42 apples", ""),
    ("40-45", "47", ""),
    ("40-45", "40-50", ""),
    ("1.5e3", "1.5e4", ""),
    ("about 50", "42", ""),
    ("siebzehn", "70", ""),
]

OPEN = [
    ("2 pairs", "4", ""),
    ("two decades", "20", ""),
    ("10.000", "10", ""),
    ("7 below zero", "-7", ""),
    ("'99", "1999", ""),
    ("3.14", "3.14159", ""),
    ("0.33", "1/3", ""),
    ("0.333", "1/3", ""),
    ("33%", "33.3%", ""),
    ("33", "33.3%", ""),
    ("1870", "1873", ""),
    ("42 million", "42.3 million", ""),
    ("about 40", "41", ""),
    ("5", "5000", "How many thousand people live there?"),
    ("1.200", "1200", ""),
    ("40-45", "42", ""),
    ("42 persons", "42 people", ""),
    ("several", "42", ""),
    ("", "42", ""),
    ("forty-twoish", "42", ""),
    ("forty-odd", "40", ""),
    ("forty-something", "42", ""),
    ("hundreds", "100", ""),
    ("a few hundred", "100", ""),
]


def verdict(answer: str, reference: str, question: str = "", **options: object) -> bool | None:
    case = AnswerCase(
        question=question,
        answer=answer,
        references=(reference,),
        options=AnswerOptions(**options),  # pyright: ignore[reportArgumentType]
    )
    comparison = compare(answer, reference, case)
    return None if comparison is None else comparison.equal


@pytest.mark.parametrize(("answer", "reference", "question"), EQUAL)
def test_numbers_of_one_value_are_equal(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is True


@pytest.mark.parametrize(("answer", "reference", "question"), NEVER_EQUAL)
def test_near_misses_are_never_equal(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is not True


@pytest.mark.parametrize(("answer", "reference", "question"), DIFFERENT)
def test_other_numbers_are_different(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is False


@pytest.mark.parametrize(("answer", "reference", "question"), OPEN)
def test_what_may_be_the_other_number_is_open(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is None


@pytest.mark.parametrize(
    ("answer", "tolerance", "equal"),
    [("101", 0.01, True), ("102", 0.01, False), ("110", 0.01, False), ("99", 0.01, True)],
)
def test_a_tolerance_is_relative_to_the_reference(
    answer: str, tolerance: float, equal: bool
) -> None:
    assert verdict(answer, "100", tolerance=tolerance) is equal


@pytest.mark.parametrize(
    ("reference", "question", "is_number"),
    [
        ("42", "", True),
        ("$5", "", True),
        ("50 %", "", True),
        ("forty-two", "", True),
        ("40-45", "", True),
        ("42 apples", "", True),
        ("330 m", "", False),
        ("Paris", "", False),
        ("vitamin B12", "", False),
        ("Apollo 11", "", False),
        ("007", "", False),
        ("3.10.1", "", False),
        ("3.10", "Which version of Python?", False),
        ("12345", "What is the zip code?", False),
        ("5551234", "What is the phone number?", False),
        ("", "", False),
    ],
)
def test_a_reference_is_a_number_where_all_of_it_is(
    reference: str, question: str, is_number: bool
) -> None:
    case = AnswerCase(question=question, answer="", references=(reference,))
    assert applies(reference, case) is is_number


@pytest.mark.parametrize(
    ("answer", "reference", "equal"),
    [
        ("about $3.50", "$3.5", True),
        ("about $3.50", "\u20ac3.50", False),
        ("12.5 %", "12.5 percent", True),
        ("12.5 %", "0.125", True),
        ("12.5 %", "12.6%", False),
    ],
)
def test_a_number_keeps_what_stands_around_it(answer: str, reference: str, equal: bool) -> None:
    case = AnswerCase(question="", answer=answer, references=(reference,))
    found = compare(answer, reference, case)
    assert found is not None
    assert found.equal is equal


HOSTILE = [
    "9" * 1_000_000,
    "1," * 500_000,
    "1 000" * 200_000,
    "one hundred and " * 60_000,
    "\x00",
    "5\x00",
    "\ud800",
    "5\udfff",
    "1/0",
    "0/0",
    "0^-1",
    "1e999999999",
    "1e999",
    "9" * 100,
    "10^999",
    "10^10^10",
    "999999^999",
    "{" * 5000,
    "\\frac{" * 30,
    "-" * 150,
    "$" * 150,
    "\u0e3f" * 150,
    "\u00b2" * 150,
    "\u2460",
    "million million million million",
    "a " * 70,
    "=",
    "x =",
    "%",
    "-",
    ".",
    ",",
    "'",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_compared_without_an_error(text: str) -> None:
    for answer, reference in ((text, "42"), ("42", text), (text, text)):
        verdict(answer, reference, text)


@settings(derandomize=True, max_examples=drawn(200), deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_texts_are_compared_without_an_error(answer: str, reference: str) -> None:
    verdict(answer, reference, answer)


SIGNS = st.text(alphabet="0123456789.,'/^%$\u20ac-+ xekmn\u00b2\u00bd\u2030()", max_size=14)


@settings(derandomize=True, max_examples=drawn(300), deadline=None)
@given(SIGNS, SIGNS)
def test_texts_of_digits_and_signs_are_compared_alike_in_both_directions(a: str, b: str) -> None:
    if verdict(a, b) is True:
        assert verdict(b, a) is not False


@settings(derandomize=True, max_examples=drawn(200), deadline=None)
@given(st.integers(-(10**12), 10**12))
def test_a_number_equals_itself_with_separators(value: int) -> None:
    assert verdict(f"{value:,}", str(value)) is True


@settings(derandomize=True, max_examples=drawn(200), deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_numbers_of_different_values_are_never_equal(a: int, b: int) -> None:
    assert (verdict(str(a), f"{b:,}") is True) == (a == b)
