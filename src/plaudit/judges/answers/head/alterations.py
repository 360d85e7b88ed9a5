"""Whether a short answer drops, adds or moves what makes a reference another one.

"Virginia" is not West Virginia, "guilty" is not "not guilty", and "the Vice President" is not "the
President". A longer answer has room to say it otherwise.
"""

from collections.abc import Collection

from plaudit.judges.answers.head.cues import NEGATION
from plaudit.judges.answers.head.objections import ALIKE, OPPOSED, SHORT
from plaudit.judges.answers.head.tokens import STOP, Word, canonical
from plaudit.judges.answers.head.view import View


def _folded(words: str) -> frozenset[str]:
    return frozenset(map(canonical, words.split()))


_IDLE = _folded(
    "mr mrs ms miss dr sir lord lady dame st king queen prince princess emperor president captain "
    "general pope professor reverend river ocean sea county island company corporation inc ltd "
    "movie film song album novel band club mount lake city state approximately around over "
    "known called also process force one both all each other more such any part main"
)
"""Titles, and words for a class of things, that an answer may leave out."""
_GENERATION = _folded("jr sr") | {"2", "3", "4"}
_CHANGING = _folded(
    "new old vice former ex deputy acting assistant sub anti non pseudo semi half step great grand "
    "greater lesser upper lower inner outer north south east west northern southern eastern "
    "western central honorary junior senior under arch co pre post pro mid mini micro macro mega "
    "meta para hyper hypo poly mono bi tri neo"
)
"""Words that make another thing of the name that follows."""
_BEGINNINGS = _folded(
    "un in il im ir non dis anti de re mis over under sub super inter intra extra step half grand "
    "great mono di tri poly hyper hypo pro pre post micro mega milli kilo ex fore out up down a"
)
"""Beginnings that make another word of a word."""
_PERSONAL = frozenset({"who", "whom", "whose"})
_LONG = 4
"""Words of a reference above which one that is no name is part of a description."""
_LIST = 2
"""Words of a reference from which it may be a list."""


def requalifies(view: View) -> bool:
    """Whether a short answer drops, adds or moves a qualifier of its reference."""
    if len(view.answer) > len(view.reference.words) + SHORT:
        return False
    return (
        _drops(view)
        or _prefixes(view)
        or _adds(view)
        or _holds_both(view)
        or _reorders(view)
        or _extends(view)
    )


def _drops(view: View) -> bool:
    """Whether a word of the reference is missing, and no spelling of it is there.

    A person's given names may be: the question asks who, and the last name is there alone.
    """
    like = dict(zip(view.missing, view.likeness, strict=True))
    lost = {w for w, alike in like.items() if alike < ALIKE} - _IDLE
    if len(view.reference.content) > _LONG:
        lost &= {w.text for w in view.reference.words if w.capital}
    if not lost or len(lost) == len(view.reference.key):
        return False
    return not _is_surname(view, lost)


def _prefixes(view: View) -> bool:
    """Whether a word differs by a beginning that changes it: legal and illegal."""
    others = [view.answer[n].text for n in view.novel[:_LONG]]
    for word in view.missing:
        for other in others:
            longer, shorter = sorted((word, other), key=len, reverse=True)
            if longer.endswith(shorter) and longer[: -len(shorter)] in _BEGINNINGS:
                return True
    return False


def _is_surname(view: View, lost: Collection[str]) -> bool:
    words = view.reference.words
    if len(lost) < len(view.reference.key) - 1:
        return False
    if not _PERSONAL & view.asked.every or any(w.text in lost for w in words[-1:]):
        return False
    if not words[0].capital or not words[-1].capital or words[-1].text in _GENERATION:
        return False
    return not any(w.initial or len(w.text) == 1 for w in view.answer) and not view.novel


def _adds(view: View) -> bool:
    """Whether a changing word stands before the reference, or a generation or "of ..." behind."""
    words = view.answer
    for span in view.spans:
        before = words[span.start - 1] if span.start else None
        if before and before.text in _CHANGING and _is_new(view, before):
            return True
        behind = words[span.end : span.end + 4]
        if behind and behind[0].text in _GENERATION and _is_new(view, behind[0]):
            return True
        if behind and behind[0].text == "of" and len(view.reference.content) == 1:
            named = [w for w in behind[1:] if w.text not in STOP][:1]
            if any(_is_new(view, w) for w in named):
                return True
    return False


def _is_new(view: View, word: Word) -> bool:
    return word.text not in view.known_or_asked and word.text not in STOP


def _holds_both(view: View) -> bool:
    """Whether both sides of an opposition stand there, and the reference holds one: "north, south".

    A side that is negated does not count: "southern, not northern".
    """
    own = {w.text for w in view.reference.words}
    for group in OPPOSED:
        if len(own & group) == 1 and own & group & view.texts and group & view.texts - own:
            places = [n for n, w in enumerate(view.answer) if w.text in group - own]
            if any(not _negated(view, n) for n in places):
                return True
    return False


def _negated(view: View, place: int) -> bool:
    return any(kind & NEGATION for kind in view.kinds[max(0, place - 3) : place])


def _reorders(view: View) -> bool:
    """Whether the numbers of the reference stand in another order: "3 to 2" and "2 to 3"."""
    numbers = [w.text for w in view.reference.words if w.number]
    if len(set(numbers)) < _LIST or len(numbers) != len(set(numbers)):
        return False
    given = [w.text for w in view.answer if w.text in numbers]
    return len(given) == len(numbers) and given != numbers


def _extends(view: View) -> bool:
    """Whether the reference is a list of things, and the answer holds another thing."""
    words = view.reference.words
    if len({w.clause for w in words}) < _LIST or any(w.capital or w.number for w in words):
        return False
    parts: dict[int, list[str]] = {}
    for word in view.answer:
        if word.text not in STOP:
            parts.setdefault(word.clause, []).append(word.text)
    return any(view.known_or_asked.isdisjoint(part) for part in parts.values())
