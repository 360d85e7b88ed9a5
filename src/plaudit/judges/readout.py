"""How a reply is read: the distribution over options, or the last well-formed JSON object.

Both readers either return what the judge said or raise `ReplyError` with a cause; neither guesses.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import compress
from operator import not_
from typing import Any, cast

import json_repair
import msgspec

from plaudit.engines.base import Completion
from plaudit.engines.replies import check_logprobs
from plaudit.errors import Cause, ReplyError, UsageError

MIN_OPTION_MASS = 0.05
"""Least probability on all options together; under it the judge did not answer the question."""
MIN_PREFIX = 3
"""Letters in which option words must differ, so that a first token tells them apart."""
MIN_PRIOR = 0.02
"""Least prior of an option, so that removing it never multiplies noise without bound."""
_SPELLINGS = 6
"""Ways to spell an option: lower, title and upper case, with a space and without.

A tokenizer begins each spelling with one token, so no more candidates than that can be hidden.
"""
_LEFT = [_SPELLINGS - spelled.bit_count() for spelled in range(2**_SPELLINGS)]
"""How many spellings are not among those seen, by the bits of these."""
_MOST_TOKENS = 65_536
"""Most tokens whose option is remembered."""
_OTHER_WORDS = frozenset({"correct"})
"""Beginnings of option words that are words of another meaning."""
_SPACE = " \u2581\u0120\t\r\n"
"""What stands around the word in a token, the marks of SentencePiece and of GPT-2 included."""


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


def options_of(tokens: Iterable[str], words: tuple[str, ...]) -> list[int | None]:
    """Return which option word each first token stands for: it is the word, or a telling start.

    Args:
        tokens: texts of tokens; spaces around them and their case do not count.
        words: option words in lower case, told apart by `check_words`.
    """
    known = _spellings(words)
    return [known[token][0] for token in tokens]


class _Spellings(dict[str, tuple[int | None, int]]):
    """Tells of a token which option it is, and how that is spelled as one of `_SPELLINGS` bits."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__()
        self._options = _beginnings(words)

    def __missing__(self, token: str) -> tuple[int | None, int]:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        word = token.strip(_SPACE)
        case = 0 if word.islower() else 1 if word.isupper() else 2
        spelling = 1 << (2 * case + (not token.startswith(word)))
        found = self[token] = (self._options.get(word.casefold()), spelling)
        return found


_spellings = cache(_Spellings)


def _beginnings(words: tuple[str, ...]) -> dict[str, int]:
    """Map every text that stands for an option to the option's number."""
    found = {
        word[:length]: number
        for number, word in enumerate(words)
        for length in range(MIN_PREFIX, len(word))
        if word[:length] not in _OTHER_WORDS
    }
    return found | {word: number for number, word in enumerate(words)}


def read_options(
    completion: Completion, words: tuple[str, ...], least: float = MIN_OPTION_MASS
) -> Bounds:
    """Sum the shown candidates of the first token over the options.

    Args:
        completion: a reply with log-probabilities.
        words: option words in lower case, told apart by `check_words`.
        least: probability that must be on the options together.

    Raises:
        ReplyError: no log-probabilities, numbers that are none, or less than `least` on the
            options.
    """
    shown = completion.logprobs
    if not shown:
        raise ReplyError(Cause.OPTIONS_NOT_VISIBLE, "the reply shows no log-probabilities")
    check_logprobs(shown)
    floor = completion.logprob_floor
    hidden = math.exp(shown[-1].logprob if floor is None else floor)
    low, spelled = [0.0] * len(words), [0] * len(words)
    known = _spellings(words)
    for candidate in shown:
        i, spelling = known[candidate.token]
        if i is not None:
            low[i] += math.exp(candidate.logprob)
            spelled[i] |= spelling
    mass = sum(low)
    if mass < least:
        raise ReplyError(
            Cause.LOW_OPTION_MASS,
            f"only {mass:.3f} of the probability is on the options; the reply began with "
            f"{completion.text[:40]!r}",
        )
    rest = 1.0 - mass if mass < 1.0 else 0.0
    unseen = hidden * _SPELLINGS if hidden * _SPELLINGS < rest else rest
    high = [
        p + (unseen if not bits else most if (most := hidden * _LEFT[bits]) < rest else rest)
        for p, bits in zip(low, spelled, strict=True)
    ]
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
    best = point.index(max(point))
    least = low[best]
    for i, p in enumerate(high):
        if p > least and i != best:
            raise _not_told_apart(labels, best, [p > least for p in high])
    total = math.fsum(point)
    return {label: p / total for label, p in zip(labels, point, strict=True)}


def _not_told_apart(labels: Sequence[str], best: int, above: Sequence[bool]) -> ReplyError:
    rivals = [repr(labels[i]) for i, could_win in enumerate(above) if could_win and i != best]
    return ReplyError(
        Cause.OPTIONS_NOT_VISIBLE,
        f"too few log-probabilities are shown to tell {labels[best]!r} from {', '.join(rivals)}",
    )


def likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the most probable of some labels, the first of several."""
    labels = list(probabilities)
    values = list(probabilities.values())
    return labels[values.index(max(values))]


def censored(shown: Bounds, labels: Sequence[str]) -> list[str]:
    """Name the options of which the reply shows nothing."""
    if 0.0 not in shown.low:
        return []
    return list(compress(labels, map(not_, shown.low)))


_MARK = re.compile(
    r"(?P<open><(?:think|thinking|reasoning|reflection)>|\[THINK\])"
    r"|(?P<close></(?:think|thinking|reasoning|reflection)>|\[/THINK\])"
    r"|\{|\[(?=\s*[\"'{\[\d-])"
)
_CLOSE = re.compile(r"</(?:think|thinking|reasoning|reflection)>|\[/THINK\]")
_NESTING = re.compile(rf"\\.|[\"{{}}\[\]]|{_CLOSE.pattern}", re.DOTALL)
_QUOTED_KEY = re.compile(r"\{\s*[\"']")
_KEY = re.compile(r"\{\s*[\"'\w]")
_NOTHING_MORE = re.compile(r"[\s`]*\Z")
_ODD_NUMBER = re.compile(
    r"(?:[\"']|[{,]\s*\w+)\s*:\s*[+-]?(?>\d+\.?\d*|\.\d+)(?>(?:[eE][+-]?\d+)?\s*)[^\s,}\]]"
)
"""A number with something behind it, as in `7 or 8`, `95%` and `7/10`: not to be guessed at."""
_MAX_REPAIRED, _MAX_NESTED = 65_536, 100
"""Most characters and objects of what is read tolerantly; more would take seconds."""
_DECODER = json.JSONDecoder(parse_constant=lambda name: _refuse_constant(name), strict=False)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_object(completion: Completion) -> dict[str, Any]:
    """Return the last JSON object of a reply.

    A reply that is JSON as a whole must be an object. Otherwise reasoning is passed over, and the
    last object or list in the text counts, whole: what stands inside a broken one never does. An
    object that ends the reply is read tolerantly (single quotes, trailing commas), but never when
    its own end is missing. The time taken grows with the length of the reply only.

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
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        found = _search(text)
    if not isinstance(found, dict):
        what = "no JSON object" if found is None else "JSON that is not an object"
        raise ReplyError(Cause.UNPARSEABLE, f"the reply holds {what}: {text[:80]!r}")
    return cast("dict[str, Any]", found)


def _search(text: str) -> Any:
    """Return the last object or list in a text, tags of reasoning within its strings left alone."""
    found: Any = None
    position = 0
    while mark := _MARK.search(text, position):
        if mark["open"]:
            closing = _CLOSE.search(text, mark.end())
            position = closing.end() if closing else len(text)
        elif mark["close"]:  # all before it was reasoning
            found, position = None, mark.end()
        else:
            try:
                found, position = _DECODER.raw_decode(text, mark.start())
            except (ValueError, RecursionError):
                found, position = _pass_broken(text, mark.start(), found)
    return found


def _pass_broken(text: str, start: int, found: Any) -> tuple[Any, int]:
    """Pass what a bracket opens that is no JSON; return what counts now, and where to go on."""
    end, closed = _find_end(text, start)
    if not closed:
        return None, end
    if found is not None and not _QUOTED_KEY.match(text, start):
        return found, end
    return _read_tolerantly(text[start:end]) if _NOTHING_MORE.match(text, end) else None, end


def _find_end(text: str, start: int) -> tuple[int, bool]:
    """Return where a bracket closes, else where reasoning or the text ends, and whether it does."""
    depth, in_string = 0, False
    for token in _NESTING.finditer(text, start):
        if token[0] == '"':
            in_string = not in_string
        elif in_string or token[0][0] == "\\":
            continue
        elif token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
            if depth == 0:
                return token.end(), True
        else:
            return token.start(), False
    return len(text), False


def _read_tolerantly(text: str) -> Any:
    if len(text) > _MAX_REPAIRED or text.count("{") > _MAX_NESTED:
        return None
    if not _KEY.match(text) or _ODD_NUMBER.search(text):
        return None
    try:
        found: Any = json_repair.loads(text, skip_json_loads=True)
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
