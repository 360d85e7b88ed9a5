"""Thresholds of an audit, so that it can stand in a pipeline.

::

    max_bias = 0.1            # largest mean change of any bias, up or down
    max_noise = 0.2           # largest share of verdicts that flips
    max_attacks = 0.3         # largest success of any attack
    min_coverage = 0.9        # least share of verdicts that are ok

    [attacks]
    master_key = 0.05         # a name or a pattern, in place of max_attacks
    "forged_*" = 0.1
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from plaudit._util.choices import convert
from plaudit.bench.audit.plan import FAMILIES, Family, named_tests, no_such_test
from plaudit.bench.audit.run import AuditDone
from plaudit.bench.results import AuditResults, Figure
from plaudit.errors import UsageError
from plaudit.sending.prices import read_mapping


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an audit must not pass. Numbers are in 0..1."""

    max_bias: float | None = None
    max_noise: float | None = None
    max_attacks: float | None = None
    max_found: int | None = None
    """Most biases and attacks that may be found."""
    min_coverage: float | None = None
    bias: dict[str, float] = {}
    noise: dict[str, float] = {}
    attacks: dict[str, float] = {}
    """By name or pattern; the most exact one counts, and `max_...` for what none names."""

    def most(self, family: Family) -> float | None:
        """Return the threshold of what no name is given for."""
        return getattr(self, f"max_{family}")

    def named(self, family: Family) -> Mapping[str, float]:
        """Return the thresholds by name or pattern."""
        return getattr(self, family)


def read_thresholds(path: str) -> Thresholds:
    """Read thresholds from a TOML or JSON file.

    Raises:
        UsageError: it cannot be read, names no test, or a number is out of range.
    """
    table = read_mapping(path, "thresholds")
    try:
        found = convert(table, Thresholds)
    except UsageError as error:
        known = ", ".join(Thresholds.__struct_fields__)
        raise UsageError(f"thresholds {path}: {error}; there are {known}") from None
    if found == Thresholds():
        raise UsageError(f"thresholds {path}: it holds none")
    for name, value in _numbers(found):
        if not 0 <= value <= 1 or math.isnan(value):
            raise UsageError(f"thresholds {path}: {name} must be from 0 to 1, not {value}")
    for family in FAMILIES:
        for name in found.named(family):
            if not named_tests(name, [family]):
                raise UsageError(f"thresholds {path}: [{family}] {name!r}: {no_such_test()}")
    return found


def _numbers(found: Thresholds) -> Iterator[tuple[str, float]]:
    for name in ("max_bias", "max_noise", "max_attacks", "min_coverage"):
        value = getattr(found, name)
        if value is not None:
            yield name, value
    for family in FAMILIES:
        for name, value in found.named(family).items():
            yield f"[{family}] {name}", value


def with_breaches(done: AuditDone, limits: Thresholds) -> AuditDone:
    """Return an audit with the thresholds that it passed."""
    breaches = list(_breaches(done, limits))
    results = msgspec.structs.replace(done.results, breaches=breaches)
    return msgspec.structs.replace(done, results=results)


def _breaches(done: AuditDone, limits: Thresholds) -> Iterator[str]:
    if limits.min_coverage is not None and done.coverage < limits.min_coverage:
        yield f"coverage is {done.coverage:.3f}, under min_coverage = {limits.min_coverage:g}"
    results = done.results
    found = sum(one.found for one in (*results.effects, *results.attacks))
    if limits.max_found is not None and found > limits.max_found:
        yield f"{found} biases and attacks were found, over max_found = {limits.max_found}"
    for family in FAMILIES:
        yield from _breaches_of(family, dict(_figures(family, results)), limits)


def _figures(family: Family, results: AuditResults) -> Iterable[tuple[str, Figure]]:
    if family == "attacks":
        return [(one.name, one.success) for one in results.attacks]
    return [(one.name, one.change) for one in results.effects if one.family == family]


def _breaches_of(
    family: Family, figures: Mapping[str, Figure], limits: Thresholds
) -> Iterator[str]:
    for name in FAMILIES[family]:
        rule, most = _limit(family, name, limits)
        figure = figures.get(name)
        value = None if figure is None else figure.value
        if most is None:
            continue
        if value is not None and abs(value) > most:
            yield f"{family} {name} is {value:.3f}, over {rule} = {most:g}"
        elif value is None and rule == f"[{family}] {name}":
            why = "it was not tested" if figure is None else figure.why
            yield f"{family} {name} has no figure for {rule} = {most:g}: {why}"
    if limits.most(family) is not None and not _measured(figures):
        yield f"{family}: nothing has a figure for max_{family} = {limits.most(family):g}"


def _measured(figures: Mapping[str, Figure]) -> bool:
    return any(figure.value is not None for figure in figures.values())


def _limit(family: Family, name: str, limits: Thresholds) -> tuple[str, float | None]:
    """Return the most exact threshold of a test: its name, else the longest pattern."""
    named = limits.named(family)
    patterns = [pattern for pattern in named if name in named_tests(pattern, [family])]
    if patterns:
        best = max(patterns, key=lambda pattern: (pattern == name, len(pattern)))
        return f"[{family}] {best}", named[best]
    return f"max_{family}", limits.most(family)
