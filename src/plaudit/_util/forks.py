"""Forks of a process with threads: what must not be half done when one of them forks.

A forked child has one thread. A lock that another thread held at the fork stays locked in the child
for ever, and a module that another thread imported stays half made. Python itself protects neither
the locks of single modules nor those of libraries, such as the one around Jinja's cache.
"""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Generator

_PATIENCE_S = 60.0
"""Longest wait of a fork for what other threads load."""

_changed = threading.Condition()
_loading: Counter[int] = Counter()
"""Blocks of `finished_before_a_fork` that threads are in, by thread."""
_hooks: list[tuple[Callable[[], None], Callable[[], None], Callable[[], None]]] = []


@contextlib.contextmanager
def finished_before_a_fork() -> Generator[None]:
    """Let no other thread fork the process within this block.

    For imports, and for calls of libraries that hold a lock. The block must not wait for a thread
    that may fork.
    """
    me = threading.get_ident()
    with _changed:
        _loading[me] += 1
    try:
        yield
    finally:
        with _changed:
            _loading[me] -= 1
            if not _loading[me]:
                del _loading[me]
                _changed.notify_all()


def around_forks(
    before: Callable[[], None],
    after_in_parent: Callable[[], None],
    after_in_child: Callable[[], None],
) -> None:
    """Have functions called around each fork, while nothing is being loaded.

    `os.register_at_fork` would call `before` while another thread loads something, and that thread
    may want a lock that `before` takes.
    """
    _hooks.append((before, after_in_parent, after_in_child))


def _others_load() -> bool:
    return bool(_loading.keys() - {threading.get_ident()})


def _before() -> None:
    _changed.acquire()
    _changed.wait_for(lambda: not _others_load(), _PATIENCE_S)
    for before, _, _ in _hooks:
        before()


def _after_in_parent() -> None:
    for _, after_in_parent, _ in _hooks:
        after_in_parent()
    _changed.release()


def _after_in_child() -> None:
    global _changed
    _changed = threading.Condition()
    for thread in _loading.keys() - {threading.get_ident()}:
        del _loading[thread]
    for _, _, after_in_child in _hooks:
        after_in_child()


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
