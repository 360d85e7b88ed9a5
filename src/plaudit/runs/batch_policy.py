"""How a run uses batch APIs."""

from typing import Annotated

import msgspec

from plaudit._util.options import Help
from plaudit._util.ranges import SECONDS, WHOLE_32, Range, check_ranges


class BatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a run uses batch APIs."""

    batch: Annotated[
        bool,
        Help("Ask through the provider's batch API: half the price, within a day.", "Load"),
    ] = False
    batch_poll: Annotated[
        float,
        Range(0, SECONDS, above=True),
        Help("--batch: seconds between two looks at the batches.", "Load", "S", rare=True),
    ] = 30.0
    batch_rows: Annotated[
        int | None,
        Range(1, WHOLE_32),
        Help("--batch: most rows of one batch.", "Load", rare=True),
    ] = None
    """None: 90 % of the provider's limit, and 50,000 at most."""
    batch_settle: Annotated[
        float,
        Range(0, SECONDS),
        Help(
            "--batch: seconds after which a batch counts as never created, where the provider "
            "does not list it.",
            "Load",
            "S",
            rare=True,
        ),
    ] = 300.0
    outage: float = 300.0
    """Seconds without any answer after which a run ends."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)
