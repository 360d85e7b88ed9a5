"""Dates are equal in any usual spelling; what one of two leaves out leaves them open."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.base import AnswerCase, AnswerOptions, DayFirst
from plaudit.judges.answers.types.dates import Date, applies, compare, read_date
from tests.support.examples import drawn

WHEN = "When did it happen?"
YEAR = "In what year did it happen?"

EQUAL = [
    ("2020-03-04", "4 March 2020", ""),
    ("2020/03/04", "4 March 2020", ""),
    ("March 4, 2020", "4 March 2020", ""),
    ("March 4th, 2020", "4 March 2020", ""),
    ("4th March 2020", "4 March 2020", ""),
    ("the 4th of March, 2020", "4 March 2020", ""),
    ("March the fourth, 2020", "4 March 2020", ""),
    ("the twenty-first of June 2001", "21 June 2001", ""),
    ("On March 4, 2020.", "4 March 2020", ""),
    ("It was on 4 March 2020", "2020-03-04", ""),
    ("2020 March 4", "4 March 2020", ""),
    ("Wednesday, March 4, 2020", "4 March 2020", ""),
    ("Wed, 4 Mar 2020", "4 March 2020", ""),
    ("Dec. 25, 1991", "25 December 1991", ""),
    ("Sept 5, 1991", "5 September 1991", ""),
    ("4. M\u00e4rz 2020", "4 March 2020", ""),
    ("Mittwoch, den 4. M\u00e4rz 2020", "4 March 2020", ""),
    ("4 mars 2020", "4 March 2020", ""),
    ("1er mai 1968", "May 1, 1968", ""),
    ("le 14 juillet 1789", "14 July 1789", ""),
    ("4 de marzo de 2020", "4 March 2020", ""),
    ("1\u00ba de mayo de 1968", "May 1, 1968", ""),
    ("4 marzo 2020", "4 March 2020", ""),
    ("4 de mar\u00e7o de 2020", "4 March 2020", ""),
    ("4 maart 2020", "4 March 2020", ""),
    ("13/03/2020", "13 March 2020", ""),
    ("03/13/2020", "13 March 2020", ""),
    ("13.03.2020", "13 March 2020", ""),
    ("03/03/2020", "3 March 2020", ""),
    ("July 4th", "4 July", ""),
    ("fourth of July", "July 4", ""),
    ("July 1969", "Juli 1969", ""),
    ("1969-07", "July 1969", ""),
    ("29 February 2020", "Feb 29, 2020", ""),
    ("1969", "20 July 1969", YEAR),
    ("20 July 1969", "1969", YEAR),
    ("in 1969", "1969", WHEN),
    ("about 1969", "1969", WHEN),
    ("July", "Juli", "In which month did it happen?"),
    ("July", "July 1969", "In which month did it happen?"),
    ("20 July", "20 July 1969", "On what date in 1969 did it happen?"),
    ("the 1990s", "1990s", ""),
    ("the 1990's", "the 1990s", ""),
    ("19th century", "the nineteenth century", ""),
    ("5th century BC", "fifth century BCE", ""),
    ("44 BC", "44 B.C.", ""),
    ("44 BCE", "44 BC", ""),
    ("44 v. Chr.", "44 BC", ""),
    ("March 15, 44 BC", "15 March 44 BC", ""),
    ("AD 79", "79 CE", ""),
    ("331", "331 BC", "In which year BC did it happen?"),
    ("3:30 pm", "15:30", ""),
    ("3:30 p.m.", "3.30 PM", ""),
    ("15h30", "15.30 Uhr", ""),
    ("3 pm", "15:00", ""),
    ("12 am", "midnight", ""),
    ("noon", "12 pm", ""),
    ("3 o'clock", "3:00", "At what time does it start?"),
    ("15:00 UTC", "15:00 GMT", ""),
    ("15:30:00", "15:30", ""),
    ("5:30 in the evening", "17:30", ""),
    ("half past five", "5:30", "What time is it?"),
    ("quarter to six pm", "17:45", ""),
    ("ten past twelve", "12:10", "What time is it?"),
    ("quarter to one", "12:45", "What time is it?"),
    ("half past twelve am", "0:30", "What time is it?"),
    ("7 o'clock in the morning", "7 am", "What time is it?"),
    ("2020-03-04T15:30", "4 March 2020, 3:30 pm", ""),
]

NEVER_EQUAL = [
    ("4 March 2020", "3 April 2020", ""),
    ("03/04/2020", "3 April 2020", ""),
    ("03/04/2020", "4 March 2020", ""),
    ("4 March 2020", "4 March 2021", ""),
    ("4 March 2020", "14 March 2020", ""),
    ("4 March 2020", "4 May 2020", ""),
    ("-1969", "1969", WHEN),
    ("1969", "-1969", WHEN),
    ("1969-", "1969", WHEN),
    ("3:30 -%", "3:30", "What time is it?"),
    ("1969", "1996", WHEN),
    ("1969", "20 July 1969", WHEN),
    ("20 July 1969", "1969", WHEN),
    ("July 1969", "20 July 1969", ""),
    ("20 July", "20 July 1969", ""),
    ("before 1969", "1969", WHEN),
    ("after 1969", "1969", WHEN),
    ("not 1969", "1969", WHEN),
    ("early 1969", "1969", WHEN),
    ("1969 or 1970", "1969", WHEN),
    ("1 or 2 May 1969", "1 May 1969", ""),
    ("1968-1969", "1969", WHEN),
    ("44 BC", "44", ""),
    ("44", "44 BC", ""),
    ("44 BC", "AD 44", ""),
    ("331", "331 BC", WHEN),
    ("the 1990s", "1990", WHEN),
    ("1994", "the 1990s", WHEN),
    ("90s", "1990s", ""),
    ("19th century", "1800s", ""),
    ("19th century", "19", ""),
    ("19th century", "1900", WHEN),
    ("3:30", "3:30 pm", ""),
    ("3:30 am", "3:30 pm", ""),
    ("3:30 pm", "3:03 pm", ""),
    ("12 pm", "12 am", ""),
    ("noon", "midnight", ""),
    ("half past five", "5:15", ""),
    ("quarter to six", "6:15", ""),
    ("quarter past six", "6:45", ""),
    ("15:00 UTC", "15:00 EST", ""),
    ("3 pm", "3 March", ""),
    ("31 February 2020", "2 March 2020", ""),
    ("2020-13-01", "2020-01-13", ""),
    ("25:00", "1 am", ""),
    ("4 Mar '20", "4 March 2020", ""),
    ("4/3/20", "4 March 2020", ""),
]

DIFFERENT = [
    ("4 March 2020", "5 March 2020", ""),
    ("4 March 2020", "4 May 2020", ""),
    ("4 March 2020", "4 March 2021", ""),
    ("2020-03-04", "2020-04-03", ""),
    ("1970", "1969", WHEN),
    ("1970", "20 July 1969", YEAR),
    ("August 1969", "20 July 1969", ""),
    ("44 BC", "44 AD", ""),
    ("45 BC", "44 BC", ""),
    ("1985", "the 1990s", WHEN),
    ("the 1980s", "the 1990s", ""),
    ("18th century", "19th century", ""),
    ("3:30 am", "3:30 pm", ""),
    ("3:31 pm", "15:30", ""),
    ("noon", "midnight", ""),
    ("July", "June", "In which month did it happen?"),
    ("4 March 2020, 3 pm", "4 March 2020, 4 pm", ""),
]


def case_of(reference: str, question: str = "", order: DayFirst = "auto") -> AnswerCase:
    options = AnswerOptions(date_order=order)
    return AnswerCase(question=question, answer="", references=(reference,), options=options)


def verdict(
    answer: str, reference: str, question: str = "", order: DayFirst = "auto"
) -> bool | None:
    comparison = compare(answer, reference, case_of(reference, question, order))
    return None if comparison is None else comparison.equal


@pytest.mark.parametrize(("answer", "reference", "question"), EQUAL)
def test_spellings_of_one_date_are_equal(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is True


@pytest.mark.parametrize(("answer", "reference", "question"), NEVER_EQUAL)
def test_near_misses_are_never_equal(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is not True


@pytest.mark.parametrize(("answer", "reference", "question"), DIFFERENT)
def test_other_dates_are_different(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is False


def test_the_order_of_day_and_month_comes_from_the_options() -> None:
    assert verdict("03/04/2020", "3 April 2020", order="day") is True
    assert verdict("03/04/2020", "3 April 2020", order="month") is False
    assert verdict("13/04/2020", "13 April 2020", order="month") is True
    assert verdict("03/04/2020", "3 April 2020") is None


@pytest.mark.parametrize(
    ("reference", "question", "is_date"),
    [
        ("4 March 2020", "", True),
        ("July 1969", "", True),
        ("3:30 pm", "", True),
        ("44 BC", "", True),
        ("1990s", "", True),
        ("1969", WHEN, True),
        ("1969", "How many soldiers were there when it began?", False),
        ("1969", "", False),
        ("May", "Who was the prime minister?", False),
        ("3:30", "What is the ratio?", False),
        ("31 February 2020", "", False),
        ("month 13 of 2020", "", False),
        ("2020-13-01", WHEN, False),
        ("42", WHEN, False),
        ("Paris", WHEN, False),
        ("", WHEN, False),
    ],
)
def test_a_year_alone_is_a_date_where_the_question_asks_when(
    reference: str, question: str, is_date: bool
) -> None:
    assert applies(reference, case_of(reference, question)) is is_date


def test_a_date_holds_what_a_text_gives() -> None:
    assert read_date("July 1969") == Date(year=1969, month=7)
    assert read_date("44 BC") == Date(year=-44, era=-1)
    assert read_date("the 1990s") == Date(year=1990, span=10)
    assert read_date("4 March or 5 March") is None


@settings(derandomize=True, max_examples=drawn(150), deadline=None)
@given(st.dates(min_value=datetime.date(1000, 1, 1)))
def test_every_day_is_read_in_words_and_in_digits(day: datetime.date) -> None:
    spelled = f"{day.day} {day:%B} {day.year}"
    assert verdict(day.isoformat(), spelled) is True
    after = day - datetime.timedelta(days=1)
    assert verdict(after.isoformat(), spelled) is False


HOSTILE = [
    "4 March 2020 " * 100_000,
    "-" * 1_000_000,
    "9" * 150,
    "99999",
    "0000-00-00",
    "0 March 0",
    "32 March 2020",
    "99:99",
    "24:00",
    "0 am",
    "13 pm",
    "4 March 99999",
    "0000",
    "0 BC",
    "99th century",
    "twelfth",
    "\x00",
    "\ud800",
    "the",
    ",",
    "4 March 2020T",
    "1 1 1 1 1 1",
    "March March",
    "29 February 1900",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_compared_without_an_error(text: str) -> None:
    for answer, reference in ((text, "4 March 2020"), ("4 March 2020", text), (text, text)):
        applies(reference, case_of(reference, text))
        verdict(answer, reference, text)


@settings(derandomize=True, max_examples=drawn(300), deadline=None)
@given(st.text(alphabet="0123456789/-.:, apmTMarchJulybcdsth'", max_size=24))
def test_texts_of_dates_are_compared_without_an_error(text: str) -> None:
    verdict(text, "4 March 2020", text)
    verdict("3:30 pm", text, text)
