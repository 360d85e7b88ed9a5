"""Why the answer head never calls an answer correct, whatever its probability.

The wording contradicts the reference, or takes back what it shares with it. Each rule costs few
honest answers, which stay open, and holds for wordings that no fit has seen.
"""

from collections.abc import Callable, Sequence

from plaudit.judges.answers.head import cues
from plaudit.judges.answers.head.tokens import STOP, Word
from plaudit.judges.answers.head.view import View

NEAR = 7
"""Words around the reference within which negation, "or" and the like concern it."""
FAR = 30
SHORT = 8
"""Words more than the reference has, up to which an answer is short."""
_ASIDE = 40
"""Words above which an "or", "known as" or "some say" may be about something else."""
BRIEF = 24
"""Words up to which an answer has no room for an aside."""
_SYMBOL = 2
"""Letters up to which a reference is a symbol, as of a blood type or an element."""
_TURNED = 0.15
"""Share of turning words in a last sentence from which it may take back what was before it."""
ALIKE = 0.6
"""Likeness from which one word may be a spelling of another."""
_TURNS = cues.NEGATION | cues.DENIAL | cues.TURN | cues.OPINION | cues.SELF
OPPOSED = [
    frozenset(group.split())
    for group in (
        "north south east west northern southern eastern western northeast northwest southeast "
        "southwest central",
        "left right", "upper lower", "up down", "top bottom", "male female", "man woman",
        "positive negative", "plus minus", "major minor", "jr sr", "true false", "yes no",
        "acid base", "hot cold", "old new", "high low", "inner outer", "am pm", "bc ad bce ce",
        "increase decrease", "more les", "before after", "first last", "odd even",
        "father son mother daughter", "king queen prince princess", "winter summer spring autumn",
    )
]  # fmt: skip


def contradicts(view: View) -> bool:
    """Whether an answer differs from the nearest reference in what must not differ.

    It lacks a digit, a sign, a single letter or a word that is opposed to one that it holds; or it
    is short and adds a digit, a sign or a letter, or puts another unit beside the number.
    """
    words = view.reference.words
    lacking = [w for w in words if w.text not in view.texts and not w.initial]
    alone = len(words) == 1 and len(words[0].text) <= _SYMBOL
    if any(alone or _exact(w) for w in lacking) or _opposed(view, lacking):
        return True
    if len(view.answer) > len(words) + SHORT:
        return False
    unlike = any(like < ALIKE for like in view.likeness)
    added = (w for w in view.added() if w.number or w.text != "1")
    return any(map(_exact, added)) or (view.numeric and bool(view.novel) and unlike)


_SCALES = [
    frozenset(group.split())
    for group in (
        "january february march april may june july august september october november december",
        "monday tuesday wednesday thursday friday saturday sunday",
        "hundred thousand million billion trillion",
        "second minute hour day week month year decade century",
        "percent dollar euro pound yen degree",
        "meter kilometer mile foot inch gram kilogram ton liter gallon",
    )
]


def misplaces(view: View) -> bool:
    """Whether the answer names another month, day, magnitude or unit than any reference.

    The nearest reference may not name one: "June 1984" holds "1984" and contradicts "May 1984".
    """
    others = view.texts - view.known_or_asked
    groups = [group for group in _SCALES if not others.isdisjoint(group)]
    short = len(view.answer) <= len(view.reference.words) + SHORT
    return short and any(not view.known.isdisjoint(group - view.texts) for group in groups)


def takes_back(view: View) -> bool:
    """Whether the answer negates, doubts, denies or encloses what it shares with the reference.

    Such an answer may still be right, but wording alone cannot show it.
    """
    return (
        view.near(cues.NEGATION, FAR, 0, clause=True) > 0
        or _denied_behind(view)
        or view.near(cues.DENIAL, FAR, FAR) > 0
        or negated_question(view) > 0
        or closing_cues(view) > _TURNED
        or encloses(view)
        or _turned(view)
        or _identified(view)
        or (len(view.answer) <= _ASIDE and _shares(view))
    )


def _shares(view: View) -> bool:
    """Whether the reference is one of two, equal to another one, or what somebody else says."""
    if view.near(cues.EITHER, NEAR, NEAR) or _reported(view):
        return True
    return view.near(cues.EQUAL, NEAR, NEAR) > 0 and rivals_beside(view) > 0


def _reported(view: View) -> bool:
    """Whether somebody else says it: "some say X", but not "I believe" or "is said"."""
    if view.span is None or not view.any_kind & cues.OPINION:
        return False
    clause = view.answer[view.span.start].clause
    for n in range(max(0, view.span.start - FAR), view.span.start):
        if view.kinds[n] & cues.OPINION and view.answer[n].clause == clause:
            before = view.answer[n - 1] if n else None
            own = before is not None and before.text in ("i", "we")
            passive = before is not None and bool(view.kinds[n - 1] & cues.AUXILIARY)
            if not own and not passive:
                return True
    return False


def _turned(view: View) -> bool:
    """Whether a short answer turns to something else: "X, but it is Y"."""
    if view.span is None or len(view.answer) > BRIEF or not view.novel:
        return False
    behind = range(view.spans[-1].end, view.novel[-1])
    sentence = view.answer[view.spans[-1].end - 1].sentence
    return any(view.kinds[n] & cues.TURN and view.answer[n].sentence == sentence for n in behind)


def _identified(view: View) -> bool:
    """Whether a short answer says that the reference is another one: "X, that is Y"."""
    if not view.spans or len(view.answer) > BRIEF:
        return False
    end = view.spans[-1].end
    return any(
        word.text == "that"
        for start, _ in view.rivals
        for word in view.answer[max(end, start - 3) : start]
    )


def _denied_behind(view: View) -> bool:
    """Whether "is not", "was never" or the like follows the reference."""
    for span in view.spans:
        behind = view.kinds[span.end : span.end + 2]
        if behind and behind[0] & cues.AUXILIARY and any(k & cues.NEGATION for k in behind):
            return True
    return False


def encloses(view: View) -> bool:
    """Whether the reference stands in brackets, wherever it stands."""
    return bool(view.span and all(view.answer[s.start].enclosed for s in view.spans))


def _exact(word: Word) -> bool:
    """Whether a word has no spelling that is nearly right."""
    if word.text in ("a", "i"):
        return word.capital and not word.opens
    if len(word.text) == 1 and not word.text.isdecimal():
        return True
    return word.sign or word.number or word.text.isdecimal()


def _opposed(view: View, lacking: Sequence[Word]) -> bool:
    others = view.texts - {w.text for w in view.reference.words}
    groups = [group for word in lacking for group in OPPOSED if word.text in group]
    return any(not others.isdisjoint(group) for group in groups)


def negated_question(view: View) -> int:
    """How often the answer negates what is asked: "was not awarded", and not "not Y"."""
    if view.asked.negated or not view.any_kind & cues.NEGATION:
        return 0
    count = 0
    for n, kind in enumerate(view.kinds):
        if kind & cues.NEGATION and (kind | view.kinds[max(0, n - 1)]) & cues.AUXILIARY:
            behind = [w.text for w in view.answer[n + 1 : n + 5] if w.text not in STOP][:1]
            count += all(w in view.known_or_asked for w in behind)
    return min(4, count)


def closing_cues(view: View) -> float:
    """Share of words of the last sentence that take back, deny or turn."""
    return mean([float(bool(view.kinds[n] & _TURNS)) for n in view.closing[:40]])


def count_rivals(view: View, where: Callable[[int, int], bool]) -> int:
    """Return how many rivals stand where a function of their ends says, 6 at most."""
    return min(6, sum(1 for start, end in view.rivals if where(start, end)))


def rivals_beside(view: View) -> int:
    """Return how many rivals stand in the sentence of the reference, 6 at most."""
    sentence = view.sentence
    return count_rivals(view, lambda start, _: start in sentence)


def mean(values: list[float]) -> float:
    """Return the mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
