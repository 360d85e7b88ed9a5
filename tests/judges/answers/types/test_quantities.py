"""Quantities are equal after exact conversion, and a unit that a question names may be left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.base import AnswerCase, AnswerOptions
from plaudit.judges.answers.types import quantities, units
from plaudit.judges.answers.types.quantities import applies, compare
from plaudit.judges.answers.types.units import asked_unit, read_unit, worth
from tests.support.examples import drawn

pytest.importorskip("pint")

TALL = "How many metres tall is the tower?"

EQUAL = [
    ("330 m", "330 m", ""),
    ("330m", "330 metres", ""),
    ("330 meters", "330 metres", ""),
    ("0.33 km", "330 m", ""),
    ("330 Meter", "330 m", ""),
    ("330 m\u00e8tres", "330 m", ""),
    ("330 metros", "330 m", ""),
    ("330 metres tall", "330 m", ""),
    ("about 330 m", "330 m", ""),
    ("330", "330 m", TALL),
    ("330 m", "330", TALL),
    ("0.33 km", "330", TALL),
    ("0.33", "330 m", "How many km tall is the tower?"),
    ("10", "10 years", "How old is she?"),
    ("10 years old", "10 years", ""),
    ("32 \u00b0F", "0 \u00b0C", ""),
    ("0 \u00b0C", "273.15 K", ""),
    ("-40 \u00b0C", "-40 \u00b0F", ""),
    ("100 degrees Celsius", "212 degrees Fahrenheit", ""),
    ("20 \u00baC", "20\u00b0C", ""),
    ("20 ^\\circ C", "20 \u00b0C", ""),
    ("1 h 30 min", "90 minutes", ""),
    ("1h30", "90 min", ""),
    ("1 hour and 30 minutes", "1.5 hours", ""),
    ("3 hours, 20 minutes", "200 min", ""),
    ("3 Stunden", "180 min", ""),
    ("2 heures", "2 h", ""),
    ("three hours", "180 minutes", ""),
    ("2 weeks", "14 days", ""),
    ("3 days", "72 hours", ""),
    ("1 year", "12 months", ""),
    ("5 ft 11 in", "71 in", ""),
    ("5'11\"", "71 inches", ""),
    ("6 feet", "2 yards", ""),
    ("1 mile", "1760 yards", ""),
    ("8.05 km", "5 miles", ""),
    ("5 miles", "8.05 km", ""),
    ("6 feet", "1.83 m", ""),
    ("5 kg", "5000 g", ""),
    ("5 kilos", "5 kg", ""),
    ("0.5 L", "500 mL", ""),
    ("50 cl", "0.5 litres", ""),
    ("5 cc", "5 mL", ""),
    ("5 m/s", "5 metres per second", ""),
    ("5 m s^-1", "5 m/s", ""),
    ("5 m\u00b7s\u207b\u00b9", "5 m/s", ""),
    ("18 km/h", "5 m/s", ""),
    ("60 mph", "60 miles per hour", ""),
    ("9.8 m/s\u00b2", "9.8 metres per second squared", ""),
    ("5 m\u00b2", "5 square metres", ""),
    ("5 sq ft", "5 ft^2", ""),
    ("5 m\u00b3", "5000 litres", ""),
    ("5 N\u00b7m", "5 Nm", ""),
    ("5 kWh", "5000 Wh", ""),
    ("5 MJ", "5000 kJ", ""),
    ("5 mol/L", "5 M", ""),
    ("5 \u00b5m", "5 micrometres", ""),
    ("1013 hPa", "101.3 kPa", ""),
    ("1 KiB", "1024 bytes", ""),
    ("1 MB", "1000 kB", ""),
    ("8 Mb", "1 MB", ""),
    ("1.5 x 10^3 m", "1.5 km", ""),
    ("1,500 m", "1.5 km", ""),
    ("1.5 \\times 10^{3} \\text{ m}", "1500 m", ""),
    ("5 million km", "5,000,000 km", ""),
    ("180\u00b0", "180 degrees", ""),
    ("1 light-year", "9.46e12 km", ""),
    ("6.895 kPa", "1 psi", ""),
    ("1 AU", "1 astronomical unit", ""),
    ("12 nautical miles", "22.224 km", ""),
    ("330 m (1,083 ft)", "330 m", ""),
    ("1083 feet", "330 m (1,083 ft)", ""),
    ("half an hour", "30 minutes", ""),
    ("an hour", "60 min", ""),
    ("60 miles an hour", "60 mph", ""),
    ("100 sqm", "100 m\u00b2", ""),
    ("30 degrees", "30 \u00b0C", "What is the temperature in Celsius?"),
]

NEVER_EQUAL = [
    ("5 km-", "5 km", ""),
    ("5 and", "5 and -", ""),
    ("10.000 km", "10 km", ""),
    ("10.000 km", "10000 m", ""),
    ("330 m", "330 km", ""),
    ("330 m", "330 ft", ""),
    ("330", "330 m", ""),
    ("330", "330 m", "How tall is the tower?"),
    ("330", "330 m", "How many feet tall is the tower?"),
    ("330 m", "-330 m", ""),
    ("330 m", "33 m", ""),
    ("330 m", "330 m/s", ""),
    ("5 m", "5 min", ""),
    ("5 m", "5 M", ""),
    ("5 mW", "5 MW", ""),
    ("5 Mb", "5 MB", ""),
    ("5 kB", "5 KiB", ""),
    ("1 kB", "1024 bytes", ""),
    ("5 g", "5 G", ""),
    ("5 K", "5 \u00b0C", ""),
    ("-40 \u00b0C", "-40 K", ""),
    ("40 \u00b0C", "40 \u00b0F", ""),
    ("32 \u00b0C", "0 \u00b0F", ""),
    ("5 kg", "5 lb", ""),
    ("5 oz", "5 fl oz", ""),
    ("5 N", "5 kg", ""),
    ("5 Nm", "5 nm", ""),
    ("5 J", "5 W", ""),
    ("5 kWh", "5 kW", ""),
    ("60 mph", "60 km/h", ""),
    ("5 km", "5 mi", ""),
    ("5 miles", "5 nautical miles", ""),
    ("5 m\u00b2", "5 m", ""),
    ("5 m\u00b2", "5 m\u00b3", ""),
    ("52 m", "5 m\u00b2", ""),
    ("1 h 30 min", "130 min", ""),
    ("1 h 30 min", "1.3 h", ""),
    ("5 ft 11 in", "511 in", ""),
    ("5'11\"", "5.11 ft", ""),
    ("more than 5 km", "5 km", ""),
    ("less than 5 km", "5000 m", ""),
    ("5 km or 6 km", "5 km", ""),
    ("5 to 6 km", "6 km", ""),
    ("not 5 km", "5 km", ""),
    ("5 per second", "5 seconds", ""),
    ("5 s/m", "5 m/s", ""),
    ("200 calories", "200 kcal", ""),
    ("5 mg", "5 \u03bcg", ""),
    ("5 days", "5 years", ""),
    ("5 blorps", "5 m", ""),
    ("5 apples", "5 m", ""),
    ("8 km", "5 miles", ""),
    ("1.200 m", "1200 m", ""),
    ("\u20ac5", "5 m", ""),
    ("330 m (900 ft)", "330 m", ""),
    ("331 m (1,083 ft)", "331.5 m", ""),
    ("5 pm", "5 picometer", ""),
    ("1st", "1 stone", ""),
    ("30 degrees", "30 \u00b0C", ""),
    ("a minute", "60 minutes", ""),
    ("330 m", "330", "What is the version of the tower in m?"),
]

DIFFERENT = [
    ("331 km", "345 km", ""),
    ("330 m", "330 km", ""),
    ("330 m", "330 ft", ""),
    ("5 kg", "5 lb", ""),
    ("5 kg", "5 m", ""),
    ("10 km", "5 miles", ""),
    ("-40 \u00b0C", "-40 K", ""),
    ("40 \u00b0C", "40 \u00b0F", ""),
    ("90 seconds", "90 minutes", ""),
    ("1 h 30 min", "80 minutes", ""),
    ("5 mW", "5 MW", ""),
    ("5 Mb", "5 MB", ""),
    ("60 mph", "60 km/h", ""),
    ("5 m\u00b2", "5 m\u00b3", ""),
    ("331", "370 m", TALL),
    ("330 km", "330", TALL),
    ("5 N", "5 J", ""),
    ("2 days", "60 hours", ""),
]


def case_of(answer: str, reference: str, question: str, tolerance: float = 0.0) -> AnswerCase:
    return AnswerCase(
        question=question,
        answer=answer,
        references=(reference,),
        options=AnswerOptions(tolerance=tolerance),
    )


def verdict(answer: str, reference: str, question: str = "", tolerance: float = 0.0) -> bool | None:
    comparison = compare(answer, reference, case_of(answer, reference, question, tolerance))
    return None if comparison is None else comparison.equal


@pytest.mark.parametrize(("answer", "reference", "question"), EQUAL)
def test_quantities_of_one_size_are_equal(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is True


@pytest.mark.parametrize(("answer", "reference", "question"), NEVER_EQUAL)
def test_near_misses_are_never_equal(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is not True


@pytest.mark.parametrize(("answer", "reference", "question"), DIFFERENT)
def test_other_quantities_are_different(answer: str, reference: str, question: str) -> None:
    assert verdict(answer, reference, question) is False


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("8 km", "5 miles"),
        ("1.200 m", "1.2 km"),
        ("1.8 m", "6 feet"),
        ("100 C", "100 \u00b0C"),
        ("5 blorps", "5 m"),
    ],
)
def test_coarse_roundings_and_unknown_units_are_open(answer: str, reference: str) -> None:
    assert verdict(answer, reference) is None


def test_a_tolerance_is_relative_to_the_reference_in_its_own_unit() -> None:
    assert verdict("20.5 \u00b0C", "20 \u00b0C", tolerance=0.03) is True
    assert verdict("294 K", "20 \u00b0C", tolerance=0.01) is not True


@pytest.mark.parametrize(
    ("reference", "question", "is_quantity"),
    [
        ("330 m", "", True),
        ("1 h 30 min", "", True),
        ("5 mmHg", "", True),
        ("5 megajoules", "", True),
        ("330", TALL, True),
        ("330", "", False),
        ("42 apples", "", False),
        ("42 cats", "", False),
        ("Paris", "", False),
        ("5 c", "", False),
        ("5 km^999", "", False),
        ("", "", False),
    ],
)
def test_a_reference_is_a_quantity_where_its_unit_is_known(
    reference: str, question: str, is_quantity: bool
) -> None:
    assert applies(reference, case_of("", reference, question)) is is_quantity


def test_without_pint_quantities_of_one_unit_are_compared_and_others_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(units, "find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType]
    assert not quantities.available()
    assert verdict("330 metres", "330 m") is True
    assert verdict("0.33 km", "330 m") is None


@pytest.mark.parametrize("name", sorted(units.COMMON))
def test_every_common_unit_is_known_to_pint(name: str) -> None:
    terms = read_unit(name)
    assert terms is not None
    assert worth(terms) is not None


@pytest.mark.parametrize(
    ("question", "spelled"),
    [
        (TALL, "m"),
        ("How fast is it in km/h?", "km/h"),
        ("How many days are in a week?", "d"),
        ("Wie viele Meter hoch ist er?", "m"),
        ("What is its speed in metres per second?", "m/s"),
        ("How many apples are in a box?", None),
        ("How tall is it?", None),
    ],
)
def test_a_question_names_a_unit(question: str, spelled: str | None) -> None:
    assert asked_unit(question) == (read_unit(spelled) if spelled else None)


HOSTILE = [
    "5 " + "m" * 1_000_000,
    "5 m**999999999",
    "5 m^999999999",
    "5 m^99",
    "10^10^10 m",
    "5 " + "(" * 100 + "m",
    "5 " + "m " * 70,
    "5 " + "/m" * 20,
    "5 m\x00",
    "5 \ud800",
    "5 \u00b0",
    "5 '",
    '5 "',
    "5 /",
    "5 per",
    "5 square",
    "5 squared",
    "5 __import__",
    "5 pi",
    "5 e",
    "5 dB",
    "5 m/0",
    "1h" * 60,
    "1h30m20s10ms",
    "1e999 km",
    "in",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_compared_without_an_error(text: str) -> None:
    for answer, reference in ((text, "5 m"), ("5 m", text), (text, text)):
        applies(reference, case_of(answer, reference, text))
        verdict(answer, reference, text)


@settings(derandomize=True, max_examples=drawn(300), deadline=None)
@given(st.text(alphabet="0123456789. /^*'\"-+mskgKCFhin\u00b0\u00b2\u00b5", max_size=16))
def test_texts_of_units_are_compared_without_an_error(text: str) -> None:
    verdict(text, "5 m")
    verdict("5 m", text, text)


@settings(derandomize=True, max_examples=drawn(100), deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_metres_are_equal_to_kilometres_only_where_they_are(a: int, b: int) -> None:
    assert (verdict(f"{a / 1000} km", f"{b} m") is True) == (a == b)
