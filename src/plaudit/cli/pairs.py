"""`plaudit pairs`: preference data from scored candidates."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import typer

from plaudit.cli.options import ColumnOption, StrictOption, parse_columns
from plaudit.io.progress import Progress
from plaudit.preferences.files import PairJob, PairSummary, pair_file
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.types import Contradictions, PairOptions, RewardOf


def pairs(  # one parameter an option: that is how Typer reads them
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...",
            help="Candidates, pairs, lists of responses, verdicts of `plaudit judge`, traces with "
            "rewards, or a toolkit's intermediate steps; known by their columns. `-` is standard "
            "input. Of several files each is a run of its own.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="OUT", help="JSON Lines, or - ; left out: counted."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="`exhaustive`: each two of a turn; `best-worst`; `adjacent`: each and the next "
            "best; `random-K`: K of all."
        ),
    ] = "exhaustive",
    min_margin: Annotated[
        float, typer.Option(min=0, metavar="X", help="Least difference of scores; always above 0.")
    ] = 0.0,
    max_per_turn: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most pairs a turn: the widest margins.")
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="P", help="Leave out candidates that are less sure."),
    ] = None,
    reward: Annotated[
        RewardOf, typer.Option(help="A pair's reward: its `margin`, or the `chosen` score.")
    ] = "margin",
    contradictions: Annotated[
        Contradictions,
        typer.Option(
            help="Pairs that prefer what another pair of the same prompt rejects: `drop` or "
            "`keep` them."
        ),
    ] = "drop",
    dedupe: Annotated[
        bool, typer.Option("--dedupe", help="Drop repeated responses of a turn and equal pairs.")
    ] = False,
    max_pairs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most pairs in all, drawn by the seed.")
    ] = None,
    balance: Annotated[
        Literal["length"] | None,
        typer.Option(
            help="`length`: drop pairs until the chosen response is as often the longer one as "
            "the shorter."
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write what to look at before training: a page, numbers."),
    ] = None,
    scores: Annotated[
        Literal["direct", "bradley-terry"],
        typer.Option(
            help="Of pairwise verdicts: `direct` preferences, or `bradley-terry` strengths."
        ),
    ] = "direct",
    step_name: Annotated[
        str, typer.Option(metavar="NAME", help="Of intermediate steps: which are candidates.")
    ] = "dpo_candidate_move",
    run_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column that names the run; candidates of one run compete."
        ),
    ] = None,
    column: ColumnOption = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    strict: StrictOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make pairs of a chosen and a rejected response, for DPO, reward models and their like.

    A pair has one prompt, two different responses that are not empty, a judgement behind both
    scores, and a strictly better one. All that is dropped is counted by reason. Rows that are pairs
    already stay as they are, with or without scores.

    Exit status: 0 done; 1 done, but rows were rejected; 2 wrong usage or no usable input.
    """
    job = PairJob(
        source=source,
        out=out,
        options=PairOptions(
            mode=mode,
            min_margin=min_margin,
            max_per_turn=max_per_turn,
            min_confidence=min_confidence,
            reward=reward,
            contradictions=contradictions,
            dedupe=dedupe,
            max_pairs=max_pairs,
            seed=seed,
        ),
        read=ReadOptions(
            step_name=step_name,
            scores=scores,
            run_column=run_column,
            columns=parse_columns(column),
        ),
        balance=balance,
        report=report,
        strict=strict,
    )
    summary = pair_file(job, Progress("pairs", total_bytes=job.size))
    show(summary, as_json, to_stderr=out == "-")
    raise typer.Exit(summary.exit_status)


def show(summary: PairSummary, as_json: bool, *, to_stderr: bool) -> None:
    """Print the counts of pairs and of what was dropped."""
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode(), err=to_stderr)
        return
    place = f", in {summary.out}" if summary.out not in (None, "-") else ""
    lines = [
        f"{_count(summary.pairs, 'pair')} of {_count(summary.candidates, 'candidate')} in "
        f"{_count(summary.turns, 'turn')}{place}"
    ]
    if summary.dropped:
        lines.append(f"candidates left out: {_reasons(summary.dropped)}")
    if summary.dropped_pairs:
        lines.append(f"pairs not made: {_reasons(summary.dropped_pairs)}")
    if summary.rejected:
        first = f", the first: {summary.first_reject}"
        where = f", see {summary.rejects}" if summary.rejects else first
        lines.append(f"{_count(summary.rejected, 'row')} rejected{where}")
    if summary.report is not None:
        lines.append(f"look at {summary.report}/report.html before you train")
    typer.echo("\n".join(lines), err=to_stderr)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _reasons(dropped: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in dropped.items())
