"""What all runs share, of judges and of rollouts: record, summary, bill, and the way from rows in.

A record is what a command asks for, a summary what it did. The order of their fields is part of
the format: a run is found again by the digest of its record.
"""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Generic, Self, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE_64, Range
from plaudit.engines.base import engine_info
from plaudit.io.places import rejected_path
from plaudit.io.progress import Progress
from plaudit.io.sources import Intake, RowReader
from plaudit.judges.config import JudgeConfig
from plaudit.judges.panel import PanelConfig
from plaudit.runs.cached import CachedClient, CachePolicy
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices, cost
from plaudit.store.base import RunStore
from plaudit.types import Usage


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to do a run again, or to show it."""

    def same(self) -> Self:
        """Return the record without what may differ between two attempts of one command."""
        return self

    def identity(self, *found: str) -> bytes:
        """Return the 16 bytes by which the same command finds its run.

        Args:
            found: what the command does not name: the model, fingerprints.
        """
        data = msgspec.json.encode([self.same(), *found])
        return hashlib.blake2b(data, digest_size=16).digest()


class JudgeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge's run reads and writes. Plain data; with judge and engine it identifies it."""

    source: str
    """Path of the input, or `-`."""
    out: Annotated[
        str | None,
        Help(
            "Write verdicts here: JSON Lines, .parquet, DIR/ for `datasets`, or - .",
            "Output",
            "OUT",
            flags=("--out", "-o"),
        ),
    ] = None
    """None: they are only stored."""
    limit: Annotated[
        int | None, Range(1, WHOLE_64), Help("Judge the first N samples only.", "Input")
    ] = None
    strict: Annotated[bool, Help("Stop at the first malformed row.", "Input")] = False
    raw: Annotated[bool, Help("Put the raw replies in the output.", "Output")] = False
    input: Annotated[bool, Help("Leave the input out of the output.", "Output")] = True


class JudgeRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A judge's run."""

    judge: JudgeConfig
    engine: str
    options: JudgeOptions
    panel: PanelConfig | None = None
    """The judges of a jury or a cascade; `judge` and `engine` then are what it is based on."""
    without_logprobs: tuple[str, ...] = ()
    """URIs of engines that were found to send no log-probabilities, so that `auto` is json there.
    Found out once, and no part of what identifies the run."""


class Summary(msgspec.Struct, kw_only=True):
    """What a run did; its subclasses have the fields."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where something was left undone."""
        raise NotImplementedError


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent so far."""

    engine_calls: int
    """Requests sent, retries and the prior's included."""
    usage: Usage
    """Tokens of the replies that were asked for."""
    cost_usd: float | None
    """None: unknown."""
    notes: list[str]
    """What was given up, for a person."""
    batch: "BatchBill | UnsetType" = UNSET
    """What of it went through batches."""


class BatchBill(msgspec.Struct, kw_only=True):
    """What the batches of a run came to. Counts of requests are of those collected in this run."""

    batches: int = 0
    answered: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """At the price of batches; None: unknown."""
    live_cost_usd: float | None = 0.0
    """What the same would have cost live."""

    def add(
        self, answered: int, failed: int, usage: Usage, live: float | None, share: float
    ) -> None:
        """Add a batch, with what it would have cost live and the share of that which it costs."""
        self.batches += 1
        self.answered += answered
        self.failed += failed
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if live is None or self.cost_usd is None or self.live_cost_usd is None:
            self.cost_usd = self.live_cost_usd = None
            return
        self.cost_usd = round(self.cost_usd + live * share, 9)
        self.live_cost_usd = round(self.live_cost_usd + live, 9)


def bill(
    spent: Sequence[tuple[CachedClient, str]], prices: Prices, notes: Iterable[str] = ()
) -> Bill:
    """Add up what clients spent; what those of one engine share is counted once.

    Args:
        spent: clients, each with the identity of its model.
        prices: what tokens cost.
        notes: what was given up.
    """
    engines = {id(client.pool.engine): client.pool.engine for client, _ in spent}
    refused = sum(engine_info(engine).refused for engine in engines.values())  # sent again
    costs = [
        cost(prices.of(client.pool.engine, identity), client.usage) for client, identity in spent
    ]
    known = [one for one in costs if one is not None]
    usage = sum((client.usage for client, _ in spent), Usage())
    return Bill(
        engine_calls=sum(client.pool.sent for client, _ in spent) + refused,
        usage=usage,
        cost_usd=round(sum(known), 9) if len(known) == len(costs) else None,
        notes=list(notes),
    )


AnyRecord = TypeVar("AnyRecord", bound=Record)
Done = TypeVar("Done", bound=Summary)


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a run works with: one store, and one way of sending."""

    store: RunStore
    """Where replies, finished traces, verdicts and the run are kept."""
    progress: Progress
    """Shows what is done."""
    send: SendPolicy
    """How requests are sent."""
    cache: CachePolicy
    """How stored replies are used."""
    prices: Prices
    """What tokens cost."""


class Run(ABC, Generic[AnyRecord, Done]):
    """One run on its way: begun in the store, worked through, ended with a summary."""

    kind: str
    """The first part of its name in the store."""
    intake: Intake[Any] | None = None
    """The input, once it is open."""
    number = 0
    """Of the run in the store."""

    def __init__(self, settings: RunSettings, record: AnyRecord, named_out: str | None) -> None:
        """Prepare a run; rejected rows go beside `named_out`. Nothing is read or asked yet."""
        self.settings = settings
        self.record = record
        self._named_out = named_out

    async def execute(self, rows: RowReader, identity: bytes, out: str | None) -> Done:
        """Work through the rows.

        A kill at any time leaves a run that the same command continues.

        Args:
            rows: the input.
            identity: of the run.
            out: where the output goes; None: nowhere.
        """
        started, store = time.monotonic(), self.settings.store
        info = store.begin_run(identity, self.kind, msgspec.json.encode(self.record))
        self.number, state = info.number, "interrupted"
        try:
            await self.work(rows, out)
            state = "finished"
        finally:
            summary = self.summary(self.bill(), {"run": info.name, "out": out})
            seconds = round(time.monotonic() - started, 3)
            summary = msgspec.structs.replace(summary, seconds=seconds)
            store.end_run(info.number, state, msgspec.json.encode(summary))
        return summary

    @abstractmethod
    async def work(self, rows: RowReader, out: str | None) -> None:
        """Do everything."""

    @abstractmethod
    def bill(self) -> Bill:
        """Return what was spent."""

    @abstractmethod
    def summary(self, bill: Bill, found: dict[str, Any]) -> Done:
        """Return what was done; `found` are fields that are known."""

    def counted(self, bill: Bill) -> dict[str, Any]:
        """Return the fields of a summary that all runs have."""
        rejected = self.intake.rejected if self.intake else 0
        rejects = rejected_path(self._named_out) if rejected else None
        return {
            "rejected": rejected,
            "rejects": str(rejects) if rejects else None,
            "engine_calls": bill.engine_calls,
            "cost_usd": bill.cost_usd,
            "notes": bill.notes,
        }
