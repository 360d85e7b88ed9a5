"""What an answer comes down to, without contrast, correction, remark or second name."""

import pytest

from plaudit.judges.answers.base import AnswerCase
from plaudit.judges.answers.types.readings import readings

READ = [
    ("Paris, not Lyon", "Paris"),
    ("Portuguese and not Spanish.", "Portuguese"),
    ("North Korea, as opposed to South Korea.", "North Korea"),
    ("Neil Armstrong rather than Buzz Aldrin", "Neil Armstrong"),
    ("Eight, not nine.", "Eight"),
    ("208 \u2014 no, sorry, that's wrong. It's 206.", "It's 206."),
    ("Lyon. Sorry, I meant Paris", "Paris"),
    ("It was George H. W. Bush, the 41st president.", "It was George H. W. Bush"),
    ("Alexander Fleming discovered it in 1928.", "Alexander Fleming discovered it"),
    ("Such an order is called a subpoena.", "subpoena"),
    ("El aguacate, in English: avocado", "avocado"),
    ("Use `ls`.", "ls"),
    ("It is not Lyon but Paris.", "Paris."),
    ("Not one but two.", "two."),
    ("No es Lyon sino Par\u00eds", "Par\u00eds"),
    ("None other than George Washington", "George Washington"),
    ("20 - 5 - 3 = 12", "12"),
    ("C, i.e. carbon", "carbon"),
    ("```bash\nls\n```", "ls"),
    ("WV (West Virginia)", "West Virginia"),
    ("Hg (mercury)", "mercury"),
    ("H, hydrogen", "hydrogen"),
    ("Der Safran (saffron).", "saffron"),
]
OTHER = [
    ("Lyon, not Paris", "Paris"),
    ("Paris, not counting Lyon", "Paris"),
    ("Paris. Sorry, I meant Lyon", "Paris"),
    ("Lyon. No, Paris. No, Lyon.", "Paris"),
    ("C++, which is the same thing as Java", "C++"),
    ("George Bush, the father of the other", "George Bush"),
    ("Lyon (Paris)", "Paris"),
    ("Hg (silver)", "silver"),
    ("La Ni\u00f1a (El Ni\u00f1o)", "El Ni\u00f1o"),
    ("It is not Paris but Lyon.", "Paris."),
    ("x = 12", "12"),
    ("Never run `ls`.", "ls"),
    ("It is wrongly called a subpoena.", "subpoena"),
    ("Paris, not Lyon. " * 100, "Paris"),
]


def read(answer: str) -> list[str]:
    case = AnswerCase(question="What is it?", answer=answer, references=("x",))
    return list(readings(answer, case))


@pytest.mark.parametrize(("answer", "reading"), READ)
def test_an_answer_comes_down_to_less(answer: str, reading: str) -> None:
    assert reading in read(answer)


@pytest.mark.parametrize(("answer", "reading"), OTHER)
def test_what_an_answer_does_not_say_is_no_reading(answer: str, reading: str) -> None:
    assert reading not in read(answer)


def test_a_year_that_is_asked_for_stays() -> None:
    case = AnswerCase(question="When was it?", answer="It was in 1928", references=("1928",))
    assert list(readings("It was in 1928", case)) == []
