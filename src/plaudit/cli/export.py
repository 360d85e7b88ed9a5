"""`plaudit export`: pairs as a trainer reads them."""

from typing import Annotated

import typer
from rich.markup import escape

from plaudit.cli import display
from plaudit.cli.options import Fields, JsonOption, Values, option, with_fields
from plaudit.errors import UsageError
from plaudit.io.progress import Progress
from plaudit.preferences.export import FORMATS, ExportOptions, ExportSummary, export_pairs
from plaudit.preferences.split import SplitOptions

FormatArgument = Annotated[
    str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")
]
PairsArgument = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="What `plaudit pairs -o` wrote, or rows with prompt, chosen and rejected; or - .",
    ),
]
FolderOption = Annotated[
    str, option("--out", "-o", metavar="DIR", help="The folder; one exported before is replaced.")
]
PlainOption = Annotated[bool, option("--plain", help="Texts; pairs with messages are set aside.")]
ConversationalOption = Annotated[
    bool, option("--conversational", help="Messages, also where all is text.")
]


@with_fields
def export(
    format: FormatArgument,
    source: PairsArgument,
    out: FolderOption,
    split: Annotated[Values, Fields(SplitOptions)],
    columns: Annotated[Values, Fields(ExportOptions)],
    plain: PlainOption = False,
    conversational: ConversationalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Split preference pairs by example, and write them as a trainer reads them.

    An example's side depends on its id, the seed and the fraction alone, so it stays the same when
    data is added. What a format has no place for is set aside with the reason, never cut.

    Exit status: 0 done; 1 done, but rows were rejected or set aside; 2 wrong usage or no usable
    input.
    """
    if plain and conversational:
        raise UsageError("give --plain or --conversational, not both")
    style = "plain" if plain else "conversational" if conversational else "auto"
    options = ExportOptions(split=SplitOptions(**split), style=style, **columns)
    with Progress("export") as bar:
        done = export_pairs(source, format, out, options, bar)
    if as_json:
        display.json_line(done)
    else:
        _show(done)
    raise typer.Exit(done.exit_status)


def _show(done: ExportSummary) -> None:
    console = display.stdout()
    for line in _lines(done):
        console.print(line, soft_wrap=True)


def _lines(done: ExportSummary) -> list[str]:
    validation = done.examples - done.train_examples
    lines = [
        f"{display.count(done.pairs, 'pair')} of {display.count(done.examples, 'example')}, "
        f"{done.style}",
        f"training: {display.count(done.train, 'row')} of "
        f"{display.count(done.train_examples, 'example')}; validation: "
        f"{display.count(done.validation, 'row')} of {display.count(validation, 'example')}",
    ]
    if done.groups:
        lines.append(
            f"{display.count(done.groups, 'group')} of examples with almost the same prompt, the "
            f"largest of {done.largest_group}, each on one side"
        )
    for name, (train, out) in list(done.strata.items())[:20]:
        lines.append(f"{escape(name)}: {train} for training, {out} for validation")
    if done.ties:
        lines.append(
            f"{display.count(done.ties, 'response')} without a label: won as often as lost"
        )
    lines += [f"[yellow]{escape(note)}[/]" for note in done.notes]
    for reason, count in done.set_aside.items():
        lines.append(f"[red]{display.count(count, 'pair')} set aside: {reason}[/]")
    if done.rejected:
        lines.append(f"[red]{display.count(done.rejected, 'row')} rejected[/]")
    if done.rejects:
        lines.append(f"see {escape(done.rejects)}")
    files = ", ".join(done.files)
    return [*lines, f"{done.format} in {escape(done.out)}: {escape(files)}"]
