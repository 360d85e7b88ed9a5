"""The program that calls a user's function; `FunctionProcesses` starts it.

It reads traces from standard input and writes scores to standard output, each after its length, and
`READY` before each trace that it waits for. It ends with its standard input. What the function
prints goes to standard error.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from plaudit.rollouts.rewards.functions import load_function, raised, score_of
from plaudit.rollouts.trace import Score, Trace
from plaudit.types import Json

LENGTH = 8
"""Bytes of a length."""
ORDER: Literal["big"] = "big"
READY = b"\0"
"""Written when the function is loaded, and after each score."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Which function is called."""

    function: str
    """As a specification of rewards names it."""
    folder: str
    """Where a relative path of a file begins."""
    arguments: dict[str, Json] = {}


def main(task: Task) -> None:
    """Call the function for each trace until standard input ends."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    function, _ = load_function(task.function, Path(task.folder))
    while True:
        sink.write(READY)
        sink.flush()
        trace = _read(source)
        if trace is None:
            return
        body = msgspec.msgpack.encode(_call(function, task, trace))
        sink.write(len(body).to_bytes(LENGTH, ORDER) + body)


def _read(source: BinaryIO) -> Trace | None:
    head = source.read(LENGTH)
    if len(head) < LENGTH:
        return None
    return msgspec.msgpack.decode(source.read(int.from_bytes(head, ORDER)), type=Trace)


def _call(function: Callable[..., Any], task: Task, trace: Trace) -> Score:
    try:
        return score_of(function(trace, **task.arguments))
    except (Exception, SystemExit) as error:  # The user's code may raise anything.
        return raised(error)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Task))
