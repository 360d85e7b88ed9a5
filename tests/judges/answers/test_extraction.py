"""Extraction finds what a text marks as its final answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.extraction import extract, without_thought
from tests.support.examples import drawn


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So it is \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"$\boxed{\{1, 2\}}$", r"\{1, 2\}"),
        (r"\fbox{7}", "7"),
        (r"\boxed 5", "5"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{\text{Paris}}", "Paris"),
        (r"The answer is 3. \boxed{4}", "4"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"\boxed{1} and \boxed{1}", "1"),
        ("First \\boxed{1}.\nThen \\boxed{2}.", "2"),
        (r"{ \boxed{3}", "3"),
    ],
)
def test_a_box_comes_first(text: str, answer: str) -> None:
    found = extract(text)
    assert (found.text, found.by, found.marked) == (answer, "boxed", True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>Paris</answer>", "Paris"),
        ("Sure. <ANSWER> 3.5 </ANSWER> Bye.", "3.5"),
        ("<answer>1</answer> then <answer>2</answer>", "2"),
        ("<answer>a <answer>b</answer>", "b"),
        ("<final_answer>7</final_answer>", "7"),
    ],
)
def test_a_tag_marks_its_content(text: str, answer: str) -> None:
    found = extract(text)
    assert (found.text, found.by, found.marked) == (answer, "tag", True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is Paris.", "Paris"),
        ("So the final answer is: Paris", "Paris"),
        ("Answer: Paris", "Paris"),
        ("**Answer:** Paris", "Paris"),
        ("**Answer: Paris**", "Paris"),
        ("The answer is **Paris**.", "Paris"),
        ('The answer is "Paris".', "Paris"),
        ("Final answer:\nParis", "Paris"),
        ("The answer would be Paris", "Paris"),
        ("The answer to the question is Paris, the capital", "Paris"),
        ("Some work.\n#### 42", "42"),
        ("The correct option is (B).", "(B)"),
        ("The answer is 3.5 because of that.", "3.5"),
        ("The answer is 3.5. That is all.", "3.5"),
        ("The answer is Washington D.C., the capital.", "Washington D.C."),
        ("The answer is Washington D.C. It is a city.", "Washington D.C."),
        ("The answer is J. R. R. Tolkien. He wrote it.", "J. R. R. Tolkien"),
        ("The answer is St. Petersburg.", "St. Petersburg"),
        ("The answer is B. Paris", "B. Paris"),
        ("The answer is B. The reason is that it fits.", "B"),
        ("The answer is $\\frac{1}{2}$.", "\\frac{1}{2}"),
        ("The answer is:\n\n$$x = 3$$", "x = 3"),
        ("The answer is a dog, a cat and a bird.", "a dog, a cat and a bird"),
        ("Answer:\n- Paris\n- Lyon", "- Paris\n- Lyon"),
        ("The answer is 5! = 120.", "5! = 120"),
        ("Die richtige Antwort lautet Berlin.", "Berlin"),
        ("Antwort: Berlin", "Berlin"),
        ("La réponse est Paris.", "Paris"),
        ("Réponse : Paris", "Paris"),
        ("La respuesta es París.", "París"),
        ("La risposta è Parigi.", "Parigi"),
        ("A resposta é Paris.", "Paris"),
        ("答案是巴黎。", "巴黎"),
        ("最终答案：巴黎", "巴黎"),
        ("答えはパリです。", "パリ"),
    ],
)
def test_a_phrase_marks_what_follows_up_to_its_clause(text: str, answer: str) -> None:
    found = extract(text)
    assert (found.text, found.by, found.marked) == (answer, "phrase", True)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not obvious. It may be Paris.",
        "My answer is correct. Paris",
        "The common answer is Paris. It is Lyon.",
        "His answer was Paris, and that was odd",
        "Marseille (the correct answer: Paris)",
    ],
)
def test_a_remark_about_an_answer_marks_nothing(text: str) -> None:
    assert not extract(text).marked


@pytest.mark.parametrize(
    ("text", "answer", "by"),
    [
        ("It is **Paris** by far.", "Paris", "bold"),
        ("**Work** here and **there**.\n\n**Paris**", "Paris", "bold"),
        ("I thought about it.\nParis.", "Paris", "last_line"),
        ("Paris.", "Paris", "whole"),
        ('"Paris"', "Paris", "whole"),
        ("It is in the U.S.", "It is in the U.S.", "whole"),
        ("2**3 and 4**5", "2**3 and 4**5", "whole"),
        ("Hmm\n" + "long " * 40, "Hmm\n" + ("long " * 40).strip(), "whole"),
    ],
)
def test_bold_last_line_and_whole_mark_nothing(text: str, answer: str, by: str) -> None:
    found = extract(text)
    assert (found.text, found.by, found.marked) == (answer, by, False)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>Lyon?</think>Paris", "Paris"),
        ("Lyon?</think>Paris", "Paris"),
        ("<think>Lyon? Paris?", ""),
        ("Paris", "Paris"),
    ],
)
def test_thought_is_no_answer(text: str, rest: str) -> None:
    assert without_thought(text) == rest
    assert extract(text).text == rest


@pytest.mark.parametrize(
    ("text", "finals"),
    [
        ("The answer is 3. The answer is 4.", ("3", "4")),
        ("The answer is 3. Wait, no. The answer is 4.", ("4",)),
        ("\\boxed{3}\nThat is wrong.\n\\boxed{4}", ("4",)),
        ("\\boxed{3}\nso\n\\boxed{3}", ("3", "3")),
    ],
)
def test_finals_are_those_that_are_not_taken_back(text: str, finals: tuple[str, ...]) -> None:
    assert extract(text).finals == finals


def test_what_follows_a_marked_answer_is_kept() -> None:
    assert extract("The answer is Paris. I take that back.").rest == "I take that back."


@pytest.mark.parametrize("how", ["boxed", "tag"])
def test_a_forced_mark_that_is_missing_leaves_no_answer(how: str) -> None:
    found = extract("The answer is Paris.", how=how)  # pyright: ignore[reportArgumentType]
    assert (found.text, found.marked, found.by) == ("", False, how)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Work\n3 + 4 = 7", "3 + 4 = 7"),
        ("\\boxed{3}\nAnswer: 4", "4"),
        ("x\n#### 12", "12"),
        ("x\n\n**Paris**\n\n", "Paris"),
        ("", ""),
    ],
)
def test_the_last_line_can_be_forced(text: str, answer: str) -> None:
    found = extract(text, how="last_line")
    assert (found.text, found.marked) == (answer, bool(answer))


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{3} " * 10_000,
        "\\boxed{" * 20_000,
        "\\boxed{" * 5_000 + "3" + "}" * 5_000,
        "{" * 1_000_000,
        "answer: $$ " * 90_000,
        "The answer is " * 70_000,
        "answer: x, the y " * 50_000,
        "**a" * 300_000,
        "<answer>" * 100_000,
        "9" * 1_000_000,
        "\0\ud800" * 500_000,
    ],
)
def test_hostile_texts_are_read(text: str) -> None:
    for how in ("auto", "boxed", "tag", "last_line"):
        extract(text, text, how)  # pyright: ignore[reportArgumentType]


@settings(deadline=None, derandomize=True, max_examples=drawn(200))
@given(st.text(max_size=80), st.sampled_from(["\\boxed{", "<answer>", "answer: ", "**", "\n"]))
def test_any_text_is_read(text: str, mark: str) -> None:
    extract(mark + text + mark)
