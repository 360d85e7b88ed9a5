"""`plaudit rubric`: criteria learned from labelled pairs."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from plaudit._util import loops
from plaudit.bench.rubric import labelled_pairs, learn_rubric
from plaudit.cli import display
from plaudit.cli.judge import ReadoutOption
from plaudit.cli.options import StoreOption, WriterOption
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.partial import write_json
from plaudit.io.places import check_output
from plaudit.io.progress import DownloadProgress
from plaudit.io.sources import RowReader

app = typer.Typer(help="Learn criteria from labelled pairs.", no_args_is_help=True)


@app.callback()
def rubric() -> None:
    """Keep `learn` a command of its own, for those that come beside it."""


@app.command()
def learn(
    labels: Annotated[
        str,
        typer.Argument(
            metavar="LABELS",
            help="Rows as for `judge pairwise`, with `label`: A, B or A=B. A few dozen.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="CRITERIA", help="Write the criteria here.")
    ],
    engine: WriterOption = "local",
    readout: ReadoutOption = "auto",
    proposals: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most pairs that the model proposes from.")
    ] = 24,
    candidates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most proposals that are tried.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the intervals.")] = 0,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Propose criteria from labelled pairs, and keep those that raise agreement with the labels.

    The model proposes from a third of the pairs, criteria are chosen on another, and the last one
    says what the result is worth. OUT is what `plaudit judge pointwise --criteria` takes. The same
    command again costs no call.
    """
    if out == "-":
        raise UsageError("criteria are a file: give -o a name, or add --json to see them")
    check_output(out, [labels, engine], replaces=True)
    pairs, ties = labelled_pairs(_rows(labels))
    found = loops.run(
        learn_rubric(
            pairs,
            load_engine(engine, DownloadProgress()),
            ties=ties,
            proposals=proposals,
            candidates=candidates,
            seed=seed,
            readout=readout,
            cache=store or True,
            progress=True,
        )
    )
    write_json(out, found.criteria)
    if as_json:
        display.json_line(found)
    else:
        display.rubric(found, out)


def _rows(labels: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with RowReader(labels, strict=True) as rows:
        for row in rows:
            if row.data is not None:
                yield row.where, row.data
