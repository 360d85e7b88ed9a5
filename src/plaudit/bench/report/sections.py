"""The whole report: what matters first, who judged, each set, each audit, and the methods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from plaudit.bench.report import cells
from plaudit.bench.report.audits import audit_sections
from plaudit.bench.report.card import (
    JudgedSet,
    JudgeKey,
    NamedJudge,
    ReportCard,
    judges_of,
    key_of,
    sets_of,
)
from plaudit.bench.report.cells import decimal, in_words, plural
from plaudit.bench.report.document import (
    Block,
    FactsBlock,
    PageSection,
    ReportText,
    SidesBlock,
    TableBlock,
    TextBlock,
    TilesBlock,
)
from plaudit.bench.report.sets import set_section
from plaudit.bench.results import FIGURES, AuditResults

Judges = Mapping[JudgeKey, NamedJudge]


def compose(card: ReportCard) -> ReportText:
    """Return the report as text."""
    judges = judges_of(card.results)
    sets = sets_of(card.benches, judges)
    names = [judge.label for judge in judges.values()]
    sections = [
        PageSection(title="Summary", anchor="summary", blocks=list(_summary(card, judges, sets))),
        PageSection(title=_who(names), anchor="judges", blocks=list(_judges(judges))),
        *(set_section(one, number) for number, one in enumerate(sets, 1)),
        *audit_sections(card.audits, judges),
        PageSection(title="Methods", anchor="methods", blocks=list(_methods(sets, card))),
    ]
    return ReportText(
        title=card.title or _title(names),
        lead=_lead(card, sets),
        sections=[one for one in sections if one.blocks],
        foot=f"Made by plaudit {card.plaudit}. The same as data: report.json.",
    )


def _who(names: Sequence[str]) -> str:
    return "The judge" if len(names) == 1 else "The judges"


def _title(names: Sequence[str]) -> str:
    if not names:
        return "Report card of no judge"
    if len(names) > 2:
        return f"Report card of {len(names)} judges"
    return f"Report card of {' and '.join(names)}"


def _lead(card: ReportCard, sets: Sequence[JudgedSet]) -> str:
    rows = sum(one.card.rows for one in sets)
    parts = [f"Measured against people on {plural(len(sets), 'set')} with {plural(rows, 'row')}"]
    if card.audits:
        parts.append(f"{plural(len(card.audits), 'audit')} for biases and attacks")
    return (", ".join(parts if sets else parts[1:]) or "No results") + "."


def _summary(card: ReportCard, judges: Judges, sets: Sequence[JudgedSet]) -> Iterator[Block]:
    if len(judges) == 1:
        yield TilesBlock(tiles=list(_tiles(card, sets)))
    for judged in sets:
        yield from _leader_lines(judged)
    for audit in card.audits:
        yield from _audit_lines(judges[key_of(audit.judge)].label, audit)
    if len(judges) > 1 and len(sets) > 1:
        yield _matrix(sets)


def _tiles(card: ReportCard, sets: Sequence[JudgedSet]) -> Iterator[tuple[str, str]]:
    for judged in sets:
        for arm in judged.arms:
            score, coverage = arm.results.score, arm.results.overall.figures.get("coverage")
            yield decimal(score.value), f"score on {judged.title}, n = {score.n:,}"
            if coverage is not None:
                yield decimal(coverage.value), f"coverage, n = {coverage.n:,}"
    for audit in card.audits:
        biases = [one for one in audit.effects if one.family == "bias"]
        yield _share(one.found for one in biases), "biases found"
        yield _share(one.found for one in audit.attacks), "attacks that work"


def _share(found: Iterable[bool]) -> str:
    each = list(found)
    return f"{sum(each)} of {len(each)}" if each else cells.NONE


def _leader_lines(judged: JudgedSet) -> Iterator[Block]:
    scored = [arm for arm in judged.arms if arm.results.score.value is not None]
    if not scored:
        text = f"{judged.title}: no judge has a score."
        yield TextBlock(text=text, tone="warn")
        return
    best = scored[0]
    others = [f"{arm.label} {decimal(arm.results.score.value)}" for arm in scored[1:]]
    yield TextBlock(
        text=f"{judged.title}: {best.label} scores {in_words(best.results.score)}"
        + (f"; then {', '.join(others)}." if others else "."),
        tone="fine",
    )


def _audit_lines(label: str, audit: AuditResults) -> Iterator[Block]:
    biases = [one for one in audit.effects if one.family == "bias"]
    smallest = max((one.smallest for one in biases if one.smallest is not None), default=None)
    seen = f" Effects of {decimal(smallest)} would be found four times in five." if smallest else ""
    for what, titles, count, more in (
        ("biases found", [one.title for one in biases if one.found], len(biases), seen),
        ("attacks work", [a.title for a in audit.attacks if a.found], len(audit.attacks), ""),
    ):
        if count:
            named = f": {', '.join(titles)}" if titles else ""
            text = f"{label}: {len(titles)} of {count} {what}{named}.{more}"
            yield TextBlock(text=text, tone="warn" if titles else "fine")
    for breach in audit.breaches:
        yield TextBlock(text=f"{label} breaks a threshold: {breach}", tone="warn")


def _matrix(sets: Sequence[JudgedSet]) -> TableBlock:
    """Return all judges on all sets."""
    rows = [
        (arm.label, judged.title, *cells.figure_cells(arm.results.score))
        for judged in sets
        for arm in judged.arms
    ]
    return TableBlock(
        caption="All scores. Scores of different sets are different things: compare within a set.",
        columns=("judge", "set", *cells.FIGURE_COLUMNS),
        numbers=cells.FIGURE_NUMBERS,
        rows=rows,
    )


def _judges(judges: Judges) -> Iterator[Block]:
    blocks = [FactsBlock(title=one.label, facts=list(_facts(one))) for one in judges.values()]
    if blocks:
        yield SidesBlock(blocks=blocks)


def _facts(judge: NamedJudge) -> Iterator[tuple[str, str]]:
    card = judge.card
    yield "kind", card.kind
    yield "model", card.model or "not stated"
    yield "engine", card.engine or "none: recorded judgements, or no model is asked"
    yield "fingerprint", card.fingerprint or "none: recorded judgements of others"
    yield "readout", card.readout or "not stated"
    yield "prompt", card.template or "none"
    yield "shots", card.shots or "none"
    for name, value in card.options.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield name.replace("_", " "), text
    if not card.options:
        yield "options", "the defaults"


def _methods(sets: Sequence[JudgedSet], card: ReportCard) -> Iterator[Block]:
    names = {
        name
        for judged in sets
        for arm in judged.arms
        for part in (arm.results.overall, *arm.results.subsets)
        for name in part.figures
    }
    facts = [(name, meaning) for name, meaning in FIGURES.items() if name in names]
    if facts:
        yield FactsBlock(title="Figures", facts=facts)
    yield FactsBlock(title="Intervals, all of 95%", facts=_METHODS)
    if card.audits:
        yield FactsBlock(title="Audits", facts=_AUDITS)
    yield TextBlock(text=_ONE_RULE)


_METHODS = (
    ("Wilson", "score interval of a share of independent samples (Wilson 1927)"),
    ("cluster-robust", "samples that share a question count for fewer than they are; under 10 "
     "clusters there is no interval"),
    ("DeLong", "of an AUROC (DeLong, DeLong and Clarke-Pearson 1988)"),
    ("bootstrap", "resampled with a seed, whole clusters at a time (Efron 1979)"),
    ("Student's t", "of a mean, from its standard error"),
    ("Holm", "p values corrected over all tests of one result (Holm 1979)"),
)  # fmt: skip
_AUDITS = (
    ("bias", "items are changed in one way that should not matter; the judge's change is paired"),
    ("found", "the corrected interval lies beyond 0.05; the family-wise error of an audit is 0.05"),
    ("attack", "success beside the share of clean wrong answers that the judge accepts anyway"),
)
_ONE_RULE = (
    "A judgement that could not be made is never a number: it is counted by its cause, apart from "
    "wrong ones. `none` and `unknown` stand where a number does not exist."
)
