"""What a person sees of rollouts and their scores."""

import math
from collections.abc import Iterable, Iterator, Mapping

from msgspec import UnsetType
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from plaudit.cli import display
from plaudit.cli.display import cost_line, count, interval, spending, stderr, stdout
from plaudit.rollouts.evaluation import RunComparison
from plaudit.rollouts.rewards.composite import TOTAL
from plaudit.rollouts.rewards.probe import ProbeReport, ProbeRow
from plaudit.rollouts.rewards.tally import RewardSummary, ScoreSummary
from plaudit.rollouts.run import RolloutSummary
from plaudit.rollouts.trace import Score, StopReason, Trace
from plaudit.rollouts.traces import read_traces
from plaudit.scoring.stats import Estimate

_BAD = frozenset({StopReason.FAILED, StopReason.REFUSED, StopReason.DEADLINE})


_SORTS = {
    "right": "honest and right",
    "not right": "honest and not right",
    "cheat": "cheats without a right answer",
    "waste": "right answers with waste",
}
_SHOWN = 0.0005
"""What adds less than this to a total is left out."""


def summary(done: RolloutSummary, to_stderr: bool = False) -> None:
    """Print what a run did."""
    console = stderr() if to_stderr else stdout()
    table = display.table("ended by", "rollouts", numbers=("rollouts",))
    for reason, number in sorted(done.stop_reasons.items(), key=lambda item: -item[1]):
        style = "red" if reason in _BAD else "green" if reason == StopReason.ANSWERED else "yellow"
        table.add_row(Text(reason, style=style), str(number))
    console.print(table)
    if done.rewards:
        console.print(_rewards(done))
    for line in _lines(done):
        console.print(line, soft_wrap=True)


def _rewards(done: RolloutSummary) -> Table:
    table = display.table("reward", "mean", "scored", "unscored", numbers=("mean", "scored"))
    table.columns[-1].justify = "right"
    for name, found in done.rewards.items():
        mean = "" if found.mean is None else interval(found.mean, "+")
        causes = ", ".join(f"{number} {cause}" for cause, number in found.unscored.items())
        table.add_row(Text(name), mean, str(found.scored), causes)
    return table


def _lines(done: RolloutSummary) -> Iterable[str]:
    yield (
        f"{count(done.questions, 'question')}, {count(done.rollouts, 'rollout')}, "
        f"{done.answered} with an answer, {done.broken_off} broken off"
    )
    if done.tool_failed:
        yield (
            f"[red]a tool failed in {count(done.tool_failed, 'rollout')}[/]; the same command "
            "rolls them out again"
        )
    yield from decided_lines(done.rewards)
    if done.accuracy is not None:
        yield f"accuracy {interval(done.accuracy)}"
    if len(done.pass_at) > 1:
        yield ", ".join(f"pass@{k} {interval(found)}" for k, found in done.pass_at.items())
    if done.turns is not None:
        calls = "".join(f", {number:.2f} {escape(name)}" for name, number in done.calls.items())
        yield f"a rollout: {done.turns:.2f} turns{calls}"
    if done.bad_calls:
        yield "calls answered with an error: " + _counts(done.bad_calls)
    if done.causes:
        yield "no reply: " + _counts(done.causes)
    if done.exact or done.approximate:
        forked = f", {done.forks} with forks" if done.forks else ""
        cut = f", {done.truncated} cut" if done.truncated else ""
        yield f"token ids: {done.exact} exact, {done.approximate} approximate{forked}{cut}"
    if done.rejected:
        where = f", see {done.rejects}" if done.rejects else ""
        yield f"[red]{done.rejected} rows rejected[/]{escape(where)}"
    tokens = (done.spent_input_tokens, done.spent_output_tokens)
    yield spending(
        done.engine_calls, done.cached, tokens, (done.rollouts, "rollouts", done.seconds)
    )
    yield from cost_line(done.cost_usd)
    yield from (escape(note) for note in done.notes)
    how = f"tools {done.tools_as}, tokens {done.tokens}, temperature {done.temperature:g}"
    where = "".join(
        f", {what} in {path}"
        for what, path in (("traces", done.out), ("answers", done.qa_log))
        if path
    )
    yield escape(f"{how}, dated {done.date}, run {done.run}{where}")


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in found.items())


def traces(path: str) -> None:
    """Print a file of traces as a table, one line a rollout."""
    console = stdout()
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", expand=True)
    table.add_column("rollout", style="dim", no_wrap=True, max_width=24)
    table.add_column("question", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("answer", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("ended by", no_wrap=True)
    table.add_column("calls", justify="right")
    table.add_column("reward", justify="right", min_width=6)
    for trace in read_traces(path):
        table.add_row(*_cells(trace))
    console.print(table)


def _cells(trace: Trace) -> list[str | Text]:
    asked = "" if trace.question is None else trace.question.question
    score = (trace.rewards or {}).get(TOTAL)
    return [
        Text(trace.id),
        Text(" ".join(asked.split())),
        Text(" ".join((trace.final_answer or "").split())),
        str(trace.stop_reason or ""),
        str(len(trace.tool_calls)),
        _value(score),
    ]


def _value(score: Score | None) -> str:
    return "" if score is None or score.value is None else f"{score.value:+z.2f}"


def comparison(found: RunComparison) -> None:
    """Print two runs side by side."""
    columns = ("first", "second", "difference", "better", "worse")
    table = display.table("mean over questions", *columns, numbers=columns)
    for name, one in found.measures.items():
        means = (f"{one.first:.3f}", f"{one.second:.3f}", interval(one.difference, "+"))
        table.add_row(Text(name), *means, str(one.better), str(one.worse))
    console = stdout()
    console.print(table)
    apart = f"{found.only_first} only in the first run, {found.only_second} only in the second"
    console.print(f"{count(found.questions, 'question')} in both, {apart}")


def conversation(trace: Trace) -> None:
    """Print one rollout: what was said, what tools answered, how it ended and what it is worth."""
    console = stderr()
    console.rule(Text(f"rollout {trace.id}"), align="left")
    written = iter(trace.turns)
    for message in trace.messages:
        text = message.text
        if message.role == "assistant" and (turn := next(written, None)) is not None:
            text = turn.text
        _part(console, message.role, text)
        for call in message.tool_calls or ():
            function = call.get("function", {})
            _part(console, "call", f"{function.get('name')} {function.get('arguments')}")
    console.print(Text(f"ended by {trace.stop_reason}: {trace.final_answer}"))
    if trace.error is not None:
        console.print(Text(f"{trace.error.cause}: {trace.error.message}"))
    for name, score in (trace.rewards or {}).items():
        console.print(Text(f"{name}: {score.value} {score.reason}".rstrip()))


def _part(console: Console, title: str, text: str) -> None:
    console.print(f"[bold cyan]{escape(title)}[/]")
    if text:
        console.print(Text(text))


# Scores


def scores(done: ScoreSummary, as_json: bool, *, to_stderr: bool) -> None:
    """Print what scoring a file came to."""
    if as_json:
        display.json_line(done, to_stderr)
        return
    console = stderr() if to_stderr else stdout()
    numbers = ("mean (95 %)", "least", "most", "scored")
    table = display.table("reward", *numbers, "unscored", numbers=numbers, whole=("reward",))
    for name, reward in done.rewards.items():
        table.add_row(Text(name), *_reward_cells(reward))
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
    console = stdout()
    table = display.table("", "total", "made of", numbers=("total",), whole=("",))
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
        parts.append(f"unscored on {row.unscored}")
    total = "none" if row.total is None else f"{row.total:.2f}"
    return [Text(f"  {row.name}", style), Text(total, style), Text(", ".join(parts), style)]


def _reward_cells(reward: RewardSummary) -> list[Text]:
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
    return count(number, "trace")
