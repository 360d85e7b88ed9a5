"""Mentions are found by words, and know what stands around them."""

import pytest

from plaudit.judges.answers.guards.mentions import Mentions, tokens


def found(answer: str, *references: str) -> list[str]:
    return [" ".join(mention.words) for mention in Mentions(answer, "Who?", references).all()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It isn't 3.5!", ["It", "is", "not", "3.5", "!"]),
        ("It cannot be", ["It", "can", "not", "be"]),
        ('"**Paris**"', ["Paris"]),
        ("不是巴黎", ["不", "是", "巴", "黎"]),
        ("O'Brien", ["O'Brien"]),
    ],
)
def test_words_numbers_and_signs_are_apart(text: str, words: list[str]) -> None:
    assert tokens(text) == words


@pytest.mark.parametrize(
    ("answer", "references", "mentions"),
    [
        ("It is paris, PARIS.", ["Paris"], ["paris", "PARIS"]),
        ("The Nile", ["the Nile"], ["Nile"]),
        ("Parisian", ["Paris"], []),
        ("15 or 5.5", ["5"], []),
        ("A dog is a dog", ["A"], ["A"]),
        ("Alexander Graham Bell", ["Bell", "Alexander Graham Bell"], ["Alexander Graham Bell"]),
        ("巴黎是首都", ["巴黎"], ["巴 黎"]),
        ("Paris", [""], []),
    ],
)
def test_mentions_are_whole_words(answer: str, references: list[str], mentions: list[str]) -> None:
    assert found(answer, *references) == mentions


def test_a_mention_knows_its_sentence_and_what_follows() -> None:
    (mention,) = Mentions("Hm. It is Paris now. Or not.", "Where?", ["Paris"]).all()
    assert (mention.before, mention.after) == ("It is ", "now . Or")
    assert mention.later == "now . Or not ."
