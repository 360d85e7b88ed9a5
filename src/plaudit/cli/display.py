"""What a person sees: tables, summaries, errors. Text from samples is never read as markup."""

import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from plaudit.bench.rubric import Rubric
from plaudit.engines.llama.models import LocalModel
from plaudit.errors import Cause
from plaudit.judges.panel import LearnedWeight
from plaudit.runs.history import Shown, prompt_text
from plaudit.runs.judging import Asked
from plaudit.runs.pools import PoolReport
from plaudit.runs.summary import JudgeSummary, PanelSummary
from plaudit.scoring.calibration import Calibration
from plaudit.scoring.stats import Estimate
from plaudit.sending.pool import Attempt
from plaudit.store.base import RunInfo
from plaudit.types import Verdict

STATUS_STYLES = {"ok": "green", "abstained": "yellow", "invalid": "red", "failed": "red"}
_STATUSES = tuple(STATUS_STYLES)
_EXAMPLES = 3
_SHARED_LINES = 8
_SIDES = ("A longer", "B longer", "as long")


def stdout() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Return a console on standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def error(message: str) -> None:
    """Print an error."""
    stderr().print(f"[bold red]error[/]: {escape(message)}")


def json_line(data: Any, to_stderr: bool = False) -> None:
    """Print one line of JSON; a path is a string."""
    stream = sys.stderr if to_stderr else sys.stdout
    stream.write(msgspec.json.encode(data, enc_hook=os.fspath).decode() + "\n")
    stream.flush()


def _table(*columns: str, **options: Any) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", **options)
    for column in columns:
        numeric = column in {"ok", "abstained", "invalid", "failed", "reward", "confidence", "all"}
        whole = numeric or column in {"run", "state"}
        table.add_column(column, justify="right" if numeric else "left", no_wrap=whole)
    return table


def summary(done: JudgeSummary, to_stderr: bool = False, store: str | None = None) -> None:
    """Print the closing table of a run.

    Args:
        done: what the run did.
        to_stderr: whether it goes to standard error.
        store: path of the store, where it is not the usual one.
    """
    console = stderr() if to_stderr else stdout()
    table = _table("value", *_STATUSES, "all", show_footer=False)
    for value, counts in sorted(done.values.items(), key=lambda item: -sum(item[1].values())):
        cells = [str(counts.get(status, "")) for status in _STATUSES]
        table.add_row(escape(value), *cells, str(sum(counts.values())))
    table.add_section()
    totals = [str(getattr(done, status)) for status in _STATUSES]
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
    table = _table("decided by", "answers")
    table.columns[-1].justify = "right"
    for by, number in sorted(deciders.items(), key=lambda item: -item[1]):
        table.add_row(Text(by), str(number))
    return table


def count(number: int, noun: str) -> str:
    """Return `1 call` or `2 calls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _panel(console: Console, panel: PanelSummary) -> None:
    """Print what each member of a jury or cascade did, and what that says."""
    settles = panel.form == "cascade"
    # Only the statuses that there are: the table must fit on a narrow terminal.
    statuses = [s for s in _STATUSES if s == "ok" or any(getattr(m, s) for m in panel.members)]
    columns = (*statuses, *(["settled"] if settles else []), "calls", "tokens in", "out", "cost")
    table = _table("step" if settles else "member", "asked")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
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
    yield from (escape(note) for note in done.notes)
    how = readout_and_mode(done.readout, done.mode)
    yield f"judge {done.judge} ({how}), run {done.run}" + (
        f", verdicts in {done.out}" if done.out else ""
    )


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
    where = f" --store {shlex.quote(store)}" if store else ""
    yield escape(f"  all of them: plaudit show {done.run} --failed{where}")


def spending(calls: int, cached: int, tokens: tuple[int, int], done: tuple[int, str, float]) -> str:
    """Return what a run took: calls, what came from the store, tokens in and out, time.

    Args:
        calls: requests sent.
        cached: how much came from the store.
        tokens: in and out.
        done: how much was done, of what, in how many seconds.
    """
    number, what, seconds = done
    rate = number / seconds if seconds else 0
    return (
        f"{count(calls, 'call')}, {cached} {what} from the store, {tokens[0]} tokens in, "
        f"{tokens[1]} out, {seconds:.1f} s, {rate:.1f} {what}/s"
    )


def cost_line(dollars: float | None) -> Iterable[str]:
    """Yield what a run cost, unless it was nothing."""
    if dollars is None or dollars:
        yield f"cost {escape(unknown_cost()) if dollars is None else money(dollars)}"


def unknown_cost() -> str:
    """Return why the cost is unknown, and what to do."""
    needed = "give one with --prices FILE"
    if find_spec("genai_prices") is None:
        needed += ", or take the price list: pip install 'plaudit[prices]'"
    return f"unknown, since no price of the model is; {needed}"


def money(dollars: float) -> str:
    """Return an amount, with as many digits as say something."""
    digits = 2 if dollars >= 1 or not dollars else 4 if dollars >= 0.01 else 6
    return f"${dollars:,.{digits}f}"


def rubric(found: Rubric, out: str) -> None:
    """Print what was learned, criterion by criterion."""
    table = _table("criterion", "right", "added", "what it asks for", show_footer=False)
    about = {criterion.name: criterion.description for criterion in found.criteria}
    for number, step in enumerate(found.steps):
        added = f"{step.gain:+.3f}" if number else ""
        table.add_row(escape(step.name), f"{step.accuracy:.3f}", added, escape(about[step.name]))
    console = stdout()
    console.print(table)
    unseen = found.unseen
    lines = [
        f"on {count(unseen.pairs, 'pair')} that nothing was chosen on: {interval(unseen.rubric)} "
        f"right, {interval(unseen.overall)} by {found.steps[0].name!r} alone, gain "
        f"{interval(unseen.gain)}",
        f"{count(len(found.dropped), 'proposal')} that added nothing: "
        + (", ".join(found.dropped) or "none"),
        f"{count(found.pairs, 'labelled pair')}, {count(found.ties, 'tie')} left out, "
        f"{found.unusable} of {found.asked} replies held no criterion, {found.unscored} scores "
        "could not be had and count as not right",
        f"criteria in {out}",
    ]
    for line in lines:
        console.print(escape(line), soft_wrap=True)


class Exchanges:
    """Prints samples one after the other; of a prompt, only what differs from the one before."""

    def __init__(self, console: Console) -> None:
        """Print to a console."""
        self._console = console
        self._last: list[str] = []

    def watch(self, verdict: Verdict, asked: Asked) -> None:
        """Print prompt, reply and reading of a sample that was just judged."""
        replies = [] if isinstance(verdict.raw, msgspec.UnsetType) else verdict.raw
        prompts = [prompt_text(request.prompt) for request in asked.requests]
        self._print(verdict, prompts, replies, asked.failed)

    def show(self, item: Shown) -> None:
        """Print one sample of a stored run."""
        self._print(item.verdict, item.prompts, item.replies, item.attempts)
        for note in item.notes:
            self._console.print(Text(note, style="yellow"))

    def _print(
        self,
        verdict: Verdict,
        prompts: list[str],
        replies: list[str],
        attempts: Iterable[Attempt],
    ) -> None:
        self._console.rule(Text(f"sample {verdict.index}: {verdict.id}"), align="left")
        for number in range(max(len(prompts), len(replies))):
            if number < len(prompts):
                self._print_part("asked", self._news(prompts[number]))
            if number < len(replies):
                self._print_part("replied", replies[number])
        for attempt in attempts:
            self._print_part("in vain", f"  {attempt_text(attempt)}")
        self._print_part("read", "")
        if not isinstance(verdict.input, msgspec.UnsetType) and "question" in verdict.input:
            for name in ("question", "reference", "answer"):
                self._console.print(Text(f"  {name}: {verdict.input[name]}"))
        for name, text in _reading(verdict):
            self._console.print(Text(f"  {name}: {text}"))

    def _print_part(self, title: str, text: str) -> None:
        self._console.print(f"[bold cyan]{title}[/]")
        if text:
            self._console.print(Text(text))

    def _news(self, prompt: str) -> str:
        """Return a prompt with the lines that it shares with the last one left out."""
        lines = prompt.splitlines()
        pairs = zip(lines, self._last, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._last = lines
        if same < _SHARED_LINES:
            return prompt
        return "\n".join([f"[the first {same} lines as before]", *lines[same:]])


def _reading(verdict: Verdict) -> Iterable[tuple[str, str]]:
    yield "status", verdict.status
    for name in ("value", "reward", "confidence"):
        if getattr(verdict, name) is not None:
            yield name, str(getattr(verdict, name))
    if verdict.probabilities is not None:
        ranked = sorted(verdict.probabilities.items(), key=lambda item: -item[1])
        yield "probabilities", ", ".join(f"{label} {p:.3f}" for label, p in ranked)
    for name, field in verdict.fields.items():
        yield name, field if isinstance(field, str) else msgspec.json.encode(field).decode()
    if verdict.error is not None:
        yield "cause", f"{verdict.error.cause} ({verdict.error.message})"


def attempt_text(attempt: Attempt) -> str:
    """Return a failed attempt as one line."""
    return f"{attempt.turn}, after {attempt.seconds:.1f} s: {attempt.cause} ({attempt.message})"


def run_list(found: Iterable[RunInfo]) -> None:
    """Print runs, the newest first."""
    table = _table("run", "state", "started", "ok/abstained/invalid/failed", "what")
    for info in found:
        counts: dict[str, Any] = msgspec.json.decode(info.summary) if info.summary else {}
        if "rollouts" in counts:
            broken = counts["broken_off"] + counts.get("tool_failed", 0)
            counts = {"ok": counts["rollouts"] - broken, "failed": broken}
        record = msgspec.json.decode(info.config)
        table.add_row(
            info.name,
            info.state,
            info.started[5:16].replace("T", " "),
            "/".join(str(counts.get(status, "-")) for status in _STATUSES),
            Text(f"{record['options']['source']} by {_judged_by(record)}"),
        )
    stdout().print(table)


def calibration(found: Calibration, out: str) -> None:
    """Print what a calibration is worth."""
    console = stdout()
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column("held out")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, title in (("ece", "ECE"), ("brier", "Brier score"), ("log_loss", "log loss")):
        scores: list[Estimate] = [getattr(s, name) for s in (found.before, found.after)]
        change: Estimate = getattr(found.change, name)
        table.add_row(title, *map(interval, scores), interval(change, "+"))
    table.add_row("accuracy", interval(found.accuracy), "", "")
    if found.auroc is not None:
        table.add_row("AUROC", interval(found.auroc), "", "")
    console.print(table)
    for line in _calibration_lines(found, out):
        console.print(escape(line), soft_wrap=True)


def interval(estimate: Estimate, sign: str = "") -> str:
    """Return a number with its interval."""
    bounds = f"{estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"
    return f"{estimate.value:{sign}.3f} ({bounds})"


def _calibration_lines(found: Calibration, out: str) -> Iterable[str]:
    losses = ", ".join(f"{name} {loss:.3f}" for name, loss in found.fold_log_loss.items())
    why = f"by cross-validated log loss ({losses})" if losses else "too few for a choice"
    yield f"map: {found.method}, {why}"
    if found.gate is None or found.kept is None:
        yield f"no gate: {found.reason}"
    else:
        yield f"gate {found.gate:.3f} keeps {found.kept.value:.1%}: {found.reason}"
    others = "".join(f", {number} {reason}" for reason, number in found.left_out.items())
    fitted = found.samples - found.held_out
    yield f"{found.judge}: {fitted} verdicts fitted on, {found.held_out} held out{others}"
    yield f"calibration in {out}"


def shots(found: Iterable[tuple[str, str, str]]) -> None:
    """Print shots as a table: where they stand, their labels, what they say."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", expand=True)
    table.add_column("shot", style="dim", no_wrap=True)
    table.add_column("label", no_wrap=True)
    table.add_column("sample", ratio=1, no_wrap=True, overflow="ellipsis")
    for where, label, text in found:
        table.add_row(Text(where), Text(label), Text(" ".join(text.split())))
    stdout().print(table)


def pool_report(report: PoolReport) -> None:
    """Print what a pool holds, and what is wrong with it."""
    console = stdout()
    table = _table("label", "all", *(name for name in _SIDES if report.longer))
    for label, number in report.labels.items():
        longer = report.longer.get(label, {})
        cells = [str(longer.get(name, 0)) for name in _SIDES] if report.longer else []
        table.add_row(Text(label), str(number), *cells)
    console.print(table)
    if report.lengths:
        least, median, most = (f"{report.lengths[n]:.0f}" for n in ("least", "median", "most"))
        console.print(f"{least} to {most} characters a sample, {median} at the median")
    for problem in report.problems:
        console.print(Text(f"problem: {problem}", style="red"))
    for hint in report.hints:
        console.print(Text(f"hint: {hint}"))
    fit = "cannot be used as it is" if report.problems else "can be used"
    console.print(f"{count(report.shots, 'shot')} for the {report.judge} judge: the pool {fit}")


def _judged_by(record: Mapping[str, Any]) -> str:
    panel = record.get("panel")
    if panel is None:
        return record["engine"]
    return f"a {panel['panel']} of {', '.join(member['engine'] for member in panel['members'])}"


def weights(found: Mapping[str, LearnedWeight]) -> None:
    """Print learned weights."""
    table = _table("member", "labelled", "right", "mean squared error", "weight")
    for name, one in found.items():
        accuracy = "" if one.accuracy is None else f"{one.accuracy:.3f}"
        error = "" if one.error is None else f"{one.error:.3f}"
        table.add_row(Text(name), str(one.samples), accuracy, error, f"{one.weight:.3f}")
    stdout().print(table)


def models(found: Iterable[LocalModel], as_json: bool) -> None:
    """Print the embedded models."""
    if as_json:
        for local in found:
            json_line(local)
        return
    table = _table("model", "size", "licence", "where")
    table.columns[-1].overflow = "fold"
    for local in found:
        model = local.model
        where = local.path or f"not here; fetch it with: plaudit models pull {model.name}"
        table.add_row(model.name, f"{model.size / 1e6:.0f} MB", model.licence, Text(str(where)))
    stdout().print(table)
