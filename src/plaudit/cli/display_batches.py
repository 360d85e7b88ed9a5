"""What a person sees of batches: the estimate, the bill, the list, the wait."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.markup import escape
from rich.text import Text

from plaudit.cli import display
from plaudit.cli.display import count, money, stderr, stdout, unknown_cost
from plaudit.runs.plan import Plan
from plaudit.runs.record import BatchBill
from plaudit.store.batches import OPEN, SentBatch

GO_ON = (
    "interrupted; batches that were created go on at the provider. The same command collects them "
    "and goes on; plaudit batches lists them, --follow waits, --cancel stops them"
)
"""Message where the user stops a run that waits."""


def estimate(plan: Plan, still: Sequence[SentBatch]) -> None:
    """Print what a run asks at most, what that costs, and which batches are still open."""
    lines = []
    if plan.calls:
        lines = [
            f"batch: {count(plan.calls, 'request')}, about {plan.input_tokens_estimated:,} tokens "
            f"in, at most {plan.output_tokens_limit:,} out",
            costs(plan),
        ]
    if plan.calls and still:
        rows = sum(one.rows for one in still)
        lines.append(f"{_batches(len(still))} with {rows:,} rows open: those are not sent again")
    for line in lines:
        stderr().print(line, soft_wrap=True)


def costs(plan: Plan) -> str:
    """Return what a plan costs in batches, and live."""
    if plan.cost_usd_limit is None or not isinstance(plan.cost_usd_batch, float):
        return f"cost {escape(unknown_cost())}"
    in_batches, live = money(plan.cost_usd_batch), money(plan.cost_usd_limit)
    return f"cost at most about {in_batches} in batches; {live} live"


def batch_lines(bill: BatchBill) -> Iterable[str]:
    """Yield what the batches of a run came to."""
    if not bill.batches:
        return
    failed = f", {bill.failed} failed" if bill.failed else ""
    yield f"{_batches(bill.batches)}: {bill.answered} answered{failed}"
    if bill.cost_usd is not None and bill.live_cost_usd:
        saved = bill.live_cost_usd - bill.cost_usd
        yield (
            f"cost in batches {money(bill.cost_usd)}; {money(bill.live_cost_usd)} live, "
            f"saved {money(saved)}"
        )


def batch_list(found: Sequence[SentBatch]) -> None:
    """Print batches, the newest first."""
    numbers = ("#", "rows", "answered", "failed")
    table = display.table(*numbers[:1], "state", "age", *numbers[1:], "batch", numbers=numbers)
    for one in found:
        cells = [one.number, one.state, _age(one), one.rows, one.answered, one.failed]
        table.add_row(*(Text(str(cell)) for cell in cells), Text(f"{_name(one)}\n{one.work}"))
    stdout().print(table if found else "no batch was sent from this store")
    still = sum(one.state in OPEN for one in found)
    if still:
        stdout().print(f"{_batches(still)} open: plaudit batches --follow waits and collects")


def none_open() -> None:
    """Print that there is nothing to wait for."""
    stdout().print("no batch is open")


def progress(waiting: Sequence[SentBatch], done: int) -> None:
    """Print how far the open batches are."""
    rows = sum(one.rows for one in waiting)
    stderr().print(f"{_batches(len(waiting))} open, {done:,} of {rows:,} rows answered")


def ended(batch: SentBatch) -> None:
    """Print what became of a batch."""
    note = f" ({batch.note})" if batch.note and batch.state != "collected" else ""
    line = f"batch {batch.number} {batch.state}: {batch.answered} answered, {batch.failed} failed"
    stdout().print(escape(line + note), soft_wrap=True)


def as_data(batch: SentBatch) -> dict[str, object]:
    """Return what `--json` prints of a batch."""
    return {
        "batch": batch.number,
        "state": batch.state,
        "id": batch.remote or None,
        "engine": batch.engine,
        "work": batch.work,
        "rows": batch.rows,
        "answered": batch.answered,
        "failed": batch.failed,
        "input_tokens": batch.input_tokens,
        "output_tokens": batch.output_tokens,
        "made": datetime.fromtimestamp(batch.made, UTC).isoformat(timespec="seconds"),
        "note": batch.note,
    }


def _batches(number: int) -> str:
    return f"{number} batch{'' if number == 1 else 'es'}"


def _name(batch: SentBatch) -> str:
    return f"{batch.engine} {batch.remote or '(id unknown yet)'}"


def _age(batch: SentBatch) -> str:
    minutes = int((time.time() - batch.made) / 60)
    return f"{minutes // 60}:{minutes % 60:02}"
