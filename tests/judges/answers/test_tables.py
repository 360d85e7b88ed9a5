"""The tables of docs/reference/answers.md hold: each row is compared as a user's answer is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plaudit.judges.answers.base import AnswerCase
from plaudit.judges.answers.decision import decide

_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "answers.md"
_VERDICTS = {"equal": "correct", "different": "incorrect"}


def _cell(text: str) -> str:
    """Return what a cell shows: a code span without its back quotes."""
    text = text.strip()
    if text.startswith("`` ") and text.endswith(" ``"):
        return text[3:-3]
    return text[1:-1] if re.fullmatch(r"`[^`]+`", text) else text


def _rows() -> Iterator[tuple[str, ...]]:
    for line in _PAGE.read_text().splitlines():
        cells = [_cell(cell) for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3] in (*_VERDICTS, "open"):
            yield tuple(cells)


@pytest.mark.parametrize(("question", "reference", "answer", "verdict"), list(_rows()))
def test_a_row_is_what_types_and_guards_say(
    question: str, reference: str, answer: str, verdict: str
) -> None:
    found = decide(AnswerCase(question=question, answer=answer, references=(reference,)))
    by_head = found.by in ("head", None)
    assert ("open" if by_head else found.value) == _VERDICTS.get(verdict, verdict)


def test_every_type_has_a_table() -> None:
    assert len(list(_rows())) > 50
