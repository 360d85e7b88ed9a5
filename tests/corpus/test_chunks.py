"""Cutting: no text is lost, nothing is too long, and chunks end where something ends."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.corpus.chunks import Heading, Part, cut
from plaudit.corpus.readers import markdown_parts
from tests.support.documents import REPORT

TEXTS = st.text(st.sampled_from("ab .!\n\r\t\u3002\u2028é<>/tr"), max_size=400)


def bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


@given(TEXTS, st.integers(20, 90), st.integers(1, 50))
def test_joined_chunks_are_the_document(text: str, size: int, block: int) -> None:
    parts = [text[i : i + block] for i in range(0, len(text), block)]
    pieces = list(cut(parts, size))
    assert bare("".join(piece.text for piece in pieces)) == bare(text)
    for piece in pieces:
        assert text[piece.start : piece.end] == piece.text == piece.text.strip() != ""
        assert len(piece.text) <= size
    for one, other in pairwise(pieces):
        assert one.end <= other.start
        assert not text[one.end : other.start].strip()
    assert pieces == list(cut([text], size))  # however the text comes


@given(TEXTS, st.integers(21, 90), st.data())
def test_overlap_repeats_text_and_loses_none(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, (size - 1) // 2))
    pieces = list(cut([text], size, overlap))
    covered = 0
    for piece in pieces:
        assert text[piece.start : piece.end] == piece.text
        assert len(piece.text) <= size
        assert piece.start >= covered - overlap
        assert not text[covered : piece.start].strip()
        assert piece.end > covered  # No chunk only repeats.
        covered = piece.end
    assert not text[covered:].strip()


def test_overlap_begins_with_a_whole_word() -> None:
    text = " ".join(f"word{n:03}" for n in range(60))
    pieces = list(cut([text], 100, 30))
    assert len(pieces) > 5
    for one, other in pairwise(pieces):
        assert 0 < one.end - other.start <= 30
        assert re.fullmatch(r"(word\d{3} ?)+", other.text)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a" * 30 + "\n\n" + "b. " * 5 + "c" * 40, "a" * 30),  # a paragraph before a sentence
        ("a" * 30 + ". " + "b\n" * 5 + "c" * 40, "a" * 30 + "."),  # a sentence before a line
        ("a" * 30 + "\n" + "b " * 5 + "c" * 40, "a" * 30),  # a line before a word
        ("a" * 30 + " " + "b" * 60, "a" * 30),
        ("a" * 90, "a" * 50),
        ("x" * 26 + "\n1. yyyyyyyyyyyyyyyy zzzz zzzzz", "x" * 26),  # not after a list's number
        ("\u6587" * 40 + "\u3002" + "\u5b57" * 40, "\u6587" * 40 + "\u3002"),
        ("<tr>" + "a" * 36 + "</tr><tr>" + "b" * 40, "<tr>" + "a" * 36 + "</tr>"),
        ("a" * 50 + "\n" + "b" * 20, "a" * 50),
    ],
)
def test_a_chunk_ends_where_something_ends(text: str, first: str) -> None:
    assert next(cut([text], 50)).text == first


def test_a_text_of_exactly_the_length_is_one_chunk() -> None:
    assert [piece.text for piece in cut(["a. " * 16 + "bb", "\n \n"], 50)] == ["a. " * 16 + "bb"]


def test_a_section_ends_a_chunk_before_a_paragraph_does() -> None:
    parts: list[Part] = ["a" * 30 + "\n", Heading(1, "B"), "# B\n" + "b" * 5 + "\n\n", "c" * 60]
    one, two, *_ = cut(parts, 50)
    assert one.text == "a" * 30
    assert (two.text[:3], two.heading) == ("# B", ("B",))


def test_headings_make_a_path() -> None:
    pieces = list(cut(markdown_parts(REPORT)[1], 300))
    paths = {piece.heading for piece in pieces}
    ship = "Voyage of the survey ship Alder"
    assert {(ship,), (ship, "1 Crew", "1.1 The navigator"), (ship, "2 Equipment")} <= paths
    doctor = next(piece for piece in pieces if "doctor" in piece.text)
    assert doctor.heading == (ship, "1 Crew", "1.1 The navigator")


def test_a_huge_heading_is_cut_and_a_lower_one_closes_none_above() -> None:
    parts: list[Part] = [Heading(3, "c " * 500), Heading(1, "A"), Heading(2, " B\n B "), "text"]
    (piece,) = cut(parts, 50)
    assert piece.heading == ("A", "B B")
    (piece,) = cut([Heading(3, "c " * 500), "text"], 50)
    assert len(piece.heading[0]) <= 200


@pytest.mark.parametrize("text", [" " * 300_000, "a" * 300_000, "\n" * 300_000, ". " * 150_000])
def test_odd_texts_take_no_odd_time(text: str) -> None:
    assert bare("".join(piece.text for piece in cut([text], 1000))) == bare(text)


def test_a_document_is_read_as_it_is_cut() -> None:
    taken: list[int] = []

    def parts() -> Iterator[str]:
        for n in range(100):
            taken.append(n)
            yield "a word. " * 100

    next(cut(parts(), 200))
    assert len(taken) == 1


def test_a_heading_is_not_left_behind() -> None:
    text = f"# One\n\n{'word ' * 30}\n\n## Two\n\n### Three\n\n{'other ' * 40}"
    pieces = list(cut(markdown_parts(text)[1], 220))
    assert [piece.text.split("\n")[0] for piece in pieces][:2] == ["# One", "## Two"]
    assert pieces[1].heading == ("One", "Two")


@given(st.text(st.sampled_from("ab .\n#"), max_size=300), st.integers(20, 60), st.integers(0, 9))
def test_headings_lose_no_text_either(text: str, size: int, overlap: int) -> None:
    covered = 0
    for piece in cut(markdown_parts(text)[1], size, overlap):
        assert text[piece.start : piece.end] == piece.text
        assert not text[covered : piece.start].strip()
        assert piece.end > covered and len(piece.text) <= size
        covered = piece.end
    assert not text[covered:].strip()
