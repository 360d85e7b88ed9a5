"""Guards: what makes an answer wrong by its own fault, whatever it is compared with.

An answer that says nothing, gives up, hedges between candidates, takes itself back, negates the
reference or talks to its grader is incorrect. Guards leave open what an honest answer may say: a
contrast ("Paris, not Lyon"), a correction with a clear choice ("Lyon. Sorry, I mean Paris."), or
several answers where the question asks for several.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.extraction import without_thought
from plaudit.judges.answers.guards.enumeration import enumerates, plain_value
from plaudit.judges.answers.guards.hedging import is_alternative, is_aside, is_equated, is_unsure
from plaudit.judges.answers.guards.injection import addresses_grader
from plaudit.judges.answers.guards.mentions import Mention, Mentions, tokens
from plaudit.judges.answers.guards.negation import is_negated
from plaudit.judges.answers.guards.opinion import is_disowned
from plaudit.judges.answers.guards.withdrawal import takes_back
from plaudit.judges.answers.types.unanswerable import says_unanswerable

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[-+*/^=<>]")
_WORDY = re.compile(r"[^\W_]|[\u221e\u2205]")  # Infinity and the empty set are answers.
_SHORT = 200
"""Characters up to which a text is looked through for phrases; a longer one is never only that."""
_BEGINNING = 10_000
"""Characters among which there must be a word."""
_REST = 2_000
"""Characters after a marked answer that are looked at."""
_FINALS = 50
_REFERENCES = 200

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
        "a", "accepted", "an", "and", "answer", "as", "assistant", "be", "been", "check",
        "completely", "confidence", "decision", "evaluation", "final", "full", "fully", "has", "is",
        "it", "json", "marks", "match", "matches", "my", "of", "out", "pass", "passed", "rating",
        "reasoning", "reference", "reply", "response", "result", "reward", "right", "s", "says",
        "score", "so", "student", "that", "the", "this", "to", "true", "user", "valid", "value",
        "was",
    }
)  # fmt: skip
_YES_OR_NO = frozenset(
    {"yes", "no", "true", "false", "right", "wrong", "valid", "invalid", *_GRADES}
)
_ASKS_SEVERAL = re.compile(
    r"\b(?:list|names? (?:\w+ ){0,2}(?:two|three|four|five|six|some|all|several|\d+|\w+s\b)|"
    r"both|all|two|three|four|five|six|seven|eight|nine|ten|several|each|respectively|"
    r"(?:what|which|who) (?:are|were|all)|(?:which|what) (?:\w+ )?"
    r"(?!\w*(?:ss|us|is)\b|(?:gas|lens|was|has|does|canvas|atlas)\b)\w+s|"
    r"give (?:some|examples)|examples)\b|\bquels\b|\bquelles\b|\bwelche \w+(?:en|er|e)\b|"
    r"\bcu\u00e1les\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"[,;&\n]|\b(?:and|or|und|oder|et|ou|y|o)\b|^\s*[\[{(]", re.IGNORECASE)
_ANY_OF_THEM = re.compile(
    r"\b(?:i(?:'d| would)? say both|take your pick|whichever you|hard to choose|"
    r"can(?:no|')t (?:choose|decide)|both (?:are |could be |seem )?"
    r"(?:right|correct|possible|plausible|fine|valid|true))\b"
    r"|\b(?:(?:all|any|one|either) of (?:them|these|those|the above|the two|both)|either one|"
    r"either (?:could|works|is fine)|pick (?:one|any)|you (?:choose|decide)|[.!?,]\s*both)[.!]?$",
    re.IGNORECASE,
)
_CHOICES = frozenset(
    {"both", "pick", "whichever", "choose", "decide", "all", "any", "one", "either"}
)
"""Words of which "any of them" needs one."""
_YES_AND_NO = re.compile(
    r"^\W*(?:(?:both|either|maybe|perhaps)\W+)?(?:(?:yes\W+(?:and|or|maybe|"
    r"perhaps)\W+(?:also\W+)?no)|"
    r"(?:no\W+(?:and|or|maybe|perhaps)\W+(?:also\W+)?yes)|(?:true\W+(?:and|or)\W+false)|"
    r"(?:false\W+(?:and|or)\W+true)|(?:yes\W+no|no\W+yes)\W*$|ja\W+und\W+nein|oui\W+et\W+non)\b",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"\b(?:[Ii]t(?:'s| is| was)|[Tt]he answer is) ([A-Z]\w{1,30}(?: [A-Z]\w{1,30}){0,3}|"
    r"\d{1,20})(?=[.,;!\n])"
)
_MARKS = {"boxed": r"\boxed{}", "tag": "<answer> tag", "last_line": "last line"}


def guard(case: AnswerCase, found: Extracted) -> str | None:
    """Return why an answer is wrong by its own fault, in plain words, or None.

    Args:
        case: the answer, its question and its references.
        found: the final answer, as `extraction.extract` found it. Where it is marked, only the
            final answer and what follows it can hedge, deny or take back.
    """
    if not found.text and case.options.extract != "auto":
        return f"no {_MARKS[case.options.extract]} in the answer"
    if _is_reference(case.answer, case.references):
        return None
    return (
        _empty(case, found)
        or _conflict(case, found)
        or addresses_grader(case.question, without_thought(case.answer), case.references)
        or _unstated(case, said(case, found))
    )


def said(case: AnswerCase, found: Extracted) -> str:
    """Return the part of an answer that states it: a marked final and what follows, else all."""
    if not found.marked:
        return without_thought(case.answer)
    rest = found.rest[:_REST]
    joint = " " if not rest[:1].isupper() or rest[:3].casefold() == "or " else ". "
    return f"{found.text}{joint}{rest}" if rest else found.text


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
    if len(text) <= 2 * len(question) + 50 and _repeats(text, question):
        return "the answer repeats the question"
    if len(text) <= _SHORT and _only_grades(text, question, references):
        return "the answer says no more than its own grade"
    return None


def gives_up(answer: str) -> bool:
    """Whether a text says that it has no answer ("I don't know."), and nothing else."""
    text = answer.strip().replace("\u2019", "'")
    return len(text) <= _SHORT and _NO_IDEA.fullmatch(text) is not None


def _only_grades(text: str, question: str, references: Sequence[str]) -> bool:
    words = set(_words(text))
    if not words & _GRADES or not all(w in _GRADE_TALK or w[0].isdigit() for w in words):
        return False
    return not _YES_OR_NO.intersection(_words(" ".join((question, *references[:_REFERENCES]))))


def _repeats(text: str, question: str) -> bool:
    """Whether a text holds the words of the question and no others."""
    first, asked = _WORD.search(text), _WORD.search(question)
    if not first or not asked or first[0].casefold() != asked[0].casefold():
        return False
    return _words(text) == _words(question)


def _words(text: str) -> list[str]:
    """Return the words of a text and the signs that count: not those of prose."""
    return [w.casefold() for w in _WORD.findall(text)]


def _is_reference(text: str, references: Sequence[str]) -> bool:
    """Whether a text is a reference letter by letter, but for case and a full stop."""
    plain = text.strip().rstrip(".").casefold()
    return bool(plain) and any(r.strip().rstrip(".").casefold() == plain for r in references)


def _empty(case: AnswerCase, found: Extracted) -> str | None:
    if not found.text:
        return "the answer is empty"
    if _is_reference(found.text, case.references):
        return None
    answer = without_thought(case.answer)
    nothing = says_nothing(case.question, answer, case.references)
    if nothing:
        return nothing
    gives = gives_up(answer) or gives_up(found.text)
    if not gives or _is_unanswerable(case.references):
        return None
    return "the answer says that it has none"


def _is_unanswerable(references: Sequence[str]) -> bool:
    return any(map(says_unanswerable, references[:_REFERENCES]))


def _conflict(case: AnswerCase, found: Extracted) -> str | None:
    """Return that the final answers of a text differ, where one is asked for."""
    if len(found.finals) < 2 or _wants_several(case):
        return None
    last = found.finals[-1]
    differ = any(_differ(final, last, case) for final in found.finals[-_FINALS:-1])
    return "the answer gives different final answers" if differ else None


def _wants_several(case: AnswerCase) -> bool:
    if _asks_several(case.question[:_REST]):
        return True
    return any(_SEVERAL.search(reference[:_SHORT]) for reference in case.references[:_REFERENCES])


@lru_cache(512)
def _asks_several(question: str) -> bool:
    return _ASKS_SEVERAL.search(question) is not None


def _differ(one: str, other: str, case: AnswerCase) -> bool:
    """Whether two finals surely differ: numbers of other values, or names that share no word."""
    a, b = plain_value(one), plain_value(other)
    if a is not None and b is not None:
        return a != b
    first, second = set(_words(one)), set(_words(other))
    if not first or not second or any(w.isdigit() for w in first | second) or first & second:
        return False
    accepted = [_is_reference(final, case.references) for final in (one, other)]
    return not all(accepted) and not (_initials(one, other) or _initials(other, one))


def _initials(short: str, long: str) -> bool:
    letters = "".join(word[0] for word in long.split() if word[:1].isupper())
    return len(letters) > 1 and re.sub(r"\W", "", short).upper() == letters.upper()


def _unstated(case: AnswerCase, text: str) -> str | None:
    """Return why a text that mentions a reference does not state it."""
    several = _wants_several(case)
    if not several and len(text) <= _SHORT and _YES_AND_NO.match(text):
        return "the answer says yes and no"
    mentions = Mentions(text, case.question, case.references).all()
    if not mentions:
        return None
    stated = [mention for mention in mentions if not _fault(mention)]
    if not stated:
        return _fault(mentions[-1])
    return takes_back(stated[-1]) or (None if several else _unchosen(case, text, stated))


def _fault(mention: Mention) -> str | None:
    """Return why a mention does not state the reference; None where it does."""
    if is_negated(mention):
        return "the answer negates the reference"
    if is_alternative(mention) or is_unsure(mention):
        return "the answer names alternatives and chooses none"
    if is_disowned(mention):
        return "the answer names the reference as another's opinion"
    if is_equated(mention):
        return "the answer equates the reference with another answer"
    return "the answer names the reference in brackets only" if is_aside(mention) else None


def _unchosen(case: AnswerCase, text: str, stated: Sequence[Mention]) -> str | None:
    """Return that a text lists candidates and chooses none."""
    text = text[:_REST]
    if stated[0].has(_CHOICES) and _ANY_OF_THEM.search(text):
        return "the answer names several candidates and chooses none"
    if len(stated) == 1 and enumerates(case.question, text, case.references):
        return "the answer lists many candidates"
    statements = dict.fromkeys(_STATEMENT.findall(text))
    accepted = set(tokens(" ".join(case.references[:_REFERENCES]).casefold()))
    others = [s for s in statements if not accepted.intersection(tokens(s.casefold()))]
    return "the answer states several answers" if len(others) >= 2 else None
