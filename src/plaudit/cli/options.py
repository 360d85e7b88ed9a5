"""Options that several commands share."""

from typing import Annotated, Any

import msgspec
import typer

from plaudit.errors import UsageError

_WRITERS = (
    "`local` (embedded, no key, no GPU), `gguf:PATH`, `hf:OWNER/REPO/FILE`, `vllm:MODEL@URL`, "
    "`sglang:`, `openai:`, `together:`, `mistral:`, `gemini:`, `grok:`, `fireworks:`, "
    "`anthropic:`, `scripted:PATH`"
)
_KEYS = "Keys come from the provider's environment variable."
WRITER_HELP = f"{_WRITERS}. {_KEYS}"
ENGINE_HELP = f"{_WRITERS}; a reward model: `vllm-rm:MODEL@URL`, `sglang-rm:`. {_KEYS}"
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        "-e",
        metavar="URI",
        help=ENGINE_HELP,
    ),
]
WriterOption = Annotated[str, typer.Option("--engine", "-e", metavar="URI", help=WRITER_HELP)]
"""The same where a model must write text, which reward models do not."""
StoreOption = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="The store of replies and runs, on a local disk."),
]
GenerationOption = Annotated[
    list[str] | None,
    typer.Option(metavar="K=V", help="A further generation parameter; may be repeated."),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.001, help="Seconds a request may take.")
]
ConcurrencyOption = Annotated[
    int,
    typer.Option(
        "--concurrency",
        min=1,
        help="Most requests in flight at each endpoint; fewer while it bears fewer.",
    ),
]
AttemptsOption = Annotated[
    int, typer.Option("--attempts", min=1, help="Most times a request is sent.")
]
OutageOption = Annotated[
    float,
    typer.Option(
        "--outage", min=0, help="Seconds that no endpoint may answer before the run ends."
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first malformed row.")]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep replies.")]

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Another name of a column, such as prompt=instruction; may be repeated.",
    ),
]


def parse_columns(pairs: list[str] | None) -> dict[str, str]:
    """Read `NAME=COLUMN` pairs.

    Raises:
        UsageError: one has no `=`, or nothing on a side of it.
    """
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, _, column = pair.partition("=")
        if not name or not column:
            raise UsageError(f"--column {pair!r}: write it as NAME=COLUMN")
        found[name] = column
    return found


def parse_generation(pairs: list[str]) -> dict[str, Any]:
    """Read `K=V` pairs; a value is JSON where it parses as JSON, else text.

    Raises:
        UsageError: a pair has no `=`, or a value is nested too deeply or a number out of range.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"--generation {pair!r}: write it as name=value")
        try:
            found[name] = msgspec.json.decode(value)
        except (RecursionError, msgspec.ValidationError):
            raise UsageError(
                f"--generation {name}: the value is nested too deeply, or a number out of range"
            ) from None
        except msgspec.DecodeError:
            found[name] = value
    return found
