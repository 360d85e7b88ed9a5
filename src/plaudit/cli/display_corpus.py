"""What a person sees of a corpus. What documents and models say cannot steer the terminal."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from plaudit.cli.display import count, stderr, stdout
from plaudit.corpus.build import BuildReport
from plaudit.corpus.index import Hit
from plaudit.corpus.making import QuestionReport
from plaudit.corpus.questions import Question
from plaudit.corpus.quiz import Marked, Marks

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MOST_PROBLEMS = 20
_STYLES = {"right": "green", "wrong": "red", "undecided": "yellow", "skipped": "dim"}


def build_report(report: BuildReport) -> None:
    """Print what an index was made of; what could not be read goes to standard error."""
    if report.anew is not None:
        stderr().print(f"[yellow]built anew[/]: {escape(report.anew)}")
    for problem in report.problems[:_MOST_PROBLEMS]:
        stderr().print(f"[red]not read[/]: {escape(_plain(problem))}")
    if len(report.problems) > _MOST_PROBLEMS:
        stderr().print(f"... and {len(report.problems) - _MOST_PROBLEMS} more; --json lists all")
    _print(stdout(), _build_lines(report))


def _build_lines(report: BuildReport) -> Iterable[str]:
    yield (
        f"{count(report.documents, 'document')}, {count(report.chunks, 'chunk')}, "
        f"{report.characters} characters, in {report.index}"
    )
    yield (
        f"{report.added} added, {report.changed} changed, {report.kept} kept as they were, "
        f"{report.removed} removed"
    )
    if report.skipped:
        kinds = ", ".join(f"{number} {kind}" for kind, number in report.skipped.items())
        yield f"left out, of no known type: {kinds}"
    if report.problems:
        yield f"{count(len(report.problems), 'problem')}: not all could be read"


def hit_row(hit: Hit) -> dict[str, Any]:
    """Return a hit as a row of JSON."""
    chunk = hit.chunk
    return {
        "rank": hit.rank,
        "score": hit.score,
        "chunk_id": chunk.id,
        "document": chunk.document,
        "title": chunk.title,
        "heading": chunk.heading,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
    }


def hits(found: Sequence[Hit]) -> None:
    """Print hits, the best first."""
    console = stdout()
    for hit in found:
        title = Text.assemble(
            (f"{hit.rank}. ", "bold"), (_plain(hit.chunk.place), "bold cyan"),
            (f"  chunk {hit.chunk.id}, score {hit.score:.3f}", "dim"),
        )  # fmt: skip
        console.print(title, soft_wrap=True)
        console.print(Text(_plain(hit.chunk.text)), soft_wrap=True)
        console.print()
    if not found:
        stderr().print("nothing was found: no chunk has a word of the query")


def question_report(report: QuestionReport, out: str) -> None:
    """Print what became of chunks and questions."""
    _print(stderr() if out == "-" else stdout(), _question_lines(report, out))


def _question_lines(report: QuestionReport, out: str) -> Iterable[str]:
    yield (
        f"{count(report.chunks, 'chunk')} asked about: {report.failed} failed, {report.invalid} "
        f"without a usable reply, {report.nothing} with nothing to ask"
    )
    if report.causes:
        causes = ", ".join(f"{number} {cause}" for cause, number in report.causes.items())
        yield f"why not: {causes}; the first: {report.first_error}"
    yield (
        f"{count(report.proposed, 'question')} came, {report.proposed - report.kept} dropped"
        + _why(report.dropped)
    )
    yield f"{report.kept} kept: {report.train} train, {report.test} test" + (
        f", in {out}" if report.kept and out != "-" else ""
    )
    if not report.kept:
        yield "nothing was written: a stronger model is needed (--engine), or more chunks"
    yield (
        f"{count(report.engine_calls, 'call')}, {report.cached} chunks from the store, "
        f"{report.input_tokens} tokens in, {report.output_tokens} out, {report.seconds:.1f} s"
    )


def _why(dropped: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
    return f" ({reasons})" if reasons else ""


class Quiz:
    """Shows a quiz on a terminal."""

    def __init__(self, total: int, to_stderr: bool) -> None:
        """Prepare for so many questions."""
        self._to_stderr = to_stderr
        self._console = self._open()
        self._total = total
        self._number = 0

    def ask(self, question: Question) -> str:
        """Put a question and read the answer; `EOFError` where there is none."""
        self._number += 1
        self._console.print(
            Text.assemble(
                (f"{self._number} of {self._total}. ", "bold"), _plain(question.question)
            ),
            soft_wrap=True,
        )
        self._console.print(Text("> "), end="")
        line = sys.stdin.buffer.readline()
        if not line or not sys.stdin.isatty():  # A terminal shows the line with its end.
            self._console.print()
        if not line:
            raise EOFError
        return line.decode(errors="replace")

    def outcome(self, marked: Marked) -> None:
        """Say whether the answer was right, and what would have been."""
        references = " or ".join(marked.question.references)
        said = Text.assemble((marked.outcome, _STYLES[marked.outcome]))
        said.append(_plain(f" ({marked.reason}). The answer: {references}"))
        self._console.print(said, soft_wrap=True)
        if marked.question.supporting_text:
            self._console.print(Text(f"  {_plain(marked.question.supporting_text)}", style="dim"))
        self._console.print()

    def marks(self, marks: Marks) -> None:
        """Print the score; what was skipped or could not be decided does not count.

        On a console of its own: one whose print was interrupted may hold back what follows.
        """
        decided = marks.right + marks.wrong
        share = f", {marks.right / decided:.0%} of what was decided" if decided else ""
        self._open().print(
            f"\n{marks.right} right, {marks.wrong} wrong, {marks.undecided} undecided, "
            f"{marks.skipped} skipped{share}"
        )

    def _open(self) -> Console:
        return stderr() if self._to_stderr else stdout()


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(_plain(line)), soft_wrap=True)


def _plain(text: str) -> str:
    """Return text without characters that steer a terminal or turn the direction of writing."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))
