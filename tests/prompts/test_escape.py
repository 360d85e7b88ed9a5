"""Escaping: reversible for every text, and nothing that could speak as the prompt survives it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.prompts.escape import JOINER, KNOWN_SPECIAL_TOKENS, Escaper, unescape

DELIMITERS = ("[[", "]]", "User:", "Reaction:", "aa", "aba")
SPECIAL = ("<|custom|>", "<end>", "endend")
ESCAPER = Escaper(DELIMITERS, SPECIAL)
PIECES = st.sampled_from(
    [
        *DELIMITERS, *SPECIAL, *KNOWN_SPECIAL_TOKENS, JOINER, JOINER * 2, JOINER * 3, "user:",
        "USER:", "[", "]", "<", "|", ">", "a", "b", "A", "\n", " ", "ser:", "end", "<<", "[[[[",
    ]
)  # fmt: skip
HOSTILE = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@settings(deadline=None)
@given(st.text() | HOSTILE)
def test_escaping_is_reversible(text: str) -> None:
    assert unescape(ESCAPER.escape(text)) == text


@settings(deadline=None)
@given(HOSTILE)
def test_no_delimiter_and_no_special_token_survives(text: str) -> None:
    escaped = ESCAPER.escape(text)
    for token in (*SPECIAL, *KNOWN_SPECIAL_TOKENS):
        assert token not in escaped
    for delimiter in DELIMITERS:
        assert not re.search(re.escape(delimiter), escaped, re.IGNORECASE)


@settings(deadline=None)
@given(st.lists(st.text() | HOSTILE, max_size=4))
def test_texts_that_are_harmless_as_one_are_so_each(texts: list[str]) -> None:
    if ESCAPER.is_harmless("\n".join(texts)):
        assert [ESCAPER.escape(text) for text in texts] == texts


def test_most_texts_are_seen_to_be_harmless() -> None:
    escaper = Escaper(["[[", "]]"])
    assert escaper.is_harmless("It took 3 days (or 4?), and cost $5 {in all}.")
    assert not escaper.is_harmless("a [[ b")
    assert not escaper.is_harmless("<|end|>")


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (ESCAPER.escape(one) == ESCAPER.escape(other)) == (one == other)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters=JOINER)))
def test_benign_text_is_left_alone(text: str) -> None:
    escaper = Escaper(["=== section ==="])
    if not any(token in text for token in KNOWN_SPECIAL_TOKENS):
        assert escaper.escape(text) == text


@pytest.mark.parametrize(
    "text", ["[[", "[[[", "[[[[", "user:", "uSeR:", "<|im_end|>", "<<|end|>>", "aaaa", "ababa"]
)
def test_overlapping_matches_and_case_variants_are_broken(text: str) -> None:
    escaped = ESCAPER.escape(text)
    assert escaped != text
    assert escaped.replace(JOINER, "") == text


def test_every_character_is_kept_in_order() -> None:
    assert ESCAPER.escape("a [[x]] b").replace(JOINER, "") == "a [[x]] b"


def test_tokens_that_cannot_be_broken_do_not_hang() -> None:
    escaper = Escaper(["", "x"], ["", "y", JOINER * 2, f"a{JOINER}"])
    assert unescape(escaper.escape(f"xy{JOINER * 4}a{JOINER}")) == f"xy{JOINER * 4}a{JOINER}"


@pytest.mark.parametrize("unit", ["[", "<|", "a", "User:", JOINER, "<", "x "])
def test_a_long_hostile_text_is_escaped_quickly(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    escaped = ESCAPER.escape(text)
    assert unescape(escaped) == text
