"""Gemini's Batch API, whose requests and replies are those of its own `generateContent`.

The live engine speaks OpenAI's protocol to Gemini. So bodies are translated on their way out, and
replies on their way back. The tag is the batch's display name.
"""

from pathlib import Path
from typing import Any, cast

import msgspec
from yarl import URL

from plaudit.engines.batch.base import (
    BatchClient,
    BatchLimits,
    BatchLine,
    BatchState,
    count_of,
    optional,
    own_transport,
    part,
    parts,
    seconds_of,
    taken,
    words,
)
from plaudit.engines.http.engine import HTTPEngine
from plaudit.engines.http.transport import Transfer, Upload
from plaudit.errors import Cause, UsageError
from plaudit.types import Json

_RUNNING = ("PENDING", "RUNNING", "UNSPECIFIED")
_REST = {"EXPIRED": Cause.EXPIRED, "CANCELLED": Cause.CANCELED}
_GRPC_STATUS = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "seed": "seed",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_BUDGETS = {"none": 0, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens for thoughts that Gemini's page on OpenAI compatibility gives for each effort."""
_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE")


class _Line(msgspec.Struct):
    key: str
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


_LINE = msgspec.json.Decoder(_Line)


class GeminiBatches(BatchClient):
    """Batches of `generateContent`, from a file."""

    limits = BatchLimits(200_000, 2_000_000_000)

    def __init__(self, engine: HTTPEngine[Any, Any]) -> None:
        """Use the endpoint's own API, beside the one that speaks OpenAI's protocol."""
        super().__init__(engine)
        root = engine.transport.base_url.removesuffix("/openai")
        self.transport = own_transport(engine.transport, root, _headers)
        address = URL(root)
        self._files = address.with_path(f"/upload{address.path}/files")
        self._downloads = address.with_path(f"/download{address.path}")

    def line(self, key: str, body: bytes) -> bytes:
        """See `BatchClient`."""
        return msgspec.json.encode({"key": key, "request": _native(msgspec.json.decode(body))})

    async def upload(self, path: Path) -> str:
        """See `BatchClient`; a resumable upload in one piece."""
        size, head = path.stat().st_size, path.with_suffix(".head")
        head.write_bytes(msgspec.json.encode({"file": {"display_name": path.name}}))
        start = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(size),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        starting = Transfer("POST", self._files, Upload(head, headers=start))
        answered = await self.transport.transfer(starting)
        head.unlink()
        self.good(answered)
        url = URL(answered[1].get("X-Goog-Upload-URL", ""), encoded=True)
        if url.origin() != self._files.origin():  # The key goes to this host alone.
            raise self.transport.bad_response("named no place of its own for the upload")
        rest = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
        found = await self.send(url, Upload(path, headers=rest))
        return taken(part(found, "file"), "name")

    async def create(self, path: Path, file: str, tag: str) -> str:
        """See `BatchClient`."""
        batch = {"display_name": tag, "input_config": {"file_name": file}}
        place = f"/models/{self.engine.model.removeprefix('models/')}:batchGenerateContent"
        return taken(await self.ask("POST", place, {"batch": batch}), "name")

    async def look(self, id: str) -> BatchState:
        """See `BatchClient`."""
        return self.state(await self.ask("GET", f"/{id}"))

    async def newest(self, since: float) -> list[BatchState]:
        """See `BatchClient`."""
        return await self.listed("/batches?pageSize=100", "pageToken", "operations", since)

    async def cancel(self, id: str) -> None:
        """See `BatchClient`."""
        await self.ask("POST", f"/{id}:cancel")

    async def fetch(self, batch: BatchState, folder: Path) -> list[Path]:
        """See `BatchClient`."""
        return [
            await self.save(
                self._downloads.joinpath(*f"{file}:download".split("/"), encoded=True)
                .with_query(alt="media"),
                folder / f"{file.replace('/', '-')}",
            )
            for file in batch.outputs
        ]  # fmt: skip

    def read(self, line: bytes) -> BatchLine:
        """See `BatchClient`."""
        found = _LINE.decode(line)
        if found.response is not None:
            return BatchLine(found.key, msgspec.json.encode(_as_openai(found.response)))
        error = found.error or {}
        status = _GRPC_STATUS.get(int(error.get("code") or 0), 500)
        content = msgspec.json.encode({"error": error})
        return BatchLine(found.key, error=self.problem(status, content))

    def state(self, found: dict[str, Any]) -> BatchState:
        """See `BatchClient`."""
        said = part(found, "metadata")
        status = str(said.get("state", "")).rpartition("_")[2]
        stats = part(said, "batchStats")
        output = part(found, "response") or part(said, "output")
        why = part(found, "error").get("message") or status
        running = status in _RUNNING and not found.get("done")
        refused = status == "FAILED" and not output.get("responsesFile")
        return BatchState(
            id=taken(found, "name"),
            state="running" if running else "refused" if refused else "ended",
            total=count_of(stats, "requestCount"),
            done=count_of(stats, "successfulRequestCount"),
            failed=count_of(stats, "failedRequestCount"),
            created=seconds_of(said.get("createTime")),
            outputs=optional(output, "responsesFile"),
            rest=_REST.get(status, Cause.BAD_RESPONSE),
            why=words(self.transport, why),
            tag=str(said.get("displayName", "")),
        )


def _headers(key: str) -> dict[str, str]:
    return {"x-goog-api-key": key} if key else {}


def _native(body: dict[str, Any]) -> dict[str, Json]:
    """Return the `generateContent` request that a chat's body stands for.

    Raises:
        UsageError: a parameter has no counterpart.
    """
    config: dict[str, Json] = {}
    for name, value in body.items():
        if name in _CONFIG:
            config[_CONFIG[name]] = [value] if name == "stop" and isinstance(value, str) else value
        elif name == "reasoning_effort" and value in _BUDGETS:
            config["thinkingConfig"] = {"thinkingBudget": _BUDGETS[value]}
        elif name == "response_format":
            config |= _format(value)
        elif name not in ("model", "messages"):
            raise UsageError(f"generation: Gemini's batches have no parameter {name!r}")
    messages = cast("list[dict[str, Any]]", body["messages"])
    system = [_part(one) for one in messages if one["role"] == "system"]
    request: dict[str, Json] = {
        "contents": [
            {"role": "model" if one["role"] == "assistant" else "user", "parts": [_part(one)]}
            for one in messages
            if one["role"] != "system"
        ],
        "generationConfig": config,
    }
    return request | ({"systemInstruction": {"parts": system}} if system else {})


def _part(message: dict[str, Any]) -> dict[str, Json]:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(one.get("text", "")) for one in cast("list[Any]", content))
    return {"text": content or ""}


def _format(form: dict[str, Any]) -> dict[str, Json]:
    found: dict[str, Json] = {"responseMimeType": "application/json"}
    if form.get("type") == "json_schema":
        found["responseJsonSchema"] = form["json_schema"]["schema"]
    return found


def _as_openai(reply: dict[str, Any]) -> dict[str, Json]:
    """Return the chat completion that a `generateContent` reply stands for."""
    first = next(iter(parts(reply, "candidates")), dict[str, Any]())
    reason = str(first.get("finishReason") or "")
    blocked = part(reply, "promptFeedback").get("blockReason")
    if blocked or any(name in reason for name in _FILTERS):
        finish = "content_filter"
    else:
        finish = _FINISHES.get(reason, reason.lower() or "unknown")
    pieces = parts(part(first, "content"), "parts")
    text = "".join(str(one.get("text", "")) for one in pieces if not one.get("thought"))
    used = part(reply, "usageMetadata")
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": count_of(used, "promptTokenCount"),
            "completion_tokens": count_of(used, "candidatesTokenCount", "thoughtsTokenCount"),
        },
    }
