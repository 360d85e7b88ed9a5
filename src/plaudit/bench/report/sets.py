"""The section of a set: who agrees with people how far, how surely, and at what cost."""

from collections.abc import Iterator, Sequence

from plaudit.bench.report import cells, plots
from plaudit.bench.report.agreement import agreement, all_figures, outcomes
from plaudit.bench.report.card import JudgedSet, NamedArm
from plaudit.bench.report.cells import NONE, decimal, sentence, whole
from plaudit.bench.report.confidence import sureness
from plaudit.bench.report.costs import cost_plot, costs, rates
from plaudit.bench.report.document import (
    Block,
    FactsBlock,
    HeadingBlock,
    PageSection,
    PlotBlock,
    SidesBlock,
    TableBlock,
    TextBlock,
)
from plaudit.bench.results import PairedDifference, SetCard

_MOST_ROWS = 40
"""Differences that one plot can hold."""


def set_section(judged: JudgedSet, number: int) -> PageSection:
    """Return all that is known of the judges of one set."""
    anchor = f"set-{number}"
    measured = _measured_on(judged.card)
    if not judged.arms:
        nobody = TextBlock(text="No judge was measured on this set.", tone="warn")
        return PageSection(title=judged.title, anchor=anchor, blocks=[measured, nobody])
    cost = [cost_plot(judged, anchor)] if len(judged.arms) > 1 else []
    blocks: list[Block] = [SidesBlock(blocks=[measured, *cost])]
    blocks += _leaders(judged)
    blocks += agreement(judged, anchor)
    blocks += outcomes(judged)
    blocks += all_figures(judged)
    blocks += sureness(judged, anchor)
    blocks += costs(judged)
    blocks += _differences(judged, anchor)
    blocks += [TextBlock(text=note) for note in _notes(judged)]
    return PageSection(title=judged.title, anchor=anchor, blocks=blocks)


def _notes(judged: JudgedSet) -> Iterator[str]:
    yield from judged.notes
    for arm in judged.arms:
        for note in arm.results.notes:
            yield f"{arm.label}: {note}"


def _measured_on(card: SetCard) -> FactsBlock:
    limited = f"{card.limit:,}, drawn with seed {card.seed}" if card.limit else "all rows"
    left_out = [f"{count:,} {reason}" for reason, count in card.left_out.items()]
    facts = {
        "set": card.name,
        "rows judged": whole(card.rows),
        "limit": limited,
        "left out": ", ".join(left_out) or "nothing",
        "score": card.score,
        "licence": card.licence or "not stated",
        "source": card.source or "not stated",
        "digest of the rows": card.digest or "not stated",
    }
    return FactsBlock(title="Measured on", facts=list(facts.items()))


def _leaders(judged: JudgedSet) -> Iterator[Block]:
    rows = [_leader(rank, arm) for rank, arm in enumerate(judged.arms, 1)]
    many = len(rows) > 1
    name = "Leaderboard" if many else "Score"
    order = " Overlapping intervals leave the order open." if many else ""
    how = f"{name}. {sentence(judged.card.score)} Rates are for a thousand samples.{order}"
    yield TableBlock(
        caption=how,
        columns=_LEADER_COLUMNS,
        numbers=[one for one in _LEADER_COLUMNS if one not in ("judge", "method")],
        rows=rows,
    )
    for arm in judged.arms:
        if arm.results.score.value is None:
            text = f"{arm.label} has no score: {cells.method(arm.results.score)}."
            yield TextBlock(text=text, tone="warn")


_LEADER_COLUMNS = (
    "judge", "rank", "score", "95% interval", "n", "coverage", "tokens", "cost, $", "time, s",
    "method",
)  # fmt: skip


def _leader(rank: int, arm: NamedArm) -> Sequence[str]:
    found = arm.results
    value, interval, n, remark = cells.figure_cells(found.score)
    place = str(rank) if found.score.value is not None else NONE
    per = rates(found.spending)
    coverage = found.overall.figures.get("coverage")
    kept = decimal(coverage.value) if coverage else NONE
    return (
        arm.label, place, value, interval, n, kept, per.tokens, per.cost, per.seconds, remark,
    )  # fmt: skip


def _differences(judged: JudgedSet, anchor: str) -> Iterator[Block]:
    found = judged.differences
    if not found:
        if judged.files > 1:
            yield TextBlock(text=_NOT_PAIRED)
        return
    yield HeadingBlock(text="Differences")
    if len(found) <= _MOST_ROWS:
        yield SidesBlock(blocks=[_difference_plot(found, f"{anchor}-differences")])
    baselines = ", ".join(dict.fromkeys(one.baseline for one in found))
    yield TableBlock(
        caption=(
            f"Paired differences to {baselines} on the samples that both have, with 95% intervals; "
            "p is two-sided, and corrected over all differences (Holm)."
        ),
        columns=("judge", "less", "figure", "difference", *_DIFFERENCE_NUMBERS, "method"),
        numbers=("difference", *_DIFFERENCE_NUMBERS),
        rows=[_difference_row(one) for one in found],
    )


def _difference_plot(found: Sequence[PairedDifference], name: str) -> PlotBlock:
    rows = [
        plots.IntervalRow(f"{one.judge}: {one.figure}", [plots.Mark(0, one.difference)])
        for one in found
    ]
    axis = plots.Axis("difference", zero=0)
    alt = "Dots with intervals: differences to the baseline. The next table has the numbers."
    caption = "The differences of the next table, with 95% intervals; at the line there is none."
    return PlotBlock(caption=caption, picture=plots.plot_intervals(name, rows, axis, {}, alt))


def _difference_row(one: PairedDifference) -> Sequence[str]:
    value, interval, n, remark = cells.figure_cells(one.difference)
    chances = (cells.chance(one.p), cells.chance(one.p_holm))
    return one.judge, one.baseline, one.figure, value, interval, n, *chances, remark


_DIFFERENCE_NUMBERS = ("95% interval", "n", "p", "p, Holm")
_NOT_PAIRED = (
    "No paired differences: these judges come from results of their own. "
    "`plaudit bench` with several -e pairs them."
)
