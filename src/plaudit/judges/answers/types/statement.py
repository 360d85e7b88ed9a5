"""The one value that a short sentence states: 11 of "Each side fields 11 players".

The words around the value must not turn it: no negation, no bound that the question does not ask
for, no comparison, doubt or other voice. A second value of the type, other than those that the
question holds, leaves the sentence unread.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types.carrier import PASTS, TURNING, function_words, word_set
from plaudit.judges.answers.types.number_words import first_words

_LONGEST = 200
"""Characters of a sentence that is looked at."""
_MOST_WORDS = 24
_VALUE_WORDS = 7
"""Words of the longest value."""
_MOST_STRANGE = 4
"""Words that are neither function words nor words of the question, beside an equal value."""
_MOST_QUESTION = 2_000
_ARTICLES = word_set("a an un une uno ein eine none cent")
_SEVERAL = re.compile(r"[.!?;]\s+[^\W\d_a-z]|[?()\[\]\n\u3002]|[^\W\d] = ")
"""What parts sentences, or puts one text into another."""
_EDGES = " \t,.;:!?\"'*_`$\u201c\u201d\u00ab\u00bb"
_SIGN = re.compile(r"[^\w\u2013\u2014]+")
_LETTERS = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_ABOVE_SEA = re.compile(r"\babove (?:the |mean )*(?:sea|ground|zero)\b", re.IGNORECASE)
_IDLE = function_words() | word_set(
    "a an the has have had having do does did be been being to for from with by as and also we you "
    "i one can may must will would need needs needed total all altogether exactly just only about "
    "around approximately roughly circa some per each every always about so ca etwa rund environ "
    "hat haben hatte wird wurde werden und zu mit von a ont avait et pour avec par ha hay "
    "use used using run type "
    "tiene tienen con por para y e tem t\u00eam h\u00e1 takes take took makes make made up out at"
)  # fmt: skip
_TURNING = TURNING | word_set(
    "than minus negative plus too off further farther later earlier ago extra additional "
    "another twice double triple half times short lacks lack lacking lost loses lose losing "
    "missing failed fails fail fired avoid avoids wrongly mistakenly nope unlikely doubt "
    "unsure guess says said say claims claimed claim thinks think thought believes believe "
    "believed supposedly allegedly expected reference grader key myth false todays while "
    "whereas although though however otherwise both between wenn falls mehr weniger "
    "\u00fcber unter plus moins m\u00e1s menos pi\u00f9 meno mais"
)
_BOUNDS = word_set(
    "more less fewer least most over under above below up maximum minimum max min exceeding "
    "exceeds early late mid end beginning start until till before after within nearly almost "
    "close mindestens h\u00f6chstens vor nach bis avant apr\u00e8s jusqu antes despu\u00e9s "
    "hasta prima dopo fino"
)
_LIMITS = {
    **dict.fromkeys(("most", "maximum", "max", "up"), ("limit", "maximum", "max", "most")),
    **dict.fromkeys(("least", "minimum", "min"), ("minimum", "min", "least")),
}
"""Bounds, and the words of a question that ask for one."""
_CHANGES = word_set(
    "grew grow grows grown increased increase increases decreased decrease decreases rose risen "
    "dropped drop drops fell fall falls gained gain added changed change changes "
    "gestiegen "
    "gesunken by um difference margin growth"
)
"""Words that make a value a change, unless the question asks for one."""

_ABOUT = word_set("about around approximately roughly circa ca ca. some etwa rund environ cerca")
"""Words that belong to a number behind them."""
_TURNS = _TURNING | _BOUNDS | _CHANGES

_SIZES = {
    "deep": "deep", "depth": "deep", "wide": "wide", "broad": "wide", "width": "wide",
    "high": "high", "tall": "high", "height": "high", "long": "long", "length": "long",
    "thick": "thick", "old": "old", "heavy": "heavy",
}  # fmt: skip
"""Words for what is measured, and the one that stands for each."""
_BEGINNINGS = word_set(
    "start starts started begin begins began begun open opens opened born founded passed enacted "
    "arrive arrives arrived launched built created"
)
_ENDINGS = word_set(
    "end ends ended finish finishes finished close closes closed die dies died repealed abolished "
    "leave leaves left departs departed dissolved demolished destroyed"
)
_BESIDE = word_set("before after until than further farther too off by earlier later")
"""Words that turn a value directly beside them, whatever else the sentence says."""


class Stated(msgspec.Struct, frozen=True):
    """A value that a sentence states."""

    text: str
    """The value, as the sentence writes it."""
    strange: int
    """How many other words are neither function words nor words of the question."""
    turned: bool = False
    """Whether a word directly beside it makes it a bound, a change or a difference."""


def compare_stated(
    answer: str,
    reference: str,
    case: AnswerCase,
    starts: Callable[[str], bool],
    widest: Callable[[Sequence[str]], int],
    compare: Callable[[str], Comparison | None],
) -> Comparison | None:
    """Compare the one value of a sentence; None where there is none, or more than one.

    A value that differs decides only where every other word is idle or of the question.

    Args:
        answer: the sentence.
        reference: the value that it is compared with; its bounds may stand in the sentence.
        case: the case, for its question.
        starts: whether a word may begin a value of the type.
        widest: how many of some words are the value that they begin with; 0 for none.
        compare: compares the value.
    """
    found = stated(answer, reference, case.question[:_MOST_QUESTION], starts, widest)
    comparison = compare(found.text) if found else None
    if found is None or comparison is None or (found.strange and not comparison.equal):
        return None
    if found.turned:
        return Comparison(False, "a bound, a change or a difference") if comparison.equal else None
    return comparison


def stated(
    answer: str,
    reference: str,
    question: str,
    starts: Callable[[str], bool],
    widest: Callable[[Sequence[str]], int],
) -> Stated | None:
    """Return the one value of a sentence."""
    if len(answer) > _LONGEST or " " not in answer.strip():
        return None
    answer = answer.strip(_EDGES)
    words = answer.split()
    if len(words) > _MOST_WORDS or _SEVERAL.search(answer):
        return None
    asked = frozenset(_words_of(f"{question} {reference}"))
    known = frozenset(word.strip(_EDGES) for word in question.split())
    begins = [i for i, word in enumerate(words) if starts(word) and word.strip(_EDGES) not in known]
    if not begins:
        return None
    first = begins[0]
    end = first + widest(words[first : first + _VALUE_WORDS])
    if end == first or begins[-1] >= end:
        return None
    first -= first > 0 and words[first - 1].casefold() in _ABOUT
    value = " ".join(words[first:end])
    if is_of_another(answer, question):
        return Stated(value, 0, True)
    strange = _strange(words[:first], words[end:], asked)
    if strange is None:
        if "not" in _words_of(answer):
            return None  # "not until 1889"
        beside = _words_of(" ".join((*words[max(first - 1, 0) : first], *words[end : end + 1])))
        turned = any(word in _BESIDE and _turns(word, asked) for word in beside)
        return Stated(value, 0, True) if turned else None
    return Stated(value, strange) if strange <= _MOST_STRANGE else None


def is_of_another(answer: str, question: str) -> bool:
    """Whether a sentence is of the depth where the width is asked for, or of end and not start."""
    words = _words_of(answer.replace("passed away", "died"))
    asked = frozenset(_words_of(question[:_MOST_QUESTION]))
    sizes = {_SIZES[word] for word in asked if word in _SIZES}
    if sizes and any(_SIZES.get(word, "") not in sizes | {""} for word in words):
        return True
    return any(
        ours.isdisjoint(asked)
        and not ours.isdisjoint(words)
        and ("long" in asked or not theirs.isdisjoint(asked))
        for ours, theirs in ((_BEGINNINGS, _ENDINGS), (_ENDINGS, _BEGINNINGS))
    )


def longest(found: Sequence[str], reads: Callable[[str], bool]) -> int:
    """Return how many of some words, at most, are readable together from the first on."""
    return next((n for n in range(len(found), 0, -1) if reads(" ".join(found[:n]))), 0)


def starts_number(word: str) -> bool:
    """Whether a word holds a digit, or may begin a number in words; articles do not."""
    bare = word.strip(_EDGES).casefold()
    if any(c.isdigit() for c in bare):
        return True
    return bare.partition("-")[0] in first_words() and bare not in _ARTICLES


def is_noun(word: str) -> bool:
    """Whether a word may be what a number before it counts: a sentence does not need it."""
    bare = word.strip(_EDGES).casefold()
    return bare.isalpha() and bare not in _IDLE and bare not in _TURNS


def is_idle(word: str) -> bool:
    """Whether a word is one that a sentence needs, whatever it says."""
    return word.strip(_EDGES).casefold() in _IDLE


def is_safe(text: str, question: str) -> bool:
    """Whether words around a value do not turn it, and add little."""
    asked = frozenset(_words_of(question[:_MOST_QUESTION]))
    words = [word for word in text.split() if word.strip(_EDGES)]
    strange = _strange(words, (), asked)
    return strange is not None and strange <= _MOST_STRANGE


def turns(text: str) -> bool:
    """Whether a text holds a word that denies, doubts, compares or gives another's view."""
    return not _TURNING.isdisjoint(_words_of(text))


def _strange(before: Sequence[str], after: Sequence[str], asked: frozenset[str]) -> int | None:
    """Return how many words are strange; None where one turns the value, and where all are."""
    if any(_SIGN.fullmatch(word) for word in (*before, *after)):
        return None
    words = _words_of(" ".join(before)) + _words_of(_ABOVE_SEA.sub("", " ".join(after)))
    if any(_turns(word, asked) for word in words):
        return None
    known = asked | {word[:5] for word in asked if len(word) > 3}
    known |= {PASTS[word] for word in asked if word in PASTS}
    strange = sum(not (word in _IDLE or word in known or word[:5] in known) for word in words)
    return strange if strange < len(words) else None


def _turns(word: str, asked: frozenset[str]) -> bool:
    if word in _TURNING:
        return True
    if word in _BOUNDS:
        return word not in asked and asked.isdisjoint(_LIMITS.get(word, ()))
    return word in _CHANGES and asked.isdisjoint(_CHANGES)


def _words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; a denial in short form is `not`."""
    found = (word.replace("\u2019", "'").casefold() for word in _LETTERS.findall(text))
    return ["not" if word.endswith("n't") else word.replace("'", "") for word in found]
