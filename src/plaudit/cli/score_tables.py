"""What a person sees of scores: the summary of a file, and the report of a probe."""

import math
from collections.abc import Iterator, Mapping

from msgspec import UnsetType
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from plaudit.cli import display
from plaudit.rollouts.rewards.probe import ProbeReport, ProbeRow
from plaudit.rollouts.rewards.scoring import RewardSummary, ScoreSummary
from plaudit.scoring.stats import Estimate

_SORTS = {
    "right": "honest and right",
    "not right": "honest and not right",
    "cheat": "cheats without a right answer",
    "waste": "right answers with waste",
}
_SHOWN = 0.0005
"""What adds less than this to a total is left out."""


def summary(done: ScoreSummary, as_json: bool, *, to_stderr: bool) -> None:
    """Print what scoring a file came to."""
    if as_json:
        display.json_line(done, to_stderr)
        return
    console = display.stderr() if to_stderr else display.stdout()
    table = _table("reward", "mean (95 %)", "least", "most", "scored", "unscored")
    for name, reward in done.rewards.items():
        table.add_row(Text(name), *_cells(reward))
    console.print(table)
    low, high = ("unknown" if bound is None else f"{bound:g}" for bound in done.scale)
    lines = [*decided_lines(done.rewards)]
    lines += [f"the total can be from {low} to {high}"]
    if done.broken:
        lines.append(f"[red]a judge or a function failed on {_traces(done.broken)}[/]")
    if done.rejected:
        where = f", see {done.rejects}" if done.rejects else ""
        lines.append(f"[red]{done.rejected} rows rejected[/]{escape(where)}")
    where = f", traces in {escape(done.out)}" if done.out else ""
    lines.append(f"{_traces(done.traces)}, rewards/{done.spec[:12]}{where}")
    for line in lines:
        console.print(line, soft_wrap=True)


def decided_lines(rewards: Mapping[str, RewardSummary]) -> Iterator[str]:
    """Yield for each reward that compares answers how many were decided by what."""
    for name, reward in rewards.items():
        if not isinstance(reward.decided_by, UnsetType):
            ranked = sorted(reward.decided_by.items(), key=lambda item: -item[1])
            found = ", ".join(f"{number} {by}" for by, number in ranked)
            yield f"{escape(name)} decided by: {found}"


def probe(report: ProbeReport, as_json: bool) -> None:
    """Print what a specification would pay for cheats."""
    if as_json:
        display.json_line(report)
        return
    console = display.stdout()
    table = _table("", "total", "made of")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    for sort, title in _SORTS.items():
        table.add_section()
        table.add_row(Text(title, style="bold"))
        for row in report.rows:
            if row.sort == sort:
                table.add_row(*_probe_cells(row))
    console.print(table)
    _verdict(console, report)


def _verdict(console: Console, report: ProbeReport) -> None:
    for note in report.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    for problem in report.problems:
        console.print(Text(f"problem: {problem}", style="red"), soft_wrap=True)
    found = "can be cheated" if report.problems else "pays none of these cheats"
    console.print(
        f"rewards/{report.spec[:12]} {found}: {report.questions} questions, {len(report.rows)} "
        "ways to behave",
        soft_wrap=True,
    )


def _probe_cells(row: ProbeRow) -> list[Text]:
    style = "red" if row.too_much else ""
    parts = [f"{name} {part:.2g}" for name, part in row.parts.items() if abs(part) > _SHOWN]
    if row.unscored:
        parts.append(f"not told on {row.unscored}")
    total = "none" if row.total is None else f"{row.total:.2f}"
    return [Text(f"  {row.name}", style), Text(total, style), Text(", ".join(parts), style)]


def _cells(reward: RewardSummary) -> list[Text]:
    causes = ", ".join(f"{count} {cause}" for cause, count in reward.unscored.items())
    cells = (_mean(reward.mean), _number(reward.least), _number(reward.most), str(reward.scored))
    return [*map(Text, cells), Text(causes)]


def _mean(estimate: Estimate | None) -> str:
    if estimate is None:
        return "none"
    if not math.isfinite(estimate.high - estimate.low):
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _traces(number: int) -> str:
    return display.count(number, "trace")


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column(first, no_wrap=True)
    for column in columns:
        text = column == "unscored"
        table.add_column(column, justify="left" if text else "right", no_wrap=not text)
    return table
