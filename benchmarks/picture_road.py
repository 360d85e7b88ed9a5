"""Draw the road from conversations to a trainer, for README and the first page of the docs.

    python benchmarks/picture_road.py [FILE.svg]

The picture is written as plain SVG without fonts or scripts from elsewhere: the same bytes each
time, readable on light and on dark pages.
"""

import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

OUT = Path(__file__).parents[1] / "docs" / "images" / "road.svg"
WIDTH, HEIGHT = 980, 270
TEAL, AMBER, GREY = "#0f766e", "#b45309", "#475569"
LINE = 17
FONT = 'font-family="system-ui, sans-serif"'


class Box(NamedTuple):
    """A rounded box with a title and lines of text; sizes are in pixels."""

    x: int
    y: int
    width: int
    height: int
    color: str
    title: str
    lines: tuple[str, ...]


INPUT = Box(
    12, 66, 200, 138, GREY, "What you have",
    ("chats and reactions", "responses, one or in pairs", "answers with references",
     "questions and documents", "scored candidates"),
)  # fmt: skip
JUDGE = Box(
    278, 66, 200, 138, TEAL, "Judge",
    ("types and rules, no model", "embedded model, no key", "your server or a provider",
     "reward models, juries", "agents with tools"),
)  # fmt: skip
OK = Box(
    544,
    30,
    200,
    92,
    TEAL,
    "ok: a reward",
    ("value, reward, confidence", "calibrated on your labels", "the same bytes again"),
)
REST = Box(
    544,
    152,
    200,
    92,
    AMBER,
    "else: a cause",
    ("abstained, invalid, failed", "counted, asked again", "never a number"),
)
TRAINER = Box(
    810, 30, 158, 92, GREY, "Trainer",
    ("GRPO rewards", "DPO, KTO, SFT files", "reward model data"),
)  # fmt: skip


def box(one: Box) -> list[str]:
    """Return the elements of a box."""
    x, y, title = one.x, one.y, escape(one.title)
    lines = [
        f'<rect x="{x}" y="{y}" width="{one.width}" height="{one.height}" rx="10" '
        f'fill="#ffffff" stroke="{one.color}" stroke-width="2"/>',
        f'<text x="{x + 14}" y="{y + 25}" {FONT} font-size="16" font-weight="600" '
        f'fill="{one.color}">{title}</text>',
    ]
    lines += [
        f'<text x="{x + 14}" y="{y + 46 + LINE * n}" {FONT} font-size="13" '
        f'fill="#1e293b">{escape(text)}</text>'
        for n, text in enumerate(one.lines)
    ]
    return lines


def arrow(x: int, y: int, to_x: int, to_y: int, color: str) -> str:
    """Return an arrow from one point to another."""
    middle = (x + to_x) // 2
    path = f"M{x},{y} C{middle},{y} {middle},{to_y} {to_x - 9},{to_y}"
    head = f"{to_x},{to_y} {to_x - 10},{to_y - 5} {to_x - 10},{to_y + 5}"
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        f'<polygon points="{head}" fill="{color}"/>'
    )


def picture() -> str:
    """Return the picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">',
        "<title>From conversations through a judge to rewards and a trainer</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="#f8fafc"/>',
        arrow(212, 135, 278, 135, GREY),
        arrow(478, 120, 544, 76, TEAL),
        arrow(478, 150, 544, 198, AMBER),
        arrow(744, 76, 810, 76, TEAL),
    ]
    for one in (INPUT, JUDGE, OK, REST, TRAINER):
        parts += box(one)
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else OUT).write_text(picture(), encoding="utf-8")
