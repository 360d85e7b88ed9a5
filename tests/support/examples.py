"""How many examples property tests draw: a fifth in the fast suite, all in the full one."""

import os

ALL = os.environ.get("PLAUDIT_EXAMPLES") == "all"
"""Set by scripts/test --full. The examples are the same ones each time; the fewer come first."""


def drawn(count: int) -> int:
    """Return how many of so many examples to draw now."""
    return count if ALL else max(min(count, 10), count // 5)
