"""Untrusted text: markdown that loads nothing, and differences word by word."""

from html.parser import HTMLParser

import pytest

from plaudit.viewer.texts import CUT, cut, differences, markdown

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "[click](https://example.com/)",
    "![pixel](https://example.com/pixel.png)",
    "<https://example.com/>",
    "[a]: https://example.com/\n\n[a]",
    "<svg/onload=alert(1)>",
    "`<b>`",
    "</pre></section><form action=https://example.com><button>",
]


class Tags(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_makes_no_link_no_picture_and_no_html_of_the_text(text: str) -> None:
    assert {tag for tag, _ in Tags(markdown(text)).found} <= {"p", "code"}
    assert [attributes for _, attributes in Tags(markdown(text)).found if attributes] == []


def test_characters_that_would_not_be_seen_are_shown() -> None:
    assert "[U+202E]" in markdown("a\u202eb")


def test_markdown_keeps_its_forms() -> None:
    made = markdown("# Title\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert all(tag in made for tag in ("<h1>", "<li>", "<table>"))


def test_long_texts_are_cut_and_whole_on_request() -> None:
    text = "x" * (CUT + 5)
    assert cut(text) == ("x" * CUT, 5)
    assert cut(text, whole=True) == (text, 0)


def test_differences_put_together_are_the_texts() -> None:
    old, new = "Boil the water, then wait.", "Boil some water and wait."
    found = differences(old, new)
    assert found is not None
    left, right = found
    assert "".join(part.text for part in left) == old
    assert "".join(part.text for part in right) == new
    assert [part.text for part in right if part.change == "added"] == ["some", "and"]


def test_texts_that_are_too_long_are_not_compared() -> None:
    assert differences("a " * 9_000, "b") is None
