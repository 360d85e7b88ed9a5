"""Stands for `plaudit` where commands are forks: `python -IS fork_client.py SOCKET JOB [ARG ...]`.

It hands its streams, folder, environment, arguments and ignored signals to the server of `forks`,
passes signals on, and ends as the command does. It imports built-in modules alone, so that it
starts at once.
"""

import _signal
import _socket
import marshal
import posix
import sys
from typing import Any

PASSED = (1, 2, 3, 10, 12, 15)
"""HUP, INT, QUIT, USR1, USR2, TERM."""


def main(address: str, job: str, arguments: list[str]) -> int:
    ignored = [n for n in (*PASSED, 13) if _ignored(n)]
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(address)
    for number in PASSED:
        if number not in ignored:
            _signal.signal(number, lambda number, _: server.send(bytes([number])) and None)
    folder = posix.open(".", posix.O_RDONLY)
    handed = marshal.dumps((job, arguments, dict(posix.environ), ignored))
    streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2, folder))
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)]
    server.sendmsg([len(handed).to_bytes(8, "big")], rights)
    server.sendall(handed)
    status = server.recv(4)
    if len(status) < 4:
        sys.stderr.write("the server of forks ended\n")
        return 70
    return _as_it_ended(int.from_bytes(status, "big", signed=True))


def _ignored(number: int) -> bool:
    before: Any = _signal.getsignal(number)
    return before == _signal.SIG_IGN and number != 13


def _as_it_ended(status: int) -> int:
    if status < 0:
        if -status != 9:
            _signal.signal(-status, _signal.SIG_DFL)
        posix.kill(posix.getpid(), -status)
    return status


if __name__ == "__main__":
    posix._exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
