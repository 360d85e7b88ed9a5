"""A curriculum of a file's rows: a file for each stage."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from plaudit.errors import InputError, UsageError
from plaudit.preferences.candidate import Id
from plaudit.preferences.curriculum import Curriculum, CurriculumOptions, Ranked
from plaudit.preferences.scored_rows import RewardSums, raise_reject, scored_rows
from plaudit.runs import disk
from plaudit.runs.partial import PartialFile, write_json
from plaudit.runs.sinks import RejectWriter, make_folder

PLAN = "curriculum.json"
EXAMPLES = "examples.jsonl"

_STAGE = re.compile(r"stage-[0-9]{2,}\.jsonl")


class CurriculumJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    source: str
    """A file of preference rows, candidate rows or scored traces; it is read twice."""
    out: str
    """A folder."""
    options: CurriculumOptions = CurriculumOptions()
    strict: bool = False
    """Stop at the first row that cannot be used."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage adds to those before it."""

    stage: int
    from_epoch: int
    """From 0."""
    file: str | None
    """Its rows, in the order of the input; None where it adds none."""
    examples: int
    rows: int
    open_examples: int
    """Examples of this stage and of those before it."""
    open_rows: int


class CurriculumSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was made; written as `curriculum.json`."""

    options: CurriculumOptions
    rows: int
    """That could be read, `dropped_rows` among them."""
    examples: int
    """In `rows`, with a score."""
    dropped_examples: dict[str, int]
    """By reason: `little_spread`."""
    dropped_rows: dict[str, int]
    """By reason: `no_score` (null), `little_spread` (its example was dropped)."""
    rejected: int
    first_reject: str = ""
    """The first of them, as `where: error`."""
    stages: Sequence[Stage]

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected."""
        return int(self.rejected > 0)


def write_curriculum(job: CurriculumJob) -> CurriculumSummary:
    """Write a folder with a file for each stage, and the plan.

    `stage-00.jsonl` has the rows that are open from the beginning, `stage-01.jsonl` those that the
    next stage adds, and so on: all files in order are the whole, from easy to difficult. Rows are
    the bytes that they were. `examples.jsonl` has the examples in order, `curriculum.json` the
    summary. Memory grows with examples and turns, not with the text of rows. All files come into
    place at the end; those of more stages than there are now are removed.

    Raises:
        InputError: the source cannot be used, or (strict) a row cannot.
        UsageError: the source is standard input, which cannot be read twice, or the folder cannot
            be made.
        StoreError: the output cannot be written.
    """
    if job.source == "-":
        raise UsageError("the rows are read twice: give a file instead of standard input")
    folder = make_folder(job.out)
    rejects = RejectWriter(folder / "curriculum.jsonl")
    sums = RewardSums()
    with contextlib.ExitStack() as undo:
        undo.callback(rejects.abort)
        for _, _, scored in scored_rows(job.source, raise_reject if job.strict else rejects.write):
            sums.add(scored)
        if not sums.rows:
            rows = f"{rejects.count:,} rejected, the first: {rejects.first}"
            raise InputError(f"{job.source}: no row can be used; {rows}")
        curriculum = Curriculum(sums.rewards(job.source), job.options)
        writer = undo.enter_context(_StageWriter(folder, curriculum))
        writer.write_rows(job.source)
        summary = _summary(curriculum, sums, writer, rejects)
        writer.commit()
        rejects.commit()
    write_json(folder / PLAN, summary)
    return summary


def _summary(
    curriculum: Curriculum, sums: RewardSums, writer: "_StageWriter", rejects: RejectWriter
) -> CurriculumSummary:
    reasons = {"no_score": sums.without_score, "little_spread": writer.dropped}
    return CurriculumSummary(
        options=curriculum.options,
        rows=sums.rows,
        examples=len(curriculum.examples) + len(curriculum.dropped),
        dropped_examples=_counted({"little_spread": len(curriculum.dropped)}),
        dropped_rows=_counted(reasons),
        rejected=rejects.count,
        first_reject=rejects.first,
        stages=writer.stages(),
    )


def _counted(reasons: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}


class _StageWriter:
    """The files of a folder that stages have."""

    def __init__(self, folder: Path, curriculum: Curriculum) -> None:
        self._folder = folder
        self._curriculum = curriculum
        self._stage_of = {one.example_id: one.stage for one in curriculum.examples}
        self._dropped_ids = frozenset(curriculum.dropped)
        self._examples = [0] * curriculum.stages
        self._rows = [0] * curriculum.stages
        self.dropped = 0
        """Rows of examples that were dropped."""
        for stage in self._stage_of.values():
            self._examples[stage] += 1
        self._files: dict[str, PartialFile] = {}

    def __enter__(self) -> "_StageWriter":
        try:
            for stage in range(self._curriculum.stages):
                if (name := self._name(stage)) is not None:
                    self._files[name] = PartialFile(self._folder / name)
            self._files[EXAMPLES] = PartialFile(self._folder / EXAMPLES)
        except OSError as error:
            self.__exit__()
            raise disk.output_error(self._folder, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.abort()

    def write_rows(self, source: str) -> None:
        """Read the source again, and write each row to the file of its stage."""
        names = [self._name(stage) for stage in range(self._curriculum.stages)]
        files = [None if name is None else self._files[name].file for name in names]
        try:
            for where, line, scored in scored_rows(source, lambda row: None):
                stage = self._stage_of.get(scored.example_id)
                if not scored.scores:
                    continue
                if stage is None:
                    self._count_dropped(where, scored.example_id)
                    continue
                file = files[stage]
                assert file is not None
                file.write(line + b"\n")
                self._rows[stage] += 1
            self._write_examples(self._curriculum.examples)
        except OSError as error:
            raise disk.output_error(self._folder, error) from error

    def commit(self) -> None:
        """Put the files in their place, and remove those that stages no longer have."""
        try:
            for file in self._files.values():
                file.commit()
            for path in self._folder.iterdir():
                if _STAGE.fullmatch(path.name) and path.name not in self._files:
                    path.unlink()
        except OSError as error:
            raise disk.output_error(self._folder, error) from error

    def stages(self) -> list[Stage]:
        """Return what each stage adds."""
        return [
            Stage(
                stage=stage,
                from_epoch=stage * self._curriculum.options.interval,
                file=self._name(stage),
                examples=self._examples[stage],
                rows=self._rows[stage],
                open_examples=sum(self._examples[: stage + 1]),
                open_rows=sum(self._rows[: stage + 1]),
            )
            for stage in range(self._curriculum.stages)
        ]

    def _name(self, stage: int) -> str | None:
        return f"stage-{stage:02}.jsonl" if self._examples[stage] else None

    def _count_dropped(self, where: str, example_id: Id) -> None:
        if example_id not in self._dropped_ids:
            raise InputError(f"{where}: example {example_id!r} is new: did the input change?")
        self.dropped += 1

    def _write_examples(self, examples: Sequence[Ranked]) -> None:
        file = self._files[EXAMPLES].file
        for one in examples:
            file.write(msgspec.json.encode(one) + b"\n")
