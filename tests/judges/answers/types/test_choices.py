"""Multiple choice: letters, texts, both, several, and what contradicts itself."""

import pytest

from plaudit.judges.answers.base import AnswerCase, AnswerOptions, AnswerType
from plaudit.judges.answers.types import choices

CITIES = ("London", "Paris", "Rome", "New York")
IN_QUESTION = "What is the capital of France?\nA) London\nB) Paris\nC) Rome\nD) New York"
INLINE = "What is the capital of France? (A) London (B) Paris (C) Rome (D) New York"


def made(
    answer: str, reference: str, listed=CITIES, question="", kind: AnswerType = "auto"
) -> AnswerCase:
    return AnswerCase(
        question=question,
        answer=answer,
        references=(reference,),
        choices=tuple(listed),
        options=AnswerOptions(answer_type=kind),
    )


def equal(answer: str, reference: str, **how) -> bool | None:
    how.setdefault("question", "What is the capital of France?")
    case = made(answer, reference, **how)
    assert choices.applies(reference, case)
    found = choices.compare(answer, reference, case)
    return None if found is None else found.equal


SAME = [
    "B", "b", "B!", "(B)", "[B]", "B.", "B)", "b)", "**B**", "`B`", "Option B", "option (B)",
    "choice b",
    "B) Paris", "B. Paris", "B: Paris", "(B) Paris", "B - Paris", "B Paris", "Paris", "paris.",
    "Paris (B)", "The answer is B", "The answer is (B).", "Answer: B", "The correct option is B",
    "The correct answer is B) Paris.", "The correct option is B because Paris is the capital.",
    "The answer is B, since it is the capital", "B is correct", "B, because it is so",
    "So the answer is B.", "I choose B", "My final answer is B", "Die Antwort ist B",
    "It is Paris", "The capital is Paris.", "Paris is the capital of France, so B",
    "La réponse est B", "La respuesta es B", "B is the right one.",
]  # fmt: skip

DIFFERENT = [
    "A", "a", "(C)", "D.", "C) Rome", "Rome", "London", "new york", "The answer is C",
    "B) Rome", "A) Paris", "A: Paris", "A Paris", "E", "(J)", "z", "A and B", "AB", "A, B",
    "B, C and D", "Option D", "Rome (C)", "The correct option is C because Rome is old.",
    "Paris (C)",
]  # fmt: skip

OPEN = [
    "", "?", "A or B", "not B", "It is not B", "B or not", "either", "a city", "A city in France",
    "Lyon", "I would rule out B", "B is wrong", "The answer is not B", "neither B nor C",
    "B because Rome is wrong", "A cat is B or C", "It isn't B",
    "both A and B are fine", "The answer cannot be B", "maybe B", "The answer can’t be B",
    "B) Berlin", "All but B", "B is a distractor", "every option, including B", "Exclude B",
    "a B grade", "Many say B.", "My friend's answer is B", "Their answer is B",
    "The option is B, and also C is fine, or D",
]  # fmt: skip


@pytest.mark.parametrize("answer", SAME)
@pytest.mark.parametrize("reference", ["B", "(B)", "b", "Paris", "B) Paris"])
def test_an_option_is_chosen_by_letter_or_text(answer: str, reference: str) -> None:
    assert equal(answer, reference) is True


@pytest.mark.parametrize("answer", SAME)
@pytest.mark.parametrize("question", [IN_QUESTION, INLINE])
def test_a_question_may_list_the_options(answer: str, question: str) -> None:
    assert equal(answer, "B", listed=(), question=question) is True


@pytest.mark.parametrize("answer", DIFFERENT)
def test_another_option_is_different(answer: str) -> None:
    assert equal(answer, "B") is False
    assert equal(answer, "Paris") is False
    assert equal(answer, "B", listed=(), question=IN_QUESTION) is False


@pytest.mark.parametrize("answer", OPEN)
def test_what_chooses_no_single_option_is_left_open(answer: str) -> None:
    assert equal(answer, "B") is None


@pytest.mark.parametrize(
    "answer",
    [
        "A and C",
        "A, C",
        "AC",
        "C, A",
        "a, c",
        "A & C",
        "(A), (C)",
        "A; C",
        "C and A.",
        "{A, C}",
        "A C",
    ],
)
@pytest.mark.parametrize("reference", ["A, C", "AC", "C and A"])
def test_several_letters_are_a_set(answer: str, reference: str) -> None:
    assert equal(answer, reference) is True


@pytest.mark.parametrize("answer", ["A", "C", "A, B, C", "A and B", "ABC", "D"])
def test_another_set_of_letters_is_different(answer: str) -> None:
    assert equal(answer, "A and C") is False


def test_a_is_no_article() -> None:
    assert equal("A", "A") is True
    assert equal("a", "A") is True
    assert equal("A London", "A") is True
    assert equal("A great city", "A") is None
    assert equal("a city", "A") is False


def test_a_letter_that_is_the_text_of_another_option_is_left_open() -> None:
    groups = ("O", "A", "B", "AB")
    assert equal("B", "D", listed=groups) is None
    assert equal("D) AB", "D", listed=groups) is True
    assert equal("B) A", "D", listed=groups) is False
    assert not choices.applies("B", made("B", "B", listed=groups))


def test_numbers_are_options_where_the_question_counts() -> None:
    question = "Pick one:\n1) red\n2) green\n3) blue"
    assert equal("2", "2", listed=(), question=question) is True
    assert equal("green", "2", listed=(), question=question) is True
    assert equal("2) green", "green", listed=(), question=question) is True
    assert equal("3", "2", listed=(), question=question) is False
    assert equal("1) green", "2", listed=(), question=question) is False


def test_a_number_among_numbers_is_a_text() -> None:
    assert equal("4", "B", listed=("3", "4", "5")) is True
    assert equal("3", "B", listed=("3", "4", "5")) is False
    assert equal("2", "B", listed=("3", "4", "5")) is None


def test_letters_without_options_need_the_type() -> None:
    assert not choices.applies("B", made("B", "B", listed=()))
    assert equal("(b)", "B", listed=(), kind="choice") is True
    assert equal("C", "B", listed=(), kind="choice") is False
    assert equal("B) Paris", "B", listed=(), kind="choice") is True
    assert equal("Paris", "B", listed=(), kind="choice") is None
    assert equal("Paris", "B) Paris", listed=(), kind="choice") is True
    assert equal("B", "B) Paris", listed=(), kind="choice") is True
    assert equal("C", "B) Paris", listed=(), kind="choice") is False


def test_options_may_carry_their_letters() -> None:
    assert equal("Paris", "B", listed=("A) London", "B) Paris")) is True


@pytest.mark.parametrize("reference", ["Berlin", "E", "", "Z", "A) Paris", "1914"])
def test_a_reference_beyond_the_options_is_of_another_type(reference: str) -> None:
    assert not choices.applies(reference, made("A", reference))


@pytest.mark.parametrize(
    "question", ["Vitamin A or B?", "Who is Mr. A. B. Smith?", "Is it a) true?", "", "B) x A) y"]
)
def test_a_question_without_a_list_has_no_options(question: str) -> None:
    assert not choices.options(made("A", "A", listed=(), question=question))


HOSTILE = [
    "", "\0", "\ud800", "(" * 100_000, "A) " * 100_000, "A, " * 600, "A" * 1_000_000,
    "A and " * 300, " " * 2_000, "1" * 1_999,
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_raises_nothing(hostile: str) -> None:
    for question in ("", hostile):
        case = made(hostile, "B", question=question)
        found = choices.compare(hostile, "B", case)
        assert found is None or not found.equal
        case = made("B", hostile, listed=() if question else CITIES, question=question)
        choices.applies(hostile, case)
        choices.compare("B", hostile, case)


def test_many_and_long_options_are_read() -> None:
    assert equal("B", "B", listed=["x" * 100_000, "y", *map(str, range(10_000))]) is True
