"""Formulas in sentences, and words that stand for a formula."""

import re
from typing import NamedTuple

from plaudit.judges.answers.types.units import is_common

_FORMULA = re.compile(
    r"\$\$[^$]+\$\$|\$[^$]*[^$\s]\$(?!\d)|\\\((?:(?!\\\)).)+\\\)|\\\[(?:(?!\\\]).)+\\\]", re.DOTALL
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_JOINED = re.compile(r"[\s,;]*(?:\b(?:and|or)\b)?[\s,;]*")
_LAST_SENTENCE = re.compile(r"[^.!?\n]*$")
_MARKED = re.compile(
    r"(?:\b(?:is|are|be|get|gives?|obtain|equals?|namely|(?:equal|comes|amounts) to|given by)"
    r"|[:=])[\s*:]*$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|never|cannot|no|nor|neither|except|unless|instead|rather|wrong|false|incorrect|"
    r"excluding|suppose|assum\w+|let|if)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:for|where|when|with|since|because|using)\s+(?:[\w']+\s+){0,2}$", re.IGNORECASE
)
_ASIDE = re.compile(
    r"\b(?:over|than|by|from|to|at|in|on|of|as|between)\s+(?:[\w']+\s+)?$", re.IGNORECASE
)
_IS_THE_ANSWER = re.compile(
    r"\s*(?:is|are) (?:the|our|my) (?:(?:only|final|correct|required|desired) )*"
    r"(?:answers?|solutions?|results?|values?)[\s.!]*",
    re.IGNORECASE,
)
_UNITS = re.compile(r"(?:(?:square|cubic|sq\.?) )?units?", re.IGNORECASE)
_IN_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), formula)
    for pattern, formula in (
        (r"(?:the set of )?(?:all|any|every) (?:the )?reals?(?: numbers?)?", r"\mathbb{R}"),
        (r"(?:all|any|every) (?:positive reals?|positive real numbers?)", r"(0,\infty)"),
        (r"(?:there (?:is|are) )?no (?:real )?(?:solutions?|roots?|values?)", r"\emptyset"),
        (r"(?:the )?(?:empty|null) set", r"\emptyset"),
        (r"(?:positive |plus )?infinity", r"\infty"),
        (r"(?:negative |minus )infinity", r"-\infty"),
    )
)
_STYLED = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox) ?\{([^{}]*)\}")
_BARE = re.compile(r"(?:\\[,;:! ]|[\s$.(){}*\\,]|\\q?quad)+")
_LETTERS = re.compile(r"[a-h](?: (?:and )?[a-h])+")
_GAP = re.compile(r"(?:\\[,;:! ]|[\s$])+")
_STOP = re.compile(r"(?<=[^\W\d_])\.")
_ARTICLE = re.compile(r"^(?:an?|the) ")
_PHRASE = re.compile(r"(?=.*(?:[^\W\d_]{4}|\b[ap]\.?m\b))[\w.,:' -]{1,80}")
_AND = re.compile(r" and ")
_STYLED_LETTER = r"\\(?:text|textbf|textrm|mathrm|mathbf) ?\{ ?\(?[A-H]\)?[.:]? ?\}"
_LETTER_BEFORE = re.compile(_STYLED_LETTER + r"(?:[ :~]|\\[,; ]|\\q?quad)*(?=[\d$\\(\[{-])")
_LETTER = re.compile(_STYLED_LETTER + r"|\(?[A-H]\)?")
_ANSWER = re.compile(
    r"\$?\s*\\(?:text|textbf|textrm|mathrm|mathbf) ?\{\s*(?:the )?(?:final )?answer(?: is)?"
    r"\s*:?\s*\}[\s:]*|\s*\}\s*",
    re.IGNORECASE,
)
_WORDS_ALONE = re.compile(r"(?=.*[^\W\d_]{2})[^\W\d_]+(?: [^\W\d_]+){0,5}")
_COMMAND = re.compile(r"\\(?!(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|q?quad)\b)[a-zA-Z]")
_OPPOSITES = tuple(
    frozenset(words.split())
    for words in (
        "yes no",
        "true false",
        "even odd neither",
        "increasing decreasing constant",
        "converges diverges",
        "convergent divergent",
        "positive negative zero",
        "rational irrational",
        "linear quadratic cubic exponential",
        "acute obtuse right",
        "monday tuesday wednesday thursday friday saturday sunday",
    )
)


class Found(NamedTuple):
    """The formula of a text."""

    formula: str
    """Empty where a sentence denies its formula, or says it in passing."""
    marked: bool
    """Whether the text says that this is the answer; else a difference decides nothing."""


def formula_of(text: str) -> Found:
    """Take the formula out of a sentence such as "The solutions are $x=3$ and $x=4$."."""
    places = list(_FORMULA.finditer(text))
    if not places or not _WORD.search(text[: places[0].start()]):
        return _before_its_mark(text, places)
    start = _start_of_last(text, places)
    unit = _unit(text[places[-1].end() :])
    lead = _LAST_SENTENCE.findall(text[:start])[0]
    marked = _MARKED.search(lead) is not None
    aside = _DENIED.search(lead) or _CONDITION.search(lead) or (_ASIDE.search(lead) and not marked)
    if unit is None or aside:
        return Found("", marked=False)
    return Found(text[start : places[-1].end()] + unit, marked)


def _before_its_mark(text: str, places: list[re.Match[str]]) -> Found:
    """Read "$x=3$ is the solution"; leave other texts as they are."""
    if len(places) == 1 and _IS_THE_ANSWER.fullmatch(text, places[0].end()):
        return Found(text[: places[0].end()], marked=True)
    return Found(text, marked=True)


def _start_of_last(text: str, places: list[re.Match[str]]) -> int:
    """Return where the last formula begins, or the first of those that a comma or word joins."""
    start = places[-1].start()
    for place in reversed(places[:-1]):
        if not _JOINED.fullmatch(text, place.end(), start):
            break
        start = place.start()
    return start


def _unit(tail: str) -> str | None:
    """Return what follows the last formula as a unit, or None where it is none."""
    tail = tail.strip(" \n.!*,;")
    if not tail:
        return ""
    return rf" \text{{ {tail}}}" if _UNITS.fullmatch(tail) or is_common(tail) else None


def in_formulas(text: str) -> str:
    """Return the formula that a text in words stands for, else the text."""
    marked = _ANSWER.match(text)
    text = text[marked.end() :] if marked else text
    words = _words(text)
    for pattern, formula in _IN_WORDS:
        if words and pattern.fullmatch(words):
            return formula
    return text


def same_words(answer: str, reference: str) -> bool | None:
    r"""Compare two texts of words alone, such as \text{even}; None: not both, or not known."""
    styled = _STYLED.search(answer + " " + reference) is not None
    if styled and _spoken(answer) == _spoken(reference) != "":
        return True
    one, two = (_words(text, letters=styled) for text in (answer, reference))
    if not one or not two:
        return None
    if one == two:
        return True
    if set(map(len, one.split() + two.split())) == {1}:
        return set(one.split()) == set(two.split())
    return False if any({one, two} <= words for words in _OPPOSITES) else None


def without_letter(answer: str, reference: str) -> str:
    r"""Return an answer without its letter of a choice, or the letter where that is asked for.

    So \textbf{(C)} 12 is 12 beside 12, and (C) beside (C).
    """
    found = _LETTER_BEFORE.match(answer)
    if not found:
        return answer
    return found[0].rstrip(" \\:~") if _LETTER.fullmatch(reference) else answer[found.end() :]


def _spoken(text: str) -> str:
    """Return a phrase such as a date or a time, folded; else an empty text."""
    phrase = _GAP.sub(" ", _STYLED.sub(r" \1 ", text)).strip().casefold()
    return _ARTICLE.sub("", _STOP.sub("", phrase)) if _PHRASE.fullmatch(phrase) else ""


def _words(text: str, *, letters: bool = False) -> str:
    """Return the words, or letters of choices, of a text that is nothing else; else no text."""
    if _COMMAND.search(text):
        return ""
    words = _BARE.sub(" ", _STYLED.sub(r" \1 ", text)).strip().casefold()
    listed = letters and _LETTERS.fullmatch(words)
    return _AND.sub(" ", words) if listed or _WORDS_ALONE.fullmatch(words) else ""
