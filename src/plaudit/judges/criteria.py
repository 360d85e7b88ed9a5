"""Criteria: what a response is scored by, each on a scale of its own and with a weight."""

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit._util.decoding import decode_json, decode_toml
from plaudit.errors import UsageError
from plaudit.judges.readout import Option

LOWEST, HIGHEST = 1, 10
"""The scale where none is given, and of what combines criteria of several scales."""
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""Words that differ in their first letters; from eleven on, some begin alike."""
_NAME = re.compile(r"\w[\w .,'&/+-]{0,59}")


class Criterion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that a response is scored by."""

    name: str
    """Key of its score; letters, digits, spaces and simple punctuation, at most 60 of them."""
    description: str = ""
    """What is to be judged, as the prompt says it."""
    scale: tuple[int, int] = (LOWEST, HIGHEST)
    """The worst and the best score; all whole numbers between them are scores."""
    weight: float = 1.0
    """Its weight in the mean over all criteria."""

    def __post_init__(self) -> None:
        """Refuse what cannot be scored by."""
        low, high = self.scale
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"the name {self.name[:60]!r} must be 1 to 60 letters, digits, spaces or . , ' & "
                "/ + - and begin with a letter or digit"
            )
        if low == high:
            raise ValueError(f"the scale [{low}, {high}] has one value, so nothing can be scored")
        if low > high:
            raise ValueError(f"the scale [{low}, {high}] must begin with the lower value")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"the weight must be a positive finite number, not {self.weight}")

    def shown(self, escape: Callable[[str], str]) -> dict[str, Any]:
        """Return the criterion as a template sees it."""
        low, high = self.scale
        description = escape(self.description.strip())
        return {"name": self.name, "description": description, "low": low, "high": high}


def take_criteria(given: Any) -> tuple[Criterion, ...]:
    """Return the criteria that are given as the path of a file, as objects or as plain dicts.

    Raises:
        UsageError: the file cannot be read, there are none, or one is wrong; names file and entry.
    """
    if isinstance(given, str | Path):
        return _checked(_read(Path(given)), f"criteria {given}")
    if given is None:
        return ()
    if not isinstance(given, Sequence):
        raise UsageError("criteria must be a file or a list of objects with a name")
    entries = cast("Sequence[Any]", given)
    return _checked(entries, "criteria") if entries else ()


def _read(path: Path) -> Sequence[Any]:
    """Return the entries of a file: TOML by its name, else a JSON array, or JSON Lines."""
    try:
        text = path.read_text(encoding="utf-8")
        found = _parse_toml(text) if path.suffix == ".toml" else _parse_json(text)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"criteria {path}: {error}") from None
    if not isinstance(found, list):
        raise UsageError(f"criteria {path}: it must hold a list of criteria")
    return cast("list[Any]", found)


def _parse_toml(text: str) -> Any:
    return decode_toml(text).get("criteria")


def _parse_json(text: str) -> Any:
    if text.lstrip().startswith("["):
        return decode_json(text)
    return [decode_json(line) for line in text.splitlines() if line.strip()]


def _checked(entries: Sequence[Any], where: str) -> tuple[Criterion, ...]:
    if not entries:
        raise UsageError(f"{where}: there are no criteria in it")
    found: list[Criterion] = []
    names: set[str] = set()
    for number, entry in enumerate(entries, 1):
        name = _name_of(entry)
        place = f"{where}, entry {number}" + (f" ({name[:60]})" if name else "")
        try:
            criterion = msgspec.convert(entry, Criterion, from_attributes=True)
        except msgspec.ValidationError as error:
            raise UsageError(f"{place}: {error}") from None
        if criterion.name.casefold() in names:
            raise UsageError(f"{place}: another criterion has this name")
        names.add(criterion.name.casefold())
        found.append(criterion)
    return tuple(found)


def _name_of(entry: Any) -> str:
    name: Any = cast("Any", entry).get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else ""


def scale_options(low: int, high: int) -> tuple[Option, ...]:
    """Return the option words for a scale: words, since `10` may be two tokens, the first `1`.

    Scores from 0 to 10 have their own number words. On another scale of at most 11 values the word
    is the place of a value, counted from one, or from zero where there are 11. A longer scale has
    the words from zero to ten for 11 values, evenly spread and rounded to whole numbers. The prompt
    explains which word stands for which value.
    """
    scores = list(range(low, high + 1))
    if low >= 0 and high < len(_NUMBERS):
        return tuple(Option(str(score), _NUMBERS[score]) for score in scores)
    if len(scores) > len(_NUMBERS):
        last = len(_NUMBERS) - 1
        scores = [low + ((high - low) * step * 2 + last) // (2 * last) for step in range(last + 1)]
    words = _NUMBERS[len(scores) < len(_NUMBERS) :]
    return tuple(
        Option(str(score), word, str(score)) for score, word in zip(scores, words, strict=False)
    )


def overall_scale(criteria: Sequence[Criterion]) -> tuple[int, int]:
    """Return the scale of the weighted score: that of all criteria, else 1 to 10."""
    scales = {criterion.scale for criterion in criteria}
    return scales.pop() if len(scales) == 1 else (LOWEST, HIGHEST)


def weighted_score(criteria: Sequence[Criterion], scores: Mapping[str, float]) -> float:
    """Return the weighted mean of scores by name, each put on the overall scale first."""
    onto = overall_scale(criteria)
    return weighted_mean(criteria, {c.name: _put(scores[c.name], c.scale, onto) for c in criteria})


def weighted_mean(criteria: Sequence[Criterion], values: Mapping[str, float]) -> float:
    """Return the weighted mean of values by name."""
    total = math.fsum(c.weight for c in criteria)
    return math.fsum(c.weight / total * values[c.name] for c in criteria)


def _put(score: float, scale: tuple[int, int], onto: tuple[int, int]) -> float:
    return onto[0] + (score - scale[0]) * (onto[1] - onto[0]) / (scale[1] - scale[0])
