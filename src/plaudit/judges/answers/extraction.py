r"""Finds the final answer of a text: in a box, a tag, after a phrase, in bold, or in the last line.

Marks count in the last 50,000 characters only, and everything takes a time linear in the length.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from plaudit.judges.answers.base import Extract, Extracted

_LOOKED_AT = 50_000
_CAUGHT = 500
"""Characters after a phrase among which its answer ends."""
_ANSWER = 300
"""Characters of the longest text that a phrase marks; a longer one is a passage."""
_PHRASES = 100
"""Phrases that are read, from the end."""
_LINE = 100
"""Characters of the longest last line that may be an answer."""

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox)[ \t]{0,9}(?P<open>\{)"
    r"|\\(?:boxed|fbox)[ \t]{1,9}(?P<bare>[^\s{}$\\]{1,50})"
    r"|\\.|(?P<left>\{)|(?P<right>\})",
    re.DOTALL,
)
_TAG = re.compile(r"<(/?)(?:final_?)?answer>", re.IGNORECASE)
_KIND = r"(?:(?:final|correct|right|short|best|most likely|likely|full|overall)[ ]){0,3}"
_IS = (
    r"(?:[ ](?:is|was|are|would[ ]be|must[ ]be|should[ ]be|will[ ]be)"
    r"(?:[ ](?:therefore|thus|simply|clearly|then|hence))?(?:[ ]?[:=])?|[ ]?[:=])"
)
_ENGLISH = (
    rf"\b(?:(?:the|my|our|so|thus)[ ])?{_KIND}answer"
    rf"(?:[ ]to[ ](?:the|this|your|that)[ ](?:question|problem))?[*_]{{0,3}}{_IS}"
    rf"|\b(?:correct|right|best)[ ](?:option|choice)[*_]{{0,3}}{_IS}"
)
_GERMAN = (
    r"\b(?:(?:richtige|korrekte|endg\u00fcltige|finale)[ ]){0,2}antwort"
    r"(?:[ ]auf[ ](?:die|diese|deine|ihre)[ ]frage)?[*_]{0,3}"
    r"(?:[ ](?:lautet|ist|w\u00e4re)(?:[ ]?:)?|[ ]?:)"
)
_ROMANCE = (
    r"\b(?:r\u00e9ponse|reponse|respuesta|risposta|resposta)"
    r"(?:[ ](?:finale?|correcte?|correcta|corretta|correta|exacte))?"
    r"(?:[ ](?:\u00e0|a)[ ](?:la|esta|cette|questa)[ ](?:question|pregunta|domanda|pergunta))?"
    r"[*_]{0,3}"
    r"(?:[ ](?:est|es|\u00e8|\u00e9|serait|ser\u00eda|sarebbe|seria)(?:[ ]?:)?|[ \u00a0]?:)"
)
_EAST_ASIAN = (
    r"\u7b54\u6848(?:\u662f|\u4e3a|\u5e94\u8be5\u662f|\u61c9\u8a72\u662f)?[:\uff1a]"
    r"|\u7b54\u6848(?:\u662f|\u4e3a|\u70ba|\u5e94\u8be5\u662f|\u61c9\u8a72\u662f)"
    r"|(?:\u7b54\u3048|\u56de\u7b54|\u7b54)(?:\u306f|[:\uff1a])\u3001?"
)
_GSM8K = r"^[ ]{0,9}\#\#\#\#(?=[ ])"
_PHRASE = re.compile(
    rf"(?:{_ENGLISH}|{_GERMAN}|{_ROMANCE}|{_EAST_ASIAN}|{_GSM8K})[*_]{{0,3}}\s{{0,9}}",
    re.IGNORECASE | re.MULTILINE,
)
_PHRASE_WORDS = (
    "answer", "####", "option", "choice", "antwort", "r\u00e9ponse", "reponse", "respuesta",
    "risposta", "resposta", "\u7b54",
)  # fmt: skip
_NO_ANSWER = re.compile(
    r"(?:not|no\slonger|n't|nicht|pas|correct|incorrect|right|wrong|clear|unclear|obvious|simple|"
    r"straightforward|easy|as\sfollows|given\sby|found|based|that|in\sthe|below|above|known|"
    r"unknown|"
    r"complicated|supported|provided|falsch|klar|claire?|falsa?|\u4e0d)(?:\b|(?<=\u4e0d))",
    re.IGNORECASE,
)
"""What follows "the answer is" where a remark follows and no answer."""
_OTHER_ANSWER = re.compile(
    r"\b(?:common|usual|obvious|wrong|incorrect|false|popular|typical|naive|first|initial|other|"
    r"another|alternative|possible|one|his|her|their|your|expected|reference|tempting|"
    r"\w+['\u2019]s)"
    r"\s$|\w[^\n]{0,30}\((?:the\s)?$",
    re.IGNORECASE,
)
"""What stands before "answer is X" where it is not the writer's own, or an aside in brackets."""
_BLOCK = re.compile(
    r"\$\$.{1,400}?\$\$|\\\[.{1,400}?\\\]|```.{1,400}?```"
    r"|(?:[ ]{0,4}(?:[-*\u2022]|\d{1,3}[.)])[ ][^\n]{1,200}(?:\n|$)){2,}",
    re.DOTALL,
)
_STOP = re.compile(r"[.!?](?=[\s\"')*\u201d]|$)|[\u3002\uff01\uff1f\n]")
_SHORTENED = re.compile(
    r"(?:^|[\s.(\"'])(?:[^\W\d_]|Drs?|Mrs?|Ms|St|Mt|Ft|Jr|Sr|Prof|Gen|Col|Lt|Sgt|Rev|Hon|No|Nr|vs|"
    r"etc|approx|ca|c|Inc|Ltd|Corp|Co|Bros|cf|bzw|u\.a|z\.B)$"
)
_SENTENCE = re.compile(
    r"\s+(?:the|this|that|these|those|it|its|he|she|they|we|i|you|there|because|since|so|thus|"
    r"therefore|hence|as|in|on|at|by|from|here|explanation|reason|note|option|but|or|no|wait|"
    r"actually|sorry|however|all|both|if|when|let|please|das|die|der|es|weil|il|elle|c'est|el|la)"
    r"(?=[\s,:']|$)",
    re.IGNORECASE,
)
"""How a sentence begins; after an abbreviation it shows that the full stop ended the last one."""
_CLAUSE = re.compile(
    r",?\s(?:because|since|which|due\sto|given\sthat|according\sto|based\son|where|as\sit|as\sthe|"
    r"denn|weil|parce\sque|puisque|car|porque|puesto\sque|ya\sque)\s"
    r"|,\s(?:as|so|but|who|and\s(?:it|this|that|he|she|they)|der|qui|que)\s"
    r"|,\s(?:the|a|an)\s(?!.*(?:,|\sand\s|\sor\s))|\s[\u2013\u2014]\s|\s--\s",
    re.IGNORECASE,
)
"""Where an explanation begins: a clause, or one apposition ("Paris, the capital")."""
_TAKEN_BACK = re.compile(
    r"\b(?:wait|sorry|correction|corrected|actually|mistake|mistaken|miscalculated|oops|"
    r"scratch\sthat|"
    r"i\s(?:was|am)\swrong|that(?:'s|\sis|\swas)\s(?:wrong|incorrect|not\sright)|"
    r"on\ssecond\sthought|"
    r"let\sme\s(?:re-?check|redo|fix|correct)|i\smean|rather|nein|falsch|pardon|perd\u00f3n)\b",
    re.IGNORECASE,
)
_BOLD = re.compile(r"(?<![\w)*])\*\*(?![\s*])([^*\n]{1,200})(?<!\s)\*\*(?![\w*])")
_ITALIC = re.compile(r"(?<![\w)*])\*(?![\s*])([^*\n]{1,200})(?<!\s)\*(?![\w*])")
_WRAPS = (
    ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("\\text{", "}"), ("\\boxed{", "}"),
    ("**", "**"),
    ("__", "__"), ("*", "*"), ("`", "`"), ('"', '"'), ("'", "'"), ("\u201c", "\u201d"),
    ("\u2018", "\u2019"), ("\u00ab", "\u00bb"), ("\u201e", "\u201c"), ("\u300c", "\u300d"),
)  # fmt: skip
_INITIALS = re.compile(r"\.[^\W\d]\.$")
_OPEN, _CLOSE = "<think>", "</think>"
_Mark = Literal["boxed", "tag", "phrase"]


class _Final(NamedTuple):
    """One marked answer and where it stands, mark included."""

    text: str
    start: int
    end: int


def extract(answer: str, question: str = "", how: Extract = "auto") -> Extracted:
    r"""Return the final answer of a text.

    `auto` takes the first of these that the text has: `\boxed{}` (or `\fbox{}`), `<answer>` tags, a
    phrase ("The answer is X", "#### X"; also in German, French, Spanish, Italian, Portuguese,
    Chinese and Japanese), the bold, a short last line, else the whole text. Thought between
    `<think>` tags is passed over. Of several marked answers it takes the last, and boxes on
    one line together ("1, 2"). An answer that the text takes back before the next ("Wait, ...") is
    no final.

    Args:
        answer: the text, of any length.
        question: what was asked; a phrase that repeats it marks nothing.
        how: `boxed`, `tag` or `last_line` look for that mark alone. A text without it has no final
            answer: `text` is empty, `marked` is False, and a guard calls it incorrect.
    """
    whole = without_thought(answer)
    text = whole[-_LOOKED_AT:]
    if how == "boxed":
        return _marked(text, _boxes(text), how) or Extracted(text="", marked=False, by=how)
    if how == "tag":
        return _marked(text, _tags(text), how) or Extracted(text="", marked=False, by=how)
    if how == "last_line":
        return _forced_last_line(text)
    return (
        _marked(text, _boxes(text), "boxed")
        or _marked(text, _tags(text), "tag")
        or _marked(text, _phrases(text, question), "phrase")
        or _unmarked(text)
        or Extracted(text=_tidy(whole), marked=False, by="whole")
    )


def without_thought(answer: str) -> str:
    """Return a text without what stands between `<think>` tags.

    Thought that its prompt began ends at a lone closing tag; thought that never ends is all there
    is, and nothing is left.
    """
    text = answer.strip()
    end = text.rfind(_CLOSE)
    if end >= 0:
        return text[end + len(_CLOSE) :].strip()
    return "" if text.startswith(_OPEN) else text


def _marked(text: str, finals: Sequence[_Final], by: _Mark) -> Extracted | None:
    finals = [final for final in finals if final.text]
    if not finals:
        return None
    standing = _standing(text, finals)
    last = standing[-1]
    return Extracted(
        text=_together(text, standing) if by == "boxed" else last.text,
        marked=True,
        by=by,
        finals=tuple(final.text for final in standing),
        rest=text[last.end :].strip(),
    )


def _standing(text: str, finals: Sequence[_Final]) -> Sequence[_Final]:
    """Return the finals after the last one that the text takes back."""
    for i in range(len(finals) - 1, 0, -1):
        between = text[finals[i - 1].end : finals[i].start]
        if _TAKEN_BACK.search(between[-_CAUGHT:]):
            return finals[i:]
    return finals


def _together(text: str, finals: Sequence[_Final]) -> str:
    """Return the last box, with those before it on the same line where they differ."""
    line = text.rfind("\n", 0, finals[-1].start)
    same = dict.fromkeys(final.text for final in finals if final.start > line)
    return ", ".join(same)


def _boxes(text: str) -> list[_Final]:
    r"""Return the outermost boxes; one pass with a stack, since braces nest."""
    found: list[tuple[int, int, int, int]] = []
    stack: list[tuple[int, int] | None] = []
    for match in _BOX.finditer(text) if "\\" in text else ():
        if match["open"]:
            stack.append((match.start(), match.end()))
        elif match["left"]:
            stack.append(None)
        elif match["bare"]:
            found.append((match.start(), match.start("bare"), match.end(), match.end()))
        elif match["right"] and stack:
            box = stack.pop()
            if box:
                _replace_inner(found, (*box, match.start(), match.end()))
    return [_Final(_tidy(text[a:b]), start, end) for start, a, b, end in found]


def _replace_inner(found: list[tuple[int, int, int, int]], box: tuple[int, int, int, int]) -> None:
    while found and found[-1][0] > box[0]:
        found.pop()
    found.append(box)


def _tags(text: str) -> list[_Final]:
    """Return what stands between tags; the innermost where they nest."""
    found: list[_Final] = []
    opened: re.Match[str] | None = None
    for match in _TAG.finditer(text):
        if not match[1]:
            opened = match
        elif opened:
            inner = text[opened.end() : match.start()]
            found.append(_Final(_tidy(inner), opened.start(), match.end()))
            opened = None
    return found


def _phrases(text: str, question: str) -> list[_Final]:
    found: list[_Final] = []
    if not _has(text, _PHRASE_WORDS):
        return found
    for match in deque(_PHRASE.finditer(text), maxlen=_PHRASES):
        if found and match.start() < found[-1].end:
            continue
        if _OTHER_ANSWER.search(text[max(0, match.start() - 40) : match.start()]):
            continue
        caught = _caught(text[match.end() : match.end() + _CAUGHT])
        answer = _tidy(caught)
        if 0 < len(answer) <= _ANSWER and _may_answer(answer, match[0] + caught, question):
            found.append(_Final(answer, match.start(), match.end() + len(caught)))
    return found


def _has(text: str, words: Sequence[str]) -> bool:
    """Whether a text holds one of some words; much faster than to search for a pattern."""
    folded = text.lower()
    return any(word in folded for word in words)


def _may_answer(answer: str, phrase: str, question: str) -> bool:
    return not _NO_ANSWER.match(answer) and phrase not in question


def _caught(text: str) -> str:
    """Return the answer that a text begins with: a block, or up to the end of clause or line."""
    block = _BLOCK.match(text)
    if block:
        return block[0]
    sentence = text[: _end_of_sentence(text)]
    clause = _CLAUSE.search(sentence)
    return sentence[: clause.start()] if clause else sentence


def _end_of_sentence(text: str) -> int:
    """Return where the first sentence ends; decimals and abbreviations end none."""
    for stop in _STOP.finditer(text):
        before = text[max(0, stop.start() - 10) : stop.start()]
        if stop[0] == "!" and before[-1:].isdigit():
            continue  # a factorial
        if stop[0] == "." and _SHORTENED.search(before) and not _ends(text, stop.end()):
            continue
        return stop.start() if stop[0] == "\n" else stop.end()
    return len(text)


def _ends(text: str, at: int) -> bool:
    return not text[at:].strip() or text[at] == "\n" or _SENTENCE.match(text, at) is not None


def _unmarked(text: str) -> Extracted | None:
    bold = _bold(text)
    if bold:
        return Extracted(text=bold, marked=False, by="bold")
    lines = _lines(text)
    if len(lines) > 1 and len(lines[-1]) <= _LINE and _tidy(lines[-1]):
        return Extracted(text=_tidy(lines[-1]), marked=False, by="last_line")
    return None


def _bold(text: str) -> str:
    """Return the bold that is the only one, or stands alone in one of the last three lines."""
    if "**" not in text:
        return ""
    bolds = [bold for bold in _BOLD.findall(text) if not bold.endswith(":")]
    if len(bolds) == 1 and len(text) > len(bolds[0]) + 5:
        return _tidy(bolds[0])
    for line in reversed(_lines(text)[-3:]):
        alone = _BOLD.fullmatch(line.strip(" ."))
        if alone and not alone[1].endswith(":"):
            return _tidy(alone[1])
    return ""


def _forced_last_line(text: str) -> Extracted:
    lines = _lines(text)
    if not lines:
        return Extracted(text="", marked=False, by="last_line")
    line = lines[-1]
    finals = _boxes(line) or _phrases(line, "")
    answer = finals[-1].text if finals else _tidy(line)
    return Extracted(text=answer, marked=True, by="last_line", finals=(answer,))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip(" \t$`-*_")]


def _tidy(text: str) -> str:
    """Return a text without emphasis, quotes, dollar signs and full stop around it."""
    text = _ITALIC.sub(r"\1", _BOLD.sub(r"\1", text)) if "*" in text else text
    for _ in range(6):
        before = text
        text = _unwrapped(_without_stop(_without_half(text.strip())))
        if text == before:
            break
    return text


def _without_half(text: str) -> str:
    """Return a text without emphasis that began before it, or ends after it."""
    if "**" in text and text.count("**") == 1:
        return text.removesuffix("**").removeprefix("**").strip()
    return text


def _without_stop(text: str) -> str:
    if text.endswith(("\u3067\u3059\u3002", "\u3067\u3059")):  # Japanese "it is"
        text = text.rstrip("\u3002")[:-2]
    if text.endswith("\u3002"):
        return text.rstrip("\u3002")
    if not text.endswith(".") or text.endswith("..") or _INITIALS.search(text[-4:]):
        return text
    return text[:-1]


def _unwrapped(text: str) -> str:
    for left, right in _WRAPS:
        if text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right):
            inner = text[len(left) : -len(right)]
            if left not in inner and right not in inner:
                return inner.strip()
    return text
