"""Answers compared as text: the same words, or the same words in a sentence that adds none."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property, lru_cache

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types import carrier, names, qualifiers, symbols
from plaudit.judges.answers.types.words import same_case, words

_MAX_LENGTH = 2_000
_MOST_AROUND = 500
"""Characters around a reference in the longest sentence that says no more than the reference."""
"""Characters above which texts are equal only where they are the same."""
_LONGEST = 100_000
"""Characters above which a text is not read as words."""
_AFTER_AN = "aeiouhAEIOUH81"
_LETTERED = frozenset(
    {
        "vitamin", "vitamins", "hepatitis", "group", "type", "plan", "section", "appendix", "part",
        "grade", "class", "hemophilia", "haemophilia", "influenza", "protein", "factor", "side",
        "team", "point", "option", "choice", "answer", "letter", "building", "gate", "terminal",
        "line", "track", "annex", "exhibit", "schedule", "level", "series", "model", "unit",
        "route", "strain", "variant", "phase", "step", "box", "row", "column", "blood", "chain",
    }
)  # fmt: skip
"""Words behind which an "a" is a letter."""
_LETTER_BEFORE = frozenset(
    {
        "minor", "major", "flat", "sharp", "natural", "level", "levels", "side", "list", "team",
        "positive", "negative", "plus", "minus", "and", "or", "is",
    }
)  # fmt: skip
"""Words before which an "a" is a letter."""
_FOREIGN = {
    **dict.fromkeys(
        ("der", "die", "das"), re.compile(r"\b(?:der|die|das|ist|wer|wie|wo|welche[rs]?)\b")
    ),
    **dict.fromkeys(
        ("le", "la", "les", "el", "los", "las", "il", "lo", "gli", "os", "as"),
        re.compile(
            r"\b(?:est|quel(?:le)?s?|qui|que|es|cu\u00e1l|qu\u00e9|qui\u00e9n|d\u00f3nde|che|quale?|"
            r"chi|cosa|quem|\u00e9|\u00e8)\b"
        ),
    ),
}
"""Articles, and what a question in their languages holds."""
_ENGLISH = re.compile(r"\b(?:what|which|who|whom|whose|where|when|how|the|is|did)\b")
_ON_WORDS = re.compile(
    r"\b(?:words?|translat\w+|spell\w*|plural|singular|german|french|spanish|italian|swedish|"
    r"portuguese|turkish|polish|accent)\b"
)
"""Questions on language, where accents are the point."""
_ABBREVIATIONS = {
    "st": "saint", "mt": "mount", "ft": "fort", "jr": "junior", "sr": "senior", "vs": "versus",
}  # fmt: skip
_BRITISH = re.compile(
    r"(?P<our>(?<=\w\w\w)our)(?=(?:s|ed|ing|ful|less|ite|ites|able|hood|ly|er|ers)?$)"
    r"|(?P<re>(?<=cent)re|(?<=theat)re|(?<=met)re|(?<=lit)re|(?<=fib)re|(?<=calib)re)(?=s?$)"
    r"|(?P<is>(?<=\w\w\w\w)is|(?<=real)is|(?<=aly)s)(?=(?:e|es|ed|er|ers|ing|ation|ations)$)"
    r"|(?P<ence>(?<=def)ence|(?<=off)ence|(?<=lic)ence|(?<=pret)ence)(?=s?$)"
    r"|(?P<ogue>(?<=catal)ogue|(?<=dial)ogue|(?<=anal)ogue)(?=s?$)"
    r"|(?P<ll>(?<=trave)ll|(?<=cance)ll|(?<=labe)ll|(?<=mode)ll|(?<=fue)ll)(?=(?:ed|er|ers|ing)$)"
    r"|(?P<ae>(?<=an)ae|(?<=^h)ae|(?<=p)ae(?=d)|(?<=arch)ae)(?=\w)"
    r"|(?P<inium>(?<=^alum)inium$)|(?P<mme>(?<=progra)mme(?=s?$))|(?P<ph>(?<=^sul)ph)"
)
_AMERICAN = {
    "our": "or", "re": "er", "is": "iz", "ence": "ense", "ogue": "og", "ll": "l", "ae": "e",
    "inium": "inum", "mme": "m", "ph": "f",
}  # fmt: skip
_SYMBOL = 3
"""Letters up to which a word may be a symbol."""


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is of this type: any text that holds a word or a sign is."""
    return case.answer_type in ("auto", "text") and bool(reference.strip())


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Return whether an answer has the words of a reference, alone or in a sentence.

    Different are symbols of another case, signs and formulas, and a word such as "not" or "west"
    before the same words; any other difference of words is left open.
    """
    if max(len(answer), len(reference)) > _MAX_LENGTH:
        same = bool(reference.strip()) and answer.strip() == reference.strip()
        return Comparison(True, "the same text") if same else None
    if len(answer) > _MOST_AROUND + 3 * len(reference):
        return None
    given, wanted = _read(answer), _read(reference)
    if _differ_in_case(given.words, wanted.words, case.question):
        return Comparison(False, f"{given.words[0]} is not {wanted.words[0]}")
    if _same(given.bare, wanted.bare, case.question):
        return Comparison(True, "equal as text")
    if "?" not in answer and _says(given, wanted, case.question):
        return Comparison(True, "a sentence that says the reference")
    if symbols.same_symbol(answer, reference):
        return Comparison(True, "the same symbol")
    if names.equal(answer, reference, case.question):
        return Comparison(True, "equal as names")
    return _different(given.words, wanted.words)


class _Read:
    """A short text, read."""

    def __init__(self, text: str) -> None:
        self.words = words(text)
        self.bare = _without_articles(self.words)

    @cached_property
    def spelled(self) -> list[str]:
        """The words without articles, as they are compared."""
        return _spelled(self.bare)


@lru_cache(256)
def _read(text: str) -> _Read:
    """Return a text of at most 2,000 characters, read; answers to a question share references."""
    return _Read(text)


def _different(given: list[str], wanted: list[str]) -> Comparison | None:
    """Return that two texts surely differ."""
    if qualifiers.differ(given, wanted):
        return Comparison(False, "a word makes it another thing")
    if qualifiers.are_other_signs(given, wanted):
        return Comparison(False, "another sign")
    return None


def normalise(text: str) -> str:
    """Return the words of a text in lower case, one space apart, without English articles.

    A text above 100,000 characters keeps its punctuation and its articles.
    """
    if len(text) > _LONGEST:
        return " ".join(text.casefold().split())
    return " ".join(word.casefold() for word in _without_articles(words(text)))


def same_text(answer: str, reference: str) -> bool:
    """Whether two texts are the same words and signs; texts without any are equal to none."""
    if max(len(answer), len(reference)) > _MAX_LENGTH:
        return bool(reference.strip()) and answer.strip() == reference.strip()
    return _same(_read(answer).bare, _read(reference).bare, "")


def _same(a: list[str], b: list[str], question: str) -> bool:
    if not b or not a:
        return False
    if _same_words(a, b):
        return True
    if not question:
        return False
    return _same_in_language(a, b, question.lower()[:_MAX_LENGTH])


def _same_words(a: list[str], b: list[str]) -> bool:
    if len(a) != len(b):
        return False
    if [word.casefold() for word in a] == [word.casefold() for word in b]:
        return same_case(a, b)
    return _spelled(a) == _spelled(b)


def _same_in_language(a: list[str], b: list[str], question: str) -> bool:
    """Whether words are equal without one foreign article, or without the accents of names."""
    if len(a) - len(b) == 1:
        return _starts_with_article(a, question) and _same_words(a[1:], b)
    if len(b) - len(a) == 1:
        return _starts_with_article(b, question) and _same_words(a, b[1:])
    if len(a) != len(b) or all(map(str.isascii, a + b)) or not _same_unaccented(a, b):
        return False
    return bool(_ENGLISH.search(question)) and not _ON_WORDS.search(question)


def _starts_with_article(found: list[str], question: str) -> bool:
    """Whether the first word is an article, and not the first word of a name such as El Salvador.

    It is one in a question of its language, in lower case or before a word in lower case.
    """
    language = _FOREIGN.get(found[0].lower())
    if language is None or not (found[0].islower() or found[1].islower()):
        return False
    return language.search(question) is not None


def _same_unaccented(a: list[str], b: list[str]) -> bool:
    """Whether capitalised words are equal but for accents, which one of the two has left out."""
    for one, other in zip(a, b, strict=True):
        if one == other:
            continue
        if not (one[0].isupper() and other[0].isupper() and (one.isascii() or other.isascii())):
            return False
        if names.unaccented(one).casefold() != names.unaccented(other).casefold():
            return False
    return True


def _without_articles(found: list[str]) -> list[str]:
    kept = [word for i, word in enumerate(found) if len(word) > 3 or not _is_article(found, i)]
    return kept or found


def _is_article(found: list[str], place: int) -> bool:
    """Whether a word is an English article; "A" is a letter where it may be one."""
    word = found[place]
    if word.lower() not in ("a", "an", "the"):
        return False
    if len(word) == 3:
        return True
    if place + 1 == len(found) or (place and word[0] == "A"):
        return False
    following = found[place + 1]
    if len(word) == 2:
        return following[0] in _AFTER_AN
    before = found[place - 1].lower() if place else ""
    return (
        len(following) > 1
        and following[0].isalpha()
        and following.lower() not in _LETTER_BEFORE
        and before not in _LETTERED
    )


def _spelled(found: list[str]) -> list[str]:
    """Return words in lower case and American spelling, with abbreviations written out."""
    spelled = [_spell(word) for word in found]
    if _ABBREVIATIONS.keys().isdisjoint(spelled):
        return spelled
    for i, lower in enumerate(spelled):
        if lower in _ABBREVIATIONS and not _is_suffix_or_unit(found, i, lower):
            spelled[i] = _ABBREVIATIONS[lower]
    return spelled


@lru_cache(8192)
def _spell(word: str) -> str:
    """Return a word in lower case and American spelling."""
    lower = unicodedata.normalize("NFC", word.casefold())
    return _BRITISH.sub(_american, lower) if len(lower) > 4 else lower


def _is_suffix_or_unit(found: list[str], place: int, word: str) -> bool:
    """Whether "st" ends 1st or the name of a street, or "ft" is feet."""
    if word in ("jr", "sr", "vs"):
        return place == 0
    if place and found[place - 1][0].isdigit():
        return True
    return place + 1 == len(found) or not found[place + 1][0].isalpha()


def _american(found: re.Match[str]) -> str:
    group = found.lastgroup or ""
    return "z" if found[0] == "s" else _AMERICAN[group]


def _differ_in_case(given: Sequence[str], wanted: Sequence[str], question: str) -> bool:
    """Whether a question names both of two symbols that differ only in case: AA and aa."""
    if len(given) != 1 or len(wanted) != 1 or not 1 < len(wanted[0]) <= _SYMBOL:
        return False
    one, other = given[0], wanted[0]
    if one == other or one.casefold() != other.casefold():
        return False
    named = _read(question[-_MAX_LENGTH:]).words
    return one in named and other in named


def _says(given: _Read, wanted: _Read, question: str) -> bool:
    """Whether an answer is a sentence around the reference and made of the question's words."""
    a, b = given.bare, wanted.bare
    if len(given.words) <= len(wanted.words) or len(a) - len(b) > carrier.MOST_AROUND:
        return False
    place = _only_place(given.spelled, wanted.spelled)
    if place is None or not same_case(a[place : place + len(b)], b):
        return False
    asked = _read(question[-_MAX_LENGTH:]).bare
    return carrier.carries(a[:place], b, a[place + len(b) :], asked)


def _only_place(a: list[str], b: list[str]) -> int | None:
    """Return where words stand in others, in one piece and once."""
    if not b or b[0] not in a:
        return None
    places = [i for i in range(len(a) - len(b) + 1) if a[i] == b[0] and a[i : i + len(b)] == b]
    return places[0] if len(places) == 1 else None
