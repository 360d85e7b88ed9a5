"""`plaudit pairs`: preference data from scored candidates."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from plaudit.cli import display
from plaudit.cli.display import count
from plaudit.cli.options import Fields, JsonOption, Values, with_fields
from plaudit.io.progress import Progress
from plaudit.preferences.files import PairJob, PairSummary, pair_file
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.types import PairOptions

SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IN...",
        help="Candidates, pairs, lists of responses, verdicts of `plaudit judge`, traces with "
        "rewards, or a toolkit's intermediate steps; known by their columns. `-` is standard "
        "input. Of several files each is a run of its own.",
    ),
]


@with_fields
def pairs(
    source: SourcesArgument,
    options: Annotated[Values, Fields(PairOptions)],
    read: Annotated[Values, Fields(ReadOptions)],
    job: Annotated[Values, Fields(PairJob)],
    as_json: JsonOption = False,
) -> None:
    """Make pairs of a chosen and a rejected response, for DPO, reward models and their like.

    A pair has one prompt, two different responses that are not empty, a judgement behind both
    scores, and a strictly better one. All that is dropped is counted by reason. Rows that are pairs
    already stay as they are, with or without scores.

    Exit status: 0 done; 1 done, but rows were rejected; 2 wrong usage or no usable input.
    """
    made = PairJob(source=source, options=PairOptions(**options), read=ReadOptions(**read), **job)
    summary = pair_file(made, Progress("pairs", total_bytes=made.size))
    show(summary, as_json, to_stderr=made.out == "-")
    raise typer.Exit(summary.exit_status)


def show(summary: PairSummary, as_json: bool, *, to_stderr: bool) -> None:
    """Print the counts of pairs and of what was dropped."""
    if as_json:
        display.json_line(summary, to_stderr=to_stderr)
        return
    place = f", in {summary.out}" if summary.out not in (None, "-") else ""
    pairs, candidates = count(summary.pairs, "pair"), count(summary.candidates, "candidate")
    lines = [f"{pairs} of {candidates} in {count(summary.turns, 'turn')}{place}"]
    if summary.dropped:
        lines.append(f"candidates left out: {_reasons(summary.dropped)}")
    if summary.dropped_pairs:
        lines.append(f"pairs not made: {_reasons(summary.dropped_pairs)}")
    if summary.rejected:
        first = f", the first: {summary.first_reject}"
        where = f", see {summary.rejects}" if summary.rejects else first
        lines.append(f"{count(summary.rejected, 'row')} rejected{where}")
    if summary.report is not None:
        lines.append(f"look at {summary.report}/report.html before you train")
    typer.echo("\n".join(lines), err=to_stderr)


def _reasons(dropped: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in dropped.items())
