"""Sentences that carry an answer and add nothing: "It is Paris", "Paris is the capital of France".

The words around an answer must be function words or words of the question, in the order of the
question, and the answer must stand where the question word stood: "Brutus killed Caesar" answers
"Who killed Caesar?" with Brutus, "Caesar killed Brutus" does not.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec


class _Language(msgspec.Struct, frozen=True):
    """Words of a language, each set given as one text."""

    asks: frozenset[str]
    """Question words."""
    persons: frozenset[str]
    """Question words that stand for the answer alone; behind others stands its kind."""
    copulas: frozenset[str]
    subjects: frozenset[str]
    """Words before a copula that say nothing: it, the correct answer, ..."""
    introduces: frozenset[str]
    """Words that may stand directly before an answer, beside copulas."""
    function: frozenset[str]
    """Words that need not stand in the question."""
    places: frozenset[str]
    """Prepositions before an answer that is a place or a time."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _Language(
    _set("what which who whom whose where when how why"),
    _set("who"),
    _set("is are was were its thats hes shes theyre"),
    _set(
        "it that this these those they he she there here answer answers correct right final my his "
        "her their name to question your so hence therefore thus yes"
    ),
    _set("answer called"),
    _set("of in on at it that which who he she they his her its their this"),
    _set("in on at"),
)
_GERMAN = _Language(
    _set("wer wen wem was welche welcher welches welchen wo wann wie warum woher"),
    _set("wer"),
    _set("ist sind war waren lautet hei\u00dft heisst heissen"),
    _set("es das dies er sie die der antwort richtige also hier name seine ihre ja auf frage"),
    _set("antwort"),
    _set("es er sie der die das dem den des von vom im in am"),
    _set("in im am"),
)
_ROMANCE = _Language(
    _set(
        "qui que quoi quel quelle quels quelles o\u00f9 quand comment combien quien qui\u00e9n "
        "qu\u00e9 cu\u00e1l cual d\u00f3nde cu\u00e1ndo c\u00f3mo chi che cosa quale qual quali "
        "dove quando quem onde"
    ),
    _set("qui qui\u00e9n quien chi quem"),
    _set(
        "est sont cest \u00e9tait es son era fue fueron \u00e8 \u00e9 sono fu foi s\u00e3o eram "
        "sappelle"
    ),
    _set(
        "la le el il lo les los las o a ce cela elle ils r\u00e9ponse donc respuesta correcta "
        "\u00e9l ella esto eso risposta corretta questo resposta ele ela isto isso oui s\u00ed sim"
    ),
    _set("r\u00e9ponse respuesta risposta resposta"),
    _set(
        "la le les el los las il lo gli o os as de du des del di della dello do da de en au aux in "
        "a \u00e0 em no na que qui che"
    ),
    _set("en \u00e0 in em"),
)
_TURNING = _set(
    "not no never none nor neither without except unless but or cannot cant isnt arent wasnt "
    "werent doesnt didnt dont wont false wrong incorrect than maybe perhaps possibly probably "
    "might could would should if instead rather least "
    "nicht kein keine keiner nie oder au\u00dfer ohne als sondern ausser "
    "ne pas jamais ou sauf sans ni nunca sin salvo excepto non mai oppure senza tranne "
    "n\u00e3o sem exceto"
)
"""Words that deny, doubt, compare or choose: with one, a sentence proves nothing."""
_CHOOSING = _set(
    "or not except isnt arent wasnt least false wrong incorrect neither without never "
    "oder nicht kein keine ou pas sauf no excepto non oppure n\u00e3o exceto"
)
"""Words of questions that name candidates or ask for what is not so."""
_YES = _set("yes true correct")
_IT_IS = _set("it that this they he she is are was correct true right")
_LONGEST = 60
"""Words of a sentence that is looked at."""


def carries(
    before: Sequence[str], answer: Sequence[str], after: Sequence[str], question: Sequence[str]
) -> bool:
    """Whether the words around an answer add nothing to it.

    Args:
        before: words before the answer in its sentence, without articles.
        answer: the words of the answer.
        after: words behind it.
        question: the words of the question.
    """
    if len(before) + len(after) > _LONGEST:
        return False
    left, middle, right, asked = (_lower(part) for part in (before, answer, after, question))
    language = _language(asked)
    if any(word in _TURNING for word in (*left, *right)) or _is_of_name(before, left, language):
        return False
    if not _can_stand(answer, language):
        return len(middle) == 1 and middle[0] in _YES and not left and _is_plain_yes(right)
    if _is_plain(left, right, language):
        return True
    if any(word in _CHOOSING for word in asked) or _holds(asked, middle):
        return False  # one of the candidates that the question names
    return _follows(left, right, asked, language) or _leads(left, right, asked, language)


def _lower(words: Sequence[str]) -> list[str]:
    return [word.casefold() for word in words]


def _language(asked: Sequence[str]) -> _Language:
    """Return the language of a question: the first whose question word it holds."""
    for word in asked:
        for language in (_ENGLISH, _GERMAN, _ROMANCE):
            if word in language.asks and not (word == "was" and _is_english(asked)):
                return language
    return _ENGLISH


def _is_english(asked: Sequence[str]) -> bool:
    return not any(word in ("ist", "sind", "war", "der", "die", "das") for word in asked)


def _is_of_name(before: Sequence[str], left: Sequence[str], language: _Language) -> bool:
    """Whether the word before an answer may belong to its name, as in "It is La Paz"."""
    if len(before) < 2 or not before[-1][0].isupper():
        return False
    return left[-1] not in language.copulas | language.introduces


def _can_stand(answer: Sequence[str], language: _Language) -> bool:
    """Whether an answer holds a word that a sentence does not need anyway."""
    idle = language.function | language.subjects | language.copulas | _YES
    return any(word.casefold() not in idle or (len(word) == 1 and word != "a") for word in answer)


def _is_plain_yes(right: Sequence[str]) -> bool:
    """Whether what stands behind a "yes" is "it is" or the like."""
    return 1 < len(right) <= 4 and all(word in _IT_IS for word in right)


def _is_plain(left: Sequence[str], right: Sequence[str], language: _Language) -> bool:
    """Whether nothing but "It is ..." stands before and "... is the answer" behind."""
    if left and not _introduces(left, language):
        return False
    if not right:
        return True
    return (
        right[0] in language.copulas
        and right[-1] in (language.introduces | {"correct"})
        and (all(word in language.subjects for word in right[1:]))
    )


def _introduces(left: Sequence[str], language: _Language) -> bool:
    """Whether words are "It is", "The correct answer:" or the like."""
    last = len(left) - 1
    while last > 0 and left[last] in language.function and left[last] not in language.copulas:
        last -= 1  # an article
    if left[last] not in language.copulas and left[last] not in language.introduces:
        return False
    return all(word in language.copulas or word in language.subjects for word in left[:last])


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    size = len(part)
    return any(list(words[i : i + size]) == list(part) for i in range(len(words) - size + 1))


def _follows(
    left: Sequence[str], right: Sequence[str], asked: Sequence[str], language: _Language
) -> bool:
    """Whether an answer comes first and the question behind: "Brutus killed Caesar"."""
    if not right or (left and not _introduces(left, language)):
        return False
    if len(right) > 1 and right[1] in language.copulas and _is_relative(right[0], language):
        right = right[1:]
    if right[0] in language.copulas and any(word in language.copulas for word in asked):
        return len(right) > 1 and _in_order(right, asked, language)
    return _is_rest(right, asked, language)


def _is_relative(word: str, language: _Language) -> bool:
    return word == "that" or word in language.asks


def _leads(
    left: Sequence[str], right: Sequence[str], asked: Sequence[str], language: _Language
) -> bool:
    """Whether a sentence ends with the answer: "The capital of France is Paris"."""
    if right or not left:
        return False
    return _leads_on(left[-1], asked, language) and _in_order(left[:-1], asked, language)


def _leads_on(word: str, asked: Sequence[str], language: _Language) -> bool:
    """Whether a word may stand before the answer: a copula, or what the question asks with."""
    if word in language.copulas:
        return any(other in language.copulas for other in asked)
    if word in language.places:
        return True
    ends = asked[-1:] == [word]
    return ends or any(one == word and other in language.asks for one, other in pairwise(asked))


def _in_order(words: Sequence[str], asked: Sequence[str], language: _Language) -> bool:
    """Whether all words but function words stand in the question, in the same order."""
    idle = language.function | language.copulas
    rest = iter(asked)
    return all(word in rest for word in words if word not in idle)


def _is_rest(right: Sequence[str], asked: Sequence[str], language: _Language) -> bool:
    """Whether words are all that stands behind the question word and the kind of the answer."""
    start = len(asked) - len(right)
    if len(right) < 2 or start < 1 or list(asked[start:]) != list(right):
        return False
    if asked[start - 1] in language.persons:
        return True
    return any(word in language.asks for word in asked[max(start - 3, 0) : start - 1])
