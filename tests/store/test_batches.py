"""The ledger of batches, as its callers use it."""

from pathlib import Path
from typing import Any

import pytest

from plaudit.engines.base import Message, Request, Sampling
from plaudit.errors import StoreError
from plaudit.store.batches import BatchLedger, BatchResult, SentBatch

A, B, C = (bytes([number]) * 16 for number in range(3))
ASKED = Request(prompt=(Message("user", "hi"),), sampling=Sampling(max_tokens=5))
HOW: dict[str, Any] = {
    "engine": "openai:m", "place": "p", "identity": "i", "work": "w", "share": 0.5, "since": 0.0,
}  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> BatchLedger:
    return BatchLedger(tmp_path / "store.batches.sqlite")


def intended(ledger: BatchLedger, *keys: bytes) -> tuple[SentBatch | None, set[bytes]]:
    return ledger.intend([(key, ASKED) for key in keys], **HOW)


def sent(ledger: BatchLedger, *keys: bytes) -> SentBatch:
    batch, _ = intended(ledger, *keys)
    assert batch is not None
    return batch


def test_rows_that_another_command_has_sent_are_left_out(ledger: BatchLedger) -> None:
    first = sent(ledger, A, B)
    second, paid = intended(ledger, B, C)
    assert paid == {B} and second is not None and second.rows == 1
    assert ledger.keys(first).keys() == {A, B} and ledger.keys(second).keys() == {C}
    assert intended(ledger, A, C) == (None, {A, C})


def test_rows_that_failed_or_were_dropped_are_sent_again(ledger: BatchLedger) -> None:
    batch = ledger.created(ledger.creating(sent(ledger, A, B), "file"), "remote")
    failed = {B: ("expired", "too late")}
    ledger.collect(batch, BatchResult(answered=1, failures=failed), "")
    assert ledger.batch(batch.number).failed == 1
    again, paid = intended(ledger, A, B)
    assert again is not None and paid == {A}  # A was answered since.
    ledger.drop(again, "never created")
    assert intended(ledger, B)[1] == set()


def test_a_batch_that_was_dropped_is_not_created(ledger: BatchLedger) -> None:
    batch = sent(ledger, A)
    ledger.drop(batch, "its sender ended")
    with pytest.raises(StoreError, match="give the same command again"):
        ledger.creating(batch, "file")


def test_what_is_known_survives_the_process(ledger: BatchLedger) -> None:
    batch = ledger.created(ledger.creating(sent(ledger, A), "file"), "remote")
    ledger.close()
    again = BatchLedger(ledger.path)
    assert again.batches(["running"]) == [batch] and again.known("p") == {"remote"}
    row = again.row(A)
    assert row is not None and (row.batch, row.state, row.cause) == (1, "running", None)
    assert ledger.path.stat().st_mode & 0o777 == 0o600
