"""The program that compares formulas; `MathsProcess` starts it.

It reads pairs from standard input and writes outcomes to standard output, each after its length.
It ends with its standard input, and is killed by the kernel when a comparison used its CPU time.
"""

import contextlib
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection

import msgspec

from plaudit.judges.answers.types.symbolic.outcome import Budget, Outcome, Pair

_MOST_BYTES = 1 << 20


def main(budget: Budget) -> None:
    """Compare pairs until standard input ends."""
    source, sink = Connection(os.dup(0), writable=False), Connection(os.dup(1), readable=False)
    _silence()
    with contextlib.suppress(ValueError, OSError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_AS, (budget.memory_bytes, budget.memory_bytes))
    from plaudit.judges.answers.types.symbolic import equality

    equality.warm_up()
    sink.send_bytes(b"ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            pair = msgspec.msgpack.decode(source.recv_bytes(_MOST_BYTES), type=Pair)
            # The kernel ends the process when its CPU time is up, whatever it is doing.
            signal.setitimer(signal.ITIMER_PROF, budget.cpu_seconds)
            outcome = _compare(equality.compare, pair)
            signal.setitimer(signal.ITIMER_PROF, 0)
            sink.send_bytes(msgspec.msgpack.encode(outcome))


def _compare(compare: Callable[[Pair], Outcome], pair: Pair) -> Outcome:
    try:
        return compare(pair)
    except MemoryError:
        return Outcome("open", "not compared within the memory that it may use", slow=True)
    except Exception as error:  # of the libraries, for any input
        return Outcome("open", f"not compared: {type(error).__name__}")


def _silence() -> None:
    """Keep what the libraries print away from the pipe."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Budget))
