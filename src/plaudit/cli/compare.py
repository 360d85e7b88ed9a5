"""`plaudit compare`: two runs of rollouts, question by question."""

from typing import Annotated

import typer

from plaudit.cli import display, display_rollouts
from plaudit.rollouts.evaluation import compare as compare_runs

TracesArgument = Annotated[
    str, typer.Argument(metavar="TRACES", help="What `plaudit rollout -o` or `score -o` wrote.")
]


def compare(
    first: TracesArgument,
    second: TracesArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two runs over the same questions, paired question by question.

    What counts is the second run less the first. An interval that does not hold 0 shows a
    difference that is more than chance, at 95 %.
    """
    found = compare_runs(first, second)
    if as_json:
        display.json_line(found)
    else:
        display_rollouts.comparison(found)
