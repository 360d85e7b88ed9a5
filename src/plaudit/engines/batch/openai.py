"""OpenAI's Batch API, and Together's, which has the same forms with names of its own."""

from pathlib import Path
from typing import Any

import msgspec

from plaudit.engines.batch.base import (
    BatchClient,
    BatchLimits,
    BatchLine,
    BatchState,
    count_of,
    optional,
    part,
    parts,
    seconds_of,
    taken,
    words,
)
from plaudit.engines.http.transport import Upload
from plaudit.errors import CallError, Cause
from plaudit.types import Json

TAG = "plaudit"
"""Name of the metadata field that holds a batch's tag."""
_CHAT = "/v1/chat/completions"
_RUNNING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
_REST = {"expired": Cause.EXPIRED, "cancelled": Cause.CANCELED}
_CODES = {"batch_expired": Cause.EXPIRED, "batch_cancelled": Cause.CANCELED}
_DISCOUNTED = frozenset({
    "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "meta-llama/Llama-3-70b-chat-hf",
    "Qwen/Qwen2.5-7B-Instruct-Turbo",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "zai-org/GLM-4.5-Air-FP8",
})  # fmt: skip
"""Models that Together's page on batches lists at half the price; others cost the live price."""


class _Response(msgspec.Struct):
    status_code: int = 200
    body: msgspec.Raw = msgspec.Raw(b"")


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | str | None = None


_LINE = msgspec.json.Decoder(_Line)


class OpenAIBatches(BatchClient):
    """Batches of chat completions: a file in, an output and an error file out."""

    limits = BatchLimits(50_000, 200_000_000)

    def line(self, key: str, body: bytes) -> bytes:
        """See `BatchClient`."""
        row = {"custom_id": key, "method": "POST", "url": _CHAT, "body": msgspec.Raw(body)}
        return msgspec.json.encode(row)

    async def upload(self, path: Path) -> str:
        """See `BatchClient`."""
        sent = Upload(path, {"purpose": "batch"})
        return taken(await self.send(self.transport.url("/files"), sent), "id")

    async def create(self, path: Path, file: str, tag: str) -> str:
        """See `BatchClient`."""
        body: dict[str, Json] = {"input_file_id": file, "endpoint": _CHAT}
        body |= {"completion_window": "24h", "metadata": {TAG: tag}}
        found = await self.ask("POST", "/batches", body)
        return taken(part(found, "job") or found, "id")

    async def look(self, id: str) -> BatchState:
        """See `BatchClient`."""
        return self.state(await self.ask("GET", f"/batches/{id}"))

    async def newest(self, since: float) -> list[BatchState]:
        """See `BatchClient`."""
        return await self.listed("/batches?limit=100", "after", "data", since)

    async def cancel(self, id: str) -> None:
        """See `BatchClient`."""
        await self.ask("POST", f"/batches/{id}/cancel")

    async def fetch(self, batch: BatchState, folder: Path) -> list[Path]:
        """See `BatchClient`."""
        return [
            await self.save(
                self.transport.url(f"/files/{file}/content"), folder / f"{batch.id}-{number}"
            )
            for number, file in enumerate(batch.outputs)
        ]

    def read(self, line: bytes) -> BatchLine:
        """See `BatchClient`."""
        found = _LINE.decode(line)
        response, error = found.response, found.error
        if response is not None and response.status_code == 200:
            return BatchLine(found.custom_id, bytes(response.body))
        if response is not None and bytes(response.body) not in (b"", b"null"):
            problem = self.problem(response.status_code, bytes(response.body))
            return BatchLine(found.custom_id, error=problem)
        said = error if isinstance(error, _Error) else _Error(message=error)
        cause = _CODES.get(str(said.code), Cause.SERVER_ERROR)
        why = words(self.transport, said.message or said.code or "nothing")
        problem = CallError(cause, f"the batch gave no reply: {why}")
        return BatchLine(found.custom_id, error=problem)

    def state(self, found: dict[str, Any]) -> BatchState:
        """Return what a batch object says."""
        status = str(found.get("status", "")).lower()
        counts = part(found, "request_counts")
        refused = status == "failed" and not found.get("output_file_id")
        errors = parts(part(found, "errors"), "data")
        why = "; ".join(f"{one.get('code', '')}: {one.get('message', '')}" for one in errors[:3])
        return BatchState(
            id=taken(found, "id"),
            state="running" if status in _RUNNING else "refused" if refused else "ended",
            total=count_of(counts, "total"),
            done=count_of(counts, "completed"),
            failed=count_of(counts, "failed"),
            created=seconds_of(found.get("created_at")),
            outputs=optional(found, "output_file_id") + optional(found, "error_file_id"),
            rest=_REST.get(status, Cause.BAD_RESPONSE),
            why=words(self.transport, why) or status,
            tag=str(part(found, "metadata").get(TAG, "")),
            file=str(found.get("input_file_id", "")),
        )


class TogetherBatches(OpenAIBatches):
    """Together's form: a batch is found again by its input file, since its list has no tags."""

    limits = BatchLimits(50_000, 100_000_000)

    def share(self) -> float:
        """Return one half for the models that Together lists, else the whole price."""
        return 0.5 if self.engine.model in _DISCOUNTED else 1.0

    def line(self, key: str, body: bytes) -> bytes:
        """See `BatchClient`."""
        return msgspec.json.encode({"custom_id": key, "body": msgspec.Raw(body)})

    async def upload(self, path: Path) -> str:
        """See `BatchClient`."""
        fields = {"purpose": "batch-api", "file_name": path.name, "file_type": "jsonl"}
        url = self.transport.url("/files/upload")
        return taken(await self.send(url, Upload(path, fields)), "id")

    def state(self, found: dict[str, Any]) -> BatchState:
        """Return what a job says: no counts, a progress in per cent, one error."""
        state = super().state(found | {"errors": None, "request_counts": None})
        why = words(self.transport, found.get("error") or state.why)
        return msgspec.structs.replace(state, why=why, done=0)
