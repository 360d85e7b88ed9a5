"""Code, commands, paths and formulas of chemistry, compared literally."""

import re
from functools import lru_cache

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types import statement

_LONGEST_LOOK = 400
_LONGEST = 20_000
_FENCED = re.compile(r"\s*(`{3,}|~{3,})[\w+#-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*\1\s*", re.DOTALL)
_QUOTED = re.compile(r"\s*(`{1,2})([^`]+)\1\s*\.?\s*")
_SPAN = re.compile(r"`([^`\n]+)`")
_LATEX = re.compile(r"\\[a-zA-Z]{2,}|\$.*\$")
_CODE = re.compile(
    r"::|=>|&&|\|\||!=|(?<![=<>!])==(?!=)|===|\+=|-=|:="
    r"|[A-Za-z_]\w+\([^()]*\)(?:[.;{:]|$)|\b\w+\(\)"
    r"|\b[A-Za-z_]\w*\[(?:\w+|-\d+|['\"][^'\"]*['\"]|\d*:\d*)\]"
    r"|^[A-Za-z_]\w*\.[a-z_]\w*\([^()]*\)"
    r"|^[\w-]+\.(?:py|js|ts|c|cc|cpp|h|hpp|java|rs|go|rb|sh|txt|md|json|ya?ml|toml|html|css|csv|sql)$"
    r"|^(?:~|\.{1,2})?/[\w.@-]+(?:/[\w.@*-]*)*$|^[A-Za-z]:\\\S+$"
    r"|^[a-z][\w-]*(?: [\w./-]+)? --?[A-Za-z][\w-]*(?:[ =]\S+)*$"
    r"|^[a-z]{2,}(?:_[a-z0-9]+)+$|^\$[A-Za-z_]\w*$|^#include\b|^</?[a-z][^>]*>"
    r"|\\[dwsbDWSB](?:[+*?{]|$)|^\^.+\$$"
)
_PROSE = re.compile(r"[^\W\d_]{2,}[,.]? [^\W\d_]{2,}[,.]? [^\W\d_]{2,}")


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is code: in back quotes, or of a form that prose and maths lack."""
    if case.answer_type == "code":
        return bool(literal(reference))
    return case.answer_type == "auto" and len(reference) <= _LONGEST_LOOK and _is_code(reference)


@lru_cache(1024)
def _is_code(reference: str) -> bool:
    if _QUOTED.fullmatch(reference) or _FENCED.fullmatch(reference):
        return True
    bare = reference.strip()
    return bool(_CODE.search(bare)) and (bare[1:3] == ":\\" or not _LATEX.search(bare))


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Return whether two pieces of code are the same to the letter, case and indentation too.

    Fences, back quotes, line ends and white space at the end of lines do not count. An answer in
    prose counts by the one piece of code that it quotes.
    """
    wanted = literal(reference)
    if literal(answer) == wanted:
        return Comparison(True, "the same code")
    if wanted.isalnum() and literal(answer).strip("\"'") == wanted:
        return Comparison(True, "the same code in quotes")
    if wanted.isalnum() and _is_in_sentence(answer, wanted, case.question):
        return Comparison(True, "a sentence that says the code")
    given = _quoted(answer)
    if given is not None:
        return Comparison(given == wanted, "quotes the same code" if given == wanted else _OTHER)
    if len(answer) > _LONGEST_LOOK or _PROSE.search(answer) or not _is_decided(answer, case):
        return None
    return Comparison(False, _OTHER)


def _is_in_sentence(answer: str, wanted: str, question: str) -> bool:
    """Whether a sentence holds a piece of code once, and no other that looks like it."""
    if len(answer) > _LONGEST_LOOK or "?" in answer:
        return False
    found = [word.strip(".,;:\"'`*()") for word in answer.split()]
    others = [word for word in found if word != wanted]
    if len(others) != len(found) - 1 or any(c.isdigit() for word in others for c in word):
        return False
    return any(c.isdigit() for c in wanted) and statement.is_safe(" ".join(others), question)


_OTHER = "another piece of code"


def _is_decided(answer: str, case: AnswerCase) -> bool:
    """Whether a text that is no prose is code that differs, and not a word about it."""
    bare = answer.strip()
    return bool(bare) and (case.answer_type == "code" or bool(_CODE.search(bare)))


def literal(text: str) -> str:
    """Return the code of a text: without its fence or quotes, and white space at line ends.

    A text above 20,000 characters loses its outer white space only.
    """
    if len(text) > _LONGEST:
        return text.strip()
    fenced = _FENCED.fullmatch(text)
    quoted = None if fenced else _QUOTED.fullmatch(text)
    if fenced:
        text = fenced[2]
    elif quoted:
        text = quoted[2]
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip("\n").rstrip() if "\n" in text.strip() else text.strip()


def _quoted(text: str) -> str | None:
    """Return the piece of code that a text quotes, where it is one."""
    if len(text) > _LONGEST_LOOK:
        return None
    fence = re.search(_FENCED.pattern, text, re.DOTALL)
    if fence:
        return literal(fence[0])
    found = {span.strip() for span in _SPAN.findall(text)}
    return found.pop() if len(found) == 1 else None
