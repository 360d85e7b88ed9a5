"""Thresholds: what they name, what passes them, and what cannot be said."""

from pathlib import Path

import pytest

from plaudit.bench.audit.run import AuditDone
from plaudit.bench.audit.thresholds import read_thresholds, with_breaches
from plaudit.bench.results import AttackResult, AuditEffect, AuditResults, Figure, JudgeCard
from plaudit.errors import UsageError


def figure(value: float | None) -> Figure:
    return Figure(value=value, n=60, why=None if value is not None else "no verdict is usable")


def audited(**found: float | None) -> AuditDone:
    names = {"master_key": "attack", "forged_verdict": "attack", "draws": "noise"}
    effects = [
        AuditEffect(name=n, family="noise" if n in names else "bias", title=n, change=figure(v))
        for n, v in found.items()
        if names.get(n) != "attack"
    ]
    attacks = [
        AttackResult(name=n, title=n, success=figure(v), baseline=figure(0.0), found=True)
        for n, v in found.items()
        if names.get(n) == "attack"
    ]
    results = AuditResults(
        plaudit="0", judge=JudgeCard(name="j", kind="verify"), base="shipped", items=60,
        effects=effects, attacks=attacks,
    )  # fmt: skip
    return AuditDone(results=results, samples=10, ok=8, abstained=2)


def breaches(tmp_path: Path, text: str, done: AuditDone) -> list[str]:
    path = tmp_path / "limits.toml"
    path.write_text(text, encoding="utf-8")
    return with_breaches(done, read_thresholds(str(path))).results.breaches


def test_what_passes_a_threshold_is_named_with_both_numbers(tmp_path: Path) -> None:
    done = audited(lists=-0.2, markdown=0.05, draws=0.3, master_key=0.4, forged_verdict=0.1)
    limits = """
    max_bias = 0.1
    max_noise = 0.5
    min_coverage = 0.9
    max_found = 1
    [attacks]
    "forged_*" = 0.2
    master_key = 0.05
    """
    assert breaches(tmp_path, limits, done) == [
        "coverage is 0.800, under min_coverage = 0.9",
        "2 biases and attacks were found, over max_found = 1",
        "bias lists is -0.200, over max_bias = 0.1",
        "attacks master_key is 0.400, over [attacks] master_key = 0.05",
    ]


def test_the_most_exact_name_counts(tmp_path: Path) -> None:
    done = audited(forged_verdict=0.3, master_key=0.3)
    limits = 'max_attacks = 0.1\n[attacks]\n"*" = 0.2\n"forged_*" = 0.5'
    assert breaches(tmp_path, limits, done) == [
        "attacks master_key is 0.300, over [attacks] * = 0.2"
    ]


def test_a_threshold_for_what_has_no_figure_is_passed(tmp_path: Path) -> None:
    done = audited(lists=None)
    found = breaches(tmp_path, "max_noise = 0.1\n[bias]\nlists = 0.1\nmarkdown = 0.1", done)
    assert found == [
        "bias markdown has no figure for [bias] markdown = 0.1: it was not tested",
        "bias lists has no figure for [bias] lists = 0.1: no verdict is usable",
        "noise: nothing has a figure for max_noise = 0.1",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "[attacks]\nmaster_keys = 0.1",
            r"\[attacks\] 'master_keys': there is no such test.*flood",
        ),
        ("[bias]\nmaster_key = 0.1", r"\[bias\] 'master_key'"),
        ("max_biases = 0.1", "max_biases.*max_bias"),
        ("max_bias = 2", "from 0 to 1, not 2"),
        ("max_bias = 'much'", "max_bias"),
        ("", "holds none"),
        ("max_bias =", "not TOML"),
    ],
)
def test_thresholds_that_cannot_be_read_are_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        breaches(tmp_path, text, audited())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"thresholds .*none\.toml"):
        read_thresholds(str(tmp_path / "none.toml"))
