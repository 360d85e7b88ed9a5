"""Formulas are compared as a careful person would, and nothing that they hold can do harm."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.base import (
    AnswerCase,
    AnswerOptions,
    AnswerType,
    Comparison,
    Open,
)
from plaudit.judges.answers.types import maths
from plaudit.judges.answers.types.symbolic.outcome import Budget, Outcome
from plaudit.judges.answers.types.symbolic.process import MathsProcess
from tests.judges.answers.maths_cases import DIFFERENT, EQUAL, NOT_EQUAL
from tests.support.examples import drawn

ENDLESS = r"\prod_{k=1}^{9999} (x+k)"


def case(
    answer: str = "", reference: str = "", tolerance: float = 0.0, kind: AnswerType = "auto"
) -> AnswerCase:
    options = AnswerOptions(tolerance=tolerance, answer_type=kind)
    return AnswerCase(question="", answer=answer, references=(reference,), options=options)


def relation(answer: str, reference: str, tolerance: float = 0.0) -> str:
    return maths.outcome(answer, reference, case(answer, reference, tolerance)).relation


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[MathsProcess]:
    """A process that is killed after a moment, and no outcome from before."""
    process = MathsProcess(Budget(cpu_seconds=0.3))
    monkeypatch.setattr(maths, "shared", process)
    monkeypatch.setattr(maths, "recent", type(maths.recent)(9))
    yield process
    process.close()


class Memory(dict[bytes, bytes]):
    def get_result(self, key: bytes) -> bytes | None:
        return self.get(key)

    def put_result(self, key: bytes, result: bytes) -> None:
        self[key] = result


@pytest.mark.parametrize(("reference", "answer"), EQUAL)
def test_formulas_that_mean_the_same_are_equal(reference: str, answer: str) -> None:
    assert relation(answer, reference) == "equal"


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_formulas_that_mean_another_thing_are_different(reference: str, answer: str) -> None:
    assert relation(answer, reference) == "different"


@pytest.mark.parametrize(("reference", "answer"), NOT_EQUAL)
def test_what_a_person_would_ask_about_is_not_equal(reference: str, answer: str) -> None:
    assert relation(answer, reference) != "equal"


def test_a_tolerance_makes_what_is_near_equal() -> None:
    assert relation("0.333", "1/3", tolerance=0.01) == "equal"
    assert relation("0.4", "1/3", tolerance=0.01) == "different"


def test_a_formula_at_the_end_of_a_sentence_is_read() -> None:
    assert relation("The solution is $x=3$.", "3") == "equal"
    assert relation("The solution is $x=4$.", "3") == "different"


def test_an_open_comparison_returns_its_reason() -> None:
    assert maths.compare("2x", "x+x", case()) == Comparison(True, "equal as formulas")
    found = maths.compare("some words that are no formula", "x+x", case())
    assert isinstance(found, Open)
    assert found.reason


@pytest.mark.parametrize("reference", [r"\frac12", "x = 3", "(0, 1]", "x^2+1", "$x^2$", "2\u03c0"])
def test_formulas_are_maths(reference: str) -> None:
    assert maths.applies(reference, case())


@pytest.mark.parametrize(
    "reference",
    [
        *("Paris", "C++", "A+", "AB+", "Cl-", "Ca2+", "N/A", "and/or", "TCP/IP", "24/7", "3.10"),
        *("2020-01-01", "F-16", "5 kg", "10 m/s", "$5", "$5-$10", "1,200", "1/2", "UTC+2", "x-ray"),
        *("12:30", "C:\\Users", "<b>", "a->b", "x++", "**bold**", "*x*", "(a)", "[1]", "M*A*S*H"),
        *("", "$", "\ud800", "x" * 2_000, "^" * 900, "AT&T", "K-12", "3d", "yes", "a, b", "{}"),
    ],
)
def test_other_answers_are_not_maths(reference: str) -> None:
    assert not maths.applies(reference, case())
    assert maths.applies(reference, case(kind="math"))


def test_what_is_written_alike_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maths, "available", lambda: False)
    assert relation(r"\dfrac{1}{2}", r"\frac 12") == "equal"
    assert relation(r"\left( x , y \right)", "(x,y)") == "equal"
    assert relation("x^{2}", "x^2") == "equal"
    assert relation("2x", "x+x") == "open"


@pytest.mark.parametrize(
    "hostile",
    [
        *("x^{x^{x^{x^{x}}}}", "10^{10^{10}}", "9^9^9", "99!!!", "2^{99999}", "1" * 100),
        *("{" * 5_000 + "}" * 5_000, "7" * 10**6, "x^2" * 10**5, "(" * 40 + "x"),
        *("\0", "\ud800", r"\frac" * 200),
    ],
)
def test_what_is_too_large_is_open_and_says_why(hostile: str) -> None:
    found = maths.outcome(hostile, "x", case())
    assert found.relation == "open"
    assert "answer" in found.reason or "time" in found.reason
    assert maths.outcome("x", hostile, case()).relation == "open"


@pytest.mark.parametrize(
    ("reference", "answer", "question"),
    [
        ("8", r"\boxed{4^{3/2}}", ""),
        ("120", "$5!$", ""),
        ("1, 2", r"\boxed{x=1, x=2}", ""),
        ("36", r"\boxed{36 \text{ cm}}", "What is the perimeter?"),
        ("2i", r"\boxed{(1+i)^2}", ""),
        ("3:2", "6:4", "In what ratio is it cut?"),
    ],
)
def test_a_number_is_maths_where_its_answer_is_a_formula(
    reference: str, answer: str, question: str
) -> None:
    asked = AnswerCase(question=question, answer=answer, references=(reference,))
    assert maths.applies(reference, asked)


@pytest.mark.parametrize(
    ("reference", "answer", "question"),
    [
        ("36", r"\boxed{36 \text{ cm}}", "How many metres long is it?"),
        ("8", "8 apples", ""),
        ("007", r"\boxed{\text{7}}", ""),
        ("3:2", "6:4", "How did the match end?"),
        ("Paris", r"\boxed{\text{Paris}}", ""),
    ],
)
def test_a_number_is_no_maths_otherwise(reference: str, answer: str, question: str) -> None:
    asked = AnswerCase(question=question, answer=answer, references=(reference,))
    assert not maths.applies(reference, asked)


@settings(derandomize=True, deadline=None, max_examples=drawn(50))
@given(st.text() | st.text("x1^{}()[]\\$|,.=<>!%+-*/ ", max_size=60))
def test_any_text_can_be_looked_at(text: str) -> None:
    maths.applies(text, case())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maths, "available", lambda: False)
        maths.compare(text, "x+1", case())
        maths.compare("x+1", text, case())


def test_an_endless_comparison_is_killed_and_the_next_one_works(hurried: MathsProcess) -> None:
    killed = maths.outcome(ENDLESS, "1", case())
    assert (killed.relation, killed.slow) == ("open", True)
    assert "0.3 CPU seconds" in killed.reason
    assert relation("2x", "x+x") == "equal"
    assert maths.outcome(ENDLESS, "1", case()) == killed


def test_a_killed_comparison_is_found_in_the_store(hurried: MathsProcess) -> None:
    memory = Memory()
    with maths.remember_in(memory):
        killed = maths.outcome(ENDLESS, "1", case())
        quick = maths.outcome("2x", "x+x", case())
    assert len(memory) == 1 + quick.slow
    maths.recent.forget()
    hurried.close()
    with maths.remember_in(memory):
        assert maths.outcome(ENDLESS, "1", case()) == killed
    assert hurried.pid is None


async def test_an_event_loop_goes_on_while_a_comparison_is_killed(hurried: MathsProcess) -> None:
    other = asyncio.Event()
    asyncio.get_running_loop().call_soon(other.set)
    killed, _ = await asyncio.gather(
        asyncio.to_thread(maths.outcome, ENDLESS, "1", case()), other.wait()
    )
    assert killed.relation == "open"
    assert await asyncio.to_thread(relation, "2x", "x+x") == "equal"


def test_threads_share_a_process(hurried: MathsProcess) -> None:
    found: list[Outcome] = []
    pairs = [(f"x+{n}", f"{n}+x") for n in range(4)] + [(ENDLESS, "1")]
    threads = [
        threading.Thread(target=lambda p=p: found.append(maths.outcome(*p, case()))) for p in pairs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.relation for one in found) == ["equal"] * 4 + ["open"]
