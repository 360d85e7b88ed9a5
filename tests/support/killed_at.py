"""Runs `plaudit` and kills it at a function: `python killed_at.py NAME[@N] call|return ...`.

With N, at the Nth of its calls, or of its returns.
The process ends as by SIGKILL: no handler runs, and no buffer is written.
"""

import os
import signal
import sys
import threading
from types import FrameType

from plaudit.cli import main

NAME, _, NUMBER = sys.argv[1].partition("@")
EVENT = sys.argv[2]
LEFT = [int(NUMBER or 1)]


def watch(frame: FrameType, event: str, _: object) -> None:
    if event == EVENT and frame.f_code.co_qualname == NAME:
        LEFT[0] -= 1
        if not LEFT[0]:
            os.kill(os.getpid(), signal.SIGKILL)


sys.argv = ["plaudit", *sys.argv[3:]]
threading.setprofile(watch)
sys.setprofile(watch)
main()
