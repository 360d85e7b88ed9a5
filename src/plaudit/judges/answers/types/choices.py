"""Answers to questions of multiple choice: by letter, by text, or both."""

import re
from collections.abc import Mapping
from functools import lru_cache

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types import text

_MAX_LENGTH = 2_000
_MAX_QUESTION = 20_000
_MAX_OPTIONS = 26
_FEW = 3
"""Words behind a letter up to which they are the text of an option, and no reason."""
_MARK = re.compile(r"(?:(?<=^)|(?<=[\s,;/]))\(?([A-Za-z]|\d{1,2})(?:[).]|:(?=\s))\s*(?=\S)")
_START = re.compile(
    r"(?:(?:so|therefore|thus|hence|i choose|i pick|i would choose|it is|it's|"
    r"(?:the |my )?(?:final |correct |right |best )*(?:answers?|options?|choices?|letters?)"
    r"(?: (?:is|are))?|(?:die )?(?:richtige |korrekte )?"
    r"antwort(?: (?:ist|lautet|w\u00e4re))?|richtig ist|"
    r"(?:la )?(?:bonne |meilleure )?r\u00e9ponse(?: (?:correcte|exacte|juste))?(?: est)?|"
    r"(?:la |a )?(?:respuesta|opci\u00f3n|risposta|resposta)"
    r"(?: (?:correcta|corretta|giusta|correta|certa))?(?: (?:es|\u00e8|\u00e9))?|"
    r"(?:i (?:would|will|'d|'ll) )?(?:go|going) (?:for|with)|la|both)(?![^\W_])[\s:,]*)+",
    re.IGNORECASE,
)
_KEY = r"[A-Za-z]|\d{1,2}"
_ONE = re.compile(rf"[(\[]?({_KEY})[)\]]?[.:!]?")
_WITH_TEXT = re.compile(rf"[(\[]?({_KEY})(?:[)\]][.:]?|[.:]| ?[-\u2013=](?= ))\s*(\S.*)", re.DOTALL)
_SPACED = re.compile(r"([A-Z]) (\S.*)", re.DOTALL)
_IN_BRACKETS = re.compile(rf"(\S.*?)\s*[(\[]({_KEY})[)\]]\.?", re.DOTALL)
_SEVERAL = re.compile(
    rf"[(\[{{]?[(\[]?({_KEY})[)\]]?"
    r"(?:(?:\s*[,;/&+]\s*(?:and )?|\s+(?:and|und|et|y|e)\s+|(?<![)\].:])\s+)"
    rf"[(\[]?(?:{_KEY})[)\]]?)+[)\]}}]?\.?"
)
_STATED = re.compile(
    rf"(?:(?:only|both|the) )*(?:statements?|options?|answers?|choices?|letters?|items?) "
    rf"(?P<keys>[(\[]?(?:{_KEY})[)\]]?(?:(?:, ?(?:and )?| and | & )[(\[]?(?:{_KEY})[)\]]?)+) "
    r"(?:are|apply|hold|fit|work)(?P<rest>[^.;,!?\n]{0,80})\.?",
    re.IGNORECASE,
)
"""A sentence that says something of several options: "Statements A and C are true"."""
_LETTER_A = re.compile(r"A(?![\w'])")
"""A beginning that is a letter here, and an article in other texts."""
_ARTICLE = re.compile(r"an? ([a-z]{2,20})\.?")
_KEYS = re.compile(rf"(?<![^\W_])(?:{_KEY})(?![^\W_])")
_TOGETHER = re.compile(r"[A-Z]{2,10}")
_NAMED = re.compile(
    r"(?:\b(?i:options?|choices?|letter|answer(?: is)?:?)\s+[(\[]?([A-Za-z])(?![\w'])"
    r"|[(\[]([A-Za-z])[)\]]"
    r"|(?<![\w'.-])([B-HJ-Z])(?![\w'-])"
    r"|(?<![\w'.-])(A|I)(?=[).:,;]|\s*$| (?:is|because|since|as it|and)\b)"
    r"|(?<=\band )(A)(?![\w'-]))"
)
_CHOSEN = re.compile(
    r"(?:\b(?:is|so|with|choose|pick|I say|would say|select|therefore|thus|hence|answer|"
    r"ist|est|es|\u00e8|\u00e9)"
    r"|['\u2019]s|:)[\s:]+(?i:the )?(?i:option |choice |letter |answer )?[(\[*]*[A-Za-z][)\]*]*"
    r"(?=[.,;:!]|\s*$|\s*\n| (?:because|since|as|due)\b)"
    r"|(?<![\w'])[A-Z][)\]]? is (?:the )?(?:correct|right|best|answer|true)\b"
    r"|^\W*(?i:option |choice |letter |answer )?[(\[*]*[A-Z][)\]*]*"
    r"(?=[.,:;)]|\s*\n| because| since)"
    r"|[(\[][A-Z][)\]]\W*$"
)
"""How a sentence names the option that it chooses."""
_TURNED = re.compile(
    r"\b(?:not|cannot|never|neither|nor|or|either|both|wrong|incorrect|false|except|unless|instead|"
    r"but|rather|however|eliminat\w*|exclud\w*|rule[sd]? out|maybe|perhaps|possibly|might|could|"
    r"unlikely|unsure|doubt\w*|besides|anything|everything|all|"
    r"many|some|others|people|friend|teacher|said|says|claims?|believes?|thinks|"
    r"(?:his|her|their|whose) (?:final )?(?:answer|choice|guess)|"
    r"nicht|kein\w*|oder|pas|ou|no|non|n\u00e3o)\b|"
    r"n['\u2019]t\b|['\u2019]s (?:answer|choice|guess)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"(?:because|since|as|for|due to|which|that|,|weil|denn|car|porque)\b|[-,;]")

_Options = Mapping[int, str]
_Chosen = frozenset[int]
_CONTRADICTION: _Chosen = frozenset({-1})
"""A letter beside the text of another."""


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference names options that the case or its question lists.

    With the type `choice`, a letter needs no list.
    """
    if case.answer_type not in ("auto", "choice") or len(reference) > _MAX_LENGTH:
        return False
    listed = options(case)
    if case.answer_type == "auto" and not listed:
        return False
    return _read_reference(reference, listed)[0] is not None


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Return whether an answer chooses the options of a reference.

    A letter beside the text of another option, and a letter beyond the list, are different.
    """
    if max(len(answer), len(reference)) > _MAX_LENGTH:
        return None
    wanted, listed = _read_reference(reference, options(case))
    given = (_read(answer, listed) or _by_sentence(answer, listed, case)) if wanted else None
    if wanted == frozenset({0}) and given is None and _begins_with_article(answer, listed):
        return Comparison(False, "an article, and no letter")
    if wanted is None or given is None:
        return None
    if given == _CONTRADICTION:
        return Comparison(False, "a letter and the text of another option")
    if given == wanted:
        return Comparison(True, f"option {_shown(wanted)}")
    return Comparison(False, f"option {_shown(given)} is not {_shown(wanted)}")


def _begins_with_article(answer: str, listed: _Options) -> bool:
    """Whether an answer is "a" and a word that is in no option."""
    found = _ARTICLE.fullmatch(answer.strip())
    return found is not None and not any(_stands_in(found[1], option) for option in listed.values())


def options(case: AnswerCase) -> _Options:
    """Return the options by their place from 0, of the case or else as its question lists them."""
    if case.choices:
        return {i: _unmarked(one, i) for i, one in enumerate(case.choices[:_MAX_OPTIONS])}
    return _listed_in(case.question[-_MAX_QUESTION:])


@lru_cache(maxsize=32)
def _listed_in(question: str) -> _Options:
    return _listed(question, "A") or _listed(question, "a") or _listed(question, "1")


def _unmarked(option: str, place: int) -> str:
    """Return the text of an option without its own letter."""
    found = _WITH_TEXT.fullmatch(option.strip()[:_MAX_LENGTH])
    return found[2] if found and _place(found[1]) == place else option


def _listed(question: str, first: str) -> dict[int, str]:
    """Return the options that a question marks in order, `A) ... B) ...`."""
    marks: list[re.Match[str]] = []
    for found in _MARK.finditer(question):
        if len(marks) < _MAX_OPTIONS and found[1] == _key(first, len(marks)):
            marks.append(found)
    if len(marks) < 2:
        return {}
    ends = [mark.start() for mark in marks[1:]] + [len(question)]
    texts = [question[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]
    found = {i: text.split("\n", 1)[0].strip(" ,;/\t") for i, text in enumerate(texts)}
    return found if all(found.values()) else {}


def _key(first: str, place: int) -> str:
    return str(1 + place) if first == "1" else chr(ord(first) + place)


def _read_reference(reference: str, listed: _Options) -> tuple[_Chosen | None, _Options]:
    """Return what a reference chooses, and the options; its own text is one where none are."""
    found = None if listed else _WITH_TEXT.fullmatch(reference.strip())
    if found and found[1].isalpha():
        listed = {_place(found[1]): found[2]}
    chosen = _read(reference, listed)
    if chosen is None or chosen == _CONTRADICTION:
        return None, listed
    known = len(listed) < 2 or all(place in listed for place in chosen)
    return (chosen if known else None), listed


def _read(source: str, listed: _Options) -> _Chosen | None:
    """Return the places that a text chooses; None where it is not clear."""
    bare = source.strip().strip("*_`\"' ").strip()
    whole = _by_text(bare, listed)
    bare = _START.sub("", bare, count=1) if _START.match(bare) else bare
    bare = bare.strip("*_` ")
    stated = _STATED.fullmatch(bare)
    if stated and not _TURNED.search(stated["rest"]):
        bare = stated["keys"]
    letter = _several(bare, listed) or _by_letter(bare, listed)
    if whole is not None and letter is not None and whole != letter:
        return None  # the letter of one is the source of another
    return whole or letter or _by_text(bare, listed) or _in_prose(source, listed)


def _place(key: str) -> int:
    return int(key) - 1 if key.isdigit() else ord(key.upper()) - ord("A")


def _by_text(source: str, listed: _Options) -> _Chosen | None:
    lettered = _LETTER_A.match(source) is not None
    same = [
        place
        for place, option in listed.items()
        if text.same_text(source, option) and (not lettered or _LETTER_A.match(option))
    ]
    return frozenset(same) if len(same) == 1 else None


def _by_sentence(answer: str, listed: _Options, case: AnswerCase) -> _Chosen | None:
    """Return the place of the one option that a sentence says ("The capital is Paris")."""
    if len(answer.split()) < 2:
        return None
    asked = case.question if case.choices else _MARK.split(case.question, maxsplit=1)[0]
    case = AnswerCase(question=asked, answer=answer, references=case.references)
    found = ((place, text.compare(answer, option, case)) for place, option in listed.items())
    said = [place for place, comparison in found if comparison and comparison.equal]
    return frozenset(said) if len(said) == 1 else None


def _by_letter(source: str, listed: _Options) -> _Chosen | None:
    found = _ONE.fullmatch(source)
    if found:
        return frozenset({_place(found[1])}) if _is_key(found[1], listed) else None
    for form, key, rest in ((_WITH_TEXT, 1, 2), (_SPACED, 1, 2), (_IN_BRACKETS, 2, 1)):
        found = form.fullmatch(source)
        if found and _is_key(found[key], listed):
            chosen = _with_text(_place(found[key]), found[rest], listed, form is _WITH_TEXT)
            if chosen is not None:
                return chosen
    return None


def _is_key(key: str, listed: _Options) -> bool:
    """Whether a letter, or a number where the options are not numbers, can name an option."""
    if key.isalpha():
        return True
    place = _place(key)
    return place in listed and not any(_has_number(option) for option in listed.values())


def _has_number(source: str) -> bool:
    return any(c.isdigit() for c in source)


def _with_text(place: int, rest: str, listed: _Options, marked: bool) -> _Chosen | None:
    """Return what a letter and the text beside it choose."""
    chosen = _by_text(rest, listed)
    if chosen is None and len(listed) == 1 and marked:
        return None if place in listed else frozenset({place})
    if chosen is None:
        is_reason = marked and _REASON.match(rest) and not _TURNED.search(rest)
        return frozenset({place}) if is_reason or (marked and not listed) else None
    return chosen if place in chosen else _CONTRADICTION


def _several(source: str, listed: _Options) -> _Chosen | None:
    """Return the places of several letters: "A and C", "A, C", "AC"."""
    if _SEVERAL.fullmatch(source):
        keys = [key for key in _KEYS.findall(source) if len(key) == 1 or key.isdigit()]
    elif _TOGETHER.fullmatch(source.strip("()[]. ")):
        keys = list(source.strip("()[]. "))
        if keys != sorted(set(keys)) or not all(_place(key) in listed for key in keys):
            return None
    else:
        return None
    return frozenset(map(_place, keys)) if all(_is_key(key, listed) for key in keys) else None


def _in_prose(source: str, listed: _Options) -> _Chosen | None:
    """Return the one option that a sentence names by its letter, and by no other text."""
    if _TURNED.search(source) or not _CHOSEN.search(source):
        return None
    keys = (found[found.lastindex or 0] for found in _NAMED.finditer(source))
    places = frozenset(_place(key) for key in keys)
    if len(places) != 1 or _has_unknown_text(source, listed, min(places)):
        return None
    named = {place for place, option in listed.items() if _stands_in(option, source)}
    return places if named <= places else None


def _has_unknown_text(source: str, listed: _Options, place: int) -> bool:
    """Whether a few words that are not those of the option follow a letter."""
    found = _WITH_TEXT.fullmatch(source.strip("*_` \n"))
    if not found or place not in listed or _stands_in(listed[place], source):
        return False
    return len(found[2].split()) <= _FEW


def _stands_in(option: str, source: str) -> bool:
    return len(option) > 1 and option.casefold() in source.casefold()


def _shown(chosen: _Chosen) -> str:
    return ", ".join(chr(ord("A") + place) for place in sorted(chosen) if 0 <= place < _MAX_OPTIONS)
