"""How a reaction sounds, by a lexicon of English: what a readout head weighs beside tokens.

A small model reads who reacts to what; the lexicon (VADER, Hutto and Gilbert 2014) knows how words
sound. The head weighs both. Where the reaction is not English the cue is 0, so that the tokens
alone decide.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vader import SentimentIntensityAnalyzer

LEXICON = "nltk-vader-sentiment"
"""The distribution whose version a fingerprint names."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LONGEST = 1000
"""Characters of a text that are looked at; a reaction is said in fewer."""
_WORDS = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
_ENGLISH = _words(
    "the is are were be been it it's its that's this these those you your i i'm i've i'd i'll my "
    "we they he she of to for from with and but or not don't didn't isn't can't doesn't which who "
    "where when why how there have has had do does did would could should will can just about any "
    "one please thanks thank thx yes okay good great"
)
_FOREIGN = _words(
    "der das und ist ich sie nicht kein ein eine einen dem den im mit bei von auf zu wie wer wo "
    "wann mir mich dir dich sind hab habe danke bitte nein ja aber schon doch noch mal stimmt "
    "le la les des du est pas je et une merci oui mais dans que qui cette avec c'est bien alors "
    "el los las por gracias pero es en del yo muy como esto eso ya lo de y si ahora donde "
    "il di che grazie per sono della ma questo ho molto allora "
    "um uma os obrigado obrigada mas isso muito para com eu "
    "het een niet ik dank maar van voor"
)
"""Common words of German, French, Spanish, Italian, Portuguese and Dutch that English lacks."""
_DENIAL = re.compile(r"\s*(?:no|nope|nah)\s*(?:[,.;:!-]\s*|$)", re.IGNORECASE)
"""A "no" of its own, which answers a question as often as it rejects an answer."""
_REFUSAL = re.compile(
    r"\b(?:sorry|unfortunately|afraid|unable|cannot|can't|couldn't|could not|no longer|"
    r"sold out|unsuccessful|not (?:able|available|possible)|there (?:is|are) no(?:ne)?)\b",
    re.IGNORECASE,
)


def cues(texts: Mapping[str, object]) -> dict[str, float]:
    """Return the cues of a reaction: `sentiment`, from -1 to 1.

    It is 0 where the follow-up is not English. A friendly word after a refusal is a courtesy, and
    counts as 0 too. A "no" of its own at the beginning is left out.

    Args:
        texts: the `answer`, and the `follow_up` that reacts to it.
    """
    follow_up, answer = str(texts["follow_up"])[:_LONGEST], str(texts["answer"])[-_LONGEST:]
    if not is_english(follow_up):
        return {"sentiment": 0.0}
    heard = polarity(_DENIAL.sub("", follow_up, count=1))
    refused = heard > 0 and _REFUSAL.search(answer) is not None
    return {"sentiment": 0.0 if refused else heard}


def is_english(text: str) -> bool:
    """Whether a short text may be English: no more of its words are foreign than English.

    Foreign are common words of six other languages, and words with letters outside ASCII.
    """
    words = _WORDS.findall(text.casefold())
    foreign = sum(word in _FOREIGN or not word.isascii() for word in words)
    return foreign <= sum(word in _ENGLISH for word in words)


def polarity(text: str) -> float:
    """Return how positive an English text sounds, from -1 to 1."""
    return _analyzer().polarity_scores(text)["compound"]


@cache
def lexicon() -> str:
    """Name the lexicon with its version."""
    return f"{LEXICON} {version(LEXICON)}"


@cache
def _analyzer() -> "SentimentIntensityAnalyzer":
    from vader import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
