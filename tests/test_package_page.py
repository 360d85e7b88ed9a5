"""README as a package page shows it: no link leads nowhere there."""

import re
from pathlib import Path

import pytest

pytest.importorskip("hatchling")

import hatch_build

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?\n```", "", text, flags=re.DOTALL))


def test_without_a_public_tree_links_become_their_text() -> None:
    page = hatch_build.package_page(README)
    assert links(README)
    assert [target for target in links(page) if not target.startswith("http")] == []
    assert "<!--" not in page
    assert "rewards from chat logs" in page


def test_with_a_public_tree_links_lead_into_it() -> None:
    page = hatch_build.package_page(README, "https://example.org/tree/")
    assert "](https://example.org/tree/docs/start/install.md)" in page
    assert "![The road" in page
    assert all(target.startswith("https://") for target in links(page))


def test_what_code_shows_stays() -> None:
    text = "[a](b.md)\n\n```text\n[a](b.md) <!-- c -->\n```\n"
    assert "[a](b.md) <!-- c -->" in hatch_build.package_page(text)


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "plaudit" / "py.typed").exists()
