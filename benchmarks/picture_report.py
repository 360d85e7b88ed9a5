"""Picture the report card of two judges for docs/reference/report.md.

    python benchmarks/picture_report.py RESULTS... [FILE.png]

RESULTS are folders of `plaudit bench -o` and `plaudit audit -o`; the page is what `plaudit report`
writes, as Chromium (`chromium` on the PATH) shows it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from plaudit import __version__
from plaudit.bench.report import ReportCard, write_card
from plaudit.bench.results import read_results

OUT = Path(__file__).parents[1] / "docs" / "images" / "report.png"
SIZE = (1180, 1960)
COLORS = 96


def picture(card: ReportCard, out: Path) -> None:
    """Draw the first part of a report."""
    with tempfile.TemporaryDirectory() as folder:
        page = write_card(card, folder)
        shot = Path(folder) / "shot.png"
        size = ",".join(map(str, SIZE))
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        subprocess.run(
            [*browser, f"--window-size={size}", f"--screenshot={shot}", page.as_uri()],
            check=True, capture_output=True, timeout=100,
        )  # fmt: skip
        with Image.open(shot) as image:
            image.convert("RGB").quantize(COLORS).save(out, optimize=True)


if __name__ == "__main__":
    *given, out = sys.argv[1:] if sys.argv[-1].endswith(".png") else [*sys.argv[1:], str(OUT)]
    picture(
        ReportCard(plaudit=__version__, results=[read_results(one) for one in given]), Path(out)
    )
