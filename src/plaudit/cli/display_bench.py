"""What a person sees of a bench: figures with intervals, sweeps, and what sets there are."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from plaudit.bench.catalog import DatasetFormat
from plaudit.bench.comparison import ResultsComparison
from plaudit.bench.results import (
    FIGURES,
    ArmResults,
    BenchResults,
    Figure,
    JudgeCard,
    OutcomeCounts,
    PairedDifference,
    SetCard,
    Spending,
    SubsetResults,
)
from plaudit.cli import display
from plaudit.cli.display import count, money, stdout
from plaudit.errors import Cause

_OWN = "own"
"""The set whose score nobody has published."""
_MODEL_WIDTH = 24
"""Characters of a model's identity that are shown: such as a scheme and the start of a digest."""
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
_SHORT = {
    "accuracy": "right of ok",
    "accuracy_of_all": "right of all",
    "forced_accuracy": "side right",
    "consistency": "consistent",
    "first_share": "first place",
    "ece": "ECE",
    "brier": "Brier score",
    "auroc": "AUROC",
}
_SWEPT = ("accuracy_of_all", "coverage", "consistency")
"""Figures of the compact table, beside the published score."""


def results(found: BenchResults) -> None:
    """Print the results of a bench."""
    console = stdout()
    for line in _set_lines(found.set):
        console.print(line, soft_wrap=True)
    for number, arm in enumerate(found.arms, 1):
        if found.arms[1:]:
            console.print(Text(f"{number}  {arm.judge.name}", style="bold"))
        _arm(console, arm, _score_title(found.set), alone=len(found.arms) == 1)
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
    yield f"{_score_title(card)}: {escape(card.score)}"


def _score_title(card: SetCard) -> str:
    return "score" if card.name == _OWN else FIGURES["score"]


def _arm(console: Console, arm: ArmResults, score: str, *, alone: bool) -> None:
    if alone:
        _subset_table(console, [*arm.subsets, arm.overall])
        _figure_table(console, arm, score)
    for line in _arm_lines(arm, alone=alone):
        console.print(line, soft_wrap=True)


def _arm_lines(arm: ArmResults, *, alone: bool) -> Iterator[str]:
    counts = arm.overall.counts
    if arm.score.value is None:
        yield f"[red]no score: {escape(arm.score.why or 'it is not defined')}[/]"
    if counts.causes:
        yield "not ok: " + ", ".join(f"{n} {cause}" for cause, n in counts.causes.items())
        yield from _conflicts(arm.overall)
    if alone:
        yield from (escape(line) for line in _whys(arm))
    yield from (escape(note) for note in arm.notes)
    yield from _spending(arm.spending, asked=arm.judge.readout != "none")
    yield escape(_judge(arm.judge) + (f", run {arm.run}" if arm.run else ""))


def _conflicts(overall: SubsetResults) -> Iterator[str]:
    """Yield what orders that contradict each other are, and which place won."""
    first = overall.figures.get("first_share")
    if Cause.ORDER_CONFLICT in overall.counts.causes and first and first.value is not None:
        won = round(first.value * first.n)
        yield (
            f"{Cause.ORDER_CONFLICT}: a place won, whichever response stood there; of all orders "
            f"with a winner the first place won {won} of {first.n}"
        )


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


def _figure_table(console: Console, arm: ArmResults, score: str) -> None:
    """Print the figures of the whole set, the score the first."""
    columns = ("value", "95 % interval", "n")
    table = display.table("figure", *columns, numbers=columns)
    for name, figure in {"score": arm.score, **arm.overall.figures}.items():
        if figure.value is not None:
            words = score if name == "score" else FIGURES.get(name, name)
            styled = Text(words, style="bold" if name == "score" else "")
            table.add_row(styled, _value(figure), _interval(figure), str(figure.n))
    console.print(table)


def _whys(arm: ArmResults) -> Iterator[str]:
    """Yield why figures have no value or no interval; the same reason once."""
    reasons: dict[str, list[str]] = {}
    score = {"score": arm.score} if arm.score.value is not None else {}
    for name, figure in (score | arm.overall.figures).items():
        if figure.why:
            reasons.setdefault(figure.why, []).append(title(name))
    for why, names in reasons.items():
        yield f"{'; '.join(names)}: {why}"


def _sweep(console: Console, arms: Sequence[ArmResults]) -> None:
    """Print a row an arm, under the number that it has above, with its tokens a row."""
    columns = ("score", "95 % interval", *map(title, _SWEPT), "tokens")
    table = display.table("#", *columns, numbers=("#", *columns))
    for number, arm in enumerate(arms, 1):
        figures = [_value(arm.overall.figures.get(name)) for name in _SWEPT]
        spent = arm.spending
        tokens = (spent.input_tokens + spent.output_tokens) / max(1, spent.samples)
        cells = [_value(arm.score), _interval(arm.score), *figures, f"{tokens:.0f}"]
        table.add_row(str(number), *cells)
    console.print(table)


def differences(console: Console, found: Sequence[PairedDifference]) -> None:
    """Print the paired differences of each judge, those that are more than chance in bold."""
    for judge in dict.fromkeys(one.judge for one in found):
        console.print(Text(f"{judge} less {found[0].baseline}:"), soft_wrap=True)
        columns = ("difference", "95 % interval", "n", "p (Holm)")
        table = display.table("figure", *columns, numbers=columns)
        for one in found:
            if one.judge == judge:
                _difference(table, one)
        console.print(table)
    if found:
        console.print("bold: p below 0.05 after Holm's correction for all differences")


def _difference(table: Table, one: PairedDifference) -> None:
    certain = one.p_holm is not None and one.p_holm < 0.05
    cells = [_value(one.difference, "+"), _interval(one.difference, "+")]
    cells += [str(one.difference.n), NONE if one.p_holm is None else f"{one.p_holm:.3f}"]
    table.add_row(Text(title(one.figure)), *cells, style="bold" if certain else "")


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
    """Return a figure's name in two or three words; figures of one set have names of their own."""
    return _SHORT.get(name, name)


def _whole(figure: Figure | None) -> str:
    """Return a figure with its interval and what it is of."""
    if figure is None or figure.value is None:
        return NONE
    interval = "" if figure.low is None else f" ({_interval(figure)})"
    return f"{_value(figure)}{interval}, n {figure.n}"


def _spending(spent: Spending, *, asked: bool) -> Iterator[str]:
    """Yield what a thousand rows take, and what this run asked; nothing of recorded judgements."""
    if not spent.samples:
        return
    rate = 1000 / spent.samples
    parts: list[str] = []
    if asked:
        parts += [f"{rate * spent.input_tokens:,.0f} tokens in"]
        parts += [f"{rate * spent.output_tokens:,.0f} out"]
        parts += ["cost unknown"] if spent.cost_usd is None else []
        parts += [money(rate * spent.cost_usd)] if spent.cost_usd else []
    if spent.seconds is not None and not spent.cached:
        parts.append(f"{rate * spent.seconds:,.1f} s")
    yield f"a thousand rows: {', '.join(parts)}"
    if asked:
        yield f"this time {count(spent.engine_calls, 'call')}, {spent.cached} from the store"


def _judge(card: JudgeCard) -> str:
    """Return who judged, on one line."""
    if not card.fingerprint:
        return f"recorded judgements: {card.name}"
    model = card.model if len(card.model) <= _MODEL_WIDTH else f"{card.model[:_MODEL_WIDTH]}..."
    by = f"{card.engine} ({model})" if model and model != "none" else card.engine
    return f"judge {card.kind}/{card.fingerprint[:12]} by {by}"


def _value(figure: Figure | None, sign: str = "") -> str:
    return NONE if figure is None or figure.value is None else f"{figure.value:{sign}.3f}"


def _interval(figure: Figure | None, sign: str = "") -> str:
    if figure is None or figure.low is None or figure.high is None:
        return NONE
    return f"{figure.low:{sign}.3f} to {figure.high:{sign}.3f}"
