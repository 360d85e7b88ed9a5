import msgspec

from plaudit.engines.base import (
    Capabilities,
    Completion,
    EngineInfo,
    Request,
    Sampling,
    TokenLogprob,
    engine_info,
)
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.types import Message, Usage


def test_the_mode_of_a_request_is_that_of_its_prompt() -> None:
    assert Request(prompt="x", sampling=Sampling()).mode == "completion"
    assert Request(prompt=(Message("user", "x"),), sampling=Sampling()).mode == "chat"


def test_a_completion_survives_the_store() -> None:
    completion = Completion(
        text="x", finish_reason="length", logprobs=(TokenLogprob(" a", -0.5),), logprob_floor=-3.0,
        token_ids=(1, 2), usage=Usage(3, 2),
    )  # fmt: skip
    data = msgspec.msgpack.encode(completion)
    assert msgspec.msgpack.decode(data, type=Completion) == completion


def test_an_engine_promises_nothing_by_default() -> None:
    none = Capabilities()
    assert (none.logprobs, none.json_schema, none.completion, none.token_ids, none.seed) == (
        0, False, False, False, False
    )  # fmt: skip
    assert not none.deterministic


class Plain:
    """An engine of a user's own, without `info`."""

    uri = "plain:"
    capabilities = Capabilities()

    async def identify(self) -> str:
        return "plain:1"

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def complete(self, request: Request) -> Completion:
        return Completion(text="yes")


async def test_an_engine_without_info_has_the_defaults_and_is_asked() -> None:
    assert engine_info(Plain()) == EngineInfo()
    pool = Pool(Plain(), SendPolicy(concurrency=3))
    assert pool.window == 6
    completion = await pool.complete(Request(prompt="p", sampling=Sampling()))
    assert completion.text == "yes"
