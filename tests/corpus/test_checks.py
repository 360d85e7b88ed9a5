"""What makes a question worth keeping: each check by cases for and against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.corpus.checks import (
    Draft,
    Drop,
    check_draft,
    find_support,
    holds,
    sample,
    side,
    text_key,
)
from plaudit.errors import UsageError

CHUNK = (
    "The older machine was built in 1889 by Hartog and Sons. Its wire, of 1,200 fathoms, parted on "
    "19 March at a depth of 640 fathoms.\nThe crew <td>lived on</td> <td>biscuit</td> and cold tea."
)


def draft(question: str, answer: str, quote: str = "") -> Draft:
    return Draft(question=question, answer=answer, supporting_text=quote)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Who built the older sounding machine?", "Hartog and Sons", None),
        ("", "Hartog", Drop.EMPTY),
        ("?!", "Hartog", Drop.EMPTY),
        ("Who built it?", " ... ", Drop.EMPTY),
        ("Who built it?", "the", Drop.EMPTY),
        ("Who built it?", "I don't know.", Drop.EMPTY),
        ("Who built it?", "Thought process:", Drop.EMPTY),
        ("Who built it? " * 40, "Hartog", Drop.TOO_LONG),
        ("Who built it?", "Hartog " * 60, Drop.TOO_LONG),
        ("Did the wire part?", "Yes", Drop.YES_OR_NO),
        ("Did the wire part?", "No, it did not break.", Drop.YES_OR_NO),
        ("Is it true that the wire parted?", "True.", Drop.YES_OR_NO),
        ("Who was Hartog of Hartog and Sons?", "Hartog and Sons", Drop.GIVEN_AWAY),
        ("Was it biscuit or tea?", "It was the tea.", Drop.GIVEN_AWAY),
        ("At a depth of 640 fathoms what parted, at 640?", "at 640", Drop.GIVEN_AWAY),
        ("How deep was it when the wire parted?", "a depth of 640 fathoms", None),
        ("Which of the two, A or B, was it?", "it was this", None),
    ],
)
def test_a_draft_by_itself(question: str, answer: str, reason: Drop | None) -> None:
    assert check_draft(draft(question, answer)) == reason


@pytest.mark.parametrize(
    "question",
    [
        "What does the passage say about the wire?",
        "According to the text, who built the machine?",
        "Who built the machine mentioned above?",
        "What is described in this document?",
        "Which date is given in the paragraph?",
        "What does the author say about tea?",
        "Who is named in the following excerpt?",
        "What do these sections state?",
        "What was parted, according to the article?",
        "What is THE PASSAGE about?",
    ],
)
def test_questions_about_a_passage_are_found(question: str) -> None:
    assert check_draft(draft(question, "something new")) == Drop.ABOUT_THE_PASSAGE


@pytest.mark.parametrize(
    "question",
    [
        "Which article of the treaty names the border?",
        "Who signed the document of surrender at Brenholm?",
        "What does section 7.1 of the code forbid?",
        "Who wrote the text of the anthem?",
        "Through which passages between the islands did Alder sail?",
        "In what context did Falk first see the cape?",
        "Where was the paragraph sign first used?",
        "What was shown to the port's doctor?",
    ],
)
def test_other_questions_are_not_taken_for_them(question: str) -> None:
    assert check_draft(draft(question, "something new")) is None


@pytest.mark.parametrize(
    ("answer", "quote", "support"),
    [
        # A quotation that stands in the chunk, as it stands there.
        ("Hartog and Sons", "built in 1889 by hartog AND sons", "built in 1889 by Hartog and Sons"),
        ("two brothers named Hartog", "built in 1889 by the Hartog and Sons!", None),
        ("Hartog built it", "built in 1889 by Hartog and Sons", "built in 1889 by Hartog and Sons"),
        ("640 fathoms", "at a depth of 640 fathoms", "at a depth of 640 fathoms"),
        # Numbers must be there, and whole ones.
        ("a depth of 64 fathoms", "at a depth of 640 fathoms", None),
        ("200 fathoms", "of 1,200 fathoms", None),
        ("1889 and 1890 by Hartog", "built in 1889 by Hartog and Sons", None),
        # The answer itself, and its sentence or line.
        ("640 fathoms", "", CHUNK[56:].split("\n")[0]),
        ("the Hartog and Sons", "words that are not there", CHUNK[:55]),
        ("1889", "by Hartog", CHUNK[:55]),
        ("lived on biscuit", "", CHUNK.split("\n")[1]),
        ("Sons Its wire", "", CHUNK.split("\n")[0]),
        # Neither.
        ("in the year of the fire", "built in 1890", None),
        ("biscuits", "", None),
        ("td", "", None),
    ],
)
def test_support(answer: str, quote: str, support: str | None) -> None:
    found = find_support(draft("What was it?", answer, quote), CHUNK)
    assert (None if found is None else CHUNK[found.start : found.end]) == support


def test_a_sentence_about_something_else_is_no_support() -> None:
    quote = "at a depth of 640 fathoms"
    assert find_support(draft("Where did the crew eat?", "640 fathoms", quote), CHUNK) is not None
    assert find_support(draft("Where did the crew eat?", "640 fathoms"), CHUNK) is None
    assert find_support(draft("When was the harbour dredged?", "640 fathoms", quote), CHUNK) is None
    assert find_support(draft("When was the harbour dredged?", "1889"), CHUNK) is None
    assert find_support(draft("When was the machine made?", "1889"), CHUNK) is not None
    assert (
        find_support(draft("When was the machine of Alder's sister ship made?", "1889"), CHUNK)
        is None
    )


def test_a_row_of_a_table_is_a_sentence() -> None:
    table = "<tr><td>sextant</td><td>1910</td></tr><tr><td>clock</td><td>1904</td></tr>"
    for thing, year, held in (("clock", "1904", True), ("clock", "1910", False)):
        found = find_support(draft(f"When was the {thing} made?", year), table)
        assert (found is not None) == held


def test_support_in_other_scripts_and_widths() -> None:
    chunk = "Die Straße ist 5 km lang. ＡＢＣ１２ liegt daran. 首都是北京。"
    for question, answer in (
        ("Straße?", "STRASSE ist 5"),
        ("Was liegt?", "abc12"),
        ("首?", "北京"),
    ):
        assert find_support(draft(question, answer), chunk) is not None
    assert find_support(draft("首?", "北首"), chunk) is None


def test_a_quotation_is_found_whatever_its_case() -> None:
    assert holds(CHUNK, "its WIRE of 1,200 fathoms")
    assert not holds(CHUNK, "its wire of 200 fathoms")
    assert not holds(CHUNK, "")


def test_long_texts_take_no_odd_time() -> None:
    text = "one word " * 20_000
    assert find_support(draft("word?", "word word " * 20, "word " * 60), text) is None
    check_draft(draft("the " * 90, "in the text " * 20))


KEYS = [text_key(f"text number {n}") for n in range(2000)]


def test_a_tenth_is_on_the_test_side_and_another_seed_is_another_tenth() -> None:
    one = {key for key in KEYS if side(key, 42, 0.1) == "test"}
    other = {key for key in KEYS if side(key, 43, 0.1) == "test"}
    assert 150 < len(one) < 250
    assert len(one & other) < 60
    assert {side(key, 42, 0.0) for key in KEYS} == {"train"}
    assert {side(key, 42, 1.0) for key in KEYS} == {"test"}


def test_a_larger_fraction_moves_none_back() -> None:
    small = {key for key in KEYS if side(key, 42, 0.1) == "test"}
    assert small < {key for key in KEYS if side(key, 42, 0.2) == "test"}


def test_sides_do_not_change_from_version_to_version() -> None:
    sides = "".join(side(key, 42, 0.3)[1] for key in KEYS[:24])
    assert sides == "eerrrrrrrerrrrrerrrerrer"


def test_the_same_words_are_on_the_same_side() -> None:
    assert text_key("The SAME words.") == text_key("the same\nwords")
    assert text_key("other words") != text_key("the same words")
    text_key("\ud800")


@given(st.integers(0, 60), st.integers(0, 60), st.integers())
def test_a_larger_sample_holds_the_smaller(few: int, many: int, seed: int) -> None:
    few, many = sorted((few, many))
    small, large = sample(KEYS[:50], seed, few), sample(KEYS[:50], seed, many)
    assert set(small) <= set(large)
    assert small == sorted(small)
    assert len(large) == min(many, 50)


def test_without_a_count_all_are_taken() -> None:
    assert sample(KEYS[:7], 1, None) == list(range(7))
    assert sample([], 1, 3) == []


def test_a_sample_says_nothing_of_the_split() -> None:
    picked = [KEYS[n] for n in sample(KEYS, 42, 500)]
    assert 25 < sum(side(key, 42, 0.1) == "test" for key in picked) < 80


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        side(b"", 42, fraction)
