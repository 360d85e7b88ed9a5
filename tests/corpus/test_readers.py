"""Readers: what each format gives, and what is refused with which words."""

import io
from pathlib import Path

import pytest

from plaudit.corpus.chunks import Document, Heading, Part
from plaudit.corpus.html import html_parts
from plaudit.corpus.inputs import find_inputs
from plaudit.corpus.readers import digest_file, markdown_parts, read_documents
from plaudit.errors import InputError
from tests.support.documents import pdf


def read(path: Path) -> tuple[list[Document], list[str]]:
    (source,) = find_inputs([path]).inputs
    problems: list[str] = []
    found = list(read_documents(source, digest_file(path), problems.append))
    return found, problems


def texts(parts: "list[Part]") -> str:
    return "".join(part for part in parts if isinstance(part, str))


def headings(parts: "list[Part]") -> list[tuple[int, str]]:
    return [(part.level, part.text) for part in parts if isinstance(part, Heading)]


def test_defect_24_raw_html_in_markdown_is_read_as_a_page_shows_it() -> None:
    text = (
        "# Report\n\nBefore.\n\n<html><body><table><tr><td>Tank</td><td>29.0</td></tr>"
        "<tr><td>Total &amp; rest</td><td>58.2</td></tr></table></body></html>\n\n"
        "<!-- a note -->\n\nAfter <b>all</b>.\n\n```html\n<table><tr></tr></table>\n```\n\n## End\n"
    )
    parts = list(markdown_parts(text)[1])
    found = "".join(part for part in parts if isinstance(part, str))
    assert "Tank | 29.0\nTotal & rest | 58.2" in found
    assert "<td>" not in found
    assert "a note" not in found
    assert "```html\n<table><tr></tr></table>\n```" in found  # Code stays code.
    assert [part.text for part in parts if not isinstance(part, str)] == ["Report", "End"]


def test_markdown_stays_as_it_is_and_headings_are_those_of_the_document() -> None:
    text = (
        "Title\n=====\r\ntext\r\n\r\n## Sub *em* ##\n```\n# no\n```\n> # quoted\n\n- # item\n\n"
        "\x0b\u2028not a line\n###\n#### Deep\rafter\n"
    )
    parts = list(markdown_parts(text)[1])
    assert texts(parts) == text
    assert headings(parts) == [(1, "Title"), (2, "Sub *em*"), (4, "Deep")]
    place = parts.index(Heading(4, "Deep"))
    following = parts[place + 1]
    assert isinstance(following, str) and following.startswith("#### Deep")


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("---\ntitle: A voyage\ntags: [a]\n---\n", "A voyage"),
        ('---\r\nauthor: b\r\ntitle: "A voyage"\r\n...\r\n', "A voyage"),
        ("---\n---\n", ""),
        ("", ""),
    ],
)
def test_front_matter_is_text_with_a_title_and_no_heading(front: str, title: str) -> None:
    text = f"{front}\n# One\n\ntext\n\n---\n\nmore\n"
    found, parts = markdown_parts(text)
    parts = list(parts)
    assert (found, texts(parts), headings(parts)) == (title, text, [(1, "One")])
    assert str(parts[2]).startswith("# One")


@pytest.mark.parametrize(
    "text",
    [
        ">" * 200_000 + " x",
        "> " * 3000 + "x\n" * 3000,
        "- " * 20_000,
        "[a]: " * 50_000,
        "---\n" * 9**5,
    ],
    ids=["quotes", "quoted lines", "lists", "links", "rules"],
)
def test_hostile_markdown_takes_no_odd_time(text: str) -> None:
    assert texts(list(markdown_parts(text)[1])) == text


PAGE = """<html><head><title> A  page </title><style>p{}</style></head><body>
<h1>One <b>two</b></h1><p>First <i>line</i>
 of it.<br>Next.</p>tail<script>evil()</script><!-- note -->
<pre>a
  b</pre><table><tr><td>1</td><td>2</td></tr><tr><th>3</th><td>4</td></tr></table>
<h2></h2><h3>Three</h3><ul><li>x<li>y</ul><template>t</template></body></html>"""


def test_html_gives_what_is_seen() -> None:
    title, parts = html_parts(PAGE, Path("page.html"))
    found = list(parts)
    assert title == "A page"
    assert texts(found) == (
        "One two\n\nFirst line of it.\nNext.\n\ntail\n\na\n  b\n\n1 | 2\n3 | 4\n\nThree\n\nx\n\ny"
    )
    assert headings(found) == [(1, "One two"), (3, "Three")]


def test_html_that_would_take_minutes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<div>" * 100_000 + "x")
    with pytest.raises(InputError, match=r"deep\.html is no sound HTML: .* too deeply"):
        read(path)
    path.write_text("<p>one<p>two<li>three" * 50_000)  # Needs no ends, and is flat.
    (document,), _ = read(path)
    assert "three" in texts(list(document.parts))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'<meta charset="iso-8859-1"><p>caf\xe9', "caf\u00e9"),
        (b'<meta http-equiv=x content="text/html; charset=windows-1252"><p>\x93a\x94', "“a”"),
        ("<p>café".encode(), "café"),
        (b"\xef\xbb\xbf<p>x", "x"),
    ],
)
def test_html_is_decoded_as_it_says(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "page.htm"
    path.write_bytes(data)
    (document,), _ = read(path)
    assert texts(list(document.parts)) == text


def test_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    path = tmp_path / "two.pdf"
    path.write_bytes(pdf(["The first page.", "The second page."], title="Two pages"))
    (document,), problems = read(path)
    parts = list(document.parts)
    assert (document.title, problems) == ("Two pages", [])
    assert headings(parts) == [(1, "page 1"), (1, "page 2")]
    assert texts(parts).split() == ["The", "first", "page.", "The", "second", "page."]


def encrypted() -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["secret"]))))
    writer.encrypt("word", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.pdf", pdf(["", ""]), "holds no text: scanned pages"),
        ("a.pdf", b"%PDF-1.7\n garbage", "cannot be read as PDF"),
        ("a.pdf", pdf(["cut off"])[:200], "cannot be read as PDF"),
        ("a.pdf", b"", "is empty"),
        ("a.md", b"", "is empty"),
        ("a.md", b"good\xff bad", "is not UTF-8 text: the bytes from 5 on"),
        ("a.txt", b"ab\0c", "is no text: there is a NUL at byte 3"),
        ("a.txt", b"x" * 2**20 + b"ab\0c", "is no text: there is a NUL at byte 1048579"),
        ("a.txt", b"x" * (2**20 - 1) + b"\xe2\x82", "is not UTF-8 text"),
        ("a.txt", "héllo".encode("utf-16"), "is UTF-16 text: convert it"),
        ("a.html", "<p>x".encode("utf-16"), "is UTF-16 text: convert it"),
        ("a.html", b'<meta charset="no-such">x', "in the encoding that it names, no-such"),
        ("a.html", b'<meta charset="rot13">x', "in the encoding that it names, rot13"),
        ("a.jsonl", b"", "is empty"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(read(path))
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def test_an_encrypted_pdf_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "secret.pdf"
    path.write_bytes(encrypted())
    with pytest.raises(InputError, match=r"secret\.pdf is encrypted"):
        read(path)


def test_text_comes_in_blocks_and_a_mark_at_its_beginning_is_none(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "é\r\n".encode() * 10**6)
    (document,), _ = read(path)
    parts = list(document.parts)
    assert len(parts) > 2
    assert texts(parts) == "é\r\n" * 10**6


ROWS = b"""{"text": "one", "id": "a", "title": "T"}
{"text": "two", "id": 7, "more": [1]}
{"text": "three"}
not json
{"id": "b"}
{"text": " ", "id": "c"}
{"text": "other", "id": "a"}
{"text": "three"}
{"text": "x", "id": ["d"]}
[1]
"""


def test_rows_are_documents_and_bad_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_bytes(ROWS)
    found, problems = read(path)
    assert [(d.name, d.title, list(d.parts)) for d in found[:2]] == [
        ("docs.jsonl#a", "T", ["one"]),
        ("docs.jsonl#7", "", ["two"]),
    ]
    assert len(found) == 3 and found[2].name.startswith("docs.jsonl#")
    lines = [problem.removeprefix(f"{path}:").split(":")[0] for problem in problems]
    assert lines == ["4", "5", "6", "7", "8", "9", "10"]
    assert "another document with its id or text stands at" in problems[3]
    assert "'id' must be text or a number, not a list" in problems[5]
