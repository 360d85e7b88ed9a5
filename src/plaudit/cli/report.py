"""`plaudit report`: the report card of any judge, as a page, data and Markdown."""

from typing import Annotated

import typer

from plaudit import __version__
from plaudit._util import loops
from plaudit.bench.report.card import ReportCard, judges_of, sets_of
from plaudit.bench.report.gather import gather
from plaudit.bench.report.writing import DATA, MARKDOWN, PAGE, write_card
from plaudit.cli import display
from plaudit.cli.display import count
from plaudit.cli.options import JsonOption, StoreOption
from plaudit.cli.runs import open_store


def report(
    things: Annotated[
        list[str],
        typer.Argument(
            metavar="THING...",
            help="Results: the folder of `plaudit bench -o` or `audit -o`, or its results.json. "
            "Or the name or number of a finished run of a judge whose rows have labels.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Write report.html, report.json and report.md here."
        ),
    ],
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Title; without it, the names of the judges.")
    ] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report card of judges: one page for people, and the same as data and Markdown.

    The page stands alone: it opens from its file, loads nothing, runs no script, reads well on a
    phone and prints well. Judges of the same rows stand side by side. Each figure has its n, and
    its interval or the reason why there is none. Nothing is asked of a judge.

    Exit status: 0 done; 2 wrong usage or no usable input.
    """
    card = loops.run(gather(things, lambda: open_store(store), plaudit=__version__, title=title))
    write_card(card, out)
    if as_json:
        display.json_line(_summary(card, out))
    else:
        typer.echo(_sentence(card, out))


def _sentence(card: ReportCard, out: str) -> str:
    judges = judges_of(card.results)
    sets = len(sets_of(card.benches, judges))
    parts = [count(sets, "set")] if sets else []
    parts += [count(len(card.audits), "audit")] if card.audits else []
    return f"{count(len(judges), 'judge')}, {' and '.join(parts)}: look at {out}/{PAGE}"


def _summary(card: ReportCard, out: str) -> dict[str, object]:
    judges = judges_of(card.results)
    return {
        "out": out,
        "files": [PAGE, DATA, MARKDOWN],
        "judges": [judge.label for judge in judges.values()],
        "sets": [one.title for one in sets_of(card.benches, judges)],
        "audits": len(card.audits),
    }
