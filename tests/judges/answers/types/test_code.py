"""Code: literally the same, but for fences, quotes and white space at line ends."""

import pytest

from plaudit.judges.answers.base import AnswerCase, AnswerOptions, AnswerType
from plaudit.judges.answers.types import code


def made(answer: str, reference: str, kind: AnswerType = "code") -> AnswerCase:
    options = AnswerOptions(answer_type=kind)
    return AnswerCase(question="", answer=answer, references=(reference,), options=options)


def equal(answer: str, reference: str, kind: AnswerType = "code") -> bool | None:
    found = code.compare(answer, reference, made(answer, reference, kind))
    return None if found is None else found.equal


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("`ls -la`", "ls -la"),
        ("ls -la", "`ls -la`"),
        ("``a`b``", "``a`b``"),
        ("  ls -la\n", "ls -la"),
        ("```bash\nls -la\n```", "ls -la"),
        ("```\nls -la\n```\n", "`ls -la`"),
        ("~~~\nls -la\n~~~", "ls -la"),
        ("Use `ls -la`.", "ls -la"),
        ("You can run the command `ls -la` for that.", "`ls -la`"),
        ("if x:\r\n    y()  \r\n", "if x:\n    y()"),
        ("```python\nif x:\n    y()\n```", "if x:\n    y()"),
        ("Here it is:\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("C6H12O6", "C6H12O6"),
        (r"^\d+$", r"^\d+$"),
        ("C:\\Users", "C:\\Users"),
    ],
)
def test_the_same_code_is_equal_in_any_wrapping(answer: str, reference: str) -> None:
    assert equal(answer, reference) is True


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("ls -al", "ls -la"), ("ls -la", "ls  -la"), ("Ls -la", "ls -la"), ("a[I]", "a[i]"),
        ("a[i]", "a(i)"), ("x==y", "x=y"), ("C", "C++"), ("c++", "C++"), ("C#", "C++"),
        ("CO", "Co"),
        ("Java", "JavaScript"), ("print(X)", "print(x)"), (r"\d*", r"\d+"),
        ("/usr/Bin", "/usr/bin"),
        ("if x:\n  y()", "if x:\n    y()"), ("'a'", '"a"'), ("x", "x;"), ("file.py", "file.pyc"),
        ("`ls`", "`ls -la`"), ("Use `ls -al`", "ls -la"), ("--force", "-force"), ("a.b", "a->b"),
        ("&&", "||"), ("!=", "=="), ("NH3", "NH4"), ("Cl", "Cl-"),
    ],
)  # fmt: skip
def test_other_code_is_different(answer: str, reference: str) -> None:
    assert equal(answer, reference) is False


@pytest.mark.parametrize("answer", ["You should list all files", "", "`a` or `b`"])
def test_prose_without_one_piece_of_code_is_left_open(answer: str) -> None:
    assert equal(answer, "ls -la", "auto") is None


@pytest.mark.parametrize(
    "reference",
    ["`x`", "```\nx\n```", "ls -la", "git commit -m msg", "a[i]", "x => x", "std::sort", "a == b",
     "main.py", "/usr/bin", "~/x", "C:\\Windows", "foo()", "os.path.join(a, b)", "snake_case",
     "$HOME", r"\d+", "^a.*b$", "#include <stdio.h>", "<div>", "a && b", "print(x)", "i += 1",
     "x[-1]", "x[1:3]"],
)  # fmt: skip
def test_code_is_known_by_its_form(reference: str) -> None:
    assert code.applies(reference, made("x", reference, "auto"))


@pytest.mark.parametrize(
    "reference",
    ["Paris", "C++", "x = 3", "f(x) = x^2", "$x^2$", r"\frac{1}{2}", r"\sqrt{d}", "(1, 2)",
     "[0, 1)", "f(x)", "x > y", "3 / 4", "well-known", "H2O", "2x + 1", "", "a, b", "10 - 5",
     "his/her",
     "Washington, D.C.", "A -> B", "n!", "x_1", "Dr. Smith (1990)"],
)  # fmt: skip
def test_prose_and_maths_are_no_code(reference: str) -> None:
    assert not code.applies(reference, made("x", reference, "auto"))


@pytest.mark.parametrize(
    "hostile",
    ["", "\0", "\ud800", "`" * 100_000, "```\n" * 100_000, "`a" * 100_000, "a_" * 200,
     " " * 1_000_000,
     "a(" * 200, "\n" * 1_000_000, "a -b " * 80, "~~~" * 30_000, "\t \n" * 100_000, "/a" * 200],
    ids=lambda text: ascii(text[:8]),
)  # fmt: skip
def test_hostile_text_raises_nothing(hostile: str) -> None:
    for kind in ("auto", "code"):
        code.applies(hostile, made("x", hostile, kind))
        assert not equal(hostile, "ls -la", kind)
        assert not equal("ls -la", hostile, kind)
