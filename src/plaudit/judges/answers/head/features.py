"""What the answer head looks at: numbers that describe an answer beside its references.

Nothing here depends on a subject or a style of question. Each feature is a finite number; the time
is linear in the length of the text that is read, which is bounded.
"""

import math
from collections.abc import Callable, Mapping

import msgspec

from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.head import cues
from plaudit.judges.answers.head.alterations import requalifies
from plaudit.judges.answers.head.notation import holds, is_raised, is_symbol
from plaudit.judges.answers.head.objections import (
    FAR,
    NEAR,
    closing_cues,
    contradicts,
    count_rivals,
    encloses,
    mean,
    misplaces,
    negated_question,
    rivals_beside,
    takes_back,
)
from plaudit.judges.answers.head.tokens import read_words
from plaudit.judges.answers.head.unknowns import is_beyond
from plaudit.judges.answers.head.view import (
    MOST_REFERENCES,
    View,
    closest,
    read_question,
    read_reference,
)

_SHORT = 600
"""Characters up to which an answer is read whole, also where a part is marked as final."""
_LEAD = 200
"""Characters before a marked answer that are read with it, at most to where its line begins."""


class Measured(msgspec.Struct, frozen=True):
    """The features of an answer, and whether something in it contradicts the reference."""

    values: tuple[float, ...]
    """In the order of `NAMES`."""
    comparable: bool
    """Whether any reference holds a word."""

    objection: bool
    """Whether it can never be called correct; see `plaudit.judges.answers.head.objections`."""

    unknown: bool
    """Whether it can never be called incorrect; see `plaudit.judges.answers.head.unknowns`."""

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
    text = final_part(case.answer, found)
    view = View(read_words(text), read_question(case.question), references)
    values = tuple([float(measured(view)) for measured in _MEASURES])
    objection = any(values[-4:])
    objection = objection or not _spells(text, view.reference.text, case)
    unknown = is_beyond(text, case.question, case.references[:MOST_REFERENCES], view)
    return Measured(values, bool(references), objection, unknown)


def _spells(answer: str, reference: str, case: AnswerCase) -> bool:
    """Whether the answer holds the reference to the letter, if that is a symbol.

    The letter of an option, and what is read as an article or a pronoun, is never found that way.
    """
    bare = reference.strip()
    if not is_symbol(reference):
        return not (bare.isdecimal() and is_raised(answer, bare))
    doubtful = len(bare) == 1 and (bool(case.choices) or bare in "AaIi")
    return not doubtful and holds(answer, reference)


def final_part(answer: str, found: Extracted) -> str:
    """Return what is read of an answer: all, or of a long one the marked final and what follows."""
    if not found.marked or len(answer) <= _SHORT or not found.text:
        return answer
    start = answer.rfind(found.text)
    if start < 0:
        return found.text
    line = answer.rfind("\n", max(0, start - _LEAD), start)
    return answer[line + 1 if line >= 0 else max(0, start - _LEAD) :]


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
    return mean([float(n in view.texts) for n in numbers]) if numbers else 1.0


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


def _rivals_before(view: View) -> int:
    span = view.span
    return count_rivals(view, lambda start, _: span is not None and start < span.start)


def _novel_before(view: View) -> int:
    span = view.span
    return min(20, sum(1 for n in view.novel if span is not None and n < span.start))


def _novel_beside(view: View) -> int:
    sentence = view.sentence
    return min(20, sum(1 for n in view.novel if n in sentence))


def _echo_beside(view: View) -> float:
    """Share of the question's words in the sentence of the reference."""
    words = [view.answer[n].text for n in view.sentence]
    return len(view.question.intersection(words)) / max(1, len(view.question))


def _closing_rivals(view: View) -> int:
    last = set(view.closing)
    return count_rivals(view, lambda start, _: start in last)


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
    return view.near(kind, 0, FAR) - view.near(kind, 0, FAR, clause=True)


def _asks(*words: str) -> Callable[[View], bool]:
    """Return whether a question holds one of some words."""
    return lambda view: not view.asked.every.isdisjoint(words)


def _fuzzy_best(view: View) -> float:
    """Greatest share of a reference's words that have a likeness in the answer."""
    others = [view.answer[n].text for n in view.novel[:30]]
    known = dict.fromkeys(view.texts, 1.0)
    if len(others) == len(view.novel):
        known.update(zip(view.missing, view.likeness, strict=True))
    return max(
        (
            mean([known[w] if w in known else closest(w, others) for w in sorted(r.key)])
            for r in view.references[:6]
        ),
        default=0.0,
    )


def _opening(view: View) -> int:
    """Words of the first sentence."""
    if not view.answer:
        return 0
    first = view.answer[0].sentence
    return next((n for n, w in enumerate(view.answer) if w.sentence != first), len(view.answer))


def _opening_coverage(view: View) -> float:
    words = {w.text for w in view.answer[: _opening(view)]}
    return mean([float(w in words) for w in view.reference.key])


def _opening_rivals(view: View) -> int:
    end = _opening(view)
    return count_rivals(view, lambda start, _: start < end)


def _named_missing(view: View) -> int:
    return min(4, sum(1 for w in view.reference.words if w.capital and w.text in view.missing))


def _year_gap(view: View) -> float:
    """Least difference of a year of the answer to one of the references, 0 to 1 for 100 years."""
    wanted = [int(w) for w in view.known if _is_year(w)]
    given = [int(w.text) for w in view.answer if w.number and _is_year(w.text)]
    if not wanted or not given:
        return -1.0
    return min(100, min(abs(a - b) for a in wanted for b in given[:20])) / 100


def _is_year(text: str) -> bool:
    return len(text) == 4 and text.isdecimal() and text.isascii() and "1000" <= text < "2100"


def _letters_near(view: View) -> float:
    """Greatest share of a reference's runs of three letters in so many words side by side."""
    own = "".join(view.reference.content)
    runs = {own[n : n + 3] for n in range(max(1, len(own) - 2))}
    texts = view.content[:120]
    size, best, joined = len(view.reference.content) + 1, 0, " ".join(texts)
    held = [run for run in runs if run in joined]
    places = [n for n, text in enumerate(texts) if any(run in text for run in held)]
    for n in places[:20]:
        near = "".join(texts[n : n + size])
        best = max(best, len([run for run in runs if run in near]))
    return best / len(runs) if own else 0.0


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
    "coverage_mean": lambda v: mean(v.coverages),
    "covered": lambda v: min(8, sum(c >= 1 for c in v.coverages)),
    "covered_share": lambda v: mean([float(c >= 1) for c in v.coverages]),
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
    "negated_question": negated_question,
    "closing_words": lambda v: min(20, len(v.closing)),
    "closing_cues": closing_cues,
    "closing_rivals": _closing_rivals,
    "number_gap": _number_gap,
    "rivals": lambda v: min(8, len(v.rivals)),
    "rivals_before": _rivals_before,
    "rivals_beside": rivals_beside,
    "first_is_it": _first_is_it,
    "enclosed": encloses,
    "quoted": lambda v: bool(v.span and all(v.answer[s.start].quoted for s in v.spans)),
    "negated": lambda v: v.near(cues.NEGATION, NEAR, 0, clause=True),
    "averse_near": lambda v: v.near(cues.AVERSE, NEAR, 4, clause=True),
    "negated_before": lambda v: v.near(cues.NEGATION, FAR, 0),
    "negated_behind": lambda v: v.near(cues.NEGATION, 0, 4, clause=True),
    "negated_parted": lambda v: _parted(v, cues.NEGATION),
    "negations_after": lambda v: _after(v, cues.NEGATION),
    "denied_beside": lambda v: v.near(cues.DENIAL, FAR, FAR),
    "denied_before": lambda v: _before(v, cues.DENIAL),
    "denied_after": lambda v: _after(v, cues.DENIAL),
    "contrast_beside": lambda v: v.near(cues.TURN, FAR, FAR),
    "contrast_after": lambda v: _after(v, cues.TURN),
    "doubt_beside": lambda v: v.near(cues.DOUBT, FAR, FAR),
    "doubts": lambda v: min(5, v.count(cues.DOUBT)),
    "either_near": lambda v: v.near(cues.EITHER, NEAR, NEAR),
    "either": lambda v: min(5, v.count(cues.EITHER)),
    "equated": lambda v: v.near(cues.EQUAL, NEAR, NEAR),
    "opinion_before": lambda v: v.near(cues.OPINION, FAR, 0),
    "opinion_behind": lambda v: v.near(cues.OPINION, 0, FAR),
    "others_beside": lambda v: v.near(cues.PLURAL, FAR, FAR),
    "grading": lambda v: min(6, v.count(cues.GRADER)),
    "refusal": lambda v: min(6, v.count(cues.REFUSAL)),
    "self_beside": lambda v: v.near(cues.SELF, FAR, FAR),
    "selves": lambda v: min(5, v.count(cues.SELF)),
    "asks_who": _asks("who", "whom", "whose"),
    "asks_when": _asks("when", "year", "date"),
    "asks_where": _asks("where", "country", "city", "state"),
    "asks_number": _asks("many", "much", "long", "old", "number"),
    "asks_what": _asks("what", "which"),
    "fuzzy_best": _fuzzy_best,
    "opening_coverage": _opening_coverage,
    "opening_rivals": _opening_rivals,
    "named_missing": _named_missing,
    "year_gap": _year_gap,
    "letters_near": _letters_near,
    "misplaced": misplaces,
    "requalified": requalifies,
    "taken_back": takes_back,
    "contradicted": contradicts,
}
"""The features by name; see the functions for those that do not speak for themselves."""

NAMES = tuple(FEATURES)
_MEASURES = tuple(FEATURES.values())
