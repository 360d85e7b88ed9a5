"""A Python function as an engine: concurrent requests are gathered into batches for it."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from plaudit._util.loops import drop_closed
from plaudit.engines.base import (
    SERVED_PARAMETERS,
    Capabilities,
    Completion,
    FinishReason,
    Mode,
    Request,
    TokenLogprob,
)
from plaudit.engines.replies import mend_text
from plaudit.errors import CallError, Cause, PlauditError
from plaudit.types import Json, Usage

BatchFunction = Callable[..., Any]
"""From a list of prompts to a list of texts or of outputs like vLLM's `RequestOutput`."""


class CallableEngine:
    """Completes with a function from a list of prompts to a list of replies, sync or async.

    A prompt is a text in completion mode and a list of message dicts in chat mode. A reply is a
    text, or an object like vLLM's `RequestOutput`: its `outputs[0]` gives text, token ids, finish
    reason and log-probabilities, as maps from token id to `Logprob` or as a number for each sampled
    token. A function with a parameter named `requests` also gets the `Request`s, with sampling
    parameters, schema and, in rollouts, the prompt as token ids. A `CallError` in place of a reply
    is what became of that request alone. Sync functions run in a thread, one batch at a time.
    """

    def __init__(
        self,
        function: BatchFunction,
        *,
        name: str | None = None,
        mode: Mode = "completion",
        logprobs: int = 0,
        token_ids: bool = False,
        cache: bool = False,
        max_batch: int = 256,
        gather: float = 0.005,
    ) -> None:
        """Wrap a function.

        Args:
            function: called with a list of at most `max_batch` prompts.
            name: identity of the model; the function's own name where None.
            mode: what the function takes.
            logprobs: log-probabilities of the first token that its replies show.
            token_ids: whether its replies are objects that hold the ids of all sampled tokens, the
                one that ended the reply included. If the function also asks for `requests`, it must
                heed their `prompt_ids`: where a request has any, they are the prompt, whatever the
                mode, and the prompt in the list is their text.
            cache: whether replies may be stored. Off, because the weights behind one name may
                change, as they do in training.
            max_batch: most prompts a call.
            gather: seconds to wait for a batch to fill.
        """
        self._function = function
        self._name = name or getattr(function, "__qualname__", type(function).__name__)
        self._max_batch = max_batch
        self._gather = gather
        self._wants_requests = "requests" in inspect.signature(function).parameters
        self.uri = f"callable:{self._name}"
        self.capabilities = Capabilities(
            logprobs=logprobs,
            chat=mode == "chat",
            completion=mode == "completion",
            default_mode=mode,
            generation=SERVED_PARAMETERS,
            token_ids=token_ids,
            token_prompts=token_ids and self._wants_requests,
            cacheable=cache,
            remote=False,
            concurrency=None,
        )
        self._waiting: dict[asyncio.AbstractEventLoop, _Batcher] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return self.__dict__ | {"_waiting": {}}

    async def identify(self) -> str:
        """Return the name that was given."""
        return self.uri

    async def open(self) -> None:
        """Do nothing; the function is there."""

    async def close(self) -> None:
        """Forget this event loop's batches."""
        self._waiting.pop(asyncio.get_running_loop(), None)

    async def complete(self, request: Request) -> Completion:
        """Complete as part of the next batch.

        Raises:
            CallError: the function raised, or returned something else than a reply a prompt.
        """
        loop = asyncio.get_running_loop()
        batcher = self._waiting.get(loop)
        if batcher is None:
            drop_closed(self._waiting)
            batcher = self._waiting[loop] = _Batcher(self._call, self._max_batch, self._gather)
        return await batcher.add(request)

    async def _call(self, requests: Sequence[Request]) -> "list[Completion | CallError]":
        prompts = [_prompt(request) for request in requests]
        extra = {"requests": list(requests)} if self._wants_requests else {}
        try:
            if inspect.iscoroutinefunction(self._function):
                replies = await self._function(prompts, **extra)
            else:
                replies = await asyncio.to_thread(self._function, prompts, **extra)
                if inspect.isawaitable(replies):
                    replies = await replies
            if isinstance(replies, str | bytes | dict):
                raise TypeError("it must return a list of replies, one a prompt")
            given = list(cast("Iterable[Any]", replies))
            completions = [
                _completion(reply, request) for reply, request in zip(given, requests, strict=False)
            ]
        except PlauditError:
            raise
        except Exception as error:  # the user's code may raise anything
            message = f"{self._name} raised {type(error).__name__}: {str(error)[:200]}"
            raise CallError(Cause.SERVER_ERROR, message) from error
        if len(given) != len(requests):
            raise CallError(
                Cause.BAD_RESPONSE,
                f"{self._name} returned {len(given)} replies to {len(requests)} prompts",
            )
        return completions


class _Batcher:
    """Gathers the requests of one event loop."""

    def __init__(
        self,
        call: Callable[[Sequence[Request]], Awaitable[list[Completion | CallError]]],
        max_batch: int,
        gather: float,
    ) -> None:
        self._call = call
        self._max_batch = max_batch
        self._gather = gather
        self._waiting: list[tuple[Request, asyncio.Future[Completion]]] = []
        self._busy: asyncio.Task[None] | None = None

    async def add(self, request: Request) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._busy is None:
            self._busy = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            if len(self._waiting) < self._max_batch:
                await asyncio.sleep(self._gather)
            batch, self._waiting = (
                self._waiting[: self._max_batch],
                self._waiting[self._max_batch :],
            )
            await self._run(batch)
        self._busy = None

    async def _run(self, batch: list[tuple[Request, asyncio.Future[Completion]]]) -> None:
        try:
            completions = await self._call([request for request, _ in batch])
        except PlauditError as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), completion in zip(batch, completions, strict=True):
            if future.done():
                continue
            if isinstance(completion, CallError):
                future.set_exception(completion)
            else:
                future.set_result(completion)


def _prompt(request: Request) -> Json:
    if isinstance(request.prompt, str):
        return request.prompt
    return msgspec.to_builtins(request.prompt)


_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


def _completion(reply: Any, request: Request) -> Completion | CallError:
    if isinstance(reply, CallError):
        return reply
    if isinstance(reply, str):
        return Completion(text=mend_text(reply))
    output = reply.outputs[0]
    ids = _ids(output, "token_ids")
    prompt_ids = _ids(reply, "prompt_token_ids") or request.prompt_ids
    positions = getattr(output, "logprobs", None)
    completion = Completion(
        text=mend_text(output.text),
        finish_reason=_FINISH.get(str(output.finish_reason), "unknown"),
        logprobs=_logprobs(positions),
        usage=Usage(len(prompt_ids), len(ids)),
    )
    if not request.trace_tokens:
        return completion
    return msgspec.structs.replace(
        completion,
        token_ids=ids or None,
        token_logprobs=_token_logprobs(positions, ids),
        prompt_token_ids=prompt_ids or None,
    )


def _ids(holder: Any, name: str) -> tuple[int, ...]:
    """Read ids from a list, an array or a tensor."""
    found = getattr(holder, name, None)
    return () if found is None else tuple(int(id_) for id_ in found)


def _token_logprobs(positions: Any, ids: tuple[int, ...]) -> tuple[float, ...] | None:
    """Read the sampled tokens' log-probabilities; None where there is not one for each id."""
    if not ids or positions is None or len(positions) != len(ids):
        return None
    if _is_number(positions[0]):
        return tuple(float(value) for value in positions)
    shown = [position.get(id_) for position, id_ in zip(positions, ids, strict=True)]
    return None if None in shown else tuple(float(entry.logprob) for entry in shown)


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__")


def _logprobs(positions: Any) -> tuple[TokenLogprob, ...] | None:
    """Read vLLM's log-probabilities: a position is a map from token id to `Logprob`."""
    if positions is None or not len(positions) or _is_number(positions[0]):
        return None
    shown = [TokenLogprob(c.decoded_token or "", c.logprob) for c in positions[0].values()]
    return tuple(sorted(shown, key=lambda c: -c.logprob))
