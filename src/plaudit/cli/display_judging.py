"""What a person sees of judging: the verdicts, the closing summary, a dry run."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from plaudit.cli import display
from plaudit.cli.display import cost_line, count, money, spending, stderr, stdout, unknown_cost
from plaudit.cli.display_batches import batch_lines, costs
from plaudit.errors import Cause
from plaudit.runs.plan import Load, Plan
from plaudit.runs.summary import JudgeSummary, PanelSummary
from plaudit.types import Verdict

STATUSES = {"ok": "green", "abstained": "yellow", "invalid": "red", "failed": "red"}
"""The statuses of a verdict with their colours."""
_EXAMPLES = 3
_VALUE_WIDTH = 22  # the longest label
_WIDE = 100  # characters from which on every column can have its usual width
_LEAST_JUDGED, _LEAST_VALUE = 10, 8
_COLUMNS = ("#", "judged", "value", "reward", "conf.", "status", "why not", "by")
_JUDGED, _VALUE = 1, 2


def verdicts(path: str) -> None:
    """Print a file of verdicts as a table."""
    console = stdout()
    decoder = msgspec.json.Decoder(Verdict)
    with open(path, "rb") as lines:
        rows = [_cells(decoder.decode(line)) for line in lines]
    decided = any(row[-1] for row in rows)
    columns = _COLUMNS if decided else _COLUMNS[:-1]
    rows = [row[: len(columns)] for row in rows]
    wide = console.width >= _WIDE
    table = _wide_table(columns) if wide else _narrow_table(columns, rows, console.width)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _wide_table(columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", expand=True)
    table.add_column("#", justify="right", style="dim")
    table.add_column("judged", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("value", no_wrap=True, min_width=_VALUE_WIDTH)
    table.add_column("reward", justify="right", min_width=6)
    table.add_column("conf.", justify="right", min_width=4)
    table.add_column("status", no_wrap=True, min_width=9)
    for name in columns[6:]:
        table.add_column(name, no_wrap=True)
    return table


def _narrow_table(names: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> Table:
    """Return a table in which long values and what was judged are cut; causes wrap."""
    columns = zip(map(Text, names), *rows, strict=True)
    widths = [max(cell.cell_len for cell in column) for column in columns]
    gaps = 2 * len(widths) + 1  # dividers, one character of padding, edges
    room = width - gaps - sum(widths) + widths[_JUDGED] + widths[_VALUE]
    widths[_VALUE] = min(widths[_VALUE], max(_LEAST_VALUE, room - _LEAST_JUDGED))
    widths[_JUDGED] = max(1, room - widths[_VALUE])
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    for name, most in zip(names, widths, strict=True):
        number, cause = name in ("#", "reward", "conf."), name == "why not"
        table.add_column(
            name,
            justify="right" if number else "left",
            style="dim" if name == "#" else "",
            no_wrap=not cause,
            overflow="fold" if cause else "ellipsis",
            width=most,
        )
    return table


def _cells(verdict: Verdict) -> list[Text]:
    shown = {} if isinstance(verdict.input, msgspec.UnsetType) else verdict.input
    return [
        Text(str(verdict.index)),
        Text(_excerpt(shown) or verdict.id),
        Text("" if verdict.value is None else str(verdict.value)),
        Text("" if verdict.reward is None else f"{verdict.reward:+z.2f}"),
        Text("" if verdict.confidence is None else f"{verdict.confidence:.2f}"),
        Text(verdict.status, style=STATUSES[verdict.status]),
        Text("" if verdict.error is None else verdict.error.cause),
        Text(verdict.fields.get("decided_by", "")),
    ]


def _excerpt(row: Mapping[str, Any]) -> str:
    """Return what was judged on one line: the last text of the row."""
    texts = [row.get(name) for name in ("follow_up", "answer", "response", "response_a")]
    text = next((t for t in texts if isinstance(t, str)), "")
    return " ".join(text.split())


def summary(done: JudgeSummary, to_stderr: bool = False, store: str | None = None) -> None:
    """Print the closing table of a run.

    Args:
        done: what the run did.
        to_stderr: whether it goes to standard error.
        store: path of the store, where it is not the usual one.
    """
    console = stderr() if to_stderr else stdout()
    table = display.table("value", *STATUSES, "all", numbers=(*STATUSES, "all"))
    for value, counts in sorted(done.values.items(), key=lambda item: -sum(item[1].values())):
        cells = [str(counts.get(status, "")) for status in STATUSES]
        table.add_row(escape(value), *cells, str(sum(counts.values())))
    table.add_section()
    totals = [str(getattr(done, status)) for status in STATUSES]
    table.add_row("[bold]all[/]", *totals, str(done.samples))
    console.print(table)
    if not isinstance(done.panel, msgspec.UnsetType):
        _panel(console, done.panel)
    if not isinstance(done.decided_by, msgspec.UnsetType):
        console.print(decided_table(done.decided_by))
    for line in _closing_lines(done, store):
        console.print(line, soft_wrap=True)


def decided_table(deciders: Mapping[str, int]) -> Table:
    """Return a table of how many answers were decided by what, the most frequent first."""
    table = display.table("decided by", "answers", numbers=("answers",))
    for by, number in sorted(deciders.items(), key=lambda item: -item[1]):
        table.add_row(Text(by), str(number))
    return table


def _panel(console: Console, panel: PanelSummary) -> None:
    """Print what each member of a jury or cascade did, and what that says."""
    settles = panel.form == "cascade"
    # Only the statuses that there are: the table must fit on a narrow terminal.
    statuses = [s for s in STATUSES if s == "ok" or any(getattr(m, s) for m in panel.members)]
    columns = (*statuses, *(["settled"] if settles else []), "calls", "tokens in", "out", "cost")
    first = "step" if settles else "member"
    table = display.table(first, "asked", *columns, numbers=columns)
    for member in panel.members:
        cells = [member.name, member.samples, *(getattr(member, s) for s in statuses)]
        cells += [member.settled] if settles else []
        cells += [member.engine_calls, member.input_tokens, member.output_tokens]
        cells += ["unknown" if member.cost_usd is None else money(member.cost_usd)]
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(table)
    for line in (*_agreement_lines(panel), *_saved_lines(panel)):
        console.print(line, soft_wrap=True)


def _agreement_lines(panel: PanelSummary) -> Iterable[str]:
    if not isinstance(panel.agreement, msgspec.UnsetType):
        found = panel.agreement
        alpha = "is not defined" if found.alpha is None else f"{found.alpha:.3f}"
        yield (
            f"agreement among the members: Krippendorff's alpha {alpha} "
            f"({found.level}, {found.samples} samples with two votes or more)"
        )
    if isinstance(panel.promised, msgspec.UnsetType):
        return
    if panel.promised is None:
        yield "promised agreement: none, since no gate comes from a calibration"
    else:
        yield (
            f"promised agreement: at least {panel.promised.agreement:.1%} on the "
            f"{count(panel.promised.samples, 'sample')} that calibrated gates settled, with "
            f"probability {panel.promised.probability:.3g}; nothing about the others"
        )


def _saved_lines(panel: PanelSummary) -> Iterable[str]:
    if isinstance(panel.saved, msgspec.UnsetType):
        return
    saved, last = panel.saved, panel.members[-1].name
    line = f"{escape(last)} was not asked about {count(saved.samples, 'sample')}"
    if saved.requests is not None:
        line += (
            f"; saved against asking it alone, estimated: {count(saved.requests, 'request')}, "
            f"{saved.input_tokens} tokens in, {saved.output_tokens} out"
        )
        line += "" if saved.cost_usd is None else f", {money(saved.cost_usd)}"
    yield line


def _closing_lines(done: JudgeSummary, store: str | None) -> Iterable[str]:
    reward = "none" if done.mean_reward is None else f"{done.mean_reward:+.3f}"
    yield f"mean reward {reward} over {done.ok} ok"
    if done.labelled:
        share = done.agree / done.labelled
        yield f"agrees with the label in {done.agree} of {done.labelled} ok ({share:.0%})"
    if not isinstance(done.mean_votes, msgspec.UnsetType):
        yield f"{done.mean_votes:.1f} votes a sample"
    if done.causes:
        yield "not ok: " + ", ".join(f"{n} {cause}" for cause, n in done.causes.items())
        yield from _example_lines(done, store)
    if done.readout == "none" and Cause.UNDECIDED in done.causes:
        yield "name a model with -e URI, and it is asked about what is undecided"
    if done.rejected:
        where = f", see {done.rejects}" if done.rejects else ""
        yield f"[red]{done.rejected} rows rejected[/]{escape(where)}"
    tokens = (done.input_tokens, done.output_tokens)
    yield spending(done.engine_calls, done.cached, tokens, (done.samples, "samples", done.seconds))
    yield from cost_line(done.cost_usd)
    if not isinstance(done.batch, msgspec.UnsetType):
        yield from batch_lines(done.batch)
    yield from (escape(note) for note in done.notes)
    how = readout_and_mode(done.readout, done.mode)
    run = f", run {done.run}" if done.run else ""
    yield f"judge {done.judge} ({how}){run}" + (f", verdicts in {done.out}" if done.out else "")


def readout_and_mode(readout: str, mode: str) -> str:
    """Return how a judge asks and reads, for a person."""
    return "no model" if readout == "none" else f"{readout} readout, {mode} mode"


def _example_lines(done: JudgeSummary, store: str | None) -> Iterable[str]:
    """Yield what the most frequent causes say of a sample, and the command that shows all."""
    if isinstance(done.examples, msgspec.UnsetType):
        return
    frequent = sorted(done.examples, key=lambda cause: -done.causes[cause])
    for cause in frequent[:_EXAMPLES]:
        yield escape(f"  {cause}: {done.examples[cause]}")
    if not done.run:  # On a cluster, whose stores keep replies alone.
        return
    where = f" --store {shlex.quote(store)}" if store else ""
    yield escape(f"  all of them: plaudit show {done.run} --failed{where}")


def plan(found: Plan, as_json: bool) -> None:
    """Print a dry run."""
    if as_json:
        display.json_line(found)
        return
    stdout().print(
        f"{found.judge}: {readout_and_mode(found.readout, found.mode)}\n"
        f"{found.samples} samples, {found.rejected} rows rejected\n"
        f"{_load(found)}{_vote_note(found)}"
    )
    if not isinstance(found.cost_usd_batch, msgspec.UnsetType):
        stdout().print(f"with --batch: {costs(found)}", soft_wrap=True)
    members = [] if isinstance(found.members, msgspec.UnsetType) else found.members
    for member in members:
        stdout().print(
            f"{escape(member.name)}, {member.judge}:\n{_load(member)}{_vote_note(member)}"
        )


def _load(load: Load) -> str:
    cost = escape(unknown_cost())
    if load.cost_usd_limit is not None:
        cost = f"at most about {money(load.cost_usd_limit)}" if load.cost_usd_limit else "nothing"
    prior = f", {load.prior_calls} of them for the prior" if load.prior_calls else ""
    more = ""
    if load.continuation_calls_limit:
        more = (
            f"up to {count(load.continuation_calls_limit, 'call')} more to score options as "
            "continuations, where replies show too few log-probabilities\n"
        )
    return (
        f"{count(load.calls, 'call')} to send{prior}, {load.stored} answered by the store\n{more}"
        f"about {load.input_tokens_estimated} tokens in, at most {load.output_tokens_limit} out\n"
        f"cost: {cost}"
    )


def _vote_note(found: Load) -> str:
    if found.votes == 1:
        return ""
    return (
        f"\ncounted with {found.least_votes} votes a sample; where they differ, up to {found.votes}"
    )
