"""Picture the report of pairs for docs/reference/pair-report.md.

    python benchmarks/picture_pair_report.py [FILE.png]

The pairs are of a made-up judge that likes long answers; the page is what `write_report` writes,
as Chromium (`chromium` on the PATH) shows it.
"""

import math
import random
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec import Raw
from screenshot import screenshot

from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.report import PairReport, write_report
from plaudit.preferences.types import Candidate, PairOptions, Tally

OUT = Path(__file__).parents[1] / "docs" / "images" / "pair_report.png"
WORDS = ("a", "river", "carries", "sand", "and", "water", "past", "the", "town", "in", "spring")
SIZE = (1100, 1290)
COLORS = 64


def candidates(draw: random.Random, number: int) -> list[Candidate]:
    """Return a turn whose scores grow with the length of the answer."""
    found: list[Candidate] = []
    for _ in range(draw.choice((2, 4, 4, 8))):
        words = int(draw.lognormvariate(3.4, 0.7)) + 1
        score = round(draw.gauss(0.15 * math.log(words), 0.3), 2)
        text = " ".join(draw.choices(WORDS, k=words))
        found.append(
            Candidate(
                example_id=f"example-{number}",
                turn_id=0,
                index=None,
                prompt=raw(f"Describe river number {number}."),
                response=raw(text),
                score=score if draw.random() < 0.97 else None,
            )
        )
    return found


def raw(text: str) -> Raw:
    return Raw(msgspec.json.encode(text))


def picture(out: Path) -> None:
    draw, tally, report = random.Random(1), Tally(), PairReport()
    for number in range(2_000):
        turn = pair_turn(candidates(draw, number), PairOptions(), tally)
        if turn is not None:
            report.add_turn(turn)
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(report.finish(tally), folder)
        screenshot(page, out, SIZE, COLORS)


if __name__ == "__main__":
    picture(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
