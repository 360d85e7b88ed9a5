"""What a person sees: consoles, tables, numbers. Text from samples is never read as markup."""

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plaudit.scoring.stats import Estimate


def stdout() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Return a console on standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def error(message: str) -> None:
    """Print an error; long lines wrap, nothing is cut."""
    stderr().print(f"[bold red]error[/]: {escape(message)}")


def as_json(data: Any) -> str:
    """Return data as JSON on one line."""
    return msgspec.json.encode(data, enc_hook=os.fspath).decode()


def json_line(data: Any, to_stderr: bool = False) -> None:
    """Print one line of JSON; a path is a string."""
    stream = sys.stderr if to_stderr else sys.stdout
    stream.write(as_json(data) + "\n")
    stream.flush()


def table(*columns: str, numbers: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """Return a table.

    Args:
        columns: their names.
        numbers: the columns of numbers, which stand to the right and do not wrap.
        whole: other columns that do not wrap.
    """
    made = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for column in columns:
        number = column in numbers
        made.add_column(
            column,
            justify="right" if number else "left",
            no_wrap=number or column in whole,
            overflow="fold",
        )
    return made


def count(number: int, noun: str) -> str:
    """Return `1 call` or `2 calls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def spending(calls: int, cached: int, tokens: tuple[int, int], done: tuple[int, str, float]) -> str:
    """Return what a run took: calls, what came from the store, tokens in and out, time.

    Args:
        calls: requests sent.
        cached: how much came from the store.
        tokens: in and out.
        done: how much was done, of what, in how many seconds.
    """
    number, what, seconds = done
    rate = number / seconds if seconds else 0
    return (
        f"{count(calls, 'call')}, {cached} {what} from the store, {tokens[0]} tokens in, "
        f"{tokens[1]} out, {seconds:.1f} s, {rate:.1f} {what}/s"
    )


def cost_line(dollars: float | None) -> Iterable[str]:
    """Yield what a run cost, unless it was nothing."""
    if dollars is None or dollars:
        yield f"cost {escape(unknown_cost()) if dollars is None else money(dollars)}"


def unknown_cost() -> str:
    """Return why the cost is unknown, and what to do."""
    needed = "give one with --prices FILE"
    if find_spec("genai_prices") is None:
        needed += ", or take the price list: pip install 'plaudit[prices]'"
    return f"unknown, since no price of the model is; {needed}"


def money(dollars: float) -> str:
    """Return an amount, with as many digits as say something."""
    digits = 2 if dollars >= 1 or not dollars else 4 if dollars >= 0.01 else 6
    return f"${dollars:,.{digits}f}"


def interval(estimate: Estimate, sign: str = "") -> str:
    """Return a number with its interval."""
    bounds = f"{estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"
    return f"{estimate.value:{sign}.3f} ({bounds})"
