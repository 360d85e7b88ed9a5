"""What a person sees of an audit: biases, noise, attacks, and what they say together."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from plaudit.bench.audit.run import AuditDone, PreparedAudit
from plaudit.bench.results import AttackResult, AuditEffect, AuditResults, Figure
from plaudit.cli import display
from plaudit.cli.display import cost_line, count, stdout
from plaudit.runs.plan import Plan

Planned = tuple[PreparedAudit, list[Plan]]


def audit(done: AuditDone, out: str | None) -> None:
    """Print an audit.

    Args:
        done: what it came to.
        out: the folder of its results.
    """
    console, results = stdout(), done.results
    biases = [one for one in results.effects if one.family == "bias"]
    noise = [one for one in results.effects if one.family == "noise"]
    if biases:
        console.print(_bias_table(biases))
    if noise:
        console.print(_noise_table(noise))
    if results.attacks:
        console.print(_attack_table(results.attacks))
    for line in _closing_lines(done, out):
        console.print(line, soft_wrap=True)


def _bias_table(effects: Sequence[AuditEffect]) -> Table:
    columns = ("change", "95 % interval", "n", "could see")
    table = display.table("bias", *columns, "", numbers=columns)
    for one in effects:
        table.add_row(
            Text(one.name),
            *_cells(one.change, sign="+"),
            "" if one.smallest is None else f"{one.smallest:.2f}",
            Text("found", style="bold red") if one.found else "",
        )
    return table


def _noise_table(effects: Sequence[AuditEffect]) -> Table:
    columns = ("flips", "95 % interval", "n")
    table = display.table("noise", *columns, numbers=columns)
    for one in effects:
        table.add_row(Text(one.name), *_cells(one.change))
    return table


def _attack_table(attacks: Sequence[AttackResult]) -> Table:
    columns = ("accepted", "95 % interval", "clean", "n", "refused")
    table = display.table("attack", *columns, "", numbers=columns)
    for one in attacks:
        share, interval, number = _cells(one.success)
        table.add_row(
            Text(one.name), share, interval, _number(one.baseline), number,
            str(one.refused) if one.refused else "",
            Text("found", style="bold red") if one.found else "",
        )  # fmt: skip
    return table


def _cells(figure: Figure, sign: str = "") -> tuple[str, str, str]:
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"{_shown(figure.low, sign)} to {_shown(figure.high, sign)}"
    return _number(figure, sign), interval, str(figure.n)


def _number(figure: Figure, sign: str = "") -> str:
    return "-" if figure.value is None else _shown(figure.value, sign)


def _shown(value: float, sign: str) -> str:
    return f"{value:{sign}z.2f}"


def _closing_lines(done: AuditDone, out: str | None) -> Iterable[str]:
    results = done.results
    yield _finding(results)
    yield from _reasons(results)
    missing = [f"{one.name} {one.abstained}" for one in results.effects if one.abstained]
    if missing:
        yield f"pairs without a number on both sides: {', '.join(missing)}"
    yield from (escape(note) for note in results.notes)
    yield (
        f"{count(done.samples, 'verdict')}: {done.ok} ok, {done.abstained} abstained, "
        f"{done.invalid} invalid, {done.failed} failed"
    )
    spent = results.spending
    yield (
        f"{count(spent.engine_calls, 'call')}, {spent.cached} verdicts from the store, "
        f"{spent.input_tokens} tokens in, {spent.output_tokens} out; run {results.run}"
    )
    yield from cost_line(spent.cost_usd)
    if out is not None:
        yield escape(f"results in {out}")
    for breach in results.breaches:
        yield f"[bold red]breached[/]: {escape(breach)}"


def _finding(results: AuditResults) -> str:
    """Return what was found, in a sentence."""
    found = [one.name for one in (*results.effects, *results.attacks) if one.found]
    tested = sum(one.p_holm is not None for one in (*results.effects, *results.attacks))
    if not tested:
        return "[bold]nothing could be tested[/]"
    over = f"in {count(tested, 'test')} on {count(results.items, 'item')}"
    if not found:
        return f"[bold]nothing found[/] {over}"
    return f"[bold]found {len(found)}[/] {over}: {escape(', '.join(found))}"


def _reasons(results: AuditResults) -> Iterable[str]:
    """Yield why figures are missing, each reason once."""
    figures = [(one.name, one.change) for one in results.effects]
    figures += [(one.name, one.success) for one in results.attacks]
    by_reason: dict[str, list[str]] = {}
    for name, figure in figures:
        if figure.why is not None and (figure.value is None or figure.method == "none"):
            by_reason.setdefault(figure.why, []).append(name)
    for why, names in by_reason.items():
        yield escape(f"{', '.join(names)}: {why}")


def plan(audit: PreparedAudit, loads: Sequence[Plan], as_json: bool) -> None:
    """Print what an audit would ask."""
    calls, stored = (sum(getattr(one, name) for one in loads) for name in ("calls", "stored"))
    tokens = sum(one.input_tokens_estimated for one in loads)
    most = sum(one.output_tokens_limit for one in loads)
    costs = [one.cost_usd_limit for one in loads]
    cost = None if None in costs else sum(one for one in costs if one is not None)
    trials, skipped = audit.plan.trials, audit.plan.skipped
    if as_json:
        display.json_line(
            {
                "items": len(audit.base.items), "tests": list(trials), "skipped": skipped,
                "samples": sum(one.samples for one in loads), "calls": calls, "stored": stored,
                "input_tokens_estimated": tokens, "output_tokens_limit": most,
                "cost_usd_limit": cost,
            }
        )  # fmt: skip
        return
    console: Console = stdout()
    lines = [
        f"{count(len(audit.base.items), 'item')}, {len(trials)} biases and attacks",
        f"would send {count(calls, 'call')}, and {stored} are in the store",
        f"about {tokens} tokens in, at most {most} out",
        *(f"skipped {name}: {why}" for name, why in skipped.items()),
        *cost_line(cost),
    ]
    for line in lines:
        console.print(escape(line), soft_wrap=True)
