"""Where a reference is mentioned in an answer, and how: stated, negated, hedged or disowned.

A mention that is plainly stated is an answer. Where every mention is negated, one of several
alternatives, or another's opinion, the answer does not state the reference.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property

_LOOKED_AT = 2_000
"""Characters at the beginning and at the end that are looked at."""
_REFERENCES = 200
_REFERENCE = 200
"""Characters of a reference that is looked for."""
_MENTIONS = 20
"""Mentions of one reference that are looked at."""
_AROUND = 25
"""Words around a mention that are looked at."""
_NEAR = 10
"""Words before a mention that may negate it, or name an alternative."""
_LATER = 100
"""Words after a mention that may take it back."""

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\n|\S"
)
_NOT = re.compile(r"(?<=[a-z])n['\u2019]t\b|(?<=\bcan)not\b", re.IGNORECASE)
_ENDS = frozenset(".!?;\n\u3002\uff01\uff1f")
_ARTICLES = frozenset({"a", "an", "the"})
_POLAR = frozenset({"yes", "no", "true", "false", "right", "wrong", "correct", "incorrect", "not"})

_CAND = (
    r"(?!(?:I|It|He|She|They|We|You|This|That|There|If|In|At|On|So|My|As|But|And|Or|No|Not|Yes|The|"
    r"It's|That's|What|Which|Who|When|Its|His|Her)\b)"
    r"(?:(?-i:[^\W\d_a-z])[^\W_]*|\d[\d.,:/]*)"
)
CANDIDATES = rf"{_CAND}(?: {_CAND}| (?:of|de|the|von|van)(?= (?-i:[A-Z]))){{0,4}}"
_OR = r"(?:or|oder|ou|o|\u6216|\u6216\u8005|\u8fd8\u662f|\u304b)"
_UNSURE = (
    r"(?:maybe|perhaps|possibly|potentially|conceivably|might be|may be|could be|could have been|"
    r"might have been|could also be|might also be|may also be|could equally be|vielleicht|"
    r"peut - \u00eatre|quiz\u00e1s?|tal vez)"
)
_FILL = (
    r"(?:(?:probably|even|else|in|at|by|around|about|it|is|was|it's|the|a|an|from|to|of|with|\"|"
    r"'|\*|,|\(|:) ){0,5}"
)
_ALTERNATIVE_AFTER = re.compile(
    rf"(?:{_OR} {_FILL}|,? ?{_OR} (?:{_FILL}{_UNSURE}|rather) {_FILL}"
    rf"|(?:, (?:{_UNSURE} )?{CANDIDATES} ){{1,8}},? ?{_OR} {_FILL})(?P<other>{_CAND})",
    re.IGNORECASE,
)
_ALTERNATIVE_BEFORE = re.compile(
    rf"(?P<other>{_CAND}) (?:\( )?(?:{_OR} {_FILL}|[,(]? ?{_OR} {_FILL}{_UNSURE} {_FILL}"
    rf"|, (?:{CANDIDATES} , ){{1,8}}{_OR} {_FILL})$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"\b(?:torn|undecided|choice|choose|toss - up|hesitate|hesitating|unsure|50) (?:/ 50 )?between "
    r"(?:[^.]{1,80} (?:and|or) )?(?:the )?$",
    re.IGNORECASE,
)
_EITHER = re.compile(rf"\beither {_FILL}$", re.IGNORECASE)
_UNSURE_BEFORE = re.compile(rf"\b{_UNSURE} {_FILL}$", re.IGNORECASE)
_UNSURE_AFTER = re.compile(r"(?:\( )?(?:maybe|perhaps|possibly)\b|\?", re.IGNORECASE)
_UNSURE_OF = re.compile(
    rf"\b{_UNSURE} {_FILL}(?P<a>{_CAND})"
    rf"|(?P<b>{_CAND}) (?:maybe|perhaps|possibly)\b|(?P<c>{_CAND}) \?",
    re.IGNORECASE,
)
_NEGATED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|anything but|other than|except|except for|instead of|"
    r"rather than|"
    r"unlike|far from|rules? out|ruled out|ruling out|exclude[sd]?|doubt|deny|denied|nicht|kein\w*|"
    r"statt|pas|plut\u00f4t que|no (?:es|era|fue|son)|en vez de|non \u00e8|n\u00e3o \u00e9|"
    r"(?:confused|mistaken) (?:with|for)|"
    r"(?:wrong|incorrect|false|untrue|mistaken|mistake|lie) "
    r"(?:to (?:say|answer|claim|think|believe|call)(?: that)?|that)|"
    r"(?:not|never) (?:think|believe|say|suppose|agree|mean)(?: that)?)"
    r"|\u4e0d \u662f|\u5e76 \u975e|\u800c \u975e|\u5e76 \u4e0d \u662f) "
    r"(?:(?:the|a|an|in|at|by|on|of|from|to|be|been|being|called|named|really|actually|at all|"
    r"it|is|"
    r"it's|was|this|answer|that it|in fact|der|die|das|le|la|el|\"|'|\*|\(|:) ){0,5}$",
    re.IGNORECASE,
)
_WRONG = (
    r"(?:wrong|incorrect|false|mistaken|untrue|inaccurate|impossible|ruled out|excluded|falsch|"
    r"faux|"
    r"falso|out of the question|a (?:mistake|lie|joke)|"
    r"not (?:it|him|her|them|right|correct|true|so|"
    r"(?:the |a |an )?(?:right|correct|answer|one|case|solution|capital|winner|author)))\b"
)
_BE = r"(?:is|was|are|were|would be|can be|'s|ist|war|est|es)"
_NEGATED_AFTER = re.compile(
    rf"(?:as (?:the|an) answer )?(?:(?:, )?(?:which|but that|that|though that) )?{_BE} "
    rf"(?:(?:definitely|certainly|clearly|simply|just|of course|also|really|obviously) )?{_WRONG}"
    rf"|[:(,-] ?(?:wrong|incorrect|false|not true|not correct)\b|(?:ca|can|could) not be\b"
    r"|\? (?:no|wrong|never|nope|(?:definitely|certainly|absolutely|of course) not|not at all)\b"
    r"|\u3067 \u306f (?:\u3042 \u308a \u307e \u305b|\u306a)|\u4e0d \u5bf9|\u662f \u9519",
    re.IGNORECASE,
)
_IS_NOT = re.compile(rf"{_BE} not (?:(?:the|a|an) )?(?P<what>[^\W\d_]{{4,}})", re.IGNORECASE)
_ASKS_NOT = re.compile(
    r"\b(?:not|never|except|false|incorrect|wrong|untrue|cannot|neither|nicht|pas)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_SAY = (
    r"(?:say|says|said|think|thinks|thought|believe|believes|believed|claim|claims|claimed|assume|"
    r"assumes|assumed|suggest|suggests|guess|guessed|argue|argues|insist|insists|swear|swears|"
    r"hold|holds|held|has it|answer|answers|have you believe)"
)
_OTHERS = (
    r"(?:some|many|most|several|people|others|everyone|everybody|they|critics|\w*friends?|brother|"
    r"sister|teacher|neighbou?r|myth|legend|rumou?rs?|misconception|popular|commonly|often|"
    r"sometimes|"
    r"sources|website|one might|you might|you may|you would|i (?:once|first|initially|used to|had)|"
    r"manche|viele|certains|algunos)"
)
OPINION = re.compile(rf"\b{_OTHERS}\b.{{0,80}}\b{_SAY}\b|\b(?:myth|misconception)\b", re.IGNORECASE)
_FALSELY = re.compile(
    r"\b(?:mistakenly|wrongly|falsely|erroneously|incorrectly)\b.{0,60}$", re.IGNORECASE
)
_TURN = r"\b(?:but|however|yet|in fact|actually|in reality|the truth is|really|aber|mais|pero)\b"
_TURNED = re.compile(_TURN, re.IGNORECASE)
_TURNS = re.compile(
    rf"{_TURN}.{{0,80}}?(?:\b{_WRONG}|\bdisagree|\bi (?:say|think|believe|know)\b"
    rf"|\b(?:it|answer|this|that)(?:'s| is| was| must be) (?:\w+ ){{0,3}}?{_CAND})"
    rf"|{_WRONG}",
    re.IGNORECASE,
)
_COMMON = (
    r"(?:the|a) (?:common|popular|usual|obvious|typical|naive|most common) (?:\w+ )?"
    r"(?:guess|answer|misconception|mistake|belief|error)"
)
_IS_OPINION = re.compile(rf",? ?{_BE} (?:what (?:\w+ ){{1,4}}{_SAY}|{_COMMON})\b", re.IGNORECASE)
_OPINION_IS = re.compile(rf"\b{_COMMON} {_BE} {_FILL}$", re.IGNORECASE)
_EQUALS_AFTER = re.compile(r"(?:=(?: =)?|\u2261) (?P<other>[A-Z][a-z]{3,})")
_EQUALS_BEFORE = re.compile(r"(?P<other>\b[A-Z][a-z]{3,}) (?:=(?: =)?|\u2261) $")
_BRACKETED = re.compile(
    rf"{_CAND} \( (?:(?:the )?(?:correct|right|actual|real|true|reference|expected)(?: answer)?"
    rf"(?: (?:is|being|would be))?(?: :)?|{_UNSURE}|{_OTHERS} {_SAY}|or) {_FILL}$",
    re.IGNORECASE,
)

_NEGATIONS = frozenset(
    {
        "not", "never", "neither", "nor", "but", "other", "except", "instead", "rather",
        "unlike", "far", "rule", "rules", "ruled", "ruling", "exclude", "excludes",
        "excluded", "doubt", "deny", "denied", "nicht", "statt", "kein", "keine", "keinen",
        "keiner", "pas", "plut\u00f4t", "no", "vez", "non", "n\u00e3o", "confused",
        "mistaken", "wrong", "incorrect", "false", "untrue", "mistake", "lie", "joke",
        "inaccurate", "impossible", "falsch", "faux", "falso", "out", "nope", "\u4e0d",
        "\u5e76", "\u800c", "\u306f", "\u9519",
    }
)  # fmt: skip
_DISJUNCTIONS = frozenset(
    {
        "or", "oder", "ou", "o", "\u6216", "\u8fd8", "\u304b", "between",
    }
)  # fmt: skip
_DOUBTS = frozenset(
    {
        "?", "maybe", "perhaps", "possibly", "potentially", "conceivably", "might", "may",
        "could", "vielleicht", "peut", "quiz\u00e1", "quiz\u00e1s", "tal",
    }
)  # fmt: skip
_OPINIONS = frozenset(
    {
        *re.findall(r"\w+", _SAY.removeprefix("(?:")),
        "misconception", "myth", "has", "have", "mistakenly", "wrongly", "falsely", "erroneously",
        "incorrectly", "common", "popular", "usual", "obvious", "typical", "naive", "most",
    }
)  # fmt: skip
_EQUATIONS = frozenset("=\u2261")
_BRACKETS = frozenset("(")


class Mention:
    """One place where a reference stands in an answer."""

    def __init__(self, text: "Mentions", start: int, end: int) -> None:
        words = text.words
        self._text = text
        self.words = words[start:end]
        self.end = end
        first = next(
            (i for i in range(start, max(0, start - _AROUND), -1) if words[i - 1] in _ENDS), 0
        )
        first = max(first, start - _AROUND)
        last = next((i for i in range(end, len(words)) if words[i] in _ENDS), len(words))
        self.before = "".join(word + " " for word in words[first:start])
        self.near = "".join(word + " " for word in words[max(first, start - _NEAR) : start])
        self.after = " ".join(words[end : min(last + 2, end + _AROUND)])

    @property
    def later(self) -> str:
        """What follows, over the ends of sentences."""
        return " ".join(self._text.words[self.end : self.end + _LATER])

    @cached_property
    def fault(self) -> str | None:
        """Why this mention does not state the reference; None where it does."""
        if self._is_negated():
            return "the answer negates the reference"
        if self._is_alternative() or self._is_unsure():
            return "the answer names alternatives and chooses none"
        if self._is_disowned():
            return "the answer names the reference as another's opinion"
        if self._is_equated():
            return "the answer equates the reference with another answer"
        return "the answer names the reference in brackets only" if self._is_aside() else None

    def has(self, cues: frozenset[str]) -> bool:
        """Whether the answer holds one of some words; to look for these first is much faster."""
        return self._text.has(cues)

    def accepts(self, other: str) -> bool:
        """Whether a candidate is of words of the references."""
        return {word.casefold() for word in tokens(other)} <= self._text.accepted

    def _is_negated(self) -> bool:
        if not self.has(_NEGATIONS) or self._text.asks_not or is_polar(self):
            return False
        if _NEGATED_BEFORE.search(self.near) and not self.after.startswith("?"):
            return True
        if _NEGATED_AFTER.match(self.after):
            return True
        denied = _IS_NOT.match(self.after)
        return denied is not None and denied["what"].casefold() in self._text.asked

    def _is_alternative(self) -> bool:
        if not self.has(_DISJUNCTIONS):
            return False
        after = _ALTERNATIVE_AFTER.match(self.after)
        if after and self._differs(self.words[-1], after["other"], self.after[after.end() :]):
            return True
        before = _ALTERNATIVE_BEFORE.search(self.near)
        if before and self._differs(self.words[0], before["other"], self.after):
            return True
        return _BETWEEN.search(self.before) is not None or (
            _EITHER.search(self.near) is not None and " or " in self.after
        )

    def _differs(self, word: str, other: str, unit: str) -> bool:
        """Whether another candidate is of the same kind, and no other name of the same thing."""
        if other.casefold() in self._text.accepted:
            return False
        if _kind(word) != _kind(other) or _akin(word, other):
            return False
        return not word[0].isdigit() or (not unit.startswith("%") and _numbers_differ(word, other))

    def _is_unsure(self) -> bool:
        if not self.has(_DOUBTS):
            return False
        if not _UNSURE_BEFORE.search(self.near) and not _UNSURE_AFTER.match(self.after):
            return False
        return bool(self._text.unsure_of)

    def _is_disowned(self) -> bool:
        if not self.has(_OPINIONS):
            return False
        if _FALSELY.search(self.before):
            return True
        opinion = OPINION.search(self.before)
        if opinion and not _TURNED.search(self.before, opinion.start()):
            turn = _TURNS.search(self.later)
            return turn is not None
        opinion = _IS_OPINION.match(self.after) or _OPINION_IS.search(self.before)
        return opinion is not None and _TURNED.search(self.later) is not None

    def _is_equated(self) -> bool:
        if not self.has(_EQUATIONS):
            return False
        found = _EQUALS_AFTER.match(self.after) or _EQUALS_BEFORE.search(self.near)
        if not found or not self.words[0].istitle() or len(self.words[0]) < 4:
            return False
        return found["other"].casefold() not in self._text.accepted | self._text.asked

    def _is_aside(self) -> bool:
        return self.has(_BRACKETS) and _BRACKETED.search(self.near) is not None


class Mentions:
    """The mentions of references in an answer.

    Args:
        answer: the text; its beginning and its end are looked at.
        question: what was asked.
        references: accepted answers; the first 200 are looked for.
    """

    def __init__(self, answer: str, question: str, references: Sequence[str]) -> None:
        if len(answer) > 2 * _LOOKED_AT:
            answer = f"{answer[:_LOOKED_AT]}\n{answer[-_LOOKED_AT:]}"
        self.words = tokens(answer)
        self._question = question[:_LOOKED_AT]
        self._references = [
            tokens(reference[:_REFERENCE]) for reference in references[:_REFERENCES]
        ]

    def all(self) -> list[Mention]:
        """Return the mentions of all references, in order; of one within another the longer."""
        spans = {span for reference in self._references for span in self._spans(reference)}
        outermost: list[tuple[int, int]] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if not outermost or end > outermost[-1][1]:
                outermost.append((start, end))
        return [Mention(self, *span) for span in outermost]

    def _spans(self, reference: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield where a reference stands; a single letter counts in its own case only."""
        exact = len(reference) == 1 and len(reference[0]) == 1
        wanted = reference if exact else _without_article([w.casefold() for w in reference])
        if not wanted:
            return
        at = self._raw_at if exact else self._folded_at
        words, size = self.words if exact else self._folded, len(wanted)
        for start in at.get(wanted[0], ())[:_MENTIONS]:
            if words[start : start + size] == wanted:
                yield start, start + size

    @cached_property
    def _folded(self) -> list[str]:
        return [word.casefold() for word in self.words]

    @cached_property
    def _folded_at(self) -> dict[str, list[int]]:
        return _places(self._folded)

    def has(self, cues: frozenset[str]) -> bool:
        """Whether the answer holds one of some words."""
        return not cues.isdisjoint(self._folded_at)

    @cached_property
    def _raw_at(self) -> dict[str, list[int]]:
        return _places(self.words)

    @cached_property
    def accepted(self) -> frozenset[str]:
        """The words of all references."""
        return frozenset(word.casefold() for reference in self._references for word in reference)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The words of the question."""
        return frozenset(word.casefold() for word in tokens(self._question))

    @cached_property
    def asks_not(self) -> bool:
        """Whether the question itself asks for what is not so."""
        return _ASKS_NOT.search(self._question) is not None

    @cached_property
    def unsure_of(self) -> frozenset[str]:
        """The candidates, other than the references, that the answer takes for possible."""
        found = _UNSURE_OF.finditer(" ".join(self.words))
        return frozenset((m["a"] or m["b"] or m["c"]).casefold() for m in found) - self.accepted


def is_polar(mention: Mention) -> bool:
    """Whether the reference is a yes or a no, of which "No, that is wrong" takes nothing back."""
    return mention.words[0].casefold() in _POLAR


def tokens(text: str) -> list[str]:
    """Return the words, numbers and signs of a text; "isn't" and "cannot" hold a "not"."""
    if "n't" in text or "n\u2019t" in text or "annot" in text:
        text = _NOT.sub(" not", text)
    return _TOKEN.findall(text)


def _kind(word: str) -> tuple[bool, bool, bool]:
    """Return what candidates for one thing share: digits, a capital, capitals alone (USA, CO2)."""
    return word[0].isdigit(), word[0].isupper(), len(word) > 1 and word.isupper()


def _without_article(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _places(words: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for i, word in enumerate(words):
        places.setdefault(word, []).append(i)
    return places


def _numbers_differ(one: str, other: str) -> bool:
    try:
        a, b = (Fraction(text.replace(",", "")[:30].rstrip(".")) for text in (one, other))
    except (ValueError, ZeroDivisionError):
        return one != other
    return a not in (b, 100 * b, b / 100)


def _akin(one: str, other: str) -> bool:
    """Whether two words are spellings of one name ("Hellenism", "Hellenismos")."""
    return one[0].isalpha() and one[:5].casefold() == other[:5].casefold()
