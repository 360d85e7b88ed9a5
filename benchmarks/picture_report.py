"""Picture the report card of two judges for docs/reference/report.md.

    python benchmarks/picture_report.py [FILE.png]

The judges and their results are made up, by the generator of the tests; the page is what
`plaudit report` writes, as Chromium (`chromium` on the PATH) shows it.
"""

import sys
import tempfile
from pathlib import Path

from screenshot import screenshot

from plaudit import __version__
from plaudit.bench.report import ReportCard, write_card

REPOSITORY = Path(__file__).parents[1]
OUT = REPOSITORY / "docs" / "images" / "report.png"
SIZE = (1180, 1960)
COLORS = 96


def two_judges() -> ReportCard:
    """Return the results of a small and a large judge that do not exist."""
    sys.path.insert(0, str(REPOSITORY))
    from tests.support import results

    bench = results.bench((("small-judge", 0.62, 0.05), ("large-judge", 0.81, 1.9)))
    audits = [results.audit("small-judge", 0.16), results.audit("large-judge", 0.05)]
    return ReportCard(plaudit=__version__, results=[bench, *audits])


def picture(card: ReportCard, out: Path) -> None:
    """Draw the first part of a report."""
    with tempfile.TemporaryDirectory() as folder:
        page = write_card(card, folder)
        screenshot(page, out, SIZE, COLORS)


if __name__ == "__main__":
    picture(two_judges(), Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
