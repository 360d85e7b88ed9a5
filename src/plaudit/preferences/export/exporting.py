"""Pairs of a file, split and written for a trainer.

The file is read twice: first to see what is in it and to split, then to write. Neither takes more
memory for longer files, but for a few bytes an example (`Splitter`) or a response (`Ledger`).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from plaudit._util import disk
from plaudit.errors import InputError, UsageError
from plaudit.io.output import RejectWriter
from plaudit.io.partial import PartialFolder
from plaudit.io.progress import Progress
from plaudit.io.rows import Row, refused
from plaudit.preferences.export.base import Dataset, Format, RowWriter
from plaudit.preferences.export.folder import check_folder, write_manifest
from plaudit.preferences.export.load import load_format
from plaudit.preferences.export.options import ExportOptions, ExportSummary, Problem, Style
from plaudit.preferences.export.rows import PairSource, column_text, tools_of
from plaudit.preferences.export.shaping import CannotCarryError, is_simple, is_text, shape
from plaudit.preferences.split import Split, Splitter

_MANY = 0.1
"""A group of near duplicates with more than this share of the examples is told of."""


def export_pairs(
    source: str,
    format: str,
    out: str,
    options: ExportOptions | None = None,
    progress: Progress | None = None,
) -> ExportSummary:
    """Split pairs and write them as a trainer reads them.

    Args:
        source: preference rows, as `plaudit pairs` writes them: JSON Lines, Parquet and so on;
            `-` for standard input.
        format: a name in `FORMATS`.
        out: the folder. It appears whole or not at all; one that was exported before is replaced.
        options: how to split, and in which shape.
        progress: counts the pairs that are written.

    Raises:
        UsageError: the format is unknown, it has no such style, or the folder cannot be written.
        InputError: there is no pair in the source.
        MissingDependencyError: a package of the extra `preferences`, or `datasets`, is missing.
        StoreError: the output cannot be written.
    """
    options = options or ExportOptions()
    made = load_format(format)
    _check_style(made, format, options)
    check_folder(out, [source])
    with ExitStack() as stack:
        pairs = PairSource(source)
        stack.callback(pairs.close)
        splitter = Splitter(options.split)
        stack.callback(splitter.close)
        seen = _look(pairs, made, splitter, options)
        if not seen.count:
            raise InputError(f"{source}: no row is a pair; the first: {seen.first_reject}")
        summary = ExportSummary(format=format, out=out, pairs=seen.count)
        made.begin(seen.dataset(made, options))
        split = splitter.split()
        _Export(pairs, made, split, summary, progress).write()
        summary.mixed = 0 < seen.texts < seen.count
        summary.notes = list(_notes(summary, split, options))
    return summary


class _Seen(msgspec.Struct):
    """What a first look tells of a source."""

    count: int = 0
    texts: int = 0
    simple: bool = True
    tools: bool = False
    first_reject: str = ""

    def reject(self, row: Row) -> None:
        self.first_reject = self.first_reject or f"{row.where}: {row.error}"

    def style(self, made: Format, options: ExportOptions) -> Style:
        if options.style != "auto":
            return options.style
        if len(made.styles) == 1:
            return made.styles[0]
        return "plain" if self.texts == self.count else "conversational"

    def dataset(self, made: Format, options: ExportOptions) -> Dataset:
        style = self.style(made, options)
        tools = self.tools and style == "conversational"
        return Dataset(style, tools, self.simple, options.split.val_fraction > 0)


def _check_style(made: Format, name: str, options: ExportOptions) -> None:
    if options.style != "auto" and options.style not in made.styles:
        raise UsageError(f"{name} has messages only: leave out --{options.style}")


def _look(pairs: PairSource, made: Format, splitter: Splitter, options: ExportOptions) -> _Seen:
    """Read the pairs once."""
    seen, strata = _Seen(), options.split.strata
    reported = False
    for _, pair, line in pairs.pairs(seen.reject):
        stratum = None if strata is None else column_text(line, pair, strata)
        reported = reported or stratum is not None
        splitter.add(pair.example_id, pair.prompt, stratum)
        made.count(pair)
        seen.count += 1
        seen.texts += is_text(pair)
        seen.simple = seen.simple and is_simple(pair)
        seen.tools = seen.tools or tools_of(pair) is not None
    if seen.count and strata is not None and not reported:
        raise InputError(f"no row has a column {strata!r}, nor has its metadata: see --strata")
    return seen


class _Export:
    """Reads the pairs again, and writes them."""

    def __init__(
        self,
        pairs: PairSource,
        made: Format,
        split: Split,
        summary: ExportSummary,
        progress: Progress | None,
    ) -> None:
        self._pairs = pairs
        self._format = made
        self._split = split
        self._summary = summary
        self._rejects = RejectWriter(_beside(summary.out))
        self._progress = progress or Progress("export", enabled=False)

    def write(self) -> None:
        """Write the folder and the rejected rows, or neither."""
        summary, split = self._summary, self._split
        summary.style = self._format.dataset.style
        summary.examples, summary.validation_examples = split.examples, split.validation_examples
        summary.train_examples = split.examples - split.validation_examples
        summary.groups, summary.largest_group = split.groups, split.largest_group
        summary.strata = split.strata
        try:
            folder = PartialFolder(summary.out)
            try:
                self._write_rows(folder)
                about = {"format": summary.format, "style": summary.style}
                summary.files = write_manifest(folder, about)
                folder.commit()
                self._rejects.commit()
            finally:
                folder.abort()
                self._rejects.abort()
        except OSError as error:
            raise disk.output_error(summary.out, error) from error
        summary.ties = self._format.ties
        summary.rejected = self._rejects.count - sum(summary.set_aside.values())
        summary.rejects = str(self._rejects.path) if self._rejects.count else None

    def _write_rows(self, folder: PartialFolder) -> None:
        made = self._format
        names = [made.train, made.validation][: 1 + made.dataset.validation]
        sides = [made.writer(folder.open(name), name) for name in names]
        written = self._write_pairs(sides)
        self._summary.train, self._summary.validation = [*written, 0][:2]
        for side in sides:
            side.close()
        for name, data in made.extra_files().items():
            folder.open(name).write(data)

    def _write_pairs(self, sides: Sequence[RowWriter]) -> list[int]:
        """Write all pairs; return how many rows each side has."""
        style, carries = self._format.dataset.style, self._format.carries
        written, count = [0] * len(sides), 0
        self._progress.total_rows = self._summary.pairs
        for where, pair, line in self._pairs.pairs(self._rejects.write):
            count += 1
            self._progress.done = count
            side = int(self._split.in_validation(pair.example_id))
            try:
                written[side] += sides[side].write(shape(pair, style, carries))
            except CannotCarryError as error:
                self._set_aside(where, line, error.problem)
        if count != self._summary.pairs:
            raise InputError(f"{self._pairs.name} changed while it was read: export it again")
        return written

    def _set_aside(self, where: str, line: bytes, problem: Problem) -> None:
        aside = self._summary.set_aside
        aside[problem] = aside.get(problem, 0) + 1
        error = f"{self._summary.format} cannot carry it: {problem}"
        self._rejects.write(refused(0, where, line, error))


def _beside(out: str) -> Path:
    """Return the name beside the folder that rejected rows take theirs from."""
    path = Path(out) if Path(out).name not in ("", "..") else Path(os.path.realpath(out))
    return path.with_name(f"{path.name}.jsonl")


def _notes(summary: ExportSummary, split: Split, options: ExportOptions) -> Iterator[str]:
    """Yield what a person should know of the result."""
    if summary.mixed and summary.style == "conversational":
        yield "some pairs were all text: they became messages, since others have messages"
    out = split.validation_examples
    if out != split.hashed and out:
        yield (
            f"the hash put {split.hashed} of {split.examples} examples into the validation set; "
            f"{out} {'is' if out == 1 else 'are'} there, since it holds at least one and of a "
            "small set at most half"
        )
    if options.split.val_fraction and not summary.validation:
        yield (
            f"the validation set is empty: {_why_empty(split)}; a reader that refuses an empty "
            "file needs --val-fraction 0"
        )
    if not summary.train:
        yield "the training set is empty"
    if summary.largest_group > max(2, _MANY * summary.examples):
        yield (
            f"{summary.largest_group} of {summary.examples} examples have almost the same prompt "
            "and are on one side; if they only share a template, add --no-near-duplicates"
        )


def _why_empty(split: Split) -> str:
    if split.validation_examples:
        return "all of its pairs were set aside"
    if split.examples == 1:
        return "there is 1 example"
    return "the prompts of nearly all examples are near duplicates, which stay on one side"
