"""References that say that there is no answer, and the answers that say so."""

import pytest

from plaudit.judges.answers.base import AnswerCase
from plaudit.judges.answers.types import unanswerable

SAYS = [
    "unanswerable", "Unanswerable.", "N/A", "I don't know", "I don’t know.", "I do not know",
    "I do not know the answer.", "Sorry, I don't know.", "I'm not sure", "I am not certain.",
    "I cannot answer this question.", "I can't tell from the text.", "No idea", "no answer",
    "There is no answer.", "There is no answer to the question", "No answer possible",
    "It cannot be determined", "It can't be determined from the given information.",
    "This cannot be determined from the passage", "The answer cannot be determined.",
    "cannot be determined", "Not enough information", "There is not enough information.",
    "There is not enough information to answer the question.", "Insufficient information",
    "The passage does not say", "The text doesn't mention this.", "The question is unanswerable.",
    "It is impossible to know", "It's impossible to say.", "The answer is unknown",
    "unknown", "It is not stated in the text.",
    "Not mentioned in the passage", "The context does not provide enough information",
    "Unfortunately, it cannot be determined.", "I don't know. The text does not say.",
    "I don't know because the passage does not say", "Je ne sais pas", "Je sais pas.", "No lo sé",
    "No sé.", "Ich weiß es nicht", "Ich weiss nicht.", "Keine Ahnung", "Das weiß ich nicht.",
    "Non lo so", "Não sei", "Не знаю", "不知道", "无法回答", "わかりません。", 
    "Weet ik niet", "*unanswerable*",
    "The text never names him.", "The driver's name is not mentioned.", "Nobody can know that yet.",
    "That is impossible to determine from a photo.", "No se menciona en el texto.",
    "Das steht nicht im Text.", "Le texte ne le dit pas.", "The text doesn't mention the brand.",
    "There is no way to know that; no source records it.", "Il testo non lo dice",
    "I have no way of knowing", "That information isn't given in the text.",
]  # fmt: skip

GIVES = [
    "Paris", "42", "None", "zero", "nobody", "", " ", "I know", "I don't know, maybe Paris",
    "I don't know but Paris", "It is Paris", "It can be determined", "There is enough information",
    "The answer is known", "I am sure", "answerable", "the unknown soldier", "Nothing",
    "not enough", "No", "She does not know the answer to everything; Paris",
    "The Unanswered Question",
    "The text mentions Paul.", "Das steht im Text.", "No record Bob set was broken",
    "I don't know. Paris.", "Unknown Pleasures", "No Country for Old Men", "Je sais", "yes",
]  # fmt: skip


@pytest.mark.parametrize("text", SAYS)
def test_texts_that_say_that_there_is_no_answer(text: str) -> None:
    assert unanswerable.says_unanswerable(text)


@pytest.mark.parametrize("text", GIVES)
def test_texts_that_do_not_say_so(text: str) -> None:
    assert not unanswerable.says_unanswerable(text)


def equal(answer: str, reference: str, *others: str) -> bool | None:
    case = AnswerCase(question="Who?", answer=answer, references=(reference, *others))
    assert unanswerable.applies(reference, case)
    found = unanswerable.compare(answer, reference, case)
    return None if found is None else found.equal


def test_an_answer_is_different_where_there_is_none() -> None:
    assert equal("I don't know", "unanswerable") is True
    assert equal("Not enough information.", "Unanswerable") is True
    assert equal("Paris", "unanswerable") is False
    assert equal("It was Bob in 1990.", "I don't know") is False


def test_an_answer_that_also_says_that_there_is_none_is_left_open() -> None:
    assert equal("I don't know, maybe Paris", "unanswerable") is None
    assert equal("", "unanswerable") is None
    assert equal("Anonymous", "unknown") is None
    assert equal("Nobody has found that out so far", "unanswerable") is None
    assert equal("Paris", "unanswerable", "Paris") is None


def test_other_references_are_of_other_types() -> None:
    assert not unanswerable.applies("Paris", AnswerCase(question="", answer="", references=("",)))


@pytest.mark.parametrize(
    "hostile",
    ["\0", "\ud800", "." * 300, "sorry, " * 42, "i don't know " * 23, "a" * 1_000_000, "not " * 75,
     "is " * 100, "the answer is " * 21, "so " * 99, ", " * 149,
     "i don't know" + " to know it" * 25 + " x",
     "i don't know" + " to answer the question" * 12 + "!x"],
    ids=lambda text: ascii(text[:12]),
)  # fmt: skip
def test_hostile_text_raises_nothing(hostile: str) -> None:
    unanswerable.says_unanswerable(hostile)
    case = AnswerCase(question="", answer=hostile, references=("unanswerable",))
    found = unanswerable.compare(hostile, "unanswerable", case)
    assert found is None or isinstance(found.equal, bool)
