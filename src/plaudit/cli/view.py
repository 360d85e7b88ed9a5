"""`plaudit view`: look at runs, verdicts, traces and pairs in a browser."""

import secrets
import webbrowser
from contextlib import suppress
from typing import Annotated
from urllib.parse import quote

import typer

from plaudit._util import loops
from plaudit._util.packages import load_package
from plaudit.cli import display
from plaudit.cli.options import Fields, StoreOption, Values, with_fields
from plaudit.cli.runs import open_store
from plaudit.server.running import Address
from plaudit.server.security import is_loopback
from plaudit.viewer.app import make_app
from plaudit.viewer.labelling import LabelOptions
from plaudit.viewer.library import Library
from plaudit.viewer.serving import serve


@with_fields
def view(
    things: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|FILE|FOLDER]...",
            help="Names or numbers of runs, or `last`; files of verdicts, traces, pairs or other "
            "rows; folders of such files. Without any, the runs of the store are listed.",
        ),
    ] = None,
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen here; others than this machine may ask.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0: a free one.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the URL, and open no browser.")
    ] = False,
    given: Annotated[Values, Fields(LabelOptions)],
    store: StoreOption = None,
) -> None:
    """Look at runs, verdicts, traces and pairs in a browser, on your own machine.

    Nothing that is looked at is changed; labels go to a file of their own. The URL holds a token,
    and nothing is loaded from a network. Ctrl-C ends it.

    Exit status: 0 ended by the user; 2 wrong usage, or a file cannot be read.
    """
    load_package("numpy", "view")
    load_package("markdown_it", "view")
    library = Library(lambda: open_store(store))
    for thing in things or []:
        library.add(thing)
    token = secrets.token_urlsafe(24)
    only = list(library.documents)
    path = f"/d/{quote(only[0])}" if len(only) == 1 else "/"

    names = () if is_loopback(host) else None

    def started(address: Address) -> None:
        page = f"{address.url}{path}?token={token}"
        typer.echo(f"plaudit view at {page}")
        display.stderr().print("Ctrl-C ends it", soft_wrap=True)
        if not no_browser:
            with suppress(webbrowser.Error):
                webbrowser.open(page)

    app = make_app(library, token, names, LabelOptions(**given))
    try:
        loops.run(serve(app, Address(host, port), started))
    finally:
        library.close()
