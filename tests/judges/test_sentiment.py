"""The sentiment of a reaction: English only, and no praise of a refusal."""

import pytest

from plaudit.judges.sentiment import cues, is_english, lexicon, polarity

ANSWER = "There is a room for 60 pounds."


def heard(follow_up: str, answer: str = ANSWER) -> float:
    return cues({"answer": answer, "follow_up": follow_up})["sentiment"]


@pytest.mark.parametrize(
    "text",
    [
        "Perfect, thank you!",
        "thx",
        "that's not what i asked for",
        "It was Picasso, not Dalí.",
        "👍",
    ],
)
def test_english_is_recognised(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Danke, das war sehr gut.",
        "Merci beaucoup, c'est parfait",
        "Muchas gracias por todo",
        "Grazie mille, ottimo",
        "Muito obrigado",
        "非常感谢!",
        "ありがとう",
        "Спасибо",
    ],
)
def test_other_languages_have_no_sentiment(text: str) -> None:
    assert not is_english(text)
    assert heard(text) == 0


def test_sentiment_has_the_sign_of_the_words() -> None:
    assert heard("Great, thanks a lot!") > 0.5
    assert heard("This is terrible.") < -0.3
    assert heard("At seven.") == 0


def test_a_no_of_its_own_turns_nothing_round() -> None:
    assert heard("No, thank you, that was all.") == polarity("thank you, that was all.") > 0
    assert heard("No problem.") == polarity("No problem.")


def test_courtesy_after_a_refusal_counts_for_nothing() -> None:
    refusal = "I'm sorry, there are no rooms left."
    assert heard("Okay, thanks anyway.", refusal) == 0
    assert heard("This is terrible.", refusal) < 0


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "!" * 10**6, "no " * 10**6, "❤️" * 10**6])
def test_any_text_has_a_sentiment(text: str) -> None:
    assert -1 <= heard(text, text) <= 1


def test_the_lexicon_is_named_with_its_version() -> None:
    assert lexicon().startswith("nltk-vader-sentiment 1.")
