"""A screenshot of a page, for docs: Chromium (`chromium` on the PATH) shows it."""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image


def screenshot(page: Path | str, out: Path, size: tuple[int, int], colors: int) -> None:
    """Write the first part of a page as a PNG.

    Args:
        page: an HTML file, or a URL.
        out: the picture.
        size: width and height in pixels.
        colors: most colours of the picture, at most 256.
    """
    shown = page.as_uri() if isinstance(page, Path) else page
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        window = f"--window-size={size[0]},{size[1]}"
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        subprocess.run(
            [*browser, window, f"--screenshot={shot}", shown],
            check=True, capture_output=True, timeout=100,
        )  # fmt: skip
        with Image.open(shot) as image:
            image.convert("RGB").quantize(colors).save(out, optimize=True)
