"""A curriculum of the rows of a file: a file for each stage."""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import msgspec
from msgspec import UNSET

from plaudit._util import disk
from plaudit._util.options import Help
from plaudit.errors import InputError, UsageError
from plaudit.io.blocks import BlockReader
from plaudit.io.output import RejectWriter
from plaudit.io.partial import PartialFolder
from plaudit.io.places import check_folder_output, check_not_read
from plaudit.io.rows import Row, refused, rejected
from plaudit.judges.rows import json_type
from plaudit.preferences.curriculum import (
    Curriculum,
    CurriculumOptions,
    GradedRow,
    Rewards,
    RewardSums,
)
from plaudit.preferences.types import Id
from plaudit.types import Json

_Reject = Callable[[Row], object]

_LARGEST = 1e300
"""Of larger scores neither sums nor differences are numbers."""


def read_rewards(source: str | Path) -> dict[Id, Rewards]:
    """Return what the rewards of a file's rows tell of each example, in the order read.

    Args:
        source: preference rows (`chosen_score`, `rejected_score`), candidate rows (`score`), or
            scored traces (`rewards`; their `group` is the example).

    Raises:
        InputError: it cannot be read, or one of its rows cannot; none has a score.
    """
    sums = RewardSums()
    for _, _, scored in scored_rows(source, raise_reject):
        sums.add(scored)
    return sums.rewards(source)


def scored_rows(source: str | Path, reject: _Reject) -> Iterator[tuple[str, bytes, GradedRow]]:
    """Yield each row that can be used: where it is, its bytes, and what it is worth.

    `reject` is called with each other row; see `read_rewards` for the kinds of rows.
    """
    with BlockReader(source) as blocks:
        for block in blocks:
            if isinstance(block, Row):
                reject(block)
                continue
            for where, line in block.rows():
                try:
                    line.decode()
                    scored = _scored(_fields(line), line)
                except InputError as error:
                    reject(refused(0, where, line, str(error)))
                except (ValueError, RecursionError) as error:
                    reject(rejected(0, where, line, error))
                else:
                    yield where, line, scored


class _Fields(msgspec.Struct, gc=False):
    """The fields that say whose row it is, and what it is worth; others are not looked at."""

    example_id: Json = UNSET
    turn_id: Json = None
    run: Json = None
    score: Json = UNSET
    chosen_score: Json = UNSET
    rejected_score: Json = UNSET
    rewards: Json = UNSET
    group: Json = None
    question_id: Json = None


_decode = msgspec.json.Decoder(_Fields).decode


def _fields(line: bytes) -> _Fields:
    try:
        return _decode(line)
    except msgspec.ValidationError:
        raise InputError("not a JSON object") from None


def _scored(fields: _Fields, line: bytes) -> GradedRow:
    if fields.rewards is not UNSET and fields.score is UNSET and fields.chosen_score is UNSET:
        group = _id(fields.group or fields.question_id, "group or question_id")
        return GradedRow(group, None, _numbers(_total(fields.rewards), "rewards.total"))
    if fields.example_id is UNSET:
        raise InputError(f"it has no example_id; {_columns(line)}")
    example = _id(fields.example_id, "example_id")
    turn = None if fields.turn_id is None else _id(fields.turn_id, "turn_id")
    if fields.chosen_score is not UNSET and fields.rejected_score is not UNSET:
        chosen = _numbers(fields.chosen_score, "chosen_score")
        both = [*chosen, *_numbers(fields.rejected_score, "rejected_score")]
        run = fields.run if isinstance(fields.run, str | int) else None
        return GradedRow(example, turn, both if len(both) == 2 else (), run)
    if fields.score is UNSET:
        raise InputError(
            f"it has no score, and no chosen_score and rejected_score; {_columns(line)}"
        )
    return GradedRow(example, turn, _numbers(fields.score, "score"))


def _total(rewards: Json) -> Json:
    total = cast("dict[str, Json]", rewards).get("total") if isinstance(rewards, dict) else None
    return cast("dict[str, Json]", total).get("value") if isinstance(total, dict) else total


def _numbers(value: Json, name: str) -> Sequence[float]:
    """Return a score, or nothing where it is null or not finite."""
    if value is None:
        return ()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} must be a number or null, not {json_type(value)}")
    try:
        number = float(value)
    except OverflowError:  # A whole number of 309 digits or more.
        return ()
    if not math.isfinite(number):
        return ()
    if abs(number) > _LARGEST:
        raise InputError(f"{name} {number} is too large to be compared: at most {_LARGEST}")
    return (number,)


def _id(value: Json, name: str) -> Id:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    raise InputError(f"{name} must be a text or a whole number")


def _columns(line: bytes) -> str:
    names = list(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
    return "its columns are " + ", ".join(names[:20]) if names else "it is empty"


def raise_reject(row: Row) -> None:
    """Raise what is wrong with a row."""
    raise InputError(f"{row.where}: {row.error}")


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
    strict: Annotated[bool, Help("Stop at the first malformed row.")] = False


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
