"""What the answer head never calls incorrect."""

import pytest

from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.head.features import measure


def unknown(answer: str, reference: str, question: str = "What is it?") -> bool:
    case = AnswerCase(question=question, answer=answer, references=(reference,))
    return measure(case, Extracted(text=answer, marked=False, by="whole")).unknown


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Hg (mercury)", "mercury"),
        ("Der Safran (saffron).", "saffron"),
        ("\u5bae\u5d0e\u99ff(Hayao Miyazaki)", "Hayao Miyazaki"),
        ("how hot something is, i.e. its temperature", "temperature"),
        ("$\\mathrm{Cl}^-$", "Cl-"),
        ("C plus plus", "C++"),
        ("O positive", "O+"),
        ("They did.", "yes"),
        ("There is no way to know that; no source records it.", "unanswerable"),
        ("It rises to 0.33 kilometres.", "330 m"),
        ("4.7 kilohms", "4.7 k\u03a9"),
        ("Sydney. Sorry, I meant Canberra.", "Canberra"),
        ("You may drive at most 50 km/h here.", "50 km/h"),
        ("It was Mary S.", "Mary Shelley"),
        ("forty-six, in 23 pairs", "46"),
        ("Nein, das geht nicht.", "impossible"),
        ("No se menciona en el texto.", "The passage does not say."),
    ],
)
def test_what_may_say_the_same_in_other_words_stays_open(answer: str, reference: str) -> None:
    assert unknown(answer, reference)


@pytest.mark.parametrize(
    ("answer", "reference", "question"),
    [
        ("Lyon", "Paris", "What is the capital of France?"),
        ("It was Buzz Aldrin.", "Neil Armstrong", "who was the first person on the moon"),
        ("The answer is not mercury (but lead).", "mercury", "What is it?"),
        ("uranium-238", "carbon-14", "Which isotope is it?"),
        ("No, the Atlantic is.", "yes", "Is the Pacific the largest ocean?"),
        ("8,849 ft", "8,849 m", "How tall is it?"),
        ("in 1970", "1969", "When was it?"),
        ("Canberra. Sorry, I meant Sydney.", "Canberra", "What is the capital?"),
        ("It was not Canberra.", "Canberra", "What is the capital?"),
    ],
)
def test_what_plainly_differs_does_not(answer: str, reference: str, question: str) -> None:
    assert not unknown(answer, reference, question)
