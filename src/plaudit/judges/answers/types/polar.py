"""Answers to questions of yes and no, by their first words: "Yep", "Nein, das geht nicht"."""

import re

from plaudit.judges.answers.base import AnswerCase, Comparison

_LONGEST = 300
"""Characters of an answer that is read."""
_STATEMENT = r"(?:(?:that|this|it|the (?:statement|claim|sentence))(?: is|'s) )?"
_SURELY = r"(?:absolutely|certainly|definitely|of course|sure|surely|clearly|obviously)"
_YES = re.compile(
    r"(?:yes|yep|yeah|yup|yea|aye|oui|s\u00ed|si|sim|ja|jawohl|jep|tak|"
    r"\u0434\u0430|\u662f\u7684?|"
    rf"\u306f\u3044|"
    r"indeed|exactly|affirmative|it sure is|"
    rf"{_SURELY}(?: yes)?|"
    rf"{_STATEMENT}(?:quite )?(?:true|correct|right)|(?:das |es )?(?:stimmt|ist richtig|ist wahr)|"
    r"vrai|c'est (?:vrai|exact)|verdadero|es (?:cierto|verdad)|richtig|vero|wahr)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_NO = re.compile(
    r"(?:no|nope|nah|nay|non|nein|nee|nej|n\u00e3o|nie|\u043d\u0435\u0442|\u4e0d(?:\u662f)?|\u5426|"
    r"\u3044\u3044\u3048|never|negative|not (?:at all|any ?more|any longer|so|really)|no longer|"
    rf"{_SURELY} not|{_STATEMENT}(?:not (?:true|correct|right)|(?:false|incorrect|untrue|wrong))|"
    r"(?:that|this|it) (?:isn't|is not) (?:true|correct|right|so)|"
    r"(?:das |es )?(?:stimmt nicht|ist falsch)|falsch|faux|c'est faux|falso|es falso)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_ELLIPSIS = re.compile(
    r"(?:it|they|he|she|you|we|there|one|that|this)"
    r"(?: (?:certainly|definitely|really|surely|clearly))? "
    r"(?:is|are|was|were|does|do|did|has|have|had|"
    r"can|could|will|would|should|must|may)(?P<no>n't| not)?",
    re.IGNORECASE,
)
_END = re.compile(r"\s*(?:$|[,.!;:\u2013\u2014(-]|\u3002|\uff0c)")
_IT = re.compile(
    r"\s+(?:it|they|he|she|you|we|there|that|this|one|the|indeed|because|since|of course)\b",
    re.IGNORECASE,
)
"""How a sentence goes on behind the word."""
_TURNED = re.compile(
    r"\b(?:but|however|although|though|wait|actually|sorry|unless|except|depends?|partly|maybe|"
    r"perhaps|or|correction|strictly|technically|wrong|incorrect|"
    r"aber|jedoch|doch|oder|jein|mais|sauf|ou|pero|salvo|per\u00f2|ma|mas)\b",
    re.IGNORECASE,
)
_AFFIRMED = re.compile(r"\b(?:yes|ja|oui|true|right|correct)\b", re.IGNORECASE)
_NO_DOUBT = re.compile(r"\b(?:no|without(?: a)?) (?:doubt|question)\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:not|nope|no|never|cannot|false|nicht|nein|kein\w*|pas|jamais|nunca|non|n\u00e3o)\b"
    r"|n't\b",
    re.IGNORECASE,
)
_WORDS = frozenset({"yes", "no", "true", "false"})
_ELSEWHERE = frozenset({"ja", "nein", "oui", "non", "s\u00ed", "sim", "n\u00e3o", "vrai", "faux"})
_EDGES = " \t\r\n\"'*_`.!"


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is yes or no, true or false, in a common language."""
    bare = reference.strip(_EDGES).casefold()
    return case.answer_type in ("auto", "text") and bare in _WORDS | _ELSEWHERE


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Return whether an answer begins with the same of yes and no; None where it turns later."""
    wanted, given = _read(reference), _read(answer)
    if wanted is None or given is None:
        return None
    if given is wanted:
        return Comparison(True, "the same of yes and no")
    return Comparison(False, f"{'yes' if given else 'no'} is not {reference.strip(_EDGES)}")


def _read(text: str) -> bool | None:
    """Return what the first words of a text say."""
    if len(text) > _LONGEST:
        return None
    text = " ".join(text.replace("\u2019", "'").strip(_EDGES).split())
    short = _ELLIPSIS.fullmatch(text)
    if short:
        return short["no"] is None
    for pattern, value in ((_NO, False), (_YES, True)):
        found = pattern.match(text)
        if found and _ends(text, found.end()):
            return None if _turns(text[found.end() :], value) else value
    return None


def _ends(text: str, at: int) -> bool:
    """Whether a word stands alone, or before a sentence of its own."""
    return _END.match(text, at) is not None or _IT.match(text, at) is not None


def _turns(rest: str, value: bool) -> bool:
    """Whether what follows takes the first word back, or denies what it affirms."""
    rest = _NO_DOUBT.sub("", rest)
    against = _DENIED if value else _AFFIRMED
    return _TURNED.search(rest) is not None or against.search(rest) is not None
