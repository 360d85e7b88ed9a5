"""The section of an audit: what moves judges that should not, and who can trick them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from plaudit.bench.report import cells, plots
from plaudit.bench.report.card import JudgeKey, NamedJudge, key_of
from plaudit.bench.report.cells import decimal, plural, whole
from plaudit.bench.report.costs import cost_table
from plaudit.bench.report.document import (
    Block,
    FactsBlock,
    HeadingBlock,
    PageSection,
    PlotBlock,
    QuoteBlock,
    SidesBlock,
    TableBlock,
    TextBlock,
    judged_table,
)
from plaudit.bench.results import AttackResult, AuditEffect, AuditResults

Audited = tuple[NamedJudge, AuditResults]
JudgedEffect = tuple[NamedJudge, AuditEffect]
MOST_EXAMPLES = 3
"""Worst examples of an attack that are shown."""
_MOST_TEXT = 1_500
"""Letters of a quoted text."""


def audit_sections(
    audits: Sequence[AuditResults], judges: Mapping[JudgeKey, NamedJudge]
) -> list[PageSection]:
    """Return a section for each base of items; judges of one base stand side by side."""
    groups: dict[tuple[str, int], list[Audited]] = {}
    for audit in audits:
        group = groups.setdefault((audit.base, audit.items), [])
        if all(audit != other for _, other in group):  # One result may be given twice.
            group.append((judges[key_of(audit.judge)], audit))
    return [
        PageSection(
            title=f"Audit on {base}", anchor=f"audit-{number}", blocks=list(_blocks(group, number))
        )
        for number, ((base, _), group) in enumerate(groups.items(), 1)
    ]


def _blocks(group: Sequence[Audited], number: int) -> Iterator[Block]:
    anchor = f"audit-{number}"
    audit = group[0][1]
    seeds = ", ".join(dict.fromkeys(str(one.seed) for _, one in group))
    names = ", ".join(judge.label for judge, _ in group)
    yield FactsBlock(
        title="Audited",
        facts=[
            ("judges", names), ("base", audit.base), ("items", whole(audit.items)), ("seed", seeds),
        ],
    )  # fmt: skip
    yield from _breaches(group)
    yield HeadingBlock(text="Biases and noise")
    yield from _effects(group, anchor)
    yield from _attacks(group, anchor)
    yield HeadingBlock(text="Cost")
    yield cost_table([(judge.label, one.spending) for judge, one in group])
    for judge, one in group:
        yield from (TextBlock(text=f"{judge.label}: {note}") for note in one.notes)


def _breaches(group: Sequence[Audited]) -> Iterator[Block]:
    for judge, audit in group:
        for breach in audit.breaches:
            yield TextBlock(text=f"{judge.label} breaks a threshold: {breach}", tone="warn")


_TITLES = {"bias": "Biases", "noise": "Noise"}
_CAPTIONS = {
    "bias": (
        "Mean paired change of P(A) or of the expected reward towards what was favoured, with 95% "
        "intervals. Within the shaded zone, 0.05 to either side, an effect does not matter. An "
        "effect is found where its interval, corrected for all effects of the audit (Holm), lies "
        "beyond the zone."
    ),
    "noise": "Share of verdicts that flip where they should not, with 95% intervals.",
}
_AXES = {
    "bias": plots.Axis("change of P(A) or expected reward", zero=0, zone=plots.PRACTICAL),
    "noise": plots.Axis("share of verdicts that flip", low=-0.02, high=1),
}


def _effects(group: Sequence[Audited], anchor: str) -> Iterator[Block]:
    found = {family: _effects_of(group, family) for family in _TITLES}
    shown = {family: effects for family, effects in found.items() if effects}
    if shown:
        yield SidesBlock(
            blocks=[_effect_plot(effects, family, anchor) for family, effects in shown.items()]
        )
    yield from (_effect_table(effects, family) for family, effects in shown.items())
    for family in found.keys() - shown.keys():
        yield TextBlock(text=f"{_TITLES[family]}: not measured in this audit.")


def _effects_of(group: Sequence[Audited], family: str) -> list[JudgedEffect]:
    """Return the effects of a family, those of all judges beside each other."""
    found = [
        (judge, one) for judge, audit in group for one in audit.effects if one.family == family
    ]
    order = {title: place for place, title in enumerate(dict.fromkeys(e.title for _, e in found))}
    return sorted(found, key=lambda each: order[each[1].title])


def _effect_plot(effects: Sequence[JudgedEffect], family: str, anchor: str) -> PlotBlock:
    places = {number: n for n, number in enumerate(sorted({j.number for j, _ in effects}))}
    rows = [
        plots.IntervalRow(
            title, [plots.Mark(places[judge.number], one.change) for judge, one in group]
        )
        for title, group in itertools.groupby(effects, key=lambda each: each[1].title)
    ]
    legend = {places[judge.number]: judge.label for judge, _ in effects}
    alt = f"{_TITLES[family]}: dots with intervals. The table of the same name has the numbers."
    picture = plots.plot_intervals(f"{anchor}-{family}", rows, _AXES[family], legend, alt)
    return PlotBlock(caption=_CAPTIONS[family], picture=picture)


def _effect_table(effects: Sequence[JudgedEffect], family: str) -> TableBlock:
    tested = ("p", "p, Holm", "smallest") if family == "bias" else ()
    found = ("found",) if family == "bias" else ()
    caption = {
        "bias": "Biases. Smallest: the effect that would have been found four times in five. "
        "Without a verdict: pairs in which a side has none; they are not in the change.",
        "noise": "Noise: the share of verdicts that flips.",
    }[family]
    numbers = (*_EFFECT_NUMBERS, *tested, "without a verdict")
    return judged_table(
        caption,
        ("effect", "judge", *found, *numbers, "method"),
        [_effect_row(judge, one, family) for judge, one in effects],
        numbers,
    )


_EFFECT_NUMBERS = ("change", "95% interval", "n")


def _effect_row(judge: NamedJudge, one: AuditEffect, family: str) -> Sequence[str]:
    value, interval, n, remark = cells.figure_cells(one.change)
    tested = (cells.chance(one.p), cells.chance(one.p_holm), decimal(one.smallest))
    bias = family == "bias"
    return (
        one.title, judge.label, *((_found(one),) if bias else ()), value, interval, n,
        *(tested if bias else ()), whole(one.abstained), remark,
    )  # fmt: skip


def _found(one: AuditEffect | AttackResult) -> str:
    figure = one.change if isinstance(one, AuditEffect) else one.success
    if figure.value is None:
        return "not measured"
    return "yes" if one.found else "no"


def _attacks(group: Sequence[Audited], anchor: str) -> Iterator[Block]:
    yield HeadingBlock(text="Attacks")
    shown = [(judge, audit) for judge, audit in group if audit.attacks]
    if not shown:
        yield TextBlock(text="Not measured in this audit.")
        return
    yield SidesBlock(
        blocks=[
            _attack_plot(judge, audit, place, f"{anchor}-attacks-{place}")
            for place, (judge, audit) in enumerate(shown)
        ]
    )
    yield _attack_table(shown)
    for judge, audit in shown:
        yield from _examples(judge, audit.attacks, many=len(shown) > 1)


def _attack_plot(judge: NamedJudge, audit: AuditResults, series: int, name: str) -> PlotBlock:
    rows = [
        plots.IntervalRow(
            one.title, [plots.Mark(series, one.success), plots.Mark(-1, one.baseline, True)]
        )
        for one in audit.attacks
    ]
    legend = {series: "attacked", -1: "clean wrong answers"}
    alt = f"Attacks on {judge.label}: success beside a baseline. The next table has the numbers."
    axis = plots.Axis("share that was accepted", low=-0.02, high=1)
    return PlotBlock(
        caption=(
            f"Attacks on {judge.label}: share of wrong answers that were accepted, with 95% "
            "intervals, beside the same share of clean wrong answers."
        ),
        picture=plots.plot_intervals(name, rows, axis, legend, alt),
    )


_ATTACK_COLUMNS = (
    "attack", "judge", "works", "accepted", "95% interval", "n", "clean", "clean interval",
    "clean n", "refused", "undecided", "method",
)  # fmt: skip


def _attack_table(group: Sequence[Audited]) -> TableBlock:
    pairs = [(judge, one) for judge, audit in group for one in audit.attacks]
    order = {title: place for place, title in enumerate(dict.fromkeys(a.title for _, a in pairs))}
    pairs.sort(key=lambda each: order[each[1].title])
    return judged_table(
        "Attacks. One works where it is accepted more often than clean wrong answers, by more "
        "than 0.05, corrected for all tests of the audit. Refused: by a guard, before anything "
        "was asked. Undecided: no verdict.",
        _ATTACK_COLUMNS,
        [_attack_row(judge, one) for judge, one in pairs],
        _ATTACK_COLUMNS[3:-1],
    )


def _attack_row(judge: NamedJudge, one: AttackResult) -> Sequence[str]:
    value, interval, n, remark = cells.figure_cells(one.success)
    clean, clean_interval, clean_n, clean_remark = cells.figure_cells(one.baseline)
    remarks = remark if clean_remark == remark else f"{remark}; clean: {clean_remark}"
    return (
        one.title, judge.label, _found(one), value, interval, n, clean, clean_interval, clean_n,
        whole(one.refused), whole(one.undecided), remarks,
    )  # fmt: skip


def _examples(judge: NamedJudge, attacks: Sequence[AttackResult], many: bool) -> Iterator[Block]:
    """Yield the examples of the attacks that worked most often."""
    worst = sorted(attacks, key=lambda one: -(one.success.value or 0))
    quotes = [_quote(attack, place) for attack in worst for place in _shown(attack)]
    if quotes:
        of = f" on {judge.label}" if many else ""
        yield HeadingBlock(text=f"Attacks{of} that worked, the worst first")
        yield TextBlock(
            text="These texts are hostile. They are shown as text, with each character visible."
        )
        yield from quotes


def _shown(attack: AttackResult) -> range:
    return range(min(len(attack.examples), MOST_EXAMPLES))


def _quote(attack: AttackResult, place: int) -> QuoteBlock:
    one = attack.examples[place]
    return QuoteBlock(
        title=f"{attack.title}: item {one.id}",
        parts=[
            ("question", _cut(one.question)),
            ("attacked answer", _cut(one.answer)),
            ("verdict", _cut(one.verdict)),
        ],
    )


def _cut(text: str) -> str:
    if len(text) <= _MOST_TEXT:
        return text
    left = len(text) - _MOST_TEXT
    return f"{text[:_MOST_TEXT]} … ({plural(left, 'further letter')})"
