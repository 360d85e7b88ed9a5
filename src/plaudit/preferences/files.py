"""Pairs of files of candidates, written to a file."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Annotated, Literal

import msgspec

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit.errors import InputError, UsageError
from plaudit.io.output import RejectWriter
from plaudit.io.places import check_lines_output, is_direct
from plaudit.io.progress import Progress
from plaudit.io.sinks import BlockWriter
from plaudit.io.sources import count_hint, source_name
from plaudit.preferences.formats.base import CandidateFormat, ReadOptions
from plaudit.preferences.gather import (
    BUDGET,
    CandidateGroups,
    ReadAgainError,
    StagedPairs,
    contiguous_turns,
    without_repeats,
    without_shared_pairs,
)
from plaudit.preferences.reading import MOST_UNREAD, CandidateReader
from plaudit.preferences.report import PairReport, write_report
from plaudit.preferences.rows import pair_lines, whole_lines
from plaudit.preferences.types import Candidate, CandidateGroup, PairOptions, Preference, Tally

_PIECES = 8_000
"""Pieces of lines that are written at a time: about a megabyte."""


class PairJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which candidates become pairs, how, and where the pairs go."""

    source: str | Sequence[str]
    """A file, or several: each file is a run of its own (see `ReadOptions.run_column`)."""
    out: Annotated[
        str | None,
        Help("JSON Lines, or - ; left out: counted.", "Output", "OUT", flags=("--out", "-o")),
    ] = None
    options: PairOptions = PairOptions()
    read: ReadOptions = ReadOptions()
    balance: Annotated[
        Literal["length"] | None,
        Help(
            "`length`: drop pairs until the chosen response is as often the longer one as the "
            "shorter.",
            "Pairs",
        ),
    ] = None
    report: Annotated[
        str | None,
        Help("Write what to look at before training: a page, numbers.", "Output", "DIR"),
    ] = None
    strict: Annotated[bool, Help("Stop at the first malformed row.", "Input")] = False
    memory: int = BUDGET
    """Bytes of rows that are kept in memory."""
    most_unread: int = MOST_UNREAD
    """A source that begins with so many rows that cannot be read is refused."""

    def __post_init__(self) -> None:
        """Check the choice.

        Raises:
            ArgumentError: `balance` is none of its choices.
        """
        check_choices(self)

    def check(self) -> None:
        """Check, before anything is read, that the output can be written.

        Raises:
            UsageError: it cannot, or a file is given twice.
        """
        sources = self.sources
        if len({os.path.realpath(source) for source in sources}) < len(sources):
            raise UsageError("a file is given twice: give each run once")
        if not sources:
            raise UsageError("no file is given")
        if self.out is not None:
            check_lines_output(self.out, "pairs", [self.source])

    @property
    def sources(self) -> Sequence[str]:
        """The files."""
        return (self.source,) if isinstance(self.source, str) else tuple(self.source)

    @property
    def size(self) -> int | None:
        """The bytes of all files; None where the size of one is unknown."""
        sizes = list(map(count_hint, self.sources))
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def repeatable(self) -> bool:
        """Whether the files can be read, and the output be written, a second time."""
        sources = all(source != "-" and not is_direct(source) for source in self.sources)
        return sources and not (self.out and is_direct(self.out))

    @property
    def name(self) -> str:
        """What the files are called in messages."""
        return ", ".join(map(source_name, self.sources))


class PairSummary(Tally, kw_only=True):
    """Counts of making pairs, and where the outputs are."""

    format: str = ""
    """The kind of the rows."""
    rejected: int = 0
    """Rows that are no candidates."""
    first_reject: str = ""
    """The first of them, as `where: error`."""
    seconds: float = 0.0
    out: str | None = None
    rejects: str | None = None
    report: str | None = None

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected."""
        return 1 if self.rejected else 0


def pair_file(job: PairJob, progress: Progress) -> PairSummary:
    """Make the pairs of the candidates of files: by turn as read, then margin, then indices.

    Memory does not grow with the files; candidates of one turn may lie anywhere in them. Turns that
    lie together are paired as they are read. Where a turn lies apart, or two turns have a prompt
    and two responses in common, the files are read again: all candidates are gathered, and all
    pairs wait in temporary files until it is known which of them contradict each other. After an
    error the output is as it was.

    Raises:
        InputError: there are no candidates, or a turn has too many.
        UsageError: the output cannot be written.
        StoreError: writing failed.
    """
    job.check()
    started = time.monotonic()
    try:
        summary = _PairRun(job, progress, at_once=job.repeatable).run()
    except ReadAgainError:
        summary = _PairRun(job, progress, at_once=False).run()
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


class _PairRun:
    """One reading of the files.

    `at_once`: turns are paired as they are read; raises `ReadAgainError` where that fails.
    """

    def __init__(self, job: PairJob, progress: Progress, *, at_once: bool) -> None:
        self._job = job
        self._progress = progress
        self._at_once = at_once
        self._tally = Tally()
        self._report = None if job.report is None else PairReport(job.options.seed)

    def run(self) -> PairSummary:
        """Make the pairs, and put the output in its place."""
        job, progress = self._job, self._progress
        progress.done = 0
        with ExitStack() as stack:
            stack.enter_context(progress)
            rejects = RejectWriter(job.out)
            stack.callback(rejects.abort)
            reader = CandidateReader(
                job.sources, rejects, job.read, strict=job.strict, most_unread=job.most_unread
            )
            stack.enter_context(closing(reader))
            progress.follow(reader)
            output = stack.enter_context(closing(_Output(job.out)))
            self._write(self._turns(reader), output)
            summary = self._summary(_checked(job, self._tally, rejects, reader.format), rejects)
            output.commit()
            rejects.commit()
            if self._report is not None and job.report is not None:
                write_report(self._report.finish(self._tally), job.report)
        return summary

    def _turns(self, reader: CandidateReader) -> Iterator[CandidateGroup]:
        """Yield turns with their pairs."""
        batches = self._counted(reader)
        if self._at_once:
            turns = contiguous_turns(candidates for candidates, _ in batches)
        else:
            turns = _gathered(batches, self._job.memory)
        for candidates in turns:
            assert reader.format is not None  # It has read them.
            turn = reader.format.pair(candidates, self._job.options, self._tally)
            if turn is not None:
                yield turn

    def _counted(self, reader: CandidateReader) -> Iterator[tuple[Sequence[Candidate], int]]:
        for candidates, size in reader.batches():
            yield candidates, size
            self._progress.done += len(candidates)

    def _write(self, turns: Iterator[CandidateGroup], output: "_Output") -> None:
        """Write the pairs that are kept, and add them to the report."""
        job = self._job
        drops = job.options.contradictions == "drop"
        if job.options.dedupe:
            turns = self._without_repeats(turns)
        if job.balance or job.options.max_pairs or (drops and not self._at_once):
            self._write_staged(turns, output)
            return
        for turn in without_shared_pairs(turns) if drops else turns:
            output.write(pair_lines(turn, job.options))
            if self._report is not None:
                self._report.add_turn(turn)
            elif output.broken:
                break

    def _write_staged(self, turns: Iterable[CandidateGroup], output: "_Output") -> None:
        """Write pairs when all are known."""
        job, options, tally = self._job, self._job.options, self._tally
        with closing(StagedPairs(options.seed, options.contradictions)) as staged:
            for turn in turns:
                staged.add(turn, whole_lines(pair_lines(turn, options)))
            if options.contradictions == "drop":
                tally.withdraw("contradiction", staged.drop_contradictions())
            if job.balance is not None:
                tally.withdraw("length_balance", staged.balance_lengths())
            if options.max_pairs is not None:
                tally.withdraw("over_cap", staged.draw(options.max_pairs))
            decode = msgspec.json.Decoder(Preference).decode
            with closing(staged.lines()) as lines:
                for line in lines:
                    output.write([line])
                    if self._report is not None:
                        self._report.add(decode(line))
                    elif output.broken:
                        break

    def _without_repeats(self, turns: Iterable[CandidateGroup]) -> Iterator[CandidateGroup]:
        for turn, dropped in without_repeats(turns):
            self._tally.withdraw("duplicate", dropped)
            yield turn

    def _summary(self, format_: CandidateFormat, rejects: RejectWriter) -> PairSummary:
        return PairSummary(
            **msgspec.structs.asdict(self._tally),
            format=format_.name,
            rejected=rejects.count,
            first_reject=rejects.first,
            out=self._job.out,
            rejects=str(rejects.path) if rejects.count and rejects.path else None,
            report=self._job.report,
        )


def _gathered(
    batches: Iterable[tuple[Sequence[Candidate], int]], memory: int
) -> Iterator[list[Candidate]]:
    """Yield turns when all has been read."""
    turns = CandidateGroups(memory)
    for candidates, size in batches:
        turns.add(candidates, size)
    yield from turns


def _checked(
    job: PairJob, tally: Tally, rejects: RejectWriter, format_: CandidateFormat | None
) -> CandidateFormat:
    """Refuse an input in which nothing has a score: nobody judged it, or the column is another."""
    first = f"; {rejects.count} rejected, the first: {rejects.first}" if rejects.count else ""
    if format_ is None:
        raise InputError(f"{job.name}: no row can be read{first}")
    if not tally.candidates:
        raise InputError(f"{job.name}: {format_.nothing_found()}{first}")
    if tally.dropped.get("no_score") == tally.candidates:
        raise InputError(
            f"{job.name}: no candidate has a score: each of {tally.candidates:,} is null, not "
            "finite, or a judgement that is not ok"
        )
    return format_


class _Output:
    """Where pairs go."""

    def __init__(self, out: str | None) -> None:
        self._writer = None if out is None else BlockWriter(out)
        self._pieces: list[bytes] = []

    def close(self) -> None:
        """Leave the output as it was, unless it was committed."""
        if self._writer is not None:
            self._writer.abort()

    @property
    def broken(self) -> bool:
        """Whether the reader of the output has gone."""
        return self._writer is not None and self._writer.broken

    def write(self, pieces: list[bytes]) -> None:
        """Write the pieces of whole lines."""
        if self._writer is None:
            return
        self._pieces += pieces
        if len(self._pieces) > _PIECES:
            self._flush(self._writer)

    def commit(self) -> None:
        """Put the output in its place."""
        if self._writer is not None:
            self._flush(self._writer)
            self._writer.commit()

    def _flush(self, writer: BlockWriter) -> None:
        writer.write(b"".join(self._pieces))
        self._pieces.clear()
