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
    articles: frozenset[str] = frozenset()
    """Articles; those of English are left out before."""


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


_ENGLISH = _Language(
    word_set("what which who whom whose where when how why"),
    word_set("who"),
    word_set("is are was were its thats hes shes theyre"),
    word_set(
        "it that this these those they he she there here answer answers correct right final my his "
        "her their name to question your so hence therefore thus yes sure certainly well indeed"
    ),
    word_set("answer called"),
    word_set("of in on at it that which who he she they his her its their this"),
    word_set("in on at"),
)
_GERMAN = _Language(
    word_set("wer wen wem was welche welcher welches welchen wo wann wie warum woher"),
    word_set("wer"),
    word_set("ist sind war waren lautet hei\u00dft heisst heissen"),
    word_set("es das dies er sie die der antwort richtige also hier name seine ihre ja auf frage"),
    word_set("antwort"),
    word_set("es er sie der die das dem den des von vom im in am"),
    word_set("in im am"),
    word_set("der die das dem den ein eine"),
)
_ROMANCE = _Language(
    word_set(
        "qui que quoi quel quelle quels quelles o\u00f9 quand comment combien quien qui\u00e9n "
        "qu\u00e9 cu\u00e1l cual d\u00f3nde cu\u00e1ndo c\u00f3mo chi che cosa quale qual quali "
        "dove quando quem onde"
    ),
    word_set("qui qui\u00e9n quien chi quem"),
    word_set(
        "est sont cest \u00e9tait es son era fue fueron \u00e8 \u00e9 sono fu foi s\u00e3o eram "
        "sappelle"
    ),
    word_set(
        "la le el il lo les los las o a ce cela elle ils r\u00e9ponse donc respuesta correcta "
        "\u00e9l ella esto eso risposta corretta questo resposta ele ela isto isso oui s\u00ed sim"
    ),
    word_set("r\u00e9ponse respuesta risposta resposta"),
    word_set(
        "la le les el los las il lo gli o os as de du des del di della dello do da de en au aux in "
        "a \u00e0 em no na que qui che"
    ),
    word_set("en \u00e0 in em"),
    word_set("la le les el los las il lo gli o os as un una une um uma"),
)
TURNING = word_set(
    "not no never none nor neither without except unless but or cannot cant isnt arent wasnt "
    "werent doesnt didnt dont wont false wrong incorrect than maybe perhaps possibly probably "
    "might could would should if instead rather "
    "nicht kein keine keiner nie oder au\u00dfer ohne als sondern ausser "
    "ne pas jamais ou sauf sans ni nunca sin salvo excepto non mai oppure senza tranne "
    "n\u00e3o sem exceto"
)
"""Words that deny, doubt, compare or choose: with one, a sentence proves nothing."""
_CHOOSING = word_set(
    "or not except isnt arent wasnt false wrong incorrect neither without never "
    "oder nicht kein keine ou pas sauf no excepto non oppure n\u00e3o exceto"
)
"""Words of questions that name candidates or ask for what is not so."""
_YES, _NO = word_set("yes true correct"), word_set("no false")
_DENIALS = word_set("not isnt arent wasnt werent doesnt didnt dont")
_IT_IS = word_set("it that this they he she is are was correct true right")
_CONTRACTED = {
    word + "s": (word, "is") for word in ("what", "who", "where", "when", "which", "how")
}
_DOES = word_set("did does do")
PASTS = {
    "fall": "fell", "begin": "began", "win": "won", "write": "wrote", "take": "took",
    "become": "became", "make": "made", "find": "found", "give": "gave", "come": "came",
    "lose": "lost", "leave": "left", "build": "built", "meet": "met", "sing": "sang",
    "break": "broke", "fight": "fought", "buy": "bought", "sell": "sold", "lead": "led",
    "hold": "held", "rise": "rose", "choose": "chose", "fly": "flew", "grow": "grew",
    "speak": "spoke", "teach": "taught", "drive": "drove", "sink": "sank", "get": "got",
}  # fmt: skip
_PRONOUNS = word_set("it he she they this that")
_OTHERS = word_set("his her their")
"""Whose answer is not that of the text: "His answer is Paris"."""
_OBJECTS = word_set("it him her them")
_PARTICIPLES = {
    "wrote": "written", "drew": "drawn", "sang": "sung", "took": "taken", "gave": "given",
    "broke": "broken", "chose": "chosen", "stole": "stolen", "flew": "flown", "grew": "grown",
    "threw": "thrown", "wore": "worn", "bit": "bitten", "beat": "beaten", "drove": "driven",
    "won": "won", "built": "built", "made": "made", "found": "found", "led": "led", "shot": "shot",
    "taught": "taught", "sent": "sent", "held": "held", "sold": "sold", "bought": "bought",
}  # fmt: skip
MOST_AROUND = 60
"""Words around an answer, up to which a sentence is looked at."""


def function_words() -> frozenset[str]:
    """Return the words of all languages that a sentence needs, whatever it says."""
    sets = (
        (
            one.asks,
            one.copulas,
            one.subjects,
            one.introduces,
            one.function,
            one.places,
            one.articles,
        )
        for one in (_ENGLISH, _GERMAN, _ROMANCE)
    )
    return frozenset(word for group in sets for words in group for word in words)


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
    if len(before) + len(after) > MOST_AROUND:
        return False
    left, middle, right = _lower(before), _lower(answer), _lower(after)
    asked = [part for word in _lower(question) for part in _CONTRACTED.get(word, (word,))]
    language = _language(asked)
    if len(middle) == 1 and (middle[0] in _YES or middle[0] in _NO):
        return not left and _agrees(middle[0], right, asked, language)
    if any(word in TURNING for word in (*left, *right)) or _is_of_name(before, left, language):
        return False
    if not _can_stand(answer, language):
        return False
    if _is_plain(left, right, language):
        return True
    if any(word in _CHOOSING for word in asked) or _holds(asked, middle):
        return False  # one of the candidates that the question names
    return (
        _follows(left, right, asked, language)
        or _leads(left, right, asked, language)
        or (not right and _is_passive(left, asked))
    )


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
    return left[-1] not in language.copulas and left[-1] not in language.introduces


def _can_stand(answer: Sequence[str], language: _Language) -> bool:
    """Whether an answer holds a word that a sentence does not need anyway."""
    idle = (language.function, language.subjects, language.copulas, _YES)
    return any(
        (len(word) == 1 and word != "a") or not any(word.casefold() in words for words in idle)
        for word in answer
    )


def _agrees(answer: str, right: Sequence[str], asked: Sequence[str], language: _Language) -> bool:
    """Whether a "yes" or a "no" is followed by a sentence that says the same."""
    rest = [word for word in right if word not in _DENIALS]
    if len(right) - len(rest) != (answer in _NO) or any(word in TURNING for word in rest):
        return False
    if len(rest) <= 4 and all(word in _IT_IS for word in rest):
        return bool(rest)
    return not any(word in _CHOOSING for word in asked) and _in_order(rest, asked, language)


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
    if _OTHERS.intersection(left) and "name" not in left:
        return False
    if "question" in left and "answer" not in left:
        return False
    last = len(left) - 1
    while last > 0 and left[last] in language.articles:
        last -= 1
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
    if len(right) > 1 and (right[0] == "that" or right[0] in language.asks):
        right = right[1:]
    if right[0] in language.copulas and any(word in language.copulas for word in asked):
        return len(right) > 1 and _in_order(right, asked, language)
    return _is_rest(right, asked, language)


def _leads(
    left: Sequence[str], right: Sequence[str], asked: Sequence[str], language: _Language
) -> bool:
    """Whether a sentence ends with the answer: "The capital of France is Paris"."""
    if right:
        return False
    while left and left[-1] in language.articles:
        left = left[:-1]
    if not left:
        return False
    return _leads_on(left[-1], asked, language) and _in_order(left[:-1], asked, language)


def _leads_on(word: str, asked: Sequence[str], language: _Language) -> bool:
    """Whether a word may stand before the answer: a copula, or what the question asks with."""
    if word in language.copulas:
        return any(other in language.copulas for other in asked)
    if word in language.places:
        return not any(other in language.persons for other in asked)
    if asked and (asked[-1] == word or _is_inflected(word, asked[-1], asked)):
        return True
    return any(one == word and other in language.asks for one, other in pairwise(asked))


def _in_order(words: Sequence[str], asked: Sequence[str], language: _Language) -> bool:
    """Whether all words but function words stand in the question, in the same order."""
    idle = language.function | language.copulas
    kind = _kind(asked)
    rest = iter(asked)
    return all(
        any(word == other or _is_inflected(word, other, asked) for other in rest)
        for word in words
        if word not in idle and word != kind
    )


def _kind(asked: Sequence[str]) -> str:
    """Return the kind of thing that an English question asks for: `ocean` of "Which ocean"."""
    for one, other in pairwise(asked):
        if one in ("which", "what"):
            return other
    return ""


def _is_inflected(word: str, base: str, asked: Sequence[str]) -> bool:
    """Whether a word is the verb of a question with "did" or "does": ended of end."""
    if len(base) < 3 or word[0] != base[0] or not _DOES.intersection(asked):
        return False
    if PASTS.get(base) == word:
        return True
    return word in (f"{base}s", f"{base}es", f"{base}ed", f"{base}d", f"{base[:-1]}ied")


def _is_passive(left: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether "Hamlet was written by" leads to the answer of "Who wrote Hamlet?"."""
    if asked[:1] in (["which"], ["what"]):
        asked = ["who", *asked[2:]]
    if len(asked) < 3 or asked[0] != "who" or len(left) < 4 or left[-1] != "by":
        return False
    *topic, copula, participle, _ = left
    regular = asked[1] == participle and participle.endswith("ed")
    if not regular and _PARTICIPLES.get(asked[1]) != participle:
        return False
    if copula not in _ENGLISH.copulas:
        return False
    return topic == list(asked[2:]) or (len(topic) == 1 and topic[0] in _PRONOUNS)


def _is_rest(right: Sequence[str], asked: Sequence[str], language: _Language) -> bool:
    """Whether words are all that stands behind the question word and the kind of the answer."""
    if len(right) == 2 and right[1] in _OBJECTS and len(asked) > 1:
        return asked[0] in language.persons and asked[1] == right[0]
    start = len(asked) - len(right)
    if len(right) < 2 or start < 1 or list(asked[start:]) != list(right):
        return False
    if asked[start - 1] in language.persons:
        return True
    return any(word in language.asks for word in asked[max(start - 3, 0) : start - 1])
