"""What a person sees of a bench: figures with intervals, sweeps, and what sets there are."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from plaudit.bench.catalog import DatasetFormat
from plaudit.bench.comparison import ResultsComparison
from plaudit.bench.results import (
    FIGURES,
    ArmResults,
    BenchResults,
    Figure,
    OutcomeCounts,
    PairedDifference,
    SetCard,
    Spending,
    SubsetResults,
)
from plaudit.cli import display
from plaudit.cli.display import count, money, stdout

NONE = "-"
"""Stands for a figure that has no value."""
_APART = {
    "ties": "ties",
    "unlabelled": "no label",
    "abstained": "abst.",
    "invalid": "invalid",
    "failed": "failed",
}
"""Counts that are apart from wrong verdicts, with their column."""
_SWEPT = ("accuracy_of_all", "coverage", "consistency")
"""Figures of the compact table, beside the published score."""


def results(found: BenchResults) -> None:
    """Print the results of a bench."""
    console = stdout()
    for line in _set_lines(found.set):
        console.print(line, soft_wrap=True)
    for arm in found.arms:
        _arm(console, arm, alone=len(found.arms) == 1)
    if found.arms[1:]:
        _sweep(console, found.arms)
        differences(console, found.differences)
    for note in found.notes:
        console.print(escape(note), soft_wrap=True)


def set_entry(name: str, form: DatasetFormat) -> None:
    """Print what a set is, its licence, how to get it, and what counts as its score."""
    console = stdout()
    console.print(Text.assemble((name, "bold"), f"  {form.title}, for {judges_of(form)}"))
    for word, text in (("licence", form.licence), ("get it", form.get), ("score", form.score)):
        console.print(Padding(Text(f"{word}: {text}"), (0, 0, 0, 4)))


def judges_of(form: DatasetFormat) -> str:
    """Return the judges that a set is for."""
    return "pairwise, pointwise" if form.kind == "pairwise" else form.kind or "any judge"


def set_fields(form: DatasetFormat) -> dict[str, str]:
    """Return the same by name."""
    return {
        "title": form.title,
        "judges": judges_of(form),
        "licence": form.licence,
        "get": form.get,
        "score": form.score,
        "fields": form.fields,
    }


def _set_lines(card: SetCard) -> Iterator[str]:
    drawn = "" if card.limit is None else f", drawn by subset, seed {card.seed}"
    yield f"[bold]{escape(card.title)}[/]: {count(card.rows, 'row')}{drawn}"
    for reason, number in card.left_out.items():
        yield f"left out: {number} {escape(reason)}"


def _arm(console: Console, arm: ArmResults, *, alone: bool) -> None:
    if alone:
        _subset_table(console, [*arm.subsets, arm.overall])
        _figure_table(console, arm)
    else:
        console.print(f"[bold]{escape(arm.judge.name)}[/]", soft_wrap=True)
    for line in _arm_lines(arm, alone=alone):
        console.print(line, soft_wrap=True)


def _arm_lines(arm: ArmResults, *, alone: bool) -> Iterator[str]:
    counts = arm.overall.counts
    if arm.score.value is None:
        yield f"[red]no score: {escape(arm.score.why or 'it is not defined')}[/]"
    if counts.causes:
        yield "not ok: " + ", ".join(f"{n} {cause}" for cause, n in counts.causes.items())
    if alone:
        yield from (escape(line) for line in _whys(arm))
    yield _spending(arm.spending)
    yield from (escape(note) for note in arm.notes)
    card = arm.judge
    model = f", {card.model}" if card.model else ""
    run = f", run {arm.run}" if arm.run else ""
    yield escape(f"judge {card.kind}/{card.fingerprint[:12]} by {card.engine}{model}{run}")


def _subset_table(console: Console, subsets: Sequence[SubsetResults]) -> None:
    """Print a row a subset, the whole set the last."""
    apart = [name for name in _APART if any(getattr(s.counts, name) for s in subsets)]
    columns = ("n", "right of ok", "95 % interval", *(_APART[name] for name in apart))
    table = display.table("subset", *columns, numbers=columns)
    for subset in subsets:
        if not subset.name:
            table.add_section()
        name = Text(subset.name) if subset.name else Text("all", style="bold")
        figure = subset.figures.get("accuracy")
        cells = [_value(figure), _interval(figure), *_counts(subset.counts, apart)]
        table.add_row(name, str(subset.counts.samples), *cells)
    console.print(table)


def _counts(counts: OutcomeCounts, names: Iterable[str]) -> Iterator[str]:
    return (str(getattr(counts, name)) for name in names)


def _figure_table(console: Console, arm: ArmResults) -> None:
    """Print the figures of the whole set, the published score the first."""
    columns = ("value", "95 % interval", "n")
    table = display.table("figure", *columns, numbers=columns)
    for name, figure in {"score": arm.score, **arm.overall.figures}.items():
        if figure.value is not None:
            title = Text(FIGURES.get(name, name), style="bold" if name == "score" else "")
            table.add_row(title, _value(figure), _interval(figure), str(figure.n))
    console.print(table)


def _whys(arm: ArmResults) -> Iterator[str]:
    """Yield why figures have no value or no interval; the same reason once."""
    reasons: dict[str, list[str]] = {}
    for name, figure in arm.overall.figures.items():
        if figure.why:
            reasons.setdefault(figure.why, []).append(title(name))
    for why, names in reasons.items():
        yield f"{'; '.join(names)}: {why}"


def _sweep(console: Console, arms: Sequence[ArmResults]) -> None:
    """Print a row an arm."""
    columns = ("score", "95 % interval", "of all", "cover.", "consist.", "tok./row")
    table = display.table("judge", *columns, numbers=columns)
    for arm in arms:
        figures = [_value(arm.overall.figures.get(name)) for name in _SWEPT]
        spent = arm.spending
        tokens = (spent.input_tokens + spent.output_tokens) / max(1, spent.samples)
        cells = [_value(arm.score), _interval(arm.score), *figures, f"{tokens:.0f}"]
        table.add_row(Text(arm.judge.name), *cells)
    console.print(table)


def differences(console: Console, found: Sequence[PairedDifference]) -> None:
    """Print paired differences, those that are more than chance in bold."""
    if not found:
        return
    columns = ("difference", "95 % interval", "n", "p (Holm)")
    table = display.table("judge less baseline", *columns, numbers=columns)
    figure = ""
    for one in found:
        if one.figure != figure:
            figure = one.figure
            table.add_section()
            table.add_row(Text(title(figure), style="italic"))
        certain = one.p_holm is not None and one.p_holm < 0.05
        cells = [_value(one.difference, "+"), _interval(one.difference, "+")]
        cells += [str(one.difference.n), NONE if one.p_holm is None else f"{one.p_holm:.3f}"]
        table.add_row(Text(one.judge), *cells, style="bold" if certain else "")
    console.print(table)
    console.print(Text(f"baseline: {found[0].baseline}; bold: below 0.05 after Holm's correction"))


def comparison(found: ResultsComparison) -> None:
    """Print two results side by side, and the paired differences."""
    console = stdout()
    for judges in found.judges:
        table = display.table("figure", "first", "second", numbers=("first", "second"))
        for one in judges.figures:
            if any(f is not None and f.value is not None for f in (one.first, one.second)):
                table.add_row(Text(title(one.name)), _whole(one.first), _whole(one.second))
        console.print(Text(f"first: {judges.first}; second: {judges.second}"))
        console.print(table)
        differences(console, judges.differences)
    for note in found.notes:
        console.print(escape(note), soft_wrap=True)


def title(name: str) -> str:
    """Return what a figure is in a few words; figures of one set have names of their own."""
    return FIGURES.get(name, name).partition(",")[0]


def _whole(figure: Figure | None) -> str:
    """Return a figure with its interval and what it is of."""
    if figure is None or figure.value is None:
        return NONE
    interval = "" if figure.low is None else f" ({_interval(figure)})"
    return f"{_value(figure)}{interval}, n {figure.n}"


def _spending(spent: Spending) -> str:
    """Return what a thousand rows take, and what this run asked."""
    rows = max(1, spent.samples)
    parts = [
        f"{1000 * spent.input_tokens / rows:,.0f} tokens in",
        f"{1000 * spent.output_tokens / rows:,.0f} out",
    ]
    if spent.cost_usd is None:
        parts.append("cost unknown")
    elif spent.cost_usd:
        parts.append(money(1000 * spent.cost_usd / rows))
    if spent.seconds is not None:
        parts.append(f"{1000 * spent.seconds / rows:,.1f} s")
    calls = f"{count(spent.engine_calls, 'call')}, {spent.cached} samples from the store"
    return f"a thousand rows: {', '.join(parts)}; this time {calls}"


def _value(figure: Figure | None, sign: str = "") -> str:
    return NONE if figure is None or figure.value is None else f"{figure.value:{sign}.3f}"


def _interval(figure: Figure | None, sign: str = "") -> str:
    if figure is None or figure.low is None or figure.high is None:
        return NONE
    return f"{figure.low:{sign}.3f} to {figure.high:{sign}.3f}"
