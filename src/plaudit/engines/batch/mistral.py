"""Mistral's batch jobs: one model a job, metadata, output and error files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from plaudit.engines.batch.base import (
    BatchLimits,
    BatchState,
    count_of,
    gather_pages,
    optional,
    part,
    parts,
    seconds_of,
    taken,
    words,
)
from plaudit.engines.batch.openai import TAG, OpenAIBatches
from plaudit.errors import Cause

_PATH = "/batch/jobs"
_RUNNING = frozenset({"QUEUED", "RUNNING", "CANCELLATION_REQUESTED"})
_REST = {"TIMEOUT_EXCEEDED": Cause.EXPIRED, "CANCELLED": Cause.CANCELED}
_HOURS = 24
_PAGE = 100


class MistralBatches(OpenAIBatches):
    """Batch jobs of chat completions."""

    limits = BatchLimits(1_000_000, 500_000_000)

    def line(self, key: str, body: bytes) -> bytes:
        """See `BatchClient`; the model is the job's."""
        row = {k: v for k, v in msgspec.json.decode(body).items() if k != "model"}
        return msgspec.json.encode({"custom_id": key, "body": row})

    async def create(self, path: Path, file: str, tag: str) -> str:
        """See `BatchClient`."""
        body = {
            "input_files": [file],
            "endpoint": "/v1/chat/completions",
            "model": self.engine.model,
            "metadata": {TAG: tag},
            "timeout_hours": _HOURS,
        }
        return taken(await self.ask("POST", _PATH, body), "id")

    async def look(self, id: str) -> BatchState:
        """See `BatchClient`."""
        return self.state(await self.ask("GET", f"{_PATH}/{id}"))

    async def newest(self, since: float) -> list[BatchState]:
        """See `BatchClient`; the order of the list is not documented, so all pages are read."""
        after = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        async def page(number: int | None) -> tuple[list[BatchState], int | None]:
            place = f"page={number or 0}&page_size={_PAGE}&created_after={after}"
            found = await self.ask("GET", f"{_PATH}?{place}")
            batches = [self.state(one) for one in parts(found, "data")]
            return batches, (number or 0) + 1 if len(batches) == _PAGE else None

        every = await gather_pages(page, 0.0)
        return [one for one in every if one.created >= since or not one.created]

    async def cancel(self, id: str) -> None:
        """See `BatchClient`."""
        await self.ask("POST", f"{_PATH}/{id}/cancel")

    def state(self, found: dict[str, Any]) -> BatchState:
        """Return what a job says."""
        status = str(found.get("status", ""))
        done = count_of(found, "succeeded_requests")
        refused = status == "FAILED" and not done
        errors = parts(found, "errors")
        return BatchState(
            id=taken(found, "id"),
            state="running" if status in _RUNNING else "refused" if refused else "ended",
            total=count_of(found, "total_requests"),
            done=done,
            failed=count_of(found, "failed_requests"),
            created=seconds_of(found.get("created_at")),
            outputs=optional(found, "output_file") + optional(found, "error_file"),
            rest=_REST.get(status, Cause.BAD_RESPONSE),
            why=words(self.transport, "; ".join(str(one.get("message", "")) for one in errors[:3]))
            or status,
            tag=str(part(found, "metadata").get(TAG, "")),
            file=str((found.get("input_files") or [""])[0]),
        )
