"""What an answer comes down to: "Paris" of "Paris, not Lyon" and of "Lyon. Sorry, I meant Paris".

A reading can only make an answer equal to a reference. Guards look at the whole answer before.
"""

import re
from collections.abc import Iterator

from plaudit.judges.answers.base import AnswerCase
from plaudit.judges.answers.types import code, glosses, statement

_LONGEST = 200
"""Characters of an answer that has other readings than itself."""
_RIVAL = (
    r"(?=(?:the |in |on |at )?[A-Z\d]|(?:zero|one|two|three|four|five|six|seven|eight|nine|ten)\b)"
)
_CONTRAST = re.compile(
    r"(?P<kept>[^.;?!\n]{1,80}?)(?:[,;]| [\u2013\u2014-])? "
    rf"(?:(?:and |but )?(?:certainly |definitely )?not {_RIVAL}|"
    r"rather than |as opposed to |instead of |"
    rf"(?:(?:und )?nicht|(?:et )?(?:non|pas)|(?:y )?no|e non|e n\u00e3o) {_RIVAL})"
    r"[^,;:.!?\n]{1,40}[.!]?"
)
_INSTEAD = re.compile(
    r"(?:[^.,;:?!\n]{0,60} )?(?:not|no (?:es|era|fue)|non (?:\u00e8|era)|nicht|pas|"
    r"n\u00e3o \u00e9) "
    r"[^.,;:?!\n]{1,40},? (?:but|sino|ma|sondern|mais|mas|sim) (?P<kept>[^,;:?!\n]{1,60})",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(
    r"(?:(?:it|that|this) (?:is|was) )?(?:none other than|no ?one (?:else )?(?:but|other than)|"
    r"nobody (?:else )?but|nothing (?:else )?but) (?P<kept>[^,;:?!\n]{1,60})",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"[^?\n]{0,120}[\d)] ?[-+*/\u00d7\u00f7\u00b7\u2212\u2013] ?[\d(][^=?\n]{0,40}= ?"
    r"(?P<kept>-?[\d.,/]{1,20}\d|\d)(?P<unit> ?[^\W\d]{0,12})\.?"
)
"""A calculation, whose result stands last."""
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
    r"(?P<kept>(?:[^.;:?!\n]|(?<=[A-Z])\.|(?<=[DJS]r)\.){1,80}?), "
    r"(?:(?:the|an?) (?!one\b)|who |which |because |since |due to )(?P<rest>[^;:?!\n]{3,100})"
)
_CALLED = re.compile(
    r"(?:(?:the|this|that|such an?|it|its) )?[a-z ]{0,30}?(?:is|was|are|were) "
    r"(?:called|known as|named|termed) (?:the |an? )?(?P<kept>[^,;:?!\n]{1,60}?)\.?",
    re.IGNORECASE,
)
_IN_ENGLISH = re.compile(
    r"[^\n]{1,80}[,.;?\u2013\u2014-]? in English:? (?P<kept>[^\n]{1,80})", re.IGNORECASE
)
_OF_ANOTHER = re.compile(
    r"\b(?:one|son|daughter|father|mother|brother|sister|wife|husband|younger|elder|older|junior|"
    r"senior|other|second|third|wrong|former|same|equal\w*|or)\b",
    re.IGNORECASE,
)
_IN_YEAR = re.compile(r"(?P<kept>[^.;:?!\n]{3,150}),? in \d{4}\.?")
_ASKS_WHEN = re.compile(r"\b(?:when|year|date|how many|how much)\b", re.IGNORECASE)
_MOST_QUESTION = 2_000
_SPAN = re.compile(r"`([^`\n]{1,80})`")


def readings(answer: str, case: AnswerCase) -> Iterator[str]:
    """Yield what an answer may come down to, besides itself; nothing for a long one."""
    answer = answer.strip().replace("\u2019", "'")
    if len(answer) > _LONGEST:
        return
    bare = code.literal(answer)
    if bare != answer:
        yield bare
    if " " not in answer:
        return
    for form in (_CONTRAST, _CORRECTION, _INSTEAD, _EMPHASIS):
        found = form.fullmatch(answer)
        if found and not _RETRACTS.search(found["kept"]):
            yield found["kept"]
    result = _RESULT.fullmatch(answer) if "=" in answer else None
    if result:
        yield f"{result['kept']}{result['unit']}"
    yield from _without_remark(answer, case)
    yield from _named(answer, case)
    gloss = glosses.glossed(answer)
    if gloss:
        yield gloss


def _without_remark(answer: str, case: AnswerCase) -> Iterator[str]:
    """Yield an answer without a remark behind it: what it is, why, or in which year."""
    apposition = _APPOSITION.fullmatch(answer) if ", " in answer else None
    if apposition and _is_remark(apposition["rest"], case.question[:_MOST_QUESTION]):
        yield apposition["kept"]
    dated = _IN_YEAR.fullmatch(answer)
    if dated and not _ASKS_WHEN.search(case.question[:_MOST_QUESTION]):
        yield dated["kept"]


def _is_remark(rest: str, question: str) -> bool:
    """Whether a remark describes what stands before it, and names nothing new."""
    if " " not in rest or statement.turns(rest) or _OF_ANOTHER.search(rest):
        return False
    return all(word in question for word in rest.split() if word[0].isupper())


def _named(answer: str, case: AnswerCase) -> Iterator[str]:
    """Yield what a sentence calls the thing, says in English, or quotes as code."""
    called = _CALLED.fullmatch(answer)
    if called and not statement.turns(answer):
        yield called["kept"]
    english = _IN_ENGLISH.fullmatch(answer)
    if english and not _RETRACTS.search(answer):
        yield english["kept"]
    spans = _SPAN.findall(answer)
    if len(spans) == 1 and statement.is_safe(_SPAN.sub(" ", answer), case.question):
        yield spans[0]
