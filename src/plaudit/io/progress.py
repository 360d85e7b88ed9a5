"""What is shown of a run while it goes on: a line on a terminal, now and then a line elsewhere.

The runner only counts; a thread of its own looks at the counts and draws. So a sample costs a few
additions, and a stuck run still shows that it is stuck.
"""

import contextlib
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Protocol, TextIO

from plaudit.types import Usage, Verdict

_DRAW_EVERY_S = 0.25
_SAY_EVERY_S = 10.0
_RATE_OVER_S = 30.0


class Input(Protocol):
    """What is being read."""

    @property
    def bytes_read(self) -> int:
        """How much of it has been read."""
        ...

    @property
    def taken(self) -> int:
        """How many samples were taken from that; 0 where it is not known."""
        ...


class Work(Protocol):
    """What asks for verdicts."""

    @property
    def stage(self) -> str:
        """What is done before verdicts can come; empty: they may come."""
        ...

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        ...


class Progress:
    """Counts what is done, and shows it on standard error while its `with` block runs."""

    def __init__(
        self,
        label: str,
        total_bytes: int | None = None,
        total_rows: int | None = None,
        enabled: bool = True,
        stream: TextIO | None = None,
        say_every_s: float = _SAY_EVERY_S,
    ) -> None:
        """Prepare a display; nothing is shown before `with`.

        Args:
            label: what goes on, such as the run's name.
            total_bytes: size of the input that it follows; None: unknown.
            total_rows: number of samples, where it is known; preferred for the time left.
            enabled: whether anything is shown.
            stream: where to, by default standard error.
            say_every_s: seconds between two lines where there is no terminal.
        """
        self.label = label
        self.total_bytes = total_bytes
        self.total_rows = total_rows
        self.enabled = enabled
        self.done = 0
        self.counts: Counter[str] = Counter()
        self.input_tokens = 0
        self.output_tokens = 0
        self._input: Input | None = None
        self._work: Work | None = None
        self._stream = stream
        self._say_every_s = say_every_s
        self._started = time.monotonic()
        self._seen: deque[tuple[float, int, float]] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def advance(self, status: str, usage: Usage) -> None:
        """Count one sample that is finished."""
        self.done += 1
        self.counts[status] += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens

    def advance_all(self, verdicts: Sequence[Verdict]) -> None:
        """Count finished samples."""
        self.done += len(verdicts)
        for verdict in verdicts:
            self.counts[verdict.status] += 1
            self.input_tokens += verdict.usage.input_tokens
            self.output_tokens += verdict.usage.output_tokens

    def count(self, statuses: Mapping[str, int], usage: Usage) -> None:
        """Count finished samples by status, with the tokens of all of them."""
        self.done += sum(statuses.values())
        self.counts.update(statuses)
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens

    def follow(self, source: Input) -> None:
        """Look at an input for how much of it has been read."""
        self._input = source

    def watch(self, work: Work) -> None:
        """Follow the stage and the requests of a session."""
        self._work = work

    def __enter__(self) -> "Progress":
        self._stop.clear()
        self._started = time.monotonic()
        self._seen.append((self._started, self.done, 0.0))
        if self.enabled:
            stream = self._stream or sys.stderr
            self._thread = threading.Thread(
                target=self._show, args=(stream,), name="plaudit-progress", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def line(self) -> str:
        """Return the state in one line."""
        stage = self._work.stage if self._work else ""
        self._look(anew=bool(stage))
        if stage:
            parts = [f"{self.label}: {stage}"]
        else:
            parts = [f"{self.label}: {self._amount()}", f"{self._rate():.1f}/s"]
        if self._work and self._work.sent:
            parts.append(f"{self._work.sent:,} calls")
        left = self._seconds_left()
        if left is not None:
            parts.append(f"{_clock(left)} left")
        parts += [
            f"{count:,} {status}"
            for status in ("abstained", "invalid", "failed")
            if (count := self.counts.get(status))
        ]
        if self.input_tokens or self.output_tokens:
            parts.append(f"tokens {_short(self.input_tokens)} in, {_short(self.output_tokens)} out")
        parts.append(_clock(time.monotonic() - self._started))
        return " · ".join(parts)

    def _amount(self) -> str:
        if self.total_rows:
            return f"{self.done:,} of {self.total_rows:,}"
        if self.total_bytes:
            return f"{self.done:,} ({self._part():.0%})"
        return f"{self.done:,}"

    def _part(self) -> float:
        """Return which part of the whole is done, 0 if unknown."""
        if self.total_rows:
            return min(1.0, self.done / self.total_rows)
        if not self.total_bytes or self._input is None:
            return 0.0
        taken = self._input.taken
        finished = self.done / taken if taken else 1.0  # of what was read, some waits
        return min(1.0, finished * self._input.bytes_read / self.total_bytes)

    def _look(self, anew: bool) -> None:
        """Note the state, and forget what is older than the time that rates are taken over.

        `anew`: all of what was before, since it is no measure of what comes.
        """
        now = time.monotonic()
        if anew:
            self._seen.clear()
        self._seen.append((now, self.done, self._part()))
        while len(self._seen) > 2 and self._seen[1][0] < now - _RATE_OVER_S:
            self._seen.popleft()

    def _rate(self) -> float:
        (then, before, _), (now, done, _) = self._seen[0], self._seen[-1]
        return (done - before) / max(now - then, 1e-3)

    def _seconds_left(self) -> float | None:
        (then, _, before), (now, _, part) = self._seen[0], self._seen[-1]
        if part <= before:
            return None
        return (1 - part) * (now - then) / (part - before)

    def _show(self, stream: TextIO) -> None:
        with contextlib.suppress(OSError, ValueError):  # Nobody watches: the run goes on.
            if stream.isatty():
                self._draw(stream)
            else:
                self._say(stream)

    def _say(self, stream: TextIO) -> None:
        while not self._stop.wait(self._say_every_s):
            print(self.line(), file=stream, flush=True)

    def _draw(self, stream: TextIO) -> None:
        from rich.console import Console  # slow, and for terminals only
        from rich.live import Live
        from rich.text import Text

        console = Console(file=stream)
        # Standard output may be the verdicts' place, so it is left alone.
        with Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False
        ) as live:
            while not self._stop.wait(_DRAW_EVERY_S):
                live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)
        console.print(Text(self.line()), soft_wrap=True)


class DownloadProgress:
    """Shows a download on standard error; called with what has come so far."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._next = 0.0
        self._started: float | None = None

    def __call__(self, done_bytes: int, total_bytes: int | None, label: str) -> None:
        """Show that `done_bytes` of `total_bytes` (None or 0: unknown) of `label` have come."""
        stream = self._stream or sys.stderr
        now = time.monotonic()
        if self._started is None:
            self._started = now
        complete = bool(total_bytes) and done_bytes >= (total_bytes or 0)
        if now < self._next and not complete:
            return
        on_terminal = stream.isatty()
        self._next = now + (_DRAW_EVERY_S if on_terminal else _SAY_EVERY_S)
        text = f"{label}: {_megabytes(done_bytes)}"
        if total_bytes:
            text += f" of {_megabytes(total_bytes)} MB ({done_bytes / total_bytes:.0%})"
        else:
            text += " MB"
        text += f", {_megabytes(done_bytes / max(now - self._started, 0.1))} MB/s"
        before, after = ("\r\x1b[2K", "\n" if complete else "") if on_terminal else ("", "\n")
        print(f"{before}{text}", end=after, file=stream, flush=True)
        if complete:
            self._started, self._next = None, 0.0


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f}"


def _short(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
