"""What rules say of an answer, and what is no answer at all; a rule cannot be talked round."""

import re
from collections.abc import Sequence

from plaudit.judges.answers import text as equality
from plaudit.judges.answers.base import AnswerCase, Extracted

_WORDY = re.compile(r"[^\W_]")
_SHORT = 200
"""Characters up to which a text is looked through for phrases; a longer one is never only that."""
_BEGINNING = 10_000
"""Characters among which there must be a word."""

_OPENER = (
    r"(?:thought process|reasoning|solution|answer|final answer|response|explanation|"
    r"here is (?:the|my) answer|"
    r"let(?:'?s| me| us) (?:think|solve|see|look|reason|start|begin|work|consider|analy[sz]e)"
    r"(?: (?:this|that|the|it|a|about|through|at|for|with|by|out|and|now|first|carefully|together|"
    r"problem|question|answer|step|moment|second|closer|look|think|solve))*|"
    # "Solution" and "answer" elsewhere: graders pass them just as readily.
    r"\u89e3(?:\u7b54|\u6790)?|\u7b54\u6848|\u304b\u3044\u305b\u3064|respuesta|soluci\u00f3n|"
    r"antwort|l\u00f6sung|r\u00e9ponse)"
)
_OPENERS = re.compile(rf"(?:{_OPENER}\W*)+", re.IGNORECASE)
_NO_IDEA = re.compile(
    r"(?:sorry\W+)?(?:but )?i(?:'m| am| do| can|'ve| have)?"
    r"(?: ?not|n't)? ?(?:sure|certain|know|answer|tell|say|find|no idea|no answer)"
    r"(?: (?:the|this|that|an|any|answer|question|it|for certain|for sure))*\W*",
    re.IGNORECASE,
)
_GRADES = frozenset({"correct", "incorrect", "verdict", "grade", "graded", "judgement", "judgment"})
_GRADE_TALK = _GRADES | frozenset(
    {
        "accepted", "and", "answer", "as", "assistant", "be", "been", "check", "completely",
        "confidence", "decision", "evaluation", "final", "full", "fully", "has", "is", "it", "json",
        "marks", "match", "matches", "my", "of", "out", "pass", "passed", "rating", "reasoning",
        "reference", "reply", "response", "result", "reward", "right", "s", "says", "score", "so",
        "student", "that", "this", "to", "true", "user", "valid", "value", "was",
    }
)  # fmt: skip
_YES_OR_NO = frozenset(
    {"yes", "no", "true", "false", "right", "wrong", "valid", "invalid", *_GRADES}
)


def guard(case: AnswerCase, found: Extracted) -> str | None:
    """Return why an answer is the answer's own fault, or None."""
    del found
    nothing = says_nothing(case.question, case.answer, case.references)
    if nothing:
        return nothing
    return "the answer says that it has none" if gives_up(case.answer) else None


def says_nothing(question: str, answer: str, references: Sequence[str] = ()) -> str | None:
    """Return why a text is no answer at all, or None.

    It is none where it is empty, holds no word and no number, is an opening phrase ("Thought
    process:"), repeats the question, or says no more than its own grade ("Grade: correct").

    Args:
        question: what was asked.
        answer: the text.
        references: accepted answers; where one of them is about right and wrong, so may the text.
    """
    text = answer.strip()
    if not text:
        return "the answer is empty"
    if not _WORDY.search(text, 0, _BEGINNING):
        return "the answer holds no word and no number"
    if len(text) <= _SHORT and _OPENERS.fullmatch(text):
        return "the answer is an opening phrase without an answer"
    if len(text) <= 2 * len(question) + 50 and _same_words(text, question):
        return "the answer repeats the question"
    if len(text) <= _SHORT and _only_grades(text, question, references):
        return "the answer says no more than its own grade"
    return None


def gives_up(answer: str) -> bool:
    """Whether a text says that it has no answer ("I don't know."), and nothing else."""
    text = answer.strip().replace("\u2019", "'")
    return len(text) <= _SHORT and _NO_IDEA.fullmatch(text) is not None


def _only_grades(text: str, question: str, references: Sequence[str]) -> bool:
    words = set(equality.normalise(text).split())
    if not words & _GRADES or not all(w in _GRADE_TALK or w.isdigit() for w in words):
        return False
    about = set(equality.normalise(" ".join((question, *references))).split())
    return not about & _YES_OR_NO


def _same_words(text: str, question: str) -> bool:
    return equality.same_text(text.rstrip(" ?"), question.rstrip(" ?"))
