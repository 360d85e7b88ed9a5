"""Symbols and isotopes in words and in signs."""

import pytest

from plaudit.judges.answers.types.symbols import same_symbol

SAME = [
    ("O positive", "O+"),
    ("O Rh-positive", "O+"),
    ("AB negative", "AB-"),
    ("type B negative", "B-"),
    ("C plus plus", "C++"),
    ("C sharp", "C#"),
    ("A minor", "Am"),
    ("C-14", "carbon-14"),
    ("\u00b9\u2074C", "carbon-14"),
    ("carbon fourteen", "C-14"),
    ("uranium 235", "U-235"),
    ("A plus", "A+"),
]
DIFFERENT = [
    ("O negative", "O+"),
    ("A positive", "O+"),
    ("AB positive", "B+"),
    ("C plus", "C++"),
    ("C", "C++"),
    ("C minor", "Am"),
    ("A major", "Am"),
    ("C-12", "carbon-14"),
    ("N-14", "carbon-14"),
    ("Co-60", "C-60"),
    ("a positive", "A+"),
    ("carbon", "carbon-14"),
    ("", ""),
    ("Paris", "Paris"),
    ("x" * 10_000, "O+"),
]


@pytest.mark.parametrize(("answer", "reference"), SAME)
def test_one_symbol_in_two_spellings_is_the_same(answer: str, reference: str) -> None:
    assert same_symbol(answer, reference) and same_symbol(reference, answer)


@pytest.mark.parametrize(("answer", "reference"), DIFFERENT)
def test_other_symbols_are_not_the_same(answer: str, reference: str) -> None:
    assert not same_symbol(answer, reference)
