"""Answers and references that say that there is no answer."""

import re
from functools import lru_cache

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types.words import fold

_LONGEST = 300
_SOURCE = (
    r"(?:the |this |any |your |a |further |more |additional )?"
    r"(?:given |provided |available |above |supplied )?"
    r"(?:information|info|passage|text|context|document|article|data|question|details|facts|"
    r"paragraph|statement|source|sources|premises?|evidence|story|photo|picture|image|excerpt|"
    r"records?|report|table|figure)"
)
_TAIL = (
    rf"(?:,? ?(?:here|exactly|yet|now|for (?:sure|certain)|with certainty|to (?:me|us)|that|this|"
    rf"(?:from|based (?:only |solely )?on|given|in|anywhere in|with|without|by|using|according to|"
    rf"about) {_SOURCE}"
    r"(?: (?:given|provided|above|alone|here|(?:that )?we have|available))?|"
    r"to (?:answer|know|tell|say|determine|decide)(?: (?:this|that|it|the question))?|"
    r"to (?:this|the|that|your) question|(?:the |this )?(?:answer|question|it)|"
    r"unfortunately|sorry))*+"
)
"""What may follow; possessive, for its parts can be read in several ways."""
_KNOW = r"(?:know|tell|say|answer|determine|be sure|be certain|find out)"
_IT = (
    r"(?:(?:it|this|that|which|the answer|(?:the|this|that) question|"
    r"(?:this|that|the) information|(?:the|this|"
    r"that|her|his|its|their) (?:[\w'-]+ ){1,3}?)\s?)?"
)
"""What cannot be known: "it", "the exact number"."""
_NAMED = (
    r"(?:known|given|stated|mentioned|specified|provided|available|named|recorded|disclosed|"
    r"revealed|described|included|documented|reported|determinable|answerable)"
)
_NAMES = (
    r"(?:say|tell|mention|state|specify|provide|give|contain|include|answer|name|record|reveal|"
    r"disclose|describe|indicate|note|identify|cover)"
)
_THING = r"(?: (?!but\b|only\b|that\b)[\w'-]+){0,5}?"
"""What a source does not say, in a few words."""
_ENGLISH = (
    r"unanswerable|not answerable|n/a|not available|no (?:possible |valid |definite )?answer"
    r"(?: (?:possible|exists|available|given|found|can be given))?|"
    r"(?:(?:there is|there's|i have|we have) )?no way (?:of knowing|of telling|to know|to tell|"
    r"to find out)|"
    r"(?:there is|there's|we have) (?:no|not an) (?:\w+ )?(?:answer|way to (?:know|tell|say))"
    r"(?: (?:possible|given))?|"
    r"(?:i|we) (?:do not|don't|cannot|can't|can not|could not|couldn't|am not able to|"
    r"am unable to) "
    rf"{_KNOW}|"
    r"(?:nobody|no one|no-one|none of us) (?:knows|can know|can tell|can say|could know)|"
    r"(?:i'm|i am) (?:not sure|not certain|unsure)|(?:i have )?no idea|don't know|do not know|idk|"
    rf"{_IT}(?: ?is|'s| ?was)? ?"
    r"(?:impossible to|not possible to|unable to|no way to) "
    r"(?:know|tell|say|answer|determine|be sure|be certain)|"
    rf"{_IT}(?:cannot|can't|can not|could not|couldn't) "
    r"be (?:\w+ly )?(?:determined|answered|known|inferred|deduced|found|established)|"
    rf"{_IT}(?:is |'s |was |are |were |has |have )"
    rf"(?:unanswerable|unknown|(?:not|never) (?:been )?{_NAMED}|undetermined|indeterminate|"
    r"unclear|no answer)|"
    rf"{_IT}(?:isn't|wasn't|aren't|hasn't been) (?:{_NAMED}|clear)|"
    rf"not {_NAMED}|undeterminable|"
    r"cannot (?:say|tell|know|answer|determine)|can't (?:say|tell|know|answer|determine)|"
    rf"(?:there is |there's |we have |i have )?(?:not enough|insufficient|too little|no) "
    r"(?:information|info|data|context|evidence|details)(?: (?:is )?(?:given|provided|available))?|"
    rf"{_SOURCE} (?:does not|doesn't|do not|don't|did not|didn't) {_NAMES}"
    rf"(?: enough| sufficient)?{_THING}|"
    rf"{_SOURCE} never {_NAMES}s?{_THING}|"
    rf"no (?:source|record|document)s? {_NAMES}s?{_THING}|"
    r"the question (?:rests|is based) on a (?:false|wrong) (?:premise|assumption)"
)
_ELSEWHERE = (
    # German
    r"(?:das )?(?:ich )?wei(?:\u00df|ss) (?:ich )?(?:es |das )?nicht|keine ahnung|"
    r"unbeantwortbar|nicht (?:zu beantworten|beantwortbar|bekannt)|keine antwort(?: m\u00f6glich)?|"
    r"(?:das|es|die frage) (?:l\u00e4sst sich nicht (?:sagen|beantworten|bestimmen)|"
    r"kann nicht (?:beantwortet|bestimmt) werden|ist unbekannt)|"
    r"(?:das |es )?(?:steht|wird|ist) (?:(?:im text|dort|hier|da) )?nicht"
    r"(?: (?:erw\u00e4hnt|genannt|angegeben|gesagt|bekannt|im text|drin|da))*|"
    r"der text (?:sagt|nennt|erw\u00e4hnt|verr\u00e4t) (?:es|das|ihn|sie) nicht|"
    # French
    r"je (?:ne )?sais pas|je l'ignore|aucune id\u00e9e|pas de r\u00e9ponse|sans r\u00e9ponse|"
    r"(?:c'est )?impossible (?:\u00e0|de) (?:savoir|dire|d\u00e9terminer|r\u00e9pondre)|"
    r"on ne (?:peut|sait) pas(?: (?:le )?(?:savoir|dire|r\u00e9pondre|d\u00e9terminer))?|"
    r"le (?:texte|passage) ne (?:le |la |l')?(?:dit|mentionne|pr\u00e9cise|nomme|indique) pas|"
    r"(?:ce |il )?n'est pas (?:mentionn\u00e9|pr\u00e9cis\u00e9|dit|indiqu\u00e9|connu)"
    r"(?: dans le (?:texte|passage))?|"
    # Spanish, Portuguese, Italian
    r"no (?:lo )?s\u00e9|no se (?:sabe|puede (?:saber|determinar|responder|contestar))|"
    r"no se (?:menciona|dice|indica|especifica|nombra)(?: en el (?:texto|pasaje))?|"
    r"el (?:texto|pasaje) no (?:lo |la )?(?:dice|menciona|indica|nombra|especifica)|"
    r"sin respuesta|"
    r"no hay (?:respuesta|informaci\u00f3n(?: suficiente)?|suficiente informaci\u00f3n)|"
    r"n\u00e3o sei|n\u00e3o (?:\u00e9 poss\u00edvel|se pode) (?:saber|responder|determinar)|"
    r"(?:isso )?n\u00e3o (?:\u00e9|est\u00e1|foi) (?:mencionado|dito|indicado|informado)"
    r"(?: no texto)?|o texto n\u00e3o (?:o )?(?:diz|menciona|informa)|"
    r"sem resposta|non (?:lo )?so|non si (?:sa|pu\u00f2 (?:sapere|dire|determinare|rispondere))|"
    r"non (?:\u00e8|viene) (?:menzionato|detto|indicato|specificato)(?: nel testo)?|"
    r"il testo non (?:lo |la )?(?:dice|menziona|indica|specifica)|"
    r"nessuna risposta|"
    # Dutch, Russian, Chinese, Japanese
    r"(?:ik )?weet (?:ik |het )*niet|geen idee|\u043d\u0435 \u0437\u043d\u0430\u044e|"
    r"\u044f \u043d\u0435 \u0437\u043d\u0430\u044e|(?:\u6211)?\u4e0d\u77e5\u9053|"
    r"\u65e0\u6cd5(?:\u56de\u7b54|\u786e\u5b9a)|\u7121\u6cd5(?:\u56de\u7b54|\u78ba\u5b9a)|"
    r"\u308f\u304b\u308a\u307e\u305b\u3093|\u5206\u304b\u308a\u307e\u305b\u3093"
)
_START = (
    r"(?:(?:sorry|unfortunately|well|hmm|honestly|i'm sorry|i am sorry|i'm afraid|i am afraid|"
    r"the answer is|answer|it is|this is|but|that|i think|in this case)[ ,.:]+)*"
)
_SAYS = re.compile(rf"{_START}(?:{_ENGLISH}){_TAIL}|(?:{_ELSEWHERE})", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!;]+(?:\s+|$)|,? (?:because|since|so|and|as) (?=\w)")
_CLAUSE = re.compile(r"[.!;]+\s+|,? (?:and|so|but) (?=\w)")
_EDGES = " \t\r\n\"'`*_()[]{}.!\u3002\u2026"
_ONE_WORD = frozenset({"n/a", "na", "unknown", "unanswerable", "idk"})
_DENIES = re.compile(
    r"\b(?:no|not|cannot|unknown|never|nothing|nobody|none|unclear|unable|insufficient|impossible|neither|"
    r"unspecified|unsure|hard to|nicht|kein\w*|pas|ne|n\u00e3o|non|sin)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
"""What an answer may say that there is none with, in words that are not read here."""
_LONE = re.compile(r"[^\W_]")


def says_unanswerable(text: str) -> bool:
    """Whether a text says that there is no answer ("I don't know."), and gives none.

    Each of its sentences must say so. Looks at texts up to 300 characters.
    """
    return len(text) <= _LONGEST and _says(text)


@lru_cache(1024)
def _says(text: str) -> bool:
    bare = text.strip(_EDGES)
    if not bare:
        return False
    plain = " ".join(fold(bare).split())
    if plain.lower() in _ONE_WORD or _SAYS.fullmatch(plain):
        return True
    parts = [part.strip(_EDGES + ",") for part in _SENTENCE.split(plain)]
    return all(_SAYS.fullmatch(part) for part in parts if part)


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference says that there is no answer; of any type that a row asks for."""
    return bool(case.references) and says_unanswerable(reference)


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Return whether an answer says that there is none; None for one that holds no word.

    An answer that says so and gives one nonetheless is left open, as is any answer to "unknown".
    """
    if says_unanswerable(answer) or _concludes(answer):
        return Comparison(True, "both say that there is no answer")
    if reference.strip(_EDGES).lower() == "unknown" or not _LONE.search(answer, 0, _LONGEST):
        return None
    if _mentions(answer) or any(not says_unanswerable(other) for other in case.references):
        return None
    return Comparison(False, "an answer where there is none")


def _concludes(answer: str) -> bool:
    """Whether a text of denials ends with a sentence, or a clause, that there is no answer."""
    if len(answer) > 2 * _LONGEST:
        return False
    plain = " ".join(fold(answer).strip(_EDGES).split())
    parts = [part.strip(_EDGES + ",") for part in _CLAUSE.split(plain)]
    before = " ".join(parts[:-1])
    return bool(_DENIES.search(before)) and _SAYS.fullmatch(parts[-1][:_LONGEST]) is not None


def _mentions(answer: str) -> bool:
    """Whether an answer may say that there is none, among other things."""
    if len(answer) > _LONGEST or _DENIES.search(answer):
        return True
    parts = re.split(r"[.!;,:\n]+\s*|\bbut\b", fold(answer))
    return any(_SAYS.fullmatch(part.strip(_EDGES)) for part in parts if part.strip())
