"""Lists and sets of answers, in any order unless the question asks for one."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec

from plaudit.judges.answers.base import AnswerCase, Comparer, Comparison
from plaudit.judges.answers.types import dates, glosses, numbers, quantities, statement, text

_TYPES: tuple[Comparer, ...] = (dates, quantities, numbers, text)
"""What compares two items, in order."""
_MAX_LENGTH = 4_000
_MAX_ITEMS = 100
_MAX_LEFT = 12
"""Items without an equal that are compared one by one."""
_SHORT = 3
"""Words up to which an item that is too many is a wrong item, and not a remark."""
_SPACES = re.compile(r"[^\S\n]{2,}")
_BULLET = re.compile(r"\s*(?:[-*\u2022\u2013\u25e6]\s+|\(?(?:\d{1,3}|[a-z])[.)]\s+)")
_INLINE = re.compile(r"(?:^|(?<=[\s,;]))\(?\d{1,2}[.)]\s+(?=\S)")
_SEMICOLON = re.compile(r"\s*;\s*")
_COMMA = re.compile(r"\s*,\s+|,(?=[^\d\s])|(?<=\D),(?=\d)")
_CLOSE = re.compile(r",(?!\d{3}(?!\d))")
_AND = re.compile(r"\s*(?:,?\s(?:and|und|et|y|as well as)\s|\s?&\s)\s*", re.IGNORECASE)
_LAST_AND = re.compile(r"(?:and|und|et|y|&)\s+", re.IGNORECASE)
_BRACKETS = re.compile(r"[\[({]\s*(.*?)\s*[\])}]", re.DOTALL)
_INTRODUCTION = re.compile(r"[^:\n,;]{1,80}:\s+(?=\S)|[^:\n,;]{1,80}:\s*\n")
_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|both|all|list|several|are|were|pair|"
    r"members|names|colou?rs|countries|planets|elements|languages|authors|components|"
    r"welche|zwei|drei|vier|quels|quelles|deux|trois|cu\u00e1les|dos|tres|quali|due|tre|quais)\b",
    re.IGNORECASE,
)
_PLURAL = re.compile(
    r"\b(?:[Ww]hich|[Ww]hat) (?:[a-z-]+ ){0,2}(?!(?:does|causes|makes|always)\b)"
    r"[a-z]{2,}[a-hj-rtv-z]s\b"
)
"""A question for things: "Which amino acids ..."."""
_VERB = re.compile(
    r"\b(?:is|are|was|were|include|includes|contain|contains|make up|share|have|has|sind|sont|son|"
    r"sono|s\u00e3o)\b"
)
_SENTENCE = 200
"""Characters of a sentence that may say a list."""
_PLACE = re.compile(
    r"\b(?:where|city|town|born|place|located|capital|held|wo|o\u00f9|d\u00f3nde)\b", re.I
)
_ORDERED = re.compile(
    r"\bin (?:\w+ ){0,3}order\b|\border(?:ed)?\b|\brank\w*|\bsort(?:ed)?\b|\bchronological\w*|"
    r"\balphabetical\w*|\bsequence\b|\bascending\b|\bdescending\b|\brespectively\b|"
    r"\bfrom (?:the )?\w+ to\b|\bfirst to last\b|\bstarting with\b|reihenfolge|\bordre\b|\borden\b",
    re.IGNORECASE,
)
_FUNCTION = re.compile(
    r"(?:as|which|who|that|because|in|on|with|etc|so|for|like|including|not|no|never|maybe|perhaps|or|but|also|even)\b",
    re.I,
)


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is a list of at least two items; one will do for the type `list`.

    Two parts between which only a comma stands are one name ("Washington, D.C."), unless the
    question asks for several.
    """
    if case.answer_type not in ("auto", "list") or len(reference) > _MAX_LENGTH:
        return False
    if case.answer_type == "list":
        return bool(items(reference))
    return _is_list(reference, case.question[-_MAX_LENGTH:])


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Return whether an answer holds the items of a reference, and no others.

    It is different where an item is missing or too many and the others are all equal, or where a
    type says so of an item; other differences are left open.
    """
    if max(len(answer), len(reference)) > _MAX_LENGTH or not reference.strip():
        return None
    if text.same_text(answer, reference):
        return Comparison(True, "the same list")
    wanted, given = items(reference), items(_without_introduction(answer))
    if not wanted or not given or max(len(wanted), len(given)) > _MAX_ITEMS:
        return None
    if _counts_order(case, reference):
        found = _in_order(given, wanted, case)
    else:
        found = _in_any_order(_distinct(given), _distinct(wanted), case)
    return found if found and found.equal else _by_sentence(answer, wanted, case) or found


def _by_sentence(answer: str, wanted: Sequence[str], case: AnswerCase) -> Comparison | None:
    """Return that a sentence says the items of a reference, behind a verb or before one."""
    verb = _VERB.search(answer)
    if verb is None or len(answer) > _SENTENCE or "?" in answer or statement.turns(answer):
        return None
    sides = (answer[: verb.start()], answer[verb.end() :])
    for side, other in (sides, sides[::-1]):
        given = _distinct(items(side))
        if len(given) != len(wanted) or not statement.is_safe(f"is {other}", case.question):
            continue
        found = _in_any_order(given, wanted, msgspec.structs.replace(case, question=""))
        if found and found.equal:
            return found
    return None


def items(source: str) -> list[str]:
    """Return the items of a list: JSON, lines, bullets, or between separators; [] for none."""
    source = _SPACES.sub(" ", source.strip())
    read = _json(source)
    if read is not None:
        return read
    inner = _BRACKETS.fullmatch(source)
    lines = [line for line in source.splitlines() if line.strip()]
    parts = lines if len(lines) > 1 else _parts(inner[1] if inner else source)
    cleaned = [_clean(part) for part in parts]
    return [item for item in cleaned if item]


def _json(source: str) -> list[str] | None:
    if source[:1] != "[":
        return None
    try:
        read: Any = json.loads(source)
    except (ValueError, RecursionError):
        return None
    values = cast("list[Any]", read)
    if any(isinstance(value, (list, dict)) or value is None for value in values):
        return None
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def _parts(line: str) -> list[str]:
    numbered = [part for part in _INLINE.split(line) if part.strip(" ,;")]
    if len(numbered) > 1 and _INLINE.match(line):
        return numbered
    if ";" in line:
        return _SEMICOLON.split(line)
    comma = _COMMA if ", " in line else _CLOSE
    parts = comma.split(line)
    return [
        *parts[:-1],
        *_AND.split(_LAST_AND.sub("", parts[-1], count=1) if _begins(parts) else parts[-1]),
    ]


def _begins(parts: Sequence[str]) -> bool:
    return len(parts) > 1 and bool(_LAST_AND.match(parts[-1]))


def _clean(part: str) -> str:
    return _BULLET.sub("", part, count=1).strip(" \t\r\n,;\"'`*\u201c\u201d").rstrip(".").strip()


def _without_introduction(answer: str) -> str:
    """Return a list without the words before its colon."""
    found = _INTRODUCTION.match(answer)
    return answer[found.end() :] if found else answer


@lru_cache(512)
def _is_list(reference: str, question: str) -> bool:
    bare = _SPACES.sub(" ", reference.strip())
    if bare[:1] in ("(", "{", "\\", "$") or "=" in bare:
        return False  # a point, a set, a formula
    found = items(bare)
    if len(found) < 2 or (bare[0] == "[" and not any(_is_wordy(item) for item in found)):
        return False
    if not all(len(item) <= 60 for item in found):
        return False
    if len(found) > 2 or bare[0] == "[" or ";" in bare or "\n" in bare:
        return True
    return bool(_AND.search(bare)) or _asks_for_several(question)


def _is_wordy(item: str) -> bool:
    return any(c.isalpha() for c in item) and len(item) > 1


def _asks_for_several(question: str) -> bool:
    several = _SEVERAL.search(question) or _PLURAL.search(question)
    return bool(several) and not _PLACE.search(question)


def _counts_order(case: AnswerCase, reference: str) -> bool:
    """Whether order counts: the question says so, or "X and Y" may be one name."""
    asked = case.question[-_MAX_LENGTH:]
    if _ORDERED.search(asked):
        return True
    pair = "," not in reference and ";" not in reference and "\n" not in reference.strip()
    return case.answer_type == "auto" and pair and not _SEVERAL.search(asked)


def _distinct(found: Sequence[str]) -> list[str]:
    return list({text.normalise(item) or item: item for item in found}.values())


def _same(given: str, wanted: str, case: AnswerCase) -> bool | None:
    for kind in _TYPES:
        if kind.applies(wanted, case):
            found = kind.compare(given, wanted, case)
            if isinstance(found, Comparison):
                return found.equal
    gloss = glosses.glossed(given)
    return _same(gloss, wanted, case) or None if gloss else None


def _in_order(given: Sequence[str], wanted: Sequence[str], case: AnswerCase) -> Comparison | None:
    case = _item_case(case)
    if len(given) == len(wanted):
        found = [_same(a, b, case) for a, b in zip(given, wanted, strict=True)]
        if all(found):
            return Comparison(True, "the same items in the same order")
    unordered = _in_any_order(_distinct(given), _distinct(wanted), case)
    if unordered is None or not unordered.equal:
        return unordered
    ordered = _ORDERED.search(case.question[-_MAX_LENGTH:])
    return Comparison(False, "the same items in another order") if ordered else None


def _item_case(case: AnswerCase) -> AnswerCase:
    """Return the case for items, which are of any type."""
    if case.answer_type == "auto":
        return case
    options = case.options.__class__(
        extract=case.options.extract,
        tolerance=case.options.tolerance,
        date_order=case.options.date_order,
    )
    return AnswerCase(
        question=case.question, answer=case.answer, references=case.references, options=options
    )


def _in_any_order(
    given: Sequence[str], wanted: Sequence[str], case: AnswerCase
) -> Comparison | None:
    case = _item_case(case)
    extra, missing = _unmatched(given, wanted)
    if max(len(extra), len(missing)) > _MAX_LEFT:
        return None
    differ = True
    for item in list(extra):
        for other in list(missing):
            same = _same(item, other, case)
            differ = differ and same is False
            if same:
                extra.remove(item)
                missing.remove(other)
                break
    return _judged(extra, missing, differ)


def _unmatched(given: Sequence[str], wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the items of each side that are not on the other, letter by letter."""
    return (
        [item for item in given if item not in set(wanted)],
        [item for item in wanted if item not in set(given)],
    )


def _judged(extra: Sequence[str], missing: Sequence[str], differ: bool) -> Comparison | None:
    if not extra and not missing:
        return Comparison(True, "the same items")
    if not extra:
        return Comparison(False, f"without {missing[0]}")
    if not missing:
        return Comparison(False, f"with {extra[0]}") if all(map(_is_item, extra)) else None
    return Comparison(False, f"without {missing[0]}") if differ else None


def _is_item(found: str) -> bool:
    return len(found.split()) <= _SHORT and not _FUNCTION.match(found)
