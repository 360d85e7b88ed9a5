"""Whether an answer names a reference as another's opinion ("Some say Paris, but it is Lyon")."""

import re

from plaudit.judges.answers.guards.candidates import CANDIDATE
from plaudit.judges.answers.guards.mentions import Mention
from plaudit.judges.answers.guards.negation import BE, WRONG

_FILL = r"(?:(?:it|is|was|in|at|by|the|a|an|that|to be|:) ){0,4}"
SAY = (
    r"(?:say|says|said|think|thinks|thought|believe|believes|believed|claim|claims|claimed|assume|"
    r"assumes|assumed|suggest|suggests|guess|guessed|argue|argues|insist|insists|swear|swears|"
    r"hold|holds|held|has it|answer|answers|have you believe|expect)"
)
OTHERS = (
    r"(?:some|many|most|several|people|others|everyone|everybody|they|critics|\w*friends?|brother|"
    r"sister|teacher|neighbou?r|myth|legend|rumou?rs?|misconception|popular|commonly|often|"
    r"sometimes|sources|website|one might|you might|you may|you would|you'd|one would|"
    r"i (?:once|first|initially|used to|had)|manche|viele|certains|algunos)"
)
OPINION = re.compile(
    rf"\b{OTHERS}\b.{{0,80}}\b{SAY}\b"
    r"|\b(?:myth|misconception|according to (?:my|some|many|most|others|fans|critics))\b",
    re.IGNORECASE,
)
_FALSELY = re.compile(
    r"\b(?:mistakenly|wrongly|falsely|erroneously|incorrectly)\b.{0,60}$", re.IGNORECASE
)
_TURN = (
    r"\b(?:but|though|although|however|yet|in fact|actually|in reality|the truth is|really|aber|"
    r"mais|pero)\b"
)
_TURNED = re.compile(_TURN, re.IGNORECASE)
_TURNS = re.compile(
    rf"{_TURN}.{{0,80}}?(?:\b{WRONG}|\bdisagree|\bi (?:say|think|believe|know)\b"
    rf"|\b(?:it|answer|this|that)(?:'s| is| was| must be) (?:\w+ ){{0,3}}?{CANDIDATE})"
    rf"|{WRONG}",
    re.IGNORECASE,
)
_COMMON = (
    r"(?:the|a|my|an) (?:first|initial|common|popular|usual|obvious|typical|naive|"
    r"most common) (?:\w+ )?"
    r"(?:guess|thought|answer|misconception|mistake|belief|error)"
)
_IS_OPINION = re.compile(rf",? ?{BE} (?:what (?:\w+ ){{1,4}}{SAY}|{_COMMON})\b", re.IGNORECASE)
_OPINION_IS = re.compile(rf"\b{_COMMON} {BE} {_FILL}$", re.IGNORECASE)
_CUES = frozenset(
    {
        *re.findall(r"\w+", SAY.removeprefix("(?:")),
        "misconception", "myth", "has", "have", "mistakenly", "wrongly", "falsely", "erroneously",
        "first", "initial", "according",
        "incorrectly", "common", "popular", "usual", "obvious", "typical", "naive", "most",
    }
)  # fmt: skip


def is_disowned(mention: Mention) -> bool:
    """Whether a mention is an opinion of others that the answer turns away from."""
    if not mention.has(_CUES):
        return False
    if _FALSELY.search(mention.before):
        return True
    opinion = OPINION.search(mention.before)
    if opinion and not _TURNED.search(mention.before, opinion.start()):
        return _TURNS.search(mention.later) is not None
    opinion = _IS_OPINION.match(mention.after) or _OPINION_IS.search(mention.before)
    return opinion is not None and _TURNED.search(mention.later) is not None
