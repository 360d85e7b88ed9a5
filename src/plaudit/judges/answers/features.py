"""What the answer head looks at: numbers that describe an answer beside its references.

Nothing here depends on a subject or a style of question. Each feature is a finite number; the time
is linear in the length of the text that is read, which is bounded.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from plaudit.judges.answers import cues
from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.tokens import STOP, Word, read_words
from plaudit.judges.answers.view import MOST_REFERENCES, View, read_question, read_reference

_SHORT = 600
"""Characters up to which an answer is read whole, also where a part is marked as final."""
_LEAD = 200
"""Characters before a marked answer that are read with it, at most to where its line begins."""
_NEAR = 7
"""Words around the reference within which negation, "or" and the like concern it."""
_FAR = 30
_SHORT_WORDS = 8
"""Words more than the reference has, up to which an answer is short."""
_TURNED = 0.15
"""Share of turning words in a last sentence from which it may take back what was before it."""
_BRIEF = 24
"""Words up to which an answer has no room for an aside."""
_SYMBOL = 2
"""Letters up to which a reference is a symbol, as of a blood type or an element."""
_ALIKE = 0.6
"""Likeness from which one word may be a spelling of another."""


class Measured(msgspec.Struct, frozen=True):
    """The features of an answer, and whether something in it contradicts the reference."""

    values: tuple[float, ...]
    """In the order of `NAMES`."""
    comparable: bool
    """Whether any reference holds a word."""

    @property
    def contradicted(self) -> bool:
        """Whether a digit, sign, letter or unit contradicts the reference; see `contradicts`."""
        return self.values[-1] > 0

    @property
    def taken_back(self) -> bool:
        """Whether the wording takes the reference back; see `takes_back`."""
        return self.values[-2] > 0


def measure(case: AnswerCase, found: Extracted) -> Measured:
    """Return the features of an answer. Takes any text and never raises."""
    references = [
        read
        for text in case.references[:MOST_REFERENCES]
        if (read := read_reference(text, case.question)).words
    ]
    answer = read_words(final_part(case.answer, found))
    view = View(answer, read_question(case.question), references)
    return Measured(tuple(float(f(view)) for f in FEATURES.values()), bool(references))


def final_part(answer: str, found: Extracted) -> str:
    """Return what is read of an answer: all, or of a long one the marked final and what follows."""
    if not found.marked or len(answer) <= _SHORT or not found.text:
        return answer
    start = answer.rfind(found.text)
    if start < 0:
        return found.text
    line = answer.rfind("\n", max(0, start - _LEAD), start)
    return answer[line + 1 if line >= 0 else max(0, start - _LEAD) :]


_OPPOSED = [
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
    if len(view.answer) > len(words) + _SHORT_WORDS:
        return False
    unlike = any(like < _ALIKE for like in view.likeness)
    added = (w for w in view.added() if w.number or w.text != "1")
    return any(map(_exact, added)) or (view.numeric and bool(view.novel) and unlike)


def takes_back(view: View) -> bool:
    """Whether the answer negates, doubts, denies or encloses what it shares with the reference.

    Such an answer may still be right, but wording alone cannot show it.
    """
    return (
        view.near(cues.NEGATION, _FAR, 0, clause=True) > 0
        or _denied_behind(view)
        or view.near(cues.DENIAL, _FAR, _FAR) > 0
        or view.near(cues.EITHER, _NEAR, _NEAR) > 0
        or _negated_question(view) > 0
        or _closing_cues(view) > _TURNED
        or _enclosed(view)
        or _reported(view)
        or _turned(view)
        or (view.near(cues.EQUAL, _NEAR, _NEAR) > 0 and _rivals_beside(view) > 0)
    )


def _reported(view: View) -> bool:
    """Whether somebody else says it: "some say X", but not "I believe" or "is said"."""
    if view.span is None or not view.any_kind & cues.OPINION:
        return False
    clause = view.answer[view.span.start].clause
    for n in range(max(0, view.span.start - _FAR), view.span.start):
        if view.kinds[n] & cues.OPINION and view.answer[n].clause == clause:
            before = view.answer[n - 1] if n else None
            own = before is not None and before.text in ("i", "we")
            passive = before is not None and bool(view.kinds[n - 1] & cues.AUXILIARY)
            if not own and not passive:
                return True
    return False


def _turned(view: View) -> bool:
    """Whether a short answer turns to something else: "X, but it is Y"."""
    if view.span is None or len(view.answer) > _BRIEF or not view.novel:
        return False
    behind = range(view.spans[-1].end, view.novel[-1])
    sentence = view.answer[view.spans[-1].end - 1].sentence
    return any(view.kinds[n] & cues.TURN and view.answer[n].sentence == sentence for n in behind)


def _denied_behind(view: View) -> bool:
    """Whether "is not", "was never" or the like follows the reference."""
    for span in view.spans:
        behind = view.kinds[span.end : span.end + 2]
        if behind and behind[0] & cues.AUXILIARY and any(k & cues.NEGATION for k in behind):
            return True
    return False


def _enclosed(view: View) -> bool:
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
    groups = [group for word in lacking for group in _OPPOSED if word.text in group]
    return any(not others.isdisjoint(group) for group in groups)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _precision(view: View) -> float:
    key = view.reference.key
    shared = sum(1 for w in key if w in view.texts)
    return shared / max(1, shared + len(view.novel))


def _fuzzy(view: View) -> float:
    """Share of the reference's letters that stand in the answer, similar words counted in part."""
    key = view.reference.key
    whole = sum(len(w) for w in key)
    gained = sum(len(w) * like for w, like in zip(view.missing, view.likeness, strict=True))
    return view.coverage + gained / whole if whole else 0.0


def _acronym(view: View) -> bool:
    """Whether one is the initials of the other."""
    words = view.reference.content
    initials = "".join(w[0] for w in words)
    if len(words) > 1 and initials in view.texts:
        return True
    if len(words) != 1 or not 2 <= len(words[0]) <= 8:
        return False
    letters = "".join(w.text[0] for w in view.answer if w.capital)
    return words[0] in letters and view.reference.words[0].capital


def _numbers_found(view: View) -> float:
    numbers = {w.text for w in view.reference.words if w.text.isdecimal()}
    return _mean([float(n in view.texts) for n in numbers]) if numbers else 1.0


def _numbers_foreign(view: View) -> int:
    return min(
        8,
        sum(
            1
            for w in view.answer
            if w.number and w.text not in view.known and w.text not in view.question
        ),
    )


def _first_is_it(view: View) -> int:
    """1: the first candidate is of the reference; -1: it is another; 0: there is none."""
    if view.span is None:
        return -1 if view.rivals else 0
    if view.rivals and view.rivals[0][0] < view.span.start:
        return -1
    return 1


def _rivals(view: View, where: Callable[[int, int], bool]) -> int:
    return min(6, sum(1 for start, end in view.rivals if where(start, end)))


def _rivals_before(view: View) -> int:
    span = view.span
    return _rivals(view, lambda start, _: span is not None and start < span.start)


def _rivals_beside(view: View) -> int:
    sentence = view.sentence()
    return _rivals(view, lambda start, _: start in sentence)


def _novel_before(view: View) -> int:
    span = view.span
    return min(20, sum(1 for n in view.novel if span is not None and n < span.start))


def _novel_beside(view: View) -> int:
    sentence = view.sentence()
    return min(20, sum(1 for n in view.novel if n in sentence))


def _echo_beside(view: View) -> float:
    """Share of the question's words in the sentence of the reference."""
    words = [view.answer[n].text for n in view.sentence()]
    return len(view.question.intersection(words)) / max(1, len(view.question))


def _negated_question(view: View) -> int:
    """How often the answer negates what is asked: "was not awarded", and not "not Y"."""
    if view.asked.negated or not view.any_kind & cues.NEGATION:
        return 0
    count = 0
    for n, kind in enumerate(view.kinds):
        if kind & cues.NEGATION and (kind | view.kinds[max(0, n - 1)]) & cues.AUXILIARY:
            behind = [w.text for w in view.answer[n + 1 : n + 5] if w.text not in STOP][:1]
            count += all(w in view.known_or_asked for w in behind)
    return min(4, count)


def _closing(view: View) -> list[int]:
    """Words of the last sentence, where the reference stands before it and not in it."""
    if not view.spans or not view.answer:
        return []
    last = view.answer[-1].sentence
    if view.answer[view.spans[-1].end - 1].sentence == last:
        return []
    found: list[int] = []
    for n in range(len(view.answer) - 1, -1, -1):
        if view.answer[n].sentence != last:
            break
        found.append(n)
    return found


_TURNS = cues.NEGATION | cues.DENIAL | cues.TURN | cues.OPINION | cues.SELF


def _closing_cues(view: View) -> float:
    """Share of words of the last sentence that take back, deny or turn."""
    closing = _closing(view)
    return _mean([float(bool(view.kinds[n] & _TURNS)) for n in closing[:40]])


def _closing_rivals(view: View) -> int:
    closing = set(_closing(view))
    return _rivals(view, lambda start, _: start in closing)


def _number_gap(view: View) -> float:
    """Least relative difference of a number of the answer to the reference's, 0 to 1."""
    wanted = [_value(w.text) for w in view.reference.words if w.number][:4]
    given = [_value(w.text) for w in view.answer if w.number][:20]
    gaps = [abs(a - b) / max(abs(a), abs(b), 1e-9) for a in wanted for b in given]
    return min(1.0, *gaps, 1.0)


def _value(text: str) -> float:
    try:
        return min(1e12, float(text.replace(",", "")))
    except ValueError:
        return 0.0


def _after(view: View, kind: int) -> int:
    """Cues of a kind behind the last place of the reference, in later sentences."""
    if not view.spans or not view.any_kind & kind:
        return 0
    last = view.spans[-1]
    number = view.answer[last.end - 1].sentence
    later = [n for n in range(last.end, len(view.answer)) if view.kinds[n] & kind]
    return min(5, sum(1 for n in later if view.answer[n].sentence > number))


def _before(view: View, kind: int) -> int:
    """Cues of a kind in front of the first place of the reference, anywhere."""
    return min(5, view.count(kind, 0, view.span.start)) if view.span else 0


def _parted(view: View, kind: int) -> int:
    """Cues behind the reference in its sentence, but in another clause: "X, not Y"."""
    return view.near(kind, 0, _FAR) - view.near(kind, 0, _FAR, clause=True)


FEATURES: Mapping[str, Callable[[View], float]] = {
    "coverage": lambda v: v.coverage,
    "fuzzy": _fuzzy,
    "exact": lambda v: bool(v.spans and v.spans[0].exact),
    "exact_places": lambda v: sum(s.exact for s in v.spans),
    "precision": _precision,
    "missing": lambda v: min(8, len(v.missing)),
    "least_like": lambda v: min(v.likeness, default=1.0),
    "first_word": lambda v: v.reference.content[:1] != () and v.reference.content[0] in v.texts,
    "last_word": lambda v: v.reference.content[:1] != () and v.reference.content[-1] in v.texts,
    "letters": lambda v: v.letters,
    "acronym": _acronym,
    "coverage_mean": lambda v: _mean(v.coverages),
    "covered": lambda v: min(8, sum(c >= 1 for c in v.coverages)),
    "covered_share": lambda v: _mean([float(c >= 1) for c in v.coverages]),
    "references": lambda v: min(12, len(v.references)),
    "reference_words": lambda v: min(20, len(v.reference.content)),
    "reference_keys": lambda v: min(20, len(v.reference.key)),
    "reference_letters": lambda v: min(80, sum(len(w) for w in v.reference.key)),
    "reference_numeric": lambda v: v.numeric,
    "reference_named": lambda v: any(w.capital for w in v.reference.words),
    "numbers_found": _numbers_found,
    "numbers_foreign": _numbers_foreign,
    "words": lambda v: math.log1p(len(v.answer)),
    "novel": lambda v: min(40, len(v.novel)),
    "novel_before": _novel_before,
    "novel_beside": _novel_beside,
    "sentences": lambda v: min(12, v.answer[-1].sentence + 1) if v.answer else 0,
    "sentence_of_it": lambda v: min(12, v.answer[v.span.start].sentence) if v.span else -1,
    "place": lambda v: v.span.start / len(v.answer) if v.span else -1,
    "echo": lambda v: v.echo / max(1, len(v.question)),
    "echo_beside": _echo_beside,
    "restated": lambda v: v.restated,
    "asked_before": lambda v: bool(v.reference.key) and v.question.issuperset(v.reference.key),
    "negated_question": _negated_question,
    "closing_words": lambda v: min(20, len(_closing(v))),
    "closing_cues": _closing_cues,
    "closing_rivals": _closing_rivals,
    "number_gap": _number_gap,
    "rivals": lambda v: min(8, len(v.rivals)),
    "rivals_before": _rivals_before,
    "rivals_beside": _rivals_beside,
    "first_is_it": _first_is_it,
    "enclosed": _enclosed,
    "quoted": lambda v: bool(v.span and all(v.answer[s.start].quoted for s in v.spans)),
    "negated": lambda v: v.near(cues.NEGATION, _NEAR, 0, clause=True),
    "averse_near": lambda v: v.near(cues.AVERSE, _NEAR, 4, clause=True),
    "negated_before": lambda v: v.near(cues.NEGATION, _FAR, 0),
    "negated_behind": lambda v: v.near(cues.NEGATION, 0, 4, clause=True),
    "negated_parted": lambda v: _parted(v, cues.NEGATION),
    "negations_after": lambda v: _after(v, cues.NEGATION),
    "denied_beside": lambda v: v.near(cues.DENIAL, _FAR, _FAR),
    "denied_before": lambda v: _before(v, cues.DENIAL),
    "denied_after": lambda v: _after(v, cues.DENIAL),
    "contrast_beside": lambda v: v.near(cues.TURN, _FAR, _FAR),
    "contrast_after": lambda v: _after(v, cues.TURN),
    "doubt_beside": lambda v: v.near(cues.DOUBT, _FAR, _FAR),
    "doubts": lambda v: min(5, v.count(cues.DOUBT)),
    "either_near": lambda v: v.near(cues.EITHER, _NEAR, _NEAR),
    "either": lambda v: min(5, v.count(cues.EITHER)),
    "equated": lambda v: v.near(cues.EQUAL, _NEAR, _NEAR),
    "opinion_before": lambda v: v.near(cues.OPINION, _FAR, 0),
    "opinion_behind": lambda v: v.near(cues.OPINION, 0, _FAR),
    "others_beside": lambda v: v.near(cues.PLURAL, _FAR, _FAR),
    "grading": lambda v: min(6, v.count(cues.GRADER)),
    "refusal": lambda v: min(6, v.count(cues.REFUSAL)),
    "self_beside": lambda v: v.near(cues.SELF, _FAR, _FAR),
    "selves": lambda v: min(5, v.count(cues.SELF)),
    "taken_back": takes_back,
    "contradicted": contradicts,
}
"""The features by name; see the functions for those that do not speak for themselves."""

NAMES = tuple(FEATURES)
