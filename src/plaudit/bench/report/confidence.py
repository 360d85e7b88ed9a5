"""How well judges know when they are right, and how their scores are spread."""

from collections.abc import Iterator, Sequence

from plaudit.bench.report import plots
from plaudit.bench.report.card import JudgedSet, NamedArm, drawn
from plaudit.bench.report.cells import decimal, in_words, whole
from plaudit.bench.report.document import (
    Block,
    HeadingBlock,
    PlotBlock,
    SidesBlock,
    TableBlock,
    TextBlock,
)


def sureness(judged: JudgedSet, anchor: str) -> Iterator[Block]:
    """Yield how well judges know when they are right, and how their scores are spread."""
    arms, cut = drawn(judged.arms)
    blocks: list[Block] = []
    missing: list[str] = []
    for n, arm in arms:
        if arm.results.reliability:
            blocks.append(_reliability(arm, n, f"{anchor}-reliability-{n}"))
        else:
            missing.append(arm.label)
    blocks += [_distribution(arm, f"{anchor}-scores-{n}") for n, arm in arms if _spread(arm)]
    curves = [(n, arm) for n, arm in arms if arm.results.coverage_curve]
    if curves:
        blocks.append(_coverage(curves, cut, f"{anchor}-coverage"))
    if blocks:
        yield HeadingBlock(text="Confidence and scores")
        yield SidesBlock(blocks=blocks)
    if missing:
        yield TextBlock(text=f"No reliability diagram: {', '.join(missing)} states no confidence.")
    yield from _sureness_tables(judged)


def _coverage(arms: Sequence[tuple[int, NamedArm]], cut: str, name: str) -> PlotBlock:
    curves = [(n, arm.label, arm.results.coverage_curve) for n, arm in arms]
    samples = max(arm.results.overall.counts.samples for _, arm in arms)
    alt = "Lines: accuracy of what is kept, by coverage. The table of gates has the numbers."
    return PlotBlock(
        caption=(
            "Coverage against accuracy: what a gate at each confidence would keep, of all "
            f"samples, and how much of that is right; n = {samples:,}.{cut}"
        ),
        picture=plots.plot_coverage(name, curves, alt),
    )


def _reliability(arm: NamedArm, series: int, name: str) -> PlotBlock:
    found = arm.results
    n = sum(one.count for one in found.reliability)
    ece = found.overall.figures.get("ece")
    caption = (
        f"Reliability of {arm.label}: confidence against the share that is right, in bins with "
        f"exact 95% intervals; n = {n:,}. On the dashed line, confidence is what it says."
        + (f" ECE {in_words(ece)}." if ece else "")
    )
    alt = f"Reliability diagram of {arm.label}; the table of bins has the numbers."
    picture = plots.plot_reliability(name, found.reliability, series, alt)
    return PlotBlock(caption=caption, picture=picture)


def _spread(arm: NamedArm) -> bool:
    return any(sum(one.counts) for one in arm.results.distributions)


def _distribution(arm: NamedArm, name: str) -> PlotBlock:
    caption = (
        f"Scores of {arm.label} by label, each in shares of its own samples. The further they are "
        "apart, the better the score separates."
    )
    alt = f"Histograms of the scores of {arm.label} by label; the table of scores has the numbers."
    found = arm.results.distributions
    return PlotBlock(caption=caption, picture=plots.plot_distributions(name, found, alt))


def _sureness_tables(judged: JudgedSet) -> Iterator[Block]:
    bins = [
        (arm.label, decimal(one.confidence), decimal(one.right), whole(one.count))
        for arm in judged.arms
        for one in arm.results.reliability
    ]
    gates = [
        (arm.label, decimal(one.gate), decimal(one.coverage), decimal(one.accuracy), whole(one.n))
        for arm in judged.arms
        for one in arm.results.coverage_curve
    ]
    scores = [
        (
            arm.label,
            one.name,
            f"{decimal(one.low)} to {decimal(one.high)}",
            whole(sum(one.counts)),
            ", ".join(map(str, one.counts)),
        )
        for arm in judged.arms
        for one in arm.results.distributions
    ]
    for caption, columns, rows in (
        ("Bins of confidence.", ("judge", "confidence", "right", "n"), bins),
        ("Gates.", ("judge", "gate", "coverage", "accuracy", "n"), gates),
        ("Scores, in bins of equal width.", ("judge", "label", "range", "n", "counts"), scores),
    ):
        numbers = [one for one in columns if one not in ("judge", "label", "counts")]
        if rows:
            yield TableBlock(
                caption=caption, columns=columns, rows=rows, numbers=numbers, folded=True
            )
