"""What a bench judges: the rows of a set that are drawn, placed and written for a kind of judge."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from plaudit.bench.catalog import DATASETS
from plaudit.bench.datasets import LabelledRows, load_dataset, place_rows, with_ids
from plaudit.bench.prepared import Prepared, prepare
from plaudit.bench.results import SetCard
from plaudit.bench.sampling import draw_rows
from plaudit.errors import InputError, UsageError
from plaudit.judges.load import task_type
from plaudit.types import Json


class BenchJob(msgspec.Struct, frozen=True, kw_only=True):
    """What judges are measured on."""

    set: SetCard
    rows: Prepared
    kind: str
    """The judge that the labels are for: `pairwise`, `pointwise`, `verify` or `feedback`."""
    split: bool = False
    """Whether the rows are the single responses of pairs."""
    seed: int = 0
    """Of intervals by resampling."""
    notes: list[str] = []
    """What a person should know of the set, such as files without a row."""


def make_job(
    name: str,
    path: str | None,
    judge: str,
    *,
    folder: Path,
    options: Mapping[str, Any] | None = None,
    revision: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> BenchJob:
    """Draw, place and write the rows of a set.

    Args:
        name: one of `plaudit.bench.datasets.DATASETS`.
        path: file or folder of the set; None: it is fetched from the Hugging Face hub.
        judge: kind of the judge; `pointwise` also judges pairs, each response alone.
        folder: where the file of rows goes.
        options: of the set.
        revision: commit, branch or tag on the hub; None: that of the table of sets.
        limit: most rows, drawn from the subsets in proportion; None: all.
        seed: of what is drawn, and of which response of a pair comes first.

    Raises:
        UsageError: there is no such set or option, or the judge is of another kind.
        InputError: the file cannot be used, or no row of it.
        StoreError: the folder cannot be written.
    """
    form, chosen = DATASETS[name], dict(options or {})
    if "kind" in form.options and judge:
        chosen["kind"] = "pairwise" if judge == "pointwise" else judge
    found = load_dataset(name, path, labelled=True, revision=revision, **chosen)
    pairs = found.kind == "pairwise"
    if judge != found.kind and not (pairs and judge == "pointwise"):
        raise UsageError(f"{name} is for the {found.kind} judge, not for the {judge} judge")
    split = pairs and judge == "pointwise"
    rows: Iterable[Mapping[str, Json]] = with_ids(found)
    rows = rows if limit is None else draw_rows(rows, limit, seed)
    if pairs:
        rows = place_rows(rows, seed)
    written = prepare(rows, folder, name, task_type(judge).read_row, split=split)
    if not written.rows:
        raise InputError(f"{found.source}: no row can be judged{_reason(written, found)}")
    notes = [f"{file} holds no row to judge" for file in found.empty]
    card = SetCard(
        name=name,
        title=form.title,
        licence=form.licence,
        score=form.score,
        source=found.source,
        digest=written.digest,
        rows=written.rows,
        limit=limit,
        seed=seed,
        left_out=_left_out(written, found),
    )
    return BenchJob(set=card, rows=written, kind=found.kind, split=split, seed=seed, notes=notes)


def _left_out(written: Prepared, found: LabelledRows) -> dict[str, int]:
    rejected = {f"rejected, the first {written.first_reject}": written.rejected}
    return dict(found.left_out) | (rejected if written.rejected else {})


def _reason(written: Prepared, found: LabelledRows) -> str:
    reasons = [f"{number} {reason}" for reason, number in _left_out(written, found).items()]
    return f"; {', '.join(reasons)}" if reasons else ""
