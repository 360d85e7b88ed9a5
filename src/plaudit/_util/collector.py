"""Python's collector of cycles, in a process that has much in flight."""

import gc


def collect_seldom() -> None:
    """Keep the collector of cycles from walking all that is in flight ten times a second."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
