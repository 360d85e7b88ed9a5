"""What an answer comes down to: "Paris" of "Paris, not Lyon" and of "Lyon. Sorry, I meant Paris".

A reading can only make an answer equal to a reference. Guards look at the whole answer before.
"""

import re
from collections.abc import Iterator

from plaudit.judges.answers import statement
from plaudit.judges.answers.base import AnswerCase

_LONGEST = 200
"""Characters of an answer that has other readings than itself."""
_CONTRAST = re.compile(
    r"(?P<kept>[^.;?!\n]{1,80}?)(?:[,;]| [\u2013\u2014-])? "
    r"(?:(?:and |but )?(?:certainly |definitely )?not (?=(?:the |in |on |at )?[A-Z\d])|"
    r"rather than |as opposed to |instead of |(?:und )?nicht (?=[A-Z\d])|(?:et )?(?:non|pas) (?=[A-Z\d])|"
    r"(?:y )?no (?=[A-Z\d])|not (?=(?:zero|one|two|three|four|five|six|seven|eight|nine|ten)\b))"
    r"[^,;:.!?\n]{1,40}[.!]?"
)
_CORRECTION = re.compile(
    r"[^?\n]{1,80}?[\s.,;:\u2013\u2014-]+"
    r"(?:(?:no|wait|sorry|oops|actually|correction|scratch that|my mistake|pardon|hmm|"
    r"i mean|i meant|i was wrong|that(?:'s| is| was) (?:wrong|not right|out of date|incorrect))"
    r"\b[\s.,;:!\u2013\u2014-]*){1,4}"
    r"(?P<kept>[^\n]{1,80})",
    re.IGNORECASE,
)
_RETRACTS = re.compile(
    r"\b(?:no|wait|sorry|oops|actually|correction|scratch|mistake|mean|meant|wrong|incorrect|or|"
    r"not|but|maybe|perhaps)\b|n't\b",
    re.IGNORECASE,
)
_APPOSITION = re.compile(
    r"(?P<kept>[^.;:?!\n]{1,80}?), (?:(?:the|an?) (?!one\b)|who |which |because |since |due to )"
    r"(?P<rest>[^;:?!\n]{3,100})"
)
_OF_ANOTHER = re.compile(
    r"\b(?:one|son|daughter|father|mother|brother|sister|wife|husband|younger|elder|older|junior|"
    r"senior|other|second|third|wrong|former|or|in Texas|in Ontario)\b",
    re.IGNORECASE,
)
_IN_YEAR = re.compile(r"(?P<kept>[^.;:?!\n]{3,150}),? in \d{4}\.?")
_ASKS_WHEN = re.compile(r"\b(?:when|year|date|how many|how much)\b", re.IGNORECASE)
_SPAN = re.compile(r"`([^`\n]{1,80})`")


def readings(answer: str, case: AnswerCase) -> Iterator[str]:
    """Yield what an answer may come down to, besides itself; nothing for a long one."""
    answer = answer.strip().replace("\u2019", "'")
    if len(answer) > _LONGEST or " " not in answer:
        return
    contrast = _CONTRAST.fullmatch(answer)
    if contrast and not _RETRACTS.search(contrast["kept"]):
        yield contrast["kept"]
    correction = _CORRECTION.fullmatch(answer)
    if correction and not _RETRACTS.search(correction["kept"]):
        yield correction["kept"]
    yield from _without_remark(answer, case)
    spans = _SPAN.findall(answer)
    if len(spans) == 1 and statement.is_safe(_SPAN.sub(" ", answer), case.question):
        yield spans[0]


def _without_remark(answer: str, case: AnswerCase) -> Iterator[str]:
    """Yield an answer without a remark behind it: what it is, why, or in which year."""
    apposition = _APPOSITION.fullmatch(answer)
    if apposition and _is_remark(apposition["rest"]):
        yield apposition["kept"]
    dated = _IN_YEAR.fullmatch(answer)
    if dated and not _ASKS_WHEN.search(case.question[:_MOST_QUESTION]):
        yield dated["kept"]


_MOST_QUESTION = 2_000


def _is_remark(rest: str) -> bool:
    """Whether a remark describes what stands before it, and neither turns nor narrows it."""
    return " " in rest and not statement.turns(rest) and not _OF_ANOTHER.search(rest)
