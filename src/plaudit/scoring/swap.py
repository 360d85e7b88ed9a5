"""Both orders of a comparison, put together."""

import math
import re
from collections.abc import Mapping

_SIDE = re.compile(r"\b([AB])\b(?=(?: ([a-z]+))?)")
_AFTER_A = re.compile(
    r"also|although|and|as|at|because|but|by|can|clearly|correctly|could|did|"
    r"directly|do|due|even|for|from|had|however|if|in|is|may|might|more|"
    r"must|never|not|of|on|only|or|over|simply|since|so|still|than|that|"
    r"then|though|to|too|unlike|was|were|when|where|while|which|will|with|"
    r"would|wrote|yet"
)
"""Words that follow the name of a response, and never the article."""


def swap_distribution(
    probabilities: Mapping[str, float], other: Mapping[str, str]
) -> dict[str, float]:
    """Return the distribution with each label's probability given to its mirror image."""
    return {label: probabilities[other[label]] for label in probabilities}


def combine_log_odds(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Average two distributions in log space and normalise.

    For two outcomes this is the mean of the log-odds: a bias that adds to the log-odds of the first
    place in both orders cancels exactly.

    Returns:
        A distribution over the same labels, summing to 1, the same for both argument orders.
    """
    logs = {k: (_log(first[k]) + _log(second[k])) / 2 for k in first}
    top = max(logs.values())
    weights = {k: math.exp(v - top) for k, v in logs.items()}
    total = math.fsum(weights.values())
    return {k: w / total for k, w in weights.items()}


def _log(p: float) -> float:
    return math.log(max(p, 1e-12))


def swap_text(text: str) -> str:
    """Exchange `A` and `B` where they name a response, so that a text about B, A reads A, B.

    The article "A" stays: it is followed by a small word that is neither a verb nor a connective.
    """
    return _SIDE.sub(_exchange, text)


def _exchange(match: re.Match[str]) -> str:
    if match[1] == "B":
        return "A"
    following = match[2] or ""
    verb = following.endswith("s") and not following.endswith(("ss", "ous"))
    return "B" if not following or verb or _AFTER_A.fullmatch(following) else "A"
