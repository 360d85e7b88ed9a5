"""`plaudit curriculum`: rows from easy to difficult, in a file for each stage."""

from typing import Annotated

import typer

from plaudit.cli import curriculum_display, display
from plaudit.cli.options import StrictOption
from plaudit.errors import InterruptedRunError
from plaudit.preferences.curriculum import CurriculumOptions, Measure
from plaudit.preferences.curriculum_files import CurriculumJob, write_curriculum

_DEFAULTS = CurriculumOptions()


def curriculum(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="What `plaudit pairs` wrote, rows with `example_id` and `score`, or scored "
            "traces. A file: it is read twice.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="The folder of the stages.")
    ],
    start: Annotated[
        float, typer.Option(metavar="SHARE", help="Examples to begin with, the easiest.")
    ] = _DEFAULTS.start,
    widen: Annotated[
        float, typer.Option(metavar="SHARE", help="Examples that each later stage adds.")
    ] = _DEFAULTS.widen,
    interval: Annotated[
        int, typer.Option(metavar="N", help="Epochs that a stage lasts.")
    ] = _DEFAULTS.interval,
    min_spread: Annotated[
        float,
        typer.Option(metavar="X", help="Drop examples whose rewards are closer together."),
    ] = _DEFAULTS.min_spread,
    by: Annotated[
        Measure,
        typer.Option(help="What is easy: a high mean of the rewards, a wide spread, or both."),
    ] = _DEFAULTS.by,
    seed: Annotated[
        int, typer.Option(help="Orders examples of equal difficulty.")
    ] = _DEFAULTS.seed,
    strict: StrictOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Begin with the easiest examples, and add more of them every few epochs.

    `stage-00.jsonl` has the rows to begin with, `stage-01.jsonl` those that the next stage adds,
    and so on: a stage is trained on its file and all before it. `curriculum.json` says from which
    epoch on, and `examples.jsonl` lists the examples from easy to difficult.

    Exit status: 0 done; 1 done, but rows were rejected; 2 wrong usage, or no usable input; 130
    interrupted.
    """
    options = CurriculumOptions(
        start=start, widen=widen, interval=interval, min_spread=min_spread, by=by, seed=seed
    )
    try:
        done = write_curriculum(
            CurriculumJob(source=source, out=out, options=options, strict=strict)
        )
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted: give the same command again") from None
    if as_json:
        display.json_line(done)
    else:
        curriculum_display.summary(done, out)
    raise typer.Exit(done.exit_status)
