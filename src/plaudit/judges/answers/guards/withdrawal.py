"""Whether an answer takes back what it stated."""

import re

from plaudit.judges.answers.guards.candidates import CANDIDATES
from plaudit.judges.answers.guards.mentions import Mention
from plaudit.judges.answers.guards.opinion import OPINION

_TAKEN_BACK = re.compile(
    r"\b(?:i take (?:that|it|this) back|scratch that|strike that|forget (?:that|it|what i said)|"
    r"disregard that|just kidding|only joking|"
    r"i(?:'m| am| was) (?:wrong|lying|joking|mistaken)(?! (?:to|about|in|when)\b)|"
    r"i lied|that(?:'s| is| was| would be| answer is| can not be) (?:actually |of course )?"
    r"(?:wrong|incorrect|false|not (?:right|correct|true|it|the answer)|a lie|a mistake|a joke|"
    r"right \? no)|i made (?:a mistake|that up)|on second thoughts?|i retract|on reflection|"
    r"my mistake|or not [.!?]|not ! \n|das (?:ist|war) falsch|c'est faux|es falso|"
    r"i (?:do not|no longer) believe (?:that|it|this))",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"(?:\bor rather|\b(?:no|nope|nein|non)(?= (?:[,!:-]|\.(?! \d)|wait|it|sorry|i) )|\bwait\b|"
    r"\bsorry\b|\bpardon\b|\boops\b|\bactually\b|\bcorrection\b|"
    r"\bi mean\b|\bi meant\b|, rather\b|\bmake that\b|\bedit\b|\bi change my mind\b|\bhmm\b|"
    r"\bperd\u00f3n\b)"
    r"(?: [,:.!-])*(?: (?:i mean|i meant|i think|it's|it is|it was|it must be|make that|"
    r"the answer is|"
    r"i should say|that should be|it should be|no|actually|rather|wait|in|the|sorry|es ist|"
    r"c'est|es|,|:|\.|-))*"
    rf" (?P<other>{CANDIDATES})(?: instead)?(?= [.!)]|$)",
    re.IGNORECASE,
)
_REPLACED = re.compile(
    r"(?:\b(?:sorry|wait|oops|correction|no)(?: [,.!:-])*(?: no)?(?: [,.!:-])* i mean(?:t)?"
    r"|\bor rather|\b(?:actually|wait|sorry)(?: [,.!-])* no(?: [,.!-])*"
    r"(?: (?:it is|it's|it was|i mean))?)"
    r" (?P<other>(?!(?:not|that|also|still|just|only|indeed|more|less|no|it)\b)[^\W_]\S*"
    r"(?: \S+){0,7}?)(?= [.!]|$)",
    re.IGNORECASE,
)
_CUES = frozenset(
    {
        "back", "scratch", "strike", "forget", "disregard", "kidding", "joking", "wrong",
        "lying", "mistaken", "lied", "incorrect", "false", "not", "lie", "nope", "edit",
        "change", "mistake", "joke", "up", "second", "retract", "reflection", "falsch",
        "faux", "falso", "believe", "rather", "no", "nein", "non", "wait", "sorry", "pardon",
        "oops", "actually", "correction", "mean", "meant", "make", "hmm", "perd\u00f3n",
    }
)  # fmt: skip
"""Words of which every pattern needs one."""
_GUESSED = re.compile(
    r"\b(?:guess|obvious|tempting|might|confuse[sd]?|mistaken for)\b", re.IGNORECASE
)
_ASKED = re.compile(rf"{CANDIDATES} \?", re.IGNORECASE)


def takes_back(mention: Mention) -> str | None:
    """Return that a text takes back an answer after its last mention, or None.

    A remark about another's view ("Many say Lyon, but that is wrong") takes nothing back.
    """
    if not mention.has(_CUES) or mention.is_polar:
        return None
    later = mention.later
    taken = _TAKEN_BACK.search(later)
    if taken and not _of_another(later[: taken.start()]):
        return "the answer takes itself back"
    instead = _REPLACED.search(later) or _INSTEAD.search(later)
    if (
        instead
        and not mention.accepts(instead["other"])
        and not _of_another(later[: instead.start()])
    ):
        return "the answer corrects itself to another answer"
    return None


def _of_another(text: str) -> bool:
    """Whether what was said before is about another candidate, or another's view."""
    return any(p.search(text) for p in (OPINION, _GUESSED, _ASKED))
