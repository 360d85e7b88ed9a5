"""Requests on their way into batches, against a stand-in process."""

from pathlib import Path

import pytest

from plaudit.engines.base import Message, Request, Sampling
from plaudit.engines.batch.base import BatchLimits
from plaudit.engines.batch.openai import OpenAIBatches
from plaudit.engines.load import load_engine
from plaudit.errors import CallError
from plaudit.runs.batch_policy import BatchPolicy
from plaudit.runs.batch_pool import AwaitedReply, BatchPool, BatchWriter
from plaudit.runs.batch_sending import BatchSender
from plaudit.sending.pool import SendPolicy
from plaudit.store.batches import BatchLedger
from plaudit.store.store import Store
from tests.support.batch_provider import KEY, BatchProvider


class Small(OpenAIBatches):
    """A provider that takes little."""

    limits = BatchLimits(10, 10_000)


def request(text: str) -> Request:
    return Request(prompt=(Message("user", text),), sampling=Sampling(max_tokens=5))


async def test_both_limits_are_kept_with_a_margin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        BatchProvider("openai", tmp_path / "provider") as provider,
        Store(tmp_path / "store.sqlite") as store,
        BatchLedger(tmp_path / "ledger.sqlite") as ledger,
    ):
        client = Small(load_engine(provider.uri))  # pyright: ignore[reportArgumentType]
        writer = BatchWriter(BatchSender(client, ledger, store, BatchPolicy(batch=True)), 0.0)
        pool = BatchPool(writer, SendPolicy())
        await pool.complete(request("the trial"))
        for number in range(12):
            with pytest.raises(AwaitedReply):
                await pool.complete(request(f"short {number}"))
        for number in range(6):
            with pytest.raises(AwaitedReply):
                await pool.complete(request(f"long {number} " + "x" * 2600))
        with pytest.raises(CallError, match="larger than a batch may be"):
            await pool.complete(request("y" * 9000))
        await writer.send()
        made = provider.lines("created")
        await client.close()
    assert [one["rows"] for one in made] == [9, 5, 3, 1]
    assert sum(one["rows"] for one in made) == writer.sent == 18
    assert all(one["bytes"] <= 9_000 for one in made)
