"""`plaudit batches`: what was sent to batch APIs, and what became of it."""

import asyncio
from typing import Annotated

import typer

from plaudit._util.ranges import SECONDS, Range, check_number
from plaudit.cli import display, display_batches
from plaudit.cli.options import StoreOption
from plaudit.cli.running import resumable, store_path
from plaudit.engines.batch.load import batch_client
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.runs.batch_policy import BatchPolicy
from plaudit.runs.batch_sending import BatchSender
from plaudit.store.batches import OPEN, BatchLedger, SentBatch, ledger_path
from plaudit.store.store import Store

_LATER = (
    "interrupted; the batches go on at the provider. plaudit batches --follow comes back to them"
)


def batches(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="[BATCH]...", help="Numbers of batches; without any, all."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait until all have ended; collect each that ends.")
    ] = False,
    collect: Annotated[
        bool, typer.Option("--collect", help="Look once, and collect those that have ended.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Stop them; what is answered by then is collected.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Give up the batches named, which the provider lost: their rows are paid again.",
        ),
    ] = False,
    poll: Annotated[
        float, typer.Option("--poll", metavar="S", help="Seconds between two looks.")
    ] = 30.0,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a batch a line as JSON.")] = False,
) -> None:
    """List the batches sent from this store; wait for them, cancel them, collect their replies.

    Collected replies are in the store: the command that sent a batch then judges from them.

    Exit status: 0 done; 1 rows failed; 2 wrong usage; 3 a provider cannot be used; 130 interrupted.
    """
    check_number("--poll", poll, Range(0, SECONDS, above=True))
    path = store_path(store)
    ledger_file = ledger_path(path)
    if not ledger_file.exists():
        _show([], as_json)
        return
    with Store(path) as opened, BatchLedger(ledger_file) as ledger:
        chosen = _chosen(ledger, numbers or [])
        if forget:
            _forget(ledger, chosen, named=bool(numbers))
            return
        if follow or collect or cancel:
            work = _Work(opened, ledger, chosen, poll, as_json)
            if not work.numbers and not as_json:
                display_batches.none_open()
            resumable(work.do(cancel=cancel, wait=follow or cancel), _LATER)
            failed = any(one.failed for one in map(ledger.batch, work.numbers))
            raise typer.Exit(1 if failed else 0)
        _show(chosen, as_json)


def _chosen(ledger: BatchLedger, numbers: list[int]) -> list[SentBatch]:
    known = {one.number: one for one in ledger.batches()}
    missing = [number for number in numbers if number not in known]
    if missing:
        raise UsageError(f"there is no batch {missing[0]}; plaudit batches lists them")
    return [known[number] for number in numbers] if numbers else list(known.values())


def _forget(ledger: BatchLedger, chosen: list[SentBatch], *, named: bool) -> None:
    if not named:
        raise UsageError("--forget wants the numbers of batches; plaudit batches lists them")
    for batch in chosen:
        if batch.state in OPEN:
            ledger.drop(batch, "forgotten")
            display_batches.ended(ledger.batch(batch.number))


def _show(found: list[SentBatch], as_json: bool) -> None:
    if not as_json:
        display_batches.batch_list(found)
        return
    for one in found:
        display.json_line(display_batches.as_data(one))


class _Work:
    """Waits for open batches, and collects them."""

    def __init__(
        self,
        store: Store,
        ledger: BatchLedger,
        chosen: list[SentBatch],
        poll: float,
        as_json: bool,
    ) -> None:
        self.numbers = [one.number for one in chosen if one.state in OPEN]
        self._store, self._ledger, self._poll, self._json = store, ledger, poll, as_json
        self._senders: dict[str, BatchSender] = {}

    def _open(self) -> list[SentBatch]:
        found = map(self._ledger.batch, self.numbers)
        return [one for one in found if one.state in OPEN]

    def _sender(self, batch: SentBatch) -> BatchSender:
        uri = batch.engine
        if uri not in self._senders:
            client = batch_client(load_engine(uri))
            assert client is not None, "only engines with a batch API are in the ledger"
            policy = BatchPolicy(batch=True)
            self._senders[uri] = BatchSender(client, self._ledger, self._store, policy)
        return self._senders[uri]

    async def do(self, *, cancel: bool, wait: bool) -> None:
        """Look at all open batches, cancel them where that is asked, and wait for their end."""
        canceled: set[int] = set()
        try:
            while True:
                for batch in self._open() if cancel else ():
                    new = batch.remote and batch.number not in canceled
                    if new and await self._sender(batch).cancel(batch):
                        canceled.add(batch.number)
                await self._look()
                if not (wait and self._open()):
                    return
                await asyncio.sleep(self._poll)
        finally:
            for sender in self._senders.values():
                await sender.client.close()

    async def _look(self) -> None:
        for batch in self._open():
            await self._sender(batch).advance(batch)
            now = self._ledger.batch(batch.number)
            if now.state in OPEN:
                continue
            if self._json:
                display.json_line(display_batches.as_data(now))
            else:
                display_batches.ended(now)
        if left := self._open():
            looked = [self._sender(one).looked.get(one.number) for one in left]
            display_batches.progress(left, sum(s.done + s.failed for s in looked if s))
