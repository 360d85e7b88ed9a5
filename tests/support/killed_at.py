"""Runs `plaudit` and kills it at a call of a function: `python killed_at.py NAME call|return ...`.

The process ends as by SIGKILL: no handler runs, and no buffer is written.
"""

import os
import signal
import sys
import threading
from types import FrameType

from plaudit.cli import main

NAME, EVENT = sys.argv[1:3]


def watch(frame: FrameType, event: str, _: object) -> None:
    if event == EVENT and frame.f_code.co_qualname == NAME:
        os.kill(os.getpid(), signal.SIGKILL)


sys.argv = ["plaudit", *sys.argv[3:]]
threading.setprofile(watch)
sys.setprofile(watch)
main()
