"""Anthropic's Message Batches: the rows are the body of the request that creates the batch.

The API keeps no tag. A batch whose id was lost is recognised by the ids of its results.
"""

from pathlib import Path
from typing import Any

import msgspec

from plaudit.engines.batch.base import (
    BatchClient,
    BatchLimits,
    BatchLine,
    BatchState,
    count_of,
    part,
    seconds_of,
    taken,
)
from plaudit.engines.http.transport import Upload
from plaudit.errors import CallError, Cause

_PATH = "/v1/messages/batches"
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
_CAUSES = {"expired": Cause.EXPIRED, "canceled": Cause.CANCELED}
_STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429,
    "overloaded_error": 529,
}  # fmt: skip


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_LINE = msgspec.json.Decoder(_Line)


class AnthropicBatches(BatchClient):
    """Batches of messages."""

    limits = BatchLimits(100_000, 256_000_000)
    uploads = False
    tagged = False

    def line(self, key: str, body: bytes) -> bytes:
        """See `BatchClient`."""
        return msgspec.json.encode({"custom_id": key, "params": msgspec.Raw(body)})

    async def create(self, path: Path, file: str, tag: str) -> str:
        """See `BatchClient`."""
        whole = path.with_suffix(".json")
        _write_list(path, whole)
        try:
            url = self.transport.url(_PATH)
            return taken(await self.send(url, Upload(whole)), "id")
        finally:
            whole.unlink()

    async def look(self, id: str) -> BatchState:
        """See `BatchClient`."""
        return self.state(await self.ask("GET", f"{_PATH}/{id}"))

    async def newest(self, since: float) -> list[BatchState]:
        """See `BatchClient`."""
        return await self.listed(f"{_PATH}?limit=100", "after_id", "data", since)

    async def cancel(self, id: str) -> None:
        """See `BatchClient`."""
        await self.ask("POST", f"{_PATH}/{id}/cancel")

    async def fetch(self, batch: BatchState, folder: Path) -> list[Path]:
        """See `BatchClient`; the results' own URL is not used: the key goes to this host alone."""
        url = self.transport.url(f"{_PATH}/{batch.id}/results")
        return [await self.save(url, folder / batch.id)]

    def read(self, line: bytes) -> BatchLine:
        """See `BatchClient`."""
        found = _LINE.decode(line)
        result = found.result
        if result.type == "succeeded":
            return BatchLine(found.custom_id, bytes(result.message))
        if result.type in _CAUSES:
            problem = f"the batch gave no reply: the row is {result.type}"
            return BatchLine(found.custom_id, error=CallError(_CAUSES[result.type], problem))
        content = bytes(result.error) or b"{}"
        error: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
        kind = str((part(error, "error") or error).get("type", ""))
        return BatchLine(found.custom_id, error=self.problem(_STATUS.get(kind, 500), content))

    def state(self, found: dict[str, Any]) -> BatchState:
        """See `BatchClient`."""
        counts = part(found, "request_counts")
        return BatchState(
            id=taken(found, "id"),
            state="ended" if found.get("processing_status") == "ended" else "running",
            total=count_of(counts, *_COUNTS),
            done=count_of(counts, "succeeded"),
            failed=count_of(counts, "errored", "canceled", "expired"),
            created=seconds_of(found.get("created_at")),
        )


def _write_list(rows: Path, whole: Path) -> None:
    """Write rows, a line each, as the JSON object that the API wants."""
    with rows.open("rb") as lines, whole.open("wb") as file:
        file.write(b'{"requests":[')
        for number, line in enumerate(lines):
            file.write(b"," * bool(number) + line.rstrip(b"\n"))
        file.write(b"]}")
