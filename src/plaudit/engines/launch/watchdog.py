"""Holds one server, and ends it with all that it started when its starter is gone.

A script that imports nothing of plaudit: `python -I watchdog.py GRACE COMMAND...`. Its standard
input is a pipe that the starter keeps open. However the starter ends, killed or not, the pipe ends
too, and the server with it. Linux only.

The server leads a process group of its own. Whatever leaves that group becomes a child of the
watchdog once its parent is gone. Nothing but a child that was not yet waited for, or the group of
one, is ever signalled, so no id can have passed on to somebody else's process.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.1
_NOT_STARTED = 127

_asked_to_end = False


def main(grace: float, command: list[str]) -> int:
    """Run a command until it ends or standard input does; then end what is left of it.

    Args:
        grace: seconds that it has to end by itself before it is killed.
        command: the program and its arguments.

    Returns:
        Its exit status; 128 and the number of the signal that ended it; 127: not started.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ask_to_end)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_watchdog,
        )
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return _NOT_STARTED
    while not (_asked_to_end or _has_ended(server.pid) or _input_ended()):
        pass
    return _end(server.pid, grace)


def _ask_to_end(number: int, frame: FrameType | None) -> None:
    global _asked_to_end
    _asked_to_end = True


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_watchdog() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended; without waiting for it, so that its id stays its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _input_ended() -> bool:
    """Wait a moment for standard input, to which nothing is ever written."""
    return bool(select.select([0], [], [], _LOOK_SECONDS)[0])


def _end(leader: int, grace: float) -> int:
    """End a child, its group, and all that came to this process since; return its exit status."""
    os.killpg(leader, signal.SIGTERM)
    for pid in _children():
        if pid != leader:
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while _children() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS / 2)
    os.killpg(leader, signal.SIGKILL)
    status = 0
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status if status >= 0 else 128 - status
        if pid == leader:
            status = os.waitstatus_to_exitcode(ended)
        elif pid == 0:
            time.sleep(_LOOK_SECONDS / 10)


def _children() -> list[int]:
    """Return the processes that this one is the parent of, the ended ones left out."""
    here, found = os.getpid(), list[int]()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == here and state not in (b"Z", b"X"):
            found.append(int(name))
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
