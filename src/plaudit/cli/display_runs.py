"""What a person sees of stored runs: the list of runs, and samples one by one."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from plaudit.cli.display import as_json, stdout, table
from plaudit.runs.history import Shown, prompt_text
from plaudit.runs.judging import Asked
from plaudit.sending.budget import Attempt
from plaudit.store.base import RunInfo
from plaudit.types import Verdict

_STATUSES = ("ok", "abstained", "invalid", "failed")
_SHARED_LINES = 8


def run_list(found: Iterable[RunInfo]) -> None:
    """Print runs, the newest first."""
    made = table("run", "state", "started", "ok/abst/inv/fail", "what", whole=("run", "state"))
    for info in found:
        counts: dict[str, Any] = msgspec.json.decode(info.summary) if info.summary else {}
        if "rollouts" in counts:
            broken = counts["broken_off"] + counts.get("tool_failed", 0)
            counts = {"ok": counts["rollouts"] - broken, "failed": broken}
        record = msgspec.json.decode(info.config)
        made.add_row(
            info.name,
            info.state,
            info.started[5:16].replace("T", " "),
            "/".join(str(counts.get(status, "-")) for status in _STATUSES),
            Text(f"{record['options']['source']} by {_judged_by(record)}"),
        )
    stdout().print(made)


def _judged_by(record: Mapping[str, Any]) -> str:
    panel = record.get("panel")
    if panel is None:
        return record["engine"]
    return f"a {panel['panel']} of {', '.join(member['engine'] for member in panel['members'])}"


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
            self._print_part("attempt failed", f"  {attempt_text(attempt)}")
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
        yield name, field if isinstance(field, str) else as_json(field)
    if verdict.error is not None:
        yield "cause", f"{verdict.error.cause} ({verdict.error.message})"


def attempt_text(attempt: Attempt) -> str:
    """Return a failed attempt as one line."""
    return f"{attempt.turn}, after {attempt.seconds:.1f} s: {attempt.cause} ({attempt.message})"
