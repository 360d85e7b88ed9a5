"""Pairs of a file, split and written for a trainer."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from plaudit._util import disk
from plaudit._util.choices import check_choices
from plaudit.errors import InputError, UsageError
from plaudit.io.output import RejectWriter
from plaudit.io.partial import PartialFolder
from plaudit.io.places import check_folder_output, check_not_read
from plaudit.io.progress import Progress
from plaudit.io.rows import Row, refused
from plaudit.preferences.export.base import Dataset, RowWriter, TrainerFormat
from plaudit.preferences.export.formats import load_format
from plaudit.preferences.export.rows import PairSource, column_text, tools_of
from plaudit.preferences.export.shaping import (
    CannotCarryError,
    Problem,
    Style,
    is_simple,
    is_text,
    shape,
)
from plaudit.preferences.formats.base import COLUMNS
from plaudit.preferences.split import Split, SplitOptions, Splitter
from plaudit.types import Json


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How pairs are exported."""

    split: SplitOptions = SplitOptions()
    style: Style | Literal["auto"] = "auto"
    """`auto`: plain if every prompt and response is text, else conversational throughout."""
    columns: Annotated[Mapping[str, str], COLUMNS] = {}

    def __post_init__(self) -> None:
        """Check the choice.

        Raises:
            ArgumentError: `style` is none of its choices.
        """
        check_choices(self)


class ExportSummary(msgspec.Struct, kw_only=True):
    """What an export came to."""

    format: str
    out: str
    files: list[str] = []
    """What was written, by their names in `out`."""
    style: Style = "plain"
    mixed: bool = False
    """Whether some pairs were all text and others had messages."""
    pairs: int = 0
    """Pairs that were read; rejected rows are none."""
    train: int = 0
    """Rows written for training."""
    validation: int = 0
    """Rows written for validation."""
    examples: int = 0
    train_examples: int = 0
    validation_examples: int = 0
    groups: int = 0
    """Groups of examples that are kept on one side since their prompts are near duplicates."""
    largest_group: int = 0
    strata: dict[str, tuple[int, int]] = {}
    """Examples for training and for validation, by stratum."""
    set_aside: dict[Problem, int] = {}
    """Pairs that the format cannot carry, by reason."""
    ties: int = 0
    """Responses without a label, since they were chosen as often as rejected (`trl-kto`)."""
    rejected: int = 0
    """Rows that are no pair, or whose margin is not above 0."""
    rejects: str | None = None
    """Where rejected rows and pairs that were set aside are, with the reasons."""
    notes: list[str] = []
    """What a person should know of the result."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where not every row was exported."""
        return int(bool(self.rejected or self.set_aside))


MANIFEST = ".plaudit-export.json"
"""Names what plaudit wrote into a folder. Hidden, so that no reader takes it for data."""


class _Manifest(msgspec.Struct):
    files: list[str]


def check_folder(out: str, inputs: Iterable[Json]) -> None:
    """Check, before anything is read, that a folder can be written.

    Raises:
        UsageError: it cannot, it holds what plaudit has not written, or what is read.
    """
    path = check_folder_output(out)
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path):
        raise UsageError(
            f"{out} holds files that plaudit export has not written, which it would replace: give "
            "the name of a new folder"
        )
    check_not_read(out, inputs)


def _is_ours(path: Path) -> bool:
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, ValueError):
        return False
    known = {MANIFEST, *manifest.files}
    found = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    return found <= known


def write_manifest(folder: PartialFolder, about: Mapping[str, object]) -> list[str]:
    """Name the folder's files, and what they are `about`, in its manifest; return their names."""
    names = folder.names
    data = msgspec.json.encode({"files": names, **about})
    folder.open(MANIFEST).write(msgspec.json.format(data) + b"\n")
    return names


_MANY = 0.1
"""Share of the examples; a larger group of near duplicates gets a note."""


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
        pairs = PairSource(source, options.columns)
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
    """Facts about a source, from the first reading."""

    count: int = 0
    texts: int = 0
    simple: bool = True
    tools: bool = False
    first_reject: str = ""

    def reject(self, row: Row) -> None:
        self.first_reject = self.first_reject or f"{row.where}: {row.error}"

    def style(self, made: TrainerFormat, options: ExportOptions) -> Style:
        if options.style != "auto":
            return options.style
        if len(made.styles) == 1:
            return made.styles[0]
        return "plain" if self.texts == self.count else "conversational"

    def dataset(self, made: TrainerFormat, options: ExportOptions) -> Dataset:
        style = self.style(made, options)
        tools = self.tools and style == "conversational"
        return Dataset(style, tools, self.simple, options.split.val_fraction > 0)


def _check_style(made: TrainerFormat, name: str, options: ExportOptions) -> None:
    if options.style != "auto" and options.style not in made.styles:
        raise UsageError(f"{name} has messages only: leave out --{options.style}")


def _look(
    pairs: PairSource, made: TrainerFormat, splitter: Splitter, options: ExportOptions
) -> _Seen:
    """Read the pairs once."""
    seen, strata = _Seen(), options.split.strata
    reported = False
    for _, pair, line in pairs.pairs(seen.reject):
        stratum = None if strata is None else column_text(line, pair, strata)
        reported = reported or stratum is not None
        assert pair.example_id is not None  # Of a pair that was read.
        splitter.add(pair.example_id, pair.prompt, stratum)
        made.count(pair)
        seen.count += 1
        seen.texts += is_text(pair)
        seen.simple = seen.simple and is_simple(pair)
        seen.tools = seen.tools or tools_of(pair) is not None
    if seen.count and strata is not None and not reported:
        raise InputError(
            f"no row has a column {strata!r}, nor has its metadata: give strata another one"
        )
    return seen


class _Export:
    """Reads the pairs again, and writes them."""

    def __init__(
        self,
        pairs: PairSource,
        made: TrainerFormat,
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
            assert pair.example_id is not None
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
