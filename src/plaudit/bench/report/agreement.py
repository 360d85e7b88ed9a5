"""Agreement of judges with people, by subset, and what became of all samples."""

from collections.abc import Iterator, Sequence

from plaudit.bench.report import cells, plots
from plaudit.bench.report.card import JudgedSet, NamedArm, drawn
from plaudit.bench.report.cells import NONE, sentence, whole
from plaudit.bench.report.document import (
    Block,
    HeadingBlock,
    PlotBlock,
    SidesBlock,
    TableBlock,
    judged_table,
)
from plaudit.bench.results import FIGURES, ArmResults, Figure, OutcomeCounts, SubsetResults

AGREEMENT = ("accuracy", "forced_accuracy", "accuracy_of_all", "auroc")
"""Figures that can stand for agreement, the first that exists."""
OUTCOMES = ("right", "wrong", "ties", "abstained", "invalid", "failed", "unlabelled")
_MOST_ROWS = 40
"""Subsets that one plot can hold."""


def agreement(judged: JudgedSet, anchor: str) -> Iterator[Block]:
    """Yield agreement by subset: a plot, beside it what became of the samples, and a table."""
    parts = _parts(judged.arms)
    name = _agreement_figure(judged.arms)
    arms, cut = drawn(judged.arms)
    rows = [
        plots.IntervalRow(part or "all samples", _marks(arms, part, name))
        for part in parts
        if any(_part(arm.results, part) for _, arm in arms)
    ]
    what = FIGURES.get(name, name)
    if len(rows) <= _MOST_ROWS:
        yield HeadingBlock(text="Agreement with people")
        axis = plots.Axis(f"{name.replace('_', ' ')} (0.5: a coin)", low=0, high=1, zero=0.5)
        alt = f"Dots with intervals: {what}, by subset. The next table has the numbers."
        picture = plots.plot_intervals(
            f"{anchor}-agreement", rows, axis, {n: arm.label for n, arm in arms}, alt
        )
        caption = (
            f"{sentence(what)} 95% intervals; a hollow mark has none. n is in the next table.{cut}"
        )
        yield SidesBlock(
            blocks=[PlotBlock(caption=caption, picture=picture), _outcome_plot(judged, anchor)]
        )
    yield _agreement_table(judged, parts, name)


def _marks(arms: Sequence[tuple[int, NamedArm]], part: str, name: str) -> list[plots.Mark]:
    return [
        plots.Mark(series, found.figures.get(name, _missing(found)))
        for series, arm in arms
        if (found := _part(arm.results, part)) is not None
    ]


def _missing(found: SubsetResults) -> Figure:
    samples = found.counts.samples
    return Figure(value=None, n=samples, why="not measured" if samples else "no samples")


def _parts(arms: Sequence[NamedArm]) -> list[str]:
    """Return the names of all subsets, in the order of the set, and "" for all samples."""
    return ["", *dict.fromkeys(one.name for arm in arms for one in arm.results.subsets)]


def _part(found: ArmResults, name: str) -> SubsetResults | None:
    if not name:
        return found.overall
    return next((one for one in found.subsets if one.name == name), None)


def _agreement_figure(arms: Sequence[NamedArm]) -> str:
    """Return which figure stands for agreement: the first with a value, of any judge."""
    for name in AGREEMENT:
        figures = [arm.results.overall.figures.get(name) for arm in arms]
        if any(one is not None and one.value is not None for one in figures):
            return name
    return AGREEMENT[0]


def _agreement_table(judged: JudgedSet, parts: Sequence[str], name: str) -> TableBlock:
    columns = ("subset", "judge", *cells.FIGURE_COLUMNS)
    rows = [
        (
            part or "all samples",
            arm.label,
            *cells.figure_cells(found.figures.get(name, _missing(found))),
        )
        for part in parts
        for arm in judged.arms
        if (found := _part(arm.results, part)) is not None
    ]
    caption = f"Agreement by subset: {FIGURES.get(name, name)}."
    return judged_table(caption, columns, rows, cells.FIGURE_NUMBERS)


def _outcome_plot(judged: JudgedSet, anchor: str) -> PlotBlock:
    arms = [(arm.label, _outcome_counts(arm.results.overall.counts)) for arm in judged.arms]
    sizes = [whole(arm.results.overall.counts.samples) for arm in judged.arms]
    alt = "Bars: shares of samples by what became of them. The table of outcomes has the numbers."
    return PlotBlock(
        caption=(
            "What became of the samples. Ties, and samples without a verdict, are apart from "
            f"wrong ones; n = {' and '.join(dict.fromkeys(sizes))}."
        ),
        picture=plots.plot_outcomes(f"{anchor}-outcomes", arms, alt),
    )


def _outcome_counts(counts: OutcomeCounts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in OUTCOMES}


def outcomes(judged: JudgedSet) -> Iterator[Block]:
    """Yield the counts of what became of the samples, and why some have no verdict."""
    rows = [
        (
            arm.label,
            part or "all samples",
            whole(found.counts.samples),
            *map(whole, _outcome_counts(found.counts).values()),
            ", ".join(f"{n:,} {cause}" for cause, n in found.counts.causes.items()) or NONE,
        )
        for arm in judged.arms
        for part in _parts([arm])
        if (found := _part(arm.results, part)) is not None
    ]
    yield TableBlock(
        caption="Outcomes, in samples. Ties: verdicts for neither side where the label names one.",
        columns=("judge", "subset", "samples", *OUTCOMES, "causes"),
        numbers=("samples", *OUTCOMES),
        rows=rows,
        folded=len(rows) > len(judged.arms),
    )


def all_figures(judged: JudgedSet) -> Iterator[Block]:
    """Yield all figures of the whole set, and of its subsets."""
    rows = [
        (name, arm.label, *cells.figure_cells(figure))
        for name in _figure_names(judged.arms)
        for arm in judged.arms
        if (figure := arm.results.overall.figures.get(name)) is not None
    ]
    caption = "All figures of the whole set. What each is stands under Methods."
    columns = ("figure", "judge", *cells.FIGURE_COLUMNS)
    yield judged_table(caption, columns, rows, cells.FIGURE_NUMBERS)
    rows = [
        (name, subset.name, arm.label, *cells.figure_cells(figure))
        for arm in judged.arms
        for subset in arm.results.subsets
        for name, figure in subset.figures.items()
    ]
    if rows:
        columns = ("figure", "subset", "judge", *cells.FIGURE_COLUMNS)
        caption = "All figures by subset."
        yield judged_table(caption, columns, rows, cells.FIGURE_NUMBERS, folded=True)


def _figure_names(arms: Sequence[NamedArm]) -> list[str]:
    """Return the names of figures: the common ones first, then those of the set."""
    names = dict.fromkeys(name for arm in arms for name in arm.results.overall.figures)
    return [name for name in FIGURES if name in names] + [n for n in names if n not in FIGURES]
