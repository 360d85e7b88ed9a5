"""References that are symbols."""

import pytest

from plaudit.judges.answers.head.notation import holds, is_symbol, others


@pytest.mark.parametrize(
    "text", ["H2SO4", "Cl-", "C++", "O+", "aa", "Co", "BRCA1", "carbon-14", "I-5", "A", "e4"]
)
def test_what_mixes_letters_with_digits_or_signs_is_a_symbol(text: str) -> None:
    assert is_symbol(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "iron",
        "1960s",
        "20th",
        "no",
        "US",
        "1969",
        "330 m",
        "North Korea",
        "\u6771\u4eac",
        "a1" * 20,
    ],
)
def test_words_ordinals_and_decades_are_none(text: str) -> None:
    assert not is_symbol(text)


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        ("It is H2SO4.", "H2SO4"),
        ("H\u2082SO\u2084", "H2SO4"),
        ("carbon 14", "carbon-14"),
        ("Carbon-14", "carbon-14"),
        ("It is written in C++.", "C++"),
        ("Cl-", "Cl-"),
    ],
)
def test_a_symbol_is_found_as_it_is_written(answer: str, symbol: str) -> None:
    assert holds(answer, symbol)


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        ("H4SO2", "H2SO4"),
        ("AA", "aa"),
        ("Aa", "aa"),
        ("CO", "Co"),
        ("C", "C++"),
        ("C++", "C"),
        ("US-5", "I-5"),
        ("I-55", "I-5"),
        ("O-", "O+"),
        ("x+y", "x-y"),
        ("-x", "x"),
        ("x", "-x"),
        ("n!", "n"),
        ("x\u00b2", "x2"),
    ],
)
def test_another_case_digit_or_sign_is_another_symbol(answer: str, symbol: str) -> None:
    assert not holds(answer, symbol)


@pytest.mark.parametrize(
    ("answer", "symbol", "other"),
    [
        ("uranium-238", "carbon-14", True),
        ("carbon-12", "carbon-14", True),
        ("d4", "e4", True),
        ("14C", "carbon-14", False),
        ("\u00b9\u2074C", "carbon-14", False),
        ("O positive", "O+", False),
        ("C plus plus", "C++", False),
    ],
)
def test_other_symbols_are_known_from_other_spellings(
    answer: str, symbol: str, *, other: bool
) -> None:
    assert others(answer, symbol) is other
