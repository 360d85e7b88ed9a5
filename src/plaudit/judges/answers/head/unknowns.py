"""What the answer head cannot know: when it never calls an answer incorrect.

It compares words and was fitted on English. Another script, language, notation or unit may say the
same in words that share nothing; such an answer stays open.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from plaudit.judges.answers.head import cues
from plaudit.judges.answers.head.notation import is_symbol, others
from plaudit.judges.answers.head.objections import BRIEF, NEAR, encloses
from plaudit.judges.answers.head.tokens import STOP, Word, canonical, fold
from plaudit.judges.answers.head.view import View
from plaudit.judges.answers.types.unanswerable import says_unanswerable


def _words(text: str) -> frozenset[str]:
    return frozenset(map(canonical, text.split()))


_READ = 2000
"""Characters of a text that are looked at."""
_FORMULA = re.compile(r"\\[a-zA-Z(\[]|\$[^$\n]{0,80}[\\^_{]")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u1dff\u2c00-\u2dff\u3040-\uabff\uf900-\ufdff]")
"""Greek to Hangul; without Latin letters, signs and forms of width."""
_POLAR = frozenset({"yes", "no", "true", "false"})
_FOREIGN = _words(
    "das und ist nicht ein eine den dem auf fur mit von zu sich wurde ich aber nein ja el es una "
    "por esta son fue si como se les des une est dans pour du c'est cest il gli che della nel uno "
    "perche sono nao um uma em foi pelo os het een niet zijn och att som inte pa det er ikke jest "
    "nie sie bir ve degil quando cuando donde quel quelle quien qui quem quanto quantos stata "
    "stato welche welcher wer wie en que del dei delle mil"
)
"""Frequent words of other languages that are no English words, without accents."""
_MONTHS = _words(
    "january february march april may june july august september october november december bc ad"
)
_UNITS = _words(
    "m cm mm km mile mi foot ft inch yard fathom metre meter centimetre millimetre g mg kg pound "
    "ounce ton gram kilogram second minute hour day week month year decade century percent dollar "
    "euro yen degree litre liter gallon"
)
"""Units by which the same number means something else."""
_LEAST_ASKED = 3
"""Words from which the language of a question shows."""


def is_beyond(answer: str, question: str, references: Sequence[str], view: View) -> bool:
    """Whether an answer may be right for all that wording can show, whatever its probability."""
    return (
        any(_is_coded(r[:_READ]) and not _is_other(answer, r, view) for r in references)
        or _script(answer) != any(map(_script, references))
        or bool(_FORMULA.search(answer, 0, _READ))
        or _asks_otherwise(question)
        or _is_foreign(view.answer)
        or _converts(view)
        or _translates(view)
        or _spells_out(view)
        or _stands(view)
        or _abbreviates(view)
    )


@lru_cache(4096)
def _is_coded(reference: str) -> bool:
    """Whether a reference is yes or no, "unanswerable", a letter, a symbol or a formula."""
    text = reference.strip().strip(".").casefold()
    if text in _POLAR or is_symbol(reference):
        return True
    return bool(_FORMULA.search(reference)) or says_unanswerable(reference)


def _is_other(answer: str, reference: str, view: View) -> bool:
    """Whether an answer is another one of the same code: "No, ..." for yes, C-12 for C-14."""
    if is_symbol(reference):
        return others(answer, reference)
    first = view.answer[0] if view.answer else None
    if first is None or first.text not in _POLAR:
        return False
    alone = len(view.answer) == 1 or first.clause != view.answer[1].clause
    return alone and first.text != reference.strip(" .").casefold()


def _script(text: str) -> bool:
    """Whether a text holds letters of another script than Latin."""
    return not text.isascii() and bool(_OTHER_SCRIPT.search(text, 0, _READ))


@lru_cache(512)
def _asks_otherwise(question: str) -> bool:
    """Whether a question holds more frequent words of other languages than of English."""
    words = [canonical(w) for w in re.findall(r"\w+", fold(question[:_READ]))]
    foreign, english = (sum(w in known for w in words) for known in (_FOREIGN, STOP))
    return len(words) >= _LEAST_ASKED and foreign > english


def _is_foreign(words: Iterable[Word]) -> bool:
    """Whether an answer holds more frequent words of other languages than of English."""
    balance = 0
    for word in words:
        balance += (word.text in _FOREIGN) - (word.text in STOP)
    return balance > 0


def _converts(view: View) -> bool:
    """Whether both hold a number, and the reference a unit that the answer lacks."""
    if not view.numeric or is_symbol(view.reference.text):
        return False
    if not any(w.number for w in view.answer):
        return False
    words = {w.text for w in view.reference.words if not w.text.isdecimal() and not w.number}
    same = any(w.number and w.text in view.texts for w in view.reference.words)
    known = same and not _UNITS.isdisjoint(view.texts - view.known)
    return not known and bool(words - view.texts - _MONTHS - STOP)


def _translates(view: View) -> bool:
    """Whether a brief answer gives the reference as another name of what it says.

    "Hg (mercury)" and "Hg, i.e. mercury" look like "lead (mercury)".
    """
    if view.coverage < 1 or not view.spans or len(view.answer) > BRIEF:
        return False
    against = cues.NEGATION | cues.DENIAL | cues.EITHER | cues.OPINION | cues.DOUBT
    if view.near(against, NEAR, NEAR, clause=True):
        return False
    return encloses(view) or view.near(cues.EQUAL, NEAR, 0) > 0


def _spells_out(view: View) -> bool:
    """Whether the reference is a number, and the answer one of several words: "forty-six"."""
    if not view.numeric or view.coverage >= 1:
        return False
    spelled = [w.text.isdecimal() and not w.number for w in view.answer]
    return any(a and b for a, b in itertools.pairwise(spelled))


def _stands(view: View) -> bool:
    """Whether a brief answer ends on the reference, in words that do not speak against it.

    "Sydney. Sorry, I meant Canberra." ends on Canberra, whatever was said before.
    """
    if view.span is None or not view.spans[-1].exact or len(view.answer) > BRIEF:
        return False
    if view.question.issuperset(view.reference.key):
        return False
    last = view.spans[-1]
    against = cues.NEGATION | cues.EITHER | cues.OPINION
    if view.near(against | cues.AVERSE, NEAR, 0, clause=True):
        return False
    if view.count(against | cues.DENIAL | cues.TURN, last.end):
        return False
    return all(start < last.end for start, _ in view.rivals)


def _abbreviates(view: View) -> bool:
    """Whether a letter with a full stop may stand for a word of the reference: "Mary S."."""
    beginnings = {word[0] for word in view.missing}
    return any(word.initial and word.text in beginnings for word in view.answer[:BRIEF])
