"""A curriculum of a file's rows: a file for each stage."""

import os
import re
from collections.abc import Mapping, Sequence

import msgspec

from plaudit._util import disk
from plaudit.errors import InputError, UsageError
from plaudit.io.output import RejectWriter
from plaudit.io.partial import PartialFolder
from plaudit.io.places import check_folder_output, check_not_read
from plaudit.preferences.candidate import Id
from plaudit.preferences.curriculum import Curriculum, CurriculumOptions
from plaudit.preferences.scored_rows import RewardSums, raise_reject, scored_rows

PLAN = "curriculum.json"
EXAMPLES = "examples.jsonl"
REJECTED = "curriculum.rejected.jsonl"

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
    summary. Memory grows with examples and turns, not with the text of rows. The folder
    comes into place at the end, in one step: files of more stages than there are now are gone, and
    whatever else it held stays.

    Raises:
        InputError: the source cannot be used, or (strict) a row cannot.
        UsageError: the source is standard input, which cannot be read twice, or the folder cannot
            be made.
        StoreError: the output cannot be written.
    """
    if job.source == "-":
        raise UsageError("the rows are read twice: give a file instead of standard input")
    out = check_folder_output(job.out)
    for name in os.listdir(out) if out.exists() else ():
        if _is_ours(name):
            check_not_read(out / name, [job.source])
    try:
        folder = PartialFolder(out)
        try:
            summary = _write(job, folder)
            folder.take_over(_is_ours)
            folder.commit()
        finally:
            folder.abort()
    except OSError as error:
        raise disk.output_error(out, error) from error
    return summary


def _is_ours(name: str) -> bool:
    """Whether a file of the folder is one that a curriculum replaces."""
    return name in (PLAN, EXAMPLES, REJECTED) or _STAGE.fullmatch(name) is not None


def _write(job: CurriculumJob, folder: PartialFolder) -> CurriculumSummary:
    rejects = RejectWriter(folder.path / "curriculum.jsonl")
    sums = RewardSums()
    try:
        for _, _, scored in scored_rows(job.source, raise_reject if job.strict else rejects.write):
            sums.add(scored)
        if not sums.rows:
            rows = f"{rejects.count:,} rejected, the first: {rejects.first}"
            raise InputError(f"{job.source}: no row can be used; {rows}")
        curriculum = Curriculum(sums.rewards(job.source), job.options)
        writer = _StageWriter(folder, curriculum)
        writer.write_rows(job.source)
        summary = _summary(curriculum, sums, writer, rejects)
        rejects.commit()
    finally:
        rejects.abort()
    plan = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    folder.open(PLAN).write(plan + b"\n")
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

    def __init__(self, folder: PartialFolder, curriculum: Curriculum) -> None:
        self._curriculum = curriculum
        self._stage_of = {one.example_id: one.stage for one in curriculum.examples}
        self._dropped_ids = frozenset(curriculum.dropped)
        self._examples = [0] * curriculum.stages
        self._rows = [0] * curriculum.stages
        self.dropped = 0
        """Rows of examples that were dropped."""
        for stage in self._stage_of.values():
            self._examples[stage] += 1
        names = [self._name(stage) for stage in range(curriculum.stages)]
        self._files = [None if name is None else folder.open(name) for name in names]
        self._about = folder.open(EXAMPLES)

    def write_rows(self, source: str) -> None:
        """Read the source again, and write each row to the file of its stage."""
        for where, line, scored in scored_rows(source, lambda row: None):
            stage = self._stage_of.get(scored.example_id)
            if not scored.scores:
                continue
            if stage is None:
                self._count_dropped(where, scored.example_id)
                continue
            file = self._files[stage]
            assert file is not None
            file.write(line + b"\n")
            self._rows[stage] += 1
        for one in self._curriculum.examples:
            self._about.write(msgspec.json.encode(one) + b"\n")

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
