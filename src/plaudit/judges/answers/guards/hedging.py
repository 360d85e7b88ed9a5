"""Whether an answer names a reference as one of several candidates ("Paris or Lyon")."""

import re

from plaudit.judges.answers.guards.candidates import CANDIDATE, CANDIDATES, differ
from plaudit.judges.answers.guards.mentions import Mention, Mentions
from plaudit.judges.answers.guards.opinion import OTHERS, SAY

_OR = r"(?:or|oder|ou|o|\u6216|\u6216\u8005|\u8fd8\u662f|\u304b)"
_UNSURE = (
    r"(?:maybe|perhaps|possibly|potentially|conceivably|might be|may be|could be|could have been|"
    r"might have been|could also be|might also be|may also be|could equally be|vielleicht|"
    r"peut - \u00eatre|quiz\u00e1s?|tal vez)"
)
_FILL = (
    r"(?:(?:probably|even|else|in|at|by|around|about|it|is|was|it's|the|a|an|from|to|of|with|\"|"
    r"'|\*|,|\(|:) ){0,5}"
)
_ALTERNATIVE_AFTER = re.compile(
    rf"(?:{_OR} {_FILL}|,? ?{_OR} (?:{_FILL}{_UNSURE}|rather) {_FILL}"
    rf"|[,;] {_UNSURE} {_FILL}(?=\S+(?: [.!]|$))"
    rf"|(?:, (?:{_UNSURE} )?{CANDIDATES} ){{1,8}},? ?{_OR} {_FILL})(?P<other>{CANDIDATE})",
    re.IGNORECASE,
)
_ALTERNATIVE_BEFORE = re.compile(
    rf"(?P<other>{CANDIDATE}) (?:\( )?(?:{_OR} {_FILL}|[,(]? ?{_OR} {_FILL}{_UNSURE} {_FILL}"
    rf"|, (?:{CANDIDATES} , ){{1,8}}{_OR} {_FILL})$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"\b(?:torn|undecided|choice|choose|toss - up|hesitate|hesitating|unsure|50) (?:/ 50 )?between "
    r"(?:[^.]{1,80} (?:and|or) )?(?:the )?$",
    re.IGNORECASE,
)
_NAMES = re.compile(r"\b(?:called|known as|named|nicknamed|spelled|termed)\b", re.IGNORECASE)
"""What stands before several names of one thing."""
_GUESS = r"\b(?:either|maybe|perhaps|possibly|i (?:think|guess|believe|suppose)(?: that)?)"
_EITHER = re.compile(rf"{_GUESS} {_FILL}$", re.IGNORECASE)
_OR_ELSE = re.compile(
    r"or (?!(?:so|more|less|there\w*|some\w*|whatever|earlier|later|not|at least|rather)\b)"
    r"(?P<other>\w+)",
    re.IGNORECASE,
)
_EITHER_OR = re.compile(
    rf"{_GUESS} {_FILL}(?P<other>\w+)[^.]{{0,80}} or {_FILL}(?:{_UNSURE} )?$", re.IGNORECASE
)
_GUESSES = re.compile(
    rf"\b(maybe|perhaps|possibly|could be|might be) {_FILL}([^\W_]+(?<!ed))\b", re.IGNORECASE
)
_UNSURE_BEFORE = re.compile(rf"\b{_UNSURE} {_FILL}$", re.IGNORECASE)
_UNSURE_AFTER = re.compile(r"(?:\( )?(?:maybe|perhaps|possibly)\b|\?", re.IGNORECASE)
_UNSURE_OF = re.compile(
    rf"\b{_UNSURE} {_FILL}(?P<a>{CANDIDATE})"
    rf"|(?P<b>{CANDIDATE}) (?:maybe|perhaps|possibly|is (?:also )?(?:possible|likely|"
    rf"plausible))\b|(?P<c>{CANDIDATE}) \?",
    re.IGNORECASE,
)
_EQUALS_AFTER = re.compile(r"(?:=(?: =)?|\u2261) (?P<other>[A-Z][a-z]{3,})")
_EQUALS_BEFORE = re.compile(r"(?P<other>\b[A-Z][a-z]{3,}) (?:=(?: =)?|\u2261) $")
_BRACKETED = re.compile(
    rf"{CANDIDATE} \( (?:(?:the )?(?:correct|right|actual|real|true|reference|expected)(?: answer)?"
    rf"(?: (?:is|being|would be))?(?: :)?|{_UNSURE}|{OTHERS} {SAY}|or) {_FILL}$",
    re.IGNORECASE,
)
_DISJUNCTIONS = frozenset(
    {
        "or", "maybe", "perhaps", "possibly", "might", "could", "oder", "ou", "o", "\u6216",
        "\u8fd8", "\u304b", "between",
    }
)  # fmt: skip
_DOUBTS = frozenset(
    {
        "?", "maybe", "perhaps", "possibly", "potentially", "conceivably", "might", "may",
        "could", "vielleicht", "peut", "quiz\u00e1", "quiz\u00e1s", "tal",
    }
)  # fmt: skip
_EQUATIONS = frozenset("=\u2261")
_BRACKETS = frozenset("(")


def is_alternative(mention: Mention) -> bool:
    """Whether a mention is joined to another candidate by "or"."""
    if not mention.has(_DISJUNCTIONS) or _NAMES.search(mention.near):
        return False
    after = _ALTERNATIVE_AFTER.match(mention.after)
    if after and _differs(mention, after["other"], mention.after[after.end() :]):
        return True
    before = _ALTERNATIVE_BEFORE.search(mention.near)
    if before and _differs(mention, before["other"], mention.after):
        return True
    return _BETWEEN.search(mention.before) is not None or _is_guess(mention)


def _is_guess(mention: Mention) -> bool:
    """Whether a mention is half of "either X or Y" or "I think it is X or Y"."""
    found = _EITHER_OR.search(mention.before)
    if not found and _EITHER.search(mention.near):
        found = _OR_ELSE.match(mention.after)
    return found is not None and found["other"].casefold() not in mention.text.accepted


def _differs(mention: Mention, other: str, unit: str) -> bool:
    """Whether another candidate is of the same kind, and no other name of the same thing.

    A number with its unit is no rival of another number: that may be a conversion.
    """
    if other.casefold() in mention.text.accepted:
        return False
    first, last = mention.words[0], mention.words[-1]
    if first[0].isdigit() and (last.isalpha() or unit.startswith("%")):
        return differ(last, other)
    return differ(first, other) or differ(last, other)


def is_unsure(mention: Mention) -> bool:
    """Whether a mention is one of several things that the answer takes for possible."""
    if not mention.has(_DOUBTS):
        return False
    if not _UNSURE_BEFORE.search(mention.near) and not _UNSURE_AFTER.match(mention.after):
        return False
    return bool(_unsure_of(mention.text))


def _unsure_of(text: Mentions) -> frozenset[str]:
    """Return the candidates, other than the references, that an answer takes for possible."""
    found = _UNSURE_OF.finditer(" ".join(text.words))
    rivals = {(m["a"] or m["b"] or m["c"]).casefold() for m in found}
    guesses = [(m[1].casefold(), m[2].casefold()) for m in _GUESSES.finditer(" ".join(text.words))]
    cues = [cue for cue, _ in guesses]
    rivals.update(word for cue, word in guesses if cues.count(cue) > 1)
    return frozenset(rivals) - text.accepted


def is_equated(mention: Mention) -> bool:
    """Whether a mention is equated with another name ("Paris = Lyon")."""
    if not mention.has(_EQUATIONS):
        return False
    found = _EQUALS_AFTER.match(mention.after) or _EQUALS_BEFORE.search(mention.near)
    if not found or not mention.words[0].istitle() or len(mention.words[0]) < 4:
        return False
    return found["other"].casefold() not in mention.text.accepted | mention.text.asked


def is_aside(mention: Mention) -> bool:
    """Whether a mention stands in brackets behind another candidate, as a second thought."""
    return mention.has(_BRACKETS) and _BRACKETED.search(mention.near) is not None
