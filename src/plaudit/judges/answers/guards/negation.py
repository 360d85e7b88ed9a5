"""Whether an answer negates a reference that it mentions ("It is not Paris")."""

import re

from plaudit.judges.answers.guards.mentions import Mention

_NEGATED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|anything but|any \w+ but|(?<!none )(?<!no )other than|"
    r"nothing to do with|except|except for|instead of|"
    r"rather than|"
    r"unlike|far from|rules? out|ruled out|ruling out|exclude[sd]?|doubt|deny|denied|nicht|kein\w*|"
    r"statt|pas|plut\u00f4t que|no (?:es|era|fue|son)|en vez de|non \u00e8|n\u00e3o \u00e9|"
    r"(?:confused|mistaken) (?:with|for)|"
    r"(?:wrong|incorrect|false|untrue|mistaken|mistake|lie) "
    r"(?:to (?:say|answer|claim|think|believe|call)(?: that)?|that)|"
    r"(?:not|never) (?:think|believe|say|suppose|agree|mean)(?: that)?)"
    r"|\u4e0d \u662f|\u5e76 \u975e|\u800c \u975e|\u5e76 \u4e0d \u662f) "
    r"(?:(?:the|a|an|in|at|by|on|of|from|to|have|be|been|being|called|named|really|actually|at all|"
    r"it|is|"
    r"it's|was|this|answer|that it|in fact|der|die|das|le|la|el|\"|'|\*|\(|:) ){0,5}$",
    re.IGNORECASE,
)
WRONG = (
    r"(?:wrong|incorrect|false|mistaken|untrue|inaccurate|impossible|ruled out|excluded|falsch|"
    r"faux|"
    r"falso|out of the question|a (?:mistake|lie|joke)|"
    r"not (?:it|him|her|them|right|correct|true|so|"
    r"(?:the |a |an )?(?:right|correct|answer|one|case|solution|capital|winner|author)))\b"
)
BE = r"(?:is|was|are|were|would be|can be|'s|ist|war|est|es)"
_NEGATED_AFTER = re.compile(
    rf"(?:as (?:the|an) answer )?(?:(?:, )?(?:which|but that|that|though that) )?{BE} "
    rf"(?:(?:definitely|certainly|clearly|simply|just|of course|also|really|obviously) )?{WRONG}"
    rf"|[:(,-] ?(?:wrong|incorrect|false|not true|not correct)\b|(?:ca|can|could) not be\b"
    r"|\? (?:no|wrong|never|nope|(?:definitely|certainly|absolutely|of course) not|not at all)\b"
    r"|\u3067 \u306f (?:\u3042 \u308a \u307e \u305b|\u306a)|\u4e0d \u5bf9|\u662f \u9519",
    re.IGNORECASE,
)
_IS_NOT = re.compile(
    rf"(?:(?:{BE}|did|does|do|has|had|have|never) (?:not|never)|never) (?:(?:the|a|an|been) )?"
    r"(?P<what>[^\W\d_]{4,})",
    re.IGNORECASE,
)
_ASKS_NOT = re.compile(
    r"\b(?:not|never|except|false|incorrect|wrong|untrue|cannot|neither|nicht|pas)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_CUES = frozenset(
    {
        "not", "never", "nothing", "neither", "nor", "but", "other", "except", "instead", "rather",
        "unlike", "far", "rule", "rules", "ruled", "ruling", "exclude", "excludes",
        "excluded", "doubt", "deny", "denied", "nicht", "statt", "kein", "keine", "keinen",
        "keiner", "pas", "plut\u00f4t", "no", "vez", "non", "n\u00e3o", "confused",
        "mistaken", "wrong", "incorrect", "false", "untrue", "mistake", "lie", "joke",
        "inaccurate", "impossible", "falsch", "faux", "falso", "out", "nope", "\u4e0d",
        "\u5e76", "\u800c", "\u306f", "\u9519",
    }
)  # fmt: skip


def is_negated(mention: Mention) -> bool:
    """Whether a mention is negated; never where the question itself asks for what is not so."""
    if not mention.has(_CUES) or _ASKS_NOT.search(mention.text.question) or mention.is_polar:
        return False
    if _NEGATED_BEFORE.search(mention.near) and not mention.after.startswith("?"):
        return True
    if _NEGATED_AFTER.match(mention.after):
        return True
    denied = _IS_NOT.match(mention.after)
    return denied is not None and denied["what"][:4].casefold() in mention.text.asked_stems
