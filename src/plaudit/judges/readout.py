"""How a reply is read: the distribution over options, or the last well-formed JSON object.

Both readers either return what the judge said or raise `ReplyError` with a cause; neither guesses.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import json_repair
import msgspec

from plaudit.engines.base import Completion
from plaudit.errors import Cause, ReplyError, UsageError

MIN_OPTION_MASS = 0.05
"""Least probability on all options together; under it the judge did not answer the question."""
MIN_PREFIX = 3
"""Letters in which option words must differ, so that a first token tells them apart."""
MIN_PRIOR = 1e-3
"""Least prior of an option, so that removing it never multiplies noise without bound."""
_VARIANTS = 6
"""Ways to write an option as one token: lower, title and upper case, with a space and without."""


class Option(msgspec.Struct, frozen=True):
    """One thing that a judge can answer."""

    label: str
    """The value in the verdict and in the json readout."""
    word: str
    """The word by which the logprob readout knows it."""
    meaning: str = ""
    """What it stands for, as the prompt explains it."""


class Bounds(msgspec.Struct, frozen=True):
    """Probability of each option, as far as the reply shows it: at least `low`, at most `high`."""

    low: tuple[float, ...]
    high: tuple[float, ...]


def check_words(words: Sequence[str]) -> None:
    """Refuse option words that a first token could confuse.

    Raises:
        UsageError: two words share their first letters.
    """
    starts = [word.casefold()[:MIN_PREFIX] for word in words]
    for start in starts:
        if starts.count(start) > 1:
            clash = [word for word in words if word.casefold().startswith(start)]
            raise UsageError(f"options {clash} begin alike; one token could not tell them apart")


def names_option(token: str, word: str) -> bool:
    """Whether a first token stands for an option word: the word itself, or a telling start of it.

    Args:
        token: text of the token; spaces around it and its case do not count.
        word: the option word, in lower case.
    """
    text = token.strip(" \u2581\u0120\t\r\n").casefold()
    return text == word or (len(text) >= MIN_PREFIX and word.startswith(text))


def read_options(completion: Completion, words: Sequence[str]) -> Bounds:
    """Sum the shown candidates of the first token over the options.

    Args:
        completion: a reply with log-probabilities.
        words: option words in lower case, told apart by `check_words`.

    Raises:
        ReplyError: no log-probabilities, or less than `MIN_OPTION_MASS` on the options.
    """
    shown = completion.logprobs
    if not shown:
        raise ReplyError(Cause.OPTIONS_NOT_VISIBLE, "the reply shows no log-probabilities")
    floor = completion.logprob_floor
    hidden = math.exp(shown[-1].logprob if floor is None else floor)
    low, count = [0.0] * len(words), [0] * len(words)
    for candidate in shown:
        for i, word in enumerate(words):
            if names_option(candidate.token, word):
                low[i] += math.exp(candidate.logprob)
                count[i] += 1
                break
    mass = sum(low)
    if mass < MIN_OPTION_MASS:
        raise ReplyError(
            Cause.LOW_OPTION_MASS,
            f"only {mass:.3f} of the probability is on the options; the reply began with "
            f"{completion.text[:40]!r}",
        )
    rest = max(0.0, 1.0 - mass)
    high = [p + min(rest, hidden * max(0, _VARIANTS - n)) for p, n in zip(low, count, strict=True)]
    return Bounds(tuple(low), tuple(high))


def mean_bounds(bounds: Sequence[Bounds]) -> Bounds:
    """Average over several replies; each option at least `MIN_PRIOR`."""
    low, high = (
        tuple(max(MIN_PRIOR, math.fsum(column) / len(bounds)) for column in zip(*rows, strict=True))
        for rows in ([b.low for b in bounds], [b.high for b in bounds])
    )
    return Bounds(low, high)


def distribution(shown: Bounds, prior: Bounds | None, labels: Sequence[str]) -> dict[str, float]:
    """Return the options' probabilities with the prior removed, summing to 1.

    Removal divides by the mean probability that each option gets over a balanced set (batch
    calibration, Zhou et al. 2023, arXiv:2309.17249). Bounds are carried through: if what the
    reply does not show could change the winner, there is none.

    Raises:
        ReplyError: options that are not shown could change the winner.
    """
    if prior is None:
        low, high = shown.low, shown.high
    else:
        low = [p / q for p, q in zip(shown.low, prior.high, strict=True)]
        high = [p / q for p, q in zip(shown.high, prior.low, strict=True)]
    point = low if prior is None else [p / q for p, q in zip(shown.low, prior.low, strict=True)]
    best = max(range(len(point)), key=point.__getitem__)
    rivals = [labels[i] for i in range(len(point)) if i != best and high[i] > low[best]]
    if rivals:
        raise ReplyError(
            Cause.OPTIONS_NOT_VISIBLE,
            f"too few log-probabilities are shown to tell {labels[best]!r} from "
            + ", ".join(map(repr, rivals)),
        )
    total = math.fsum(point)
    return {label: p / total for label, p in zip(labels, point, strict=True)}


def censored(shown: Bounds, labels: Sequence[str]) -> list[str]:
    """Name the options of which the reply shows nothing."""
    return [label for label, p in zip(labels, shown.low, strict=True) if p == 0.0]


_REASONING = re.compile(
    r"<(think|thinking|reasoning|reflection)>.*?</\1>|\[THINK\].*?\[/THINK\]", re.DOTALL
)
_REASONING_END = re.compile(r".*(?:</(?:think|thinking|reasoning)>|\[/THINK\])", re.DOTALL)
_REASONING_START = re.compile(r"(?:<(?:think|thinking|reasoning)>|\[THINK\]).*", re.DOTALL)
_DECODER = json.JSONDecoder(parse_constant=lambda name: _refuse_constant(name))
_MAX_STARTS = 200


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def strip_reasoning(text: str) -> str:
    """Remove what stands between think tags; a tag without its pair reaches to the text's end."""
    text = _REASONING.sub("", text)
    text = _REASONING_END.sub("", text)
    return _REASONING_START.sub("", text).strip()


def read_object(completion: Completion) -> dict[str, Any]:
    """Return the last well-formed JSON object of a reply.

    A reply that is JSON as a whole must be an object. Otherwise reasoning is removed, and the last
    object or list in the text counts; only where there is none at all is the text read tolerantly
    (single quotes, trailing commas), and never when its end is missing.

    Raises:
        ReplyError: the reply is cut off, empty, or holds no object.
    """
    if completion.finish_reason == "length":
        raise ReplyError(Cause.CUT_OFF, "the reply was cut off by max_tokens")
    text = completion.text.strip()
    if not text:
        raise ReplyError(Cause.UNPARSEABLE, "the reply is empty")
    try:
        found: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        found = _search(strip_reasoning(text))
    if not isinstance(found, dict):
        what = "no JSON object" if found is None else "JSON that is not an object"
        raise ReplyError(Cause.UNPARSEABLE, f"the reply holds {what}: {text[:80]!r}")
    return cast("dict[str, Any]", found)


def _search(text: str) -> Any:
    """Return the last object or list in a text, else what tolerant reading finds, else None."""
    found: Any = None
    position, starts = 0, 0
    while starts < _MAX_STARTS and (start := _next_start(text, position)) >= 0:
        starts += 1
        try:
            found, position = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
    return found if found is not None else _read_tolerantly(text)


def _next_start(text: str, position: int) -> int:
    starts = [at for at in (text.find("{", position), text.find("[", position)) if at >= 0]
    return min(starts, default=-1)


def _read_tolerantly(text: str) -> Any:
    body = text.removesuffix("```").rstrip()
    if "{" not in body or not body.endswith("}"):
        return None
    try:
        found: Any = json_repair.loads(body[body.index("{") :], skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return cast(Any, found) if isinstance(found, dict) else None


def take_text(reply: Mapping[str, Any], name: str) -> str:
    """Return a text of the reply, empty where it is missing or no text."""
    value = reply.get(name, "")
    return value if isinstance(value, str) else ""


def take_option(reply: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """Return the option that the reply names.

    Raises:
        ReplyError: it names none, or one that there is not.
    """
    value = reply.get(name)
    if value is None:
        raise ReplyError(Cause.UNPARSEABLE, f"the reply has no {name!r}")
    if not isinstance(value, str) or value.strip() not in allowed:
        raise ReplyError(
            Cause.UNKNOWN_OPTION, f"{name} is {str(value)[:60]!r}, not one of {', '.join(allowed)}"
        )
    return value.strip()


def take_number(reply: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """Return a number of the reply.

    Raises:
        ReplyError: it is missing, no number, not finite, or outside `low..high`.
    """
    value = reply.get(name)
    if value is None:
        raise ReplyError(Cause.UNPARSEABLE, f"the reply has no {name!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReplyError(Cause.UNPARSEABLE, f"{name} is {str(value)[:60]!r}, not a number")
    if not low <= value <= high:  # also refuses NaN
        raise ReplyError(Cause.OUT_OF_RANGE, f"{name} is {value}, not in {low:g}..{high:g}")
    return float(value)
