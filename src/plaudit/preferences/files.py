"""Pairs of a file of candidates, written to a file."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from plaudit.errors import InputError, UsageError
from plaudit.io.output import RejectWriter
from plaudit.io.places import check_lines_output, is_direct
from plaudit.io.progress import Progress
from plaudit.io.sinks import BlockWriter
from plaudit.io.sources import count_hint, source_name
from plaudit.preferences.balance import LengthBalance
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.contiguous import TurnsApartError, contiguous_turns
from plaudit.preferences.contradictions import (
    NO_MARK,
    RepeatedError,
    Watch,
    marks_of,
    prompt_hashes,
    response_hashes,
)
from plaudit.preferences.formats.base import Format, ReadOptions
from plaudit.preferences.grouping import BUDGET, CandidateGroups
from plaudit.preferences.lengths import length_of
from plaudit.preferences.lines import pair_lines, whole_lines
from plaudit.preferences.options import PairOptions
from plaudit.preferences.pairing import CandidateGroup, pair_turn
from plaudit.preferences.preference import Preference
from plaudit.preferences.reading import CandidateReader
from plaudit.preferences.repeats import Repeats
from plaudit.preferences.report import PairReport, write_report
from plaudit.preferences.sections import SectionsError, start_sections
from plaudit.preferences.seen import BothSides
from plaudit.preferences.staging import Draw, Stage, Staged
from plaudit.preferences.tally import Tally

_PIECES = 8_000
"""Pieces of lines that are written at a time: about a megabyte."""


class PairJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which candidates become pairs, how, and where those go."""

    source: str | Sequence[str]
    """A file, or several: the candidates of each are a run of their own (`ReadOptions`)."""
    out: str | None = None
    """A JSON Lines file, `-`, or None: the pairs are counted only."""
    options: PairOptions = PairOptions()
    read: ReadOptions = ReadOptions()
    balance: Literal["length"] | None = None
    report: str | None = None
    """A folder for the report."""
    strict: bool = False
    """Whether the first row that is no candidate ends it."""
    memory: int = BUDGET
    """Bytes of rows that are kept in memory."""

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
        """The bytes of all files; None where one is none that can be read again."""
        sizes = list(map(count_hint, self.sources))
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def name(self) -> str:
        """What the files are called in messages."""
        return ", ".join(map(source_name, self.sources))


class PairSummary(Tally, kw_only=True):
    """What making pairs of a file came to."""

    format: str = ""
    """What the rows were."""
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
    """Make the pairs of a file's candidates: by turn as read, then margin, then indices.

    Memory does not grow with the file; candidates of one turn may lie anywhere in it. Where they
    lie together, they are paired as they are read; a file in which they turn out not to is read
    again, and gathered first. A file in which two turns have one prompt is read again, too: its
    pairs wait on disk until it is known which of them contradict each other. After an error the
    output is as it was.

    Raises:
        InputError: there are no candidates, or a turn has too many.
        UsageError: the output cannot be written.
        StoreError: it could not be.
    """
    job.check()
    started = time.monotonic()
    summary = None
    if job.size is not None and not (job.out and is_direct(job.out)):
        with contextlib.suppress(TurnsApartError):
            summary = _as_read(job, progress)
    if summary is None:
        staged = job.options.contradictions == "drop"
        summary = _pair_file(job, progress, partial(_gathered, job), staged=staged)
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


def _as_read(job: PairJob, progress: Progress) -> PairSummary:
    """Make the pairs of a file in which turns lie together."""
    try:
        return _by_sections(job, progress) or _pair_file(job, progress, _contiguous)
    except RepeatedError:
        pass  # Most files with repeated prompts have no repeated responses.
    try:
        return _pair_file(job, progress, _contiguous, Watch(response_hashes))
    except RepeatedError:
        return _pair_file(job, progress, _contiguous, staged=True)


def _by_sections(job: PairJob, progress: Progress) -> PairSummary | None:
    """Make them by several processes; None where that cannot be done, and nothing was."""
    options = job.options
    if job.balance or job.report is not None or options.max_pairs or options.dedupe:
        return None
    if len(job.sources) > 1 or job.read.run_column is not None:
        return None
    with ExitStack() as stack:
        output = stack.enter_context(closing(_Output(job.out)))
        made = start_sections(job.sources[0], job.read, options, output.file)
        if made is None:
            return None
        stack.enter_context(closing(made))
        stack.enter_context(progress)  # Its thread must not be there before.
        progress.follow(made)
        tally, rejects = Tally(), RejectWriter(job.out)
        try:
            for counts in made.run():
                tally.add(counts)
                progress.done = tally.candidates
        except SectionsError:
            return None
        return _finish(job, tally, made.format, output, rejects)


def _pair_file(
    job: PairJob,
    progress: Progress,
    group: "_Group",
    watch: Watch | None = None,
    *,
    staged: bool = False,
) -> PairSummary:
    """Make them in this process.

    Args:
        job: what is to be done.
        progress: counts the candidates.
        group: gives turns of candidates.
        watch: looks for turns whose pairs can contradict each other.
        staged: whether no pair is written before all are known.

    Raises:
        RepeatedError: (not staged) the watch has found some; nothing is written.
    """
    report = None if job.report is None else PairReport(job.options.seed)
    progress.done = 0
    with ExitStack() as stack:
        stack.enter_context(progress)
        rejects = RejectWriter(job.out)
        stack.callback(rejects.abort)
        reader = CandidateReader(job.sources, rejects, job.read, strict=job.strict)
        stack.enter_context(closing(reader))
        progress.follow(reader)
        tally = Tally()
        paired = _paired(group(_found(reader, progress)), reader, job.options, tally)
        if job.options.dedupe:
            repeats = stack.enter_context(closing(Repeats()))
            paired = _without_repeats(paired, repeats, tally)
        output = stack.enter_context(closing(_Output(job.out)))
        staged = staged or bool(job.balance or job.options.max_pairs)
        watch = watch or Watch(response_hashes if staged else prompt_hashes)
        stack.enter_context(closing(watch))
        if job.options.contradictions == "drop":
            paired = watch.over(paired)
        if staged:
            _choose(job, paired, watch, tally, output, report)
        else:
            _write(_until_found(paired, watch), job.options, output, report)
        summary = _finish(job, tally, reader.format, output, rejects)
        if report is not None and job.report is not None:
            write_report(report.finish(tally), job.report)
    return summary


def _finish(
    job: PairJob,
    tally: Tally,
    format_: Format | None,
    output: "_Output",
    rejects: RejectWriter,
) -> PairSummary:
    """Put the output in its place."""
    format_ = _checked(job, tally, rejects, format_)
    output.commit()
    rejects.commit()
    return PairSummary(
        **msgspec.structs.asdict(tally),
        format=format_.name,
        rejected=rejects.count,
        first_reject=rejects.first,
        out=job.out,
        rejects=str(rejects.path) if rejects.count and rejects.path else None,
        report=job.report,
    )


_Batches = Iterator[tuple[Sequence[Candidate], int]]
_Group = Callable[[_Batches], Iterator[list[Candidate]]]


def _found(reader: CandidateReader, progress: Progress) -> _Batches:
    for candidates, size in reader.batches():
        yield candidates, size
        progress.done += len(candidates)


def _contiguous(batches: _Batches) -> Iterator[list[Candidate]]:
    """Return turns as they are read; `TurnsApartError` where that cannot be done."""
    return contiguous_turns(candidates for candidates, _ in batches)


def _gathered(job: PairJob, batches: _Batches) -> Iterator[list[Candidate]]:
    """Return turns when all has been read."""
    turns = CandidateGroups(_folder_of(job), job.memory)
    for candidates, size in batches:
        turns.add(candidates, size)
    yield from turns


def _folder_of(job: PairJob) -> Path | None:
    """Return where there is room for what goes to disk: beside the output."""
    if job.out is None or job.out == "-" or not Path(job.out).parent.is_dir():
        return None
    folder = Path(job.out).resolve().parent
    return None if folder == Path("/dev") else folder


def _paired(
    turns: Iterator[list[Candidate]], reader: CandidateReader, options: PairOptions, tally: Tally
) -> Iterator[CandidateGroup]:
    for candidates in turns:
        assert reader.format is not None  # It has read them.
        turn = pair_turn(reader.format.group(candidates), options, tally)
        if turn is not None:
            yield turn


def _without_repeats(
    turns: Iterable[CandidateGroup], repeats: Repeats, tally: Tally
) -> Iterator[CandidateGroup]:
    for turn in turns:
        new = repeats.new(turn)
        dropped = len(turn.picks) - len(new.picks)
        tally.pairs -= dropped
        tally.drop_pairs("duplicate", dropped)
        yield new


def _until_found(turns: Iterable[CandidateGroup], watch: Watch) -> Iterator[CandidateGroup]:
    """Yield turns; `RepeatedError` where the watch finds something."""
    for turn in turns:
        if watch.found:
            break
        yield turn
    if watch.found:
        raise RepeatedError


def _write(
    turns: Iterable[CandidateGroup],
    options: PairOptions,
    output: "_Output",
    report: PairReport | None,
) -> None:
    """Write all pairs, and show them to the report."""
    for turn in turns:
        output.write(pair_lines(turn, options))
        if report is not None:
            report.add_turn(turn)
        elif output.broken:
            break


def _choose(
    job: PairJob,
    turns: Iterable[CandidateGroup],
    watch: Watch,
    tally: Tally,
    output: "_Output",
    report: PairReport | None,
) -> None:
    """Write those pairs that are kept when all are known, and show them to the report."""
    folder, drops = _folder_of(job), job.options.contradictions == "drop"
    with ExitStack() as stack:
        stage = stack.enter_context(closing(Stage(folder, job.options.seed)))
        for turn in turns:
            lengths = [length_of(candidate.response) for candidate in turn.candidates]
            lines = whole_lines(pair_lines(turn, job.options))
            marks = marks_of(turn) if drops else itertools.repeat(NO_MARK)
            for line, pick, mark in zip(lines, turn.picks, marks, strict=False):
                stage.add(line, lengths[pick[3]], lengths[pick[4]], mark)
        pairs: Iterable[Staged] = stage
        if watch.found:
            found = BothSides(staged.mark for staged in stage)
            stack.enter_context(closing(found))
            pairs = _Agreed(stage, found)
            tally.drop_pairs("contradiction", found.count)
            tally.pairs -= found.count
        if job.balance is not None:
            balanced = stack.enter_context(closing(Stage(folder, job.options.seed)))
            _balance(pairs, balanced, tally)
            pairs = balanced
        kept = _drawn(pairs, job.options.max_pairs, tally)
        decode = msgspec.json.Decoder(Preference).decode
        for staged in kept:
            output.write([staged.line])
            if report is not None:
                report.add(decode(staged.line))
            elif output.broken:
                break


class _Agreed:
    """The pairs of a stage that contradict no other, read as often as is needed."""

    def __init__(self, stage: Stage, found: BothSides) -> None:
        self._stage = stage
        self._found = found

    def __iter__(self) -> Iterator[Staged]:
        return (staged for staged in self._stage if staged.mark.pair not in self._found)


def _balance(stage: Iterable[Staged], balanced: Stage, tally: Tally) -> None:
    """Drop pairs until length does not tell which response was chosen."""
    balance = LengthBalance()
    for staged in stage:
        balance.count(staged.chosen_length, staged.rejected_length)
    tally.drop_pairs("length_balance", balance.dropped)
    tally.pairs -= balance.dropped
    for staged in stage:
        drawn = staged.priority.to_bytes(8, "little")  # By the seed already.
        if balance.keeps(drawn, staged.chosen_length, staged.rejected_length):
            balanced.put(staged)


def _drawn(stage: Iterable[Staged], most: int | None, tally: Tally) -> Iterator[Staged]:
    """Yield at most so many pairs, in order."""
    if most is None or tally.pairs <= most:
        yield from stage
        return
    draw = Draw(most)
    for staged in stage:
        draw.add(staged.priority)
    tally.drop_pairs("over_cap", tally.pairs - most)
    tally.pairs = most
    yield from (staged for staged in stage if draw.keeps(staged.priority))


def _checked(job: PairJob, tally: Tally, rejects: RejectWriter, format_: Format | None) -> Format:
    """Refuse an input in which nothing has a score: it was not judged, or not by this column."""
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
    def file(self) -> BinaryIO | None:
        """The hidden file that becomes the output, for who writes at places of his own."""
        return None if self._writer is None else self._writer.file

    @property
    def broken(self) -> bool:
        """Whether nobody reads it any more."""
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
