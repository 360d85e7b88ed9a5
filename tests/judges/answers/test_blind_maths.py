"""Three sets of answers in mathematics, each new to the code that compared them at first.

On that first try 93.0 % of the 244 of the first set were right and 1.2 % wrong, of the 130 harder
ones of the second 83.1 % and 2.3 %, and of the 60 of the third 83.3 % and 3.3 %; the rest was open.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit.judges.answers import extraction
from plaudit.judges.answers.base import AnswerCase, AnswerOptions, Open
from plaudit.judges.answers.types import maths

pytestmark = pytest.mark.skipif(not maths.available(), reason="needs the extra `math`")
DATA = Path(__file__).parent / "data"
OPEN = {
    # A number that may be the other one rounded, or a share
    (r"0.\overline{27}", r"\boxed{0.27}"),
    ("3.14", r"\boxed{\pi}"),
    (r"\pi", r"\boxed{3.14}"),
    ("0.333", r"\boxed{\frac13}"),
    ("25", r"\boxed{25\%}"),
    # Two units, two words, two domains
    (r"36\text{ cm}", r"\boxed{36 \text{ km}}"),
    (r"50 \text{ mph}", r"\boxed{50 \text{ km/h}}"),
    (r"\text{ellipse}", r"\boxed{\text{hyperbola}}"),
    (r"\text{June 20}", r"\boxed{\text{June 21}}"),
    (r"\log x + \log y", r"\boxed{\log(xy)}"),
    # Said in passing
    ("5", "Thus, $x=-5$."),
}


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def judged(row: dict[str, Any]) -> bool | None:
    answer, reference = row["answer"], row["reference"]
    options = AnswerOptions(answer_type="math")
    case = AnswerCase(question="", answer=answer, references=(reference,), options=options)
    found = maths.compare(extraction.extract(answer).text, reference, case)
    return None if isinstance(found, Open) else found.equal


@pytest.mark.parametrize(
    "name", ["blind_maths.jsonl", "blind_maths_2.jsonl", "blind_maths_3.jsonl"]
)
def test_no_unseen_answer_is_judged_wrongly_and_only_known_ones_stay_open(name: str) -> None:
    found = [(row, judged(row)) for row in rows(name)]
    assert [row for row, equal in found if equal not in (None, row["equal"])] == []
    assert {(row["reference"], row["answer"]) for row, equal in found if equal is None} <= OPEN
