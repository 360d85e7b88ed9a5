"""What judges cost, and agreement against cost."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from plaudit.bench.report import plots
from plaudit.bench.report.card import JudgedSet, drawn
from plaudit.bench.report.cells import UNKNOWN, decimal, plural, whole
from plaudit.bench.report.document import Block, HeadingBlock, PlotBlock, TableBlock, TextBlock
from plaudit.bench.results import Spending


class Rates(NamedTuple):
    """What a thousand samples take, as cells."""

    tokens: str
    cost: str
    seconds: str


def rates(spent: Spending) -> Rates:
    """Return what a thousand samples take; what nobody knows is no 0."""
    if not spent.samples:
        return Rates(UNKNOWN, UNKNOWN, UNKNOWN)
    thousand = 1000 / spent.samples
    tokens = whole(round((spent.input_tokens + spent.output_tokens) * thousand))
    cost = UNKNOWN if spent.cost_usd is None else decimal(spent.cost_usd * thousand, 2)
    # Replies from the store take no time that says anything.
    timed = spent.seconds is not None and not spent.cached
    seconds = decimal(spent.seconds * thousand, 1) if timed and spent.seconds else UNKNOWN
    return Rates(tokens, cost, seconds)


def cost_plot(judged: JudgedSet, anchor: str) -> Block:
    """Return agreement against cost, in dollars or else tokens; or why there is no such plot."""
    series = {arm.label: number for number, arm in drawn(judged.arms)[0]}
    for measure, title in ((_dollars, "cost of a thousand samples, $"), (_tokens, _TOKENS)):
        points = [
            plots.CostPoint(
                series.get(arm.label, rank - 1), rank, arm.label, cost, arm.results.score
            )
            for rank, arm in enumerate(judged.arms, 1)
            if (cost := measure(arm.results.spending)) is not None
            and arm.results.score.value is not None
        ]
        if len(points) > 1 and any(point.cost > 0 for point in points):
            return _cost_block(judged, points, title, f"{anchor}-cost")
    return TextBlock(text=_NO_COST)


_NO_COST = (
    "No plot of agreement against cost: it needs two judges with a score and a cost that is known."
)
_TOKENS = "tokens of a thousand samples"


def _dollars(spent: Spending) -> float | None:
    if spent.cost_usd is None or not spent.samples:
        return None
    return 1000 * spent.cost_usd / spent.samples


def _tokens(spent: Spending) -> float | None:
    if not spent.samples:
        return None
    return 1000 * (spent.input_tokens + spent.output_tokens) / spent.samples


def _cost_block(
    judged: JudgedSet, points: Sequence[plots.CostPoint], title: str, name: str
) -> PlotBlock:
    missing = [arm.label for arm in judged.arms if arm.label not in {one.label for one in points}]
    caption = (
        f"Score against {title.partition(',')[0]}, with 95% intervals; up and to the left is "
        "better. Numbers are ranks of the leaderboard."
        + (f" Not drawn, since score or cost is unknown: {', '.join(missing)}." if missing else "")
    )
    alt = f"Score against cost of {plural(len(points), 'judge')}; the leaderboard has the numbers."
    return PlotBlock(caption=caption, picture=plots.plot_cost(name, points, title, alt))


def costs(judged: JudgedSet) -> Iterator[Block]:
    """Yield what the judges took."""
    yield HeadingBlock(text="Cost")
    yield cost_table([(arm.label, arm.results.spending) for arm in judged.arms])


def cost_table(spendings: Sequence[tuple[str, Spending]]) -> TableBlock:
    """Return what judges took, in all and for a thousand samples."""
    columns = (
        "judge", "samples", "calls", "tokens in", "tokens out", "cost, $", "tokens / 1,000",
        "$ / 1,000", "s / 1,000", "from the store",
    )  # fmt: skip
    rows = [
        (
            label, whole(spent.samples), whole(spent.engine_calls), whole(spent.input_tokens),
            whole(spent.output_tokens),
            UNKNOWN if spent.cost_usd is None else decimal(spent.cost_usd, 4),
            *rates(spent), whole(spent.cached),
        )
        for label, spent in spendings
    ]  # fmt: skip
    return TableBlock(
        caption=(
            "Cost, in all and for a thousand samples. Tokens are of all replies. No time is given "
            "where replies came from the store, or nothing was asked."
        ),
        columns=columns,
        numbers=columns[1:],
        rows=rows,
    )
