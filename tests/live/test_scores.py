"""What real servers tell of a given text: the same as of the first token, and its words in full.

`PLAUDIT_LIVE_VLLM_RM` (`_SGLANG_RM`) is an engine URI of a served reward model.
"""

import math
import os
from pathlib import Path

import pytest

from plaudit import Judge
from plaudit.engines.base import Completion, Request, Sampling
from plaudit.engines.load import load_engine
from plaudit.types import Message
from tests.live.conftest import LiveServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

TEXT = "Question: is the sky blue?\nAnswer (yes or no):"


async def ask(server: LiveServer, **fields: object) -> Completion:
    prompt = fields.pop("prompt", TEXT)
    engine = load_engine(server.engine)
    try:
        return await engine.complete(Request(prompt=prompt, sampling=Sampling(), **fields))  # type: ignore[arg-type]
    finally:
        await engine.close()


@pytest.mark.parametrize("mode", ["completion", "chat"])
async def test_a_token_is_as_probable_given_as_written(server: LiveServer, mode: str) -> None:
    if mode == "chat" and server.scheme != "vllm":
        pytest.skip("it tells nothing about a chat's prompt")
    prompt = TEXT if mode == "completion" else (Message("user", TEXT),)
    written = await ask(server, prompt=prompt, logprobs=20)
    wholes = [c for c in written.logprobs or () if c.token.strip().isalpha()][:3]
    assert wholes
    for candidate in wholes:
        given = await ask(server, prompt=prompt, continuation=candidate.token)
        assert given.logprobs, candidate
        reported = given.logprobs[0].logprob
        print(f"\n{mode} {candidate.token!r}: {candidate.logprob:.4f}, {reported:.4f}")
        assert reported == pytest.approx(candidate.logprob, abs=0.1)


async def test_a_word_of_several_tokens_is_told_in_full(server: LiveServer) -> None:
    """It is less probable than its beginning, and it is told at all."""
    whole = await ask(server, continuation=" antidisestablishmentarian")
    assert whole.logprobs
    assert whole.logprobs[0].logprob < -5
    assert whole.usage.input_tokens > 10


async def test_a_word_that_joins_the_prompts_end_is_not_told(server: LiveServer) -> None:
    reply = await ask(server, prompt=TEXT + " disestab", continuation="lishment")
    whole = await ask(server, continuation=" disestablishment")
    assert whole.logprobs
    if reply.logprobs:  # a tokenizer may have a token that begins there
        assert math.isfinite(reply.logprobs[0].logprob)


@pytest.mark.parametrize("scheme", ["VLLM_RM", "SGLANG_RM"])
def test_a_reward_model(scheme: str, tmp_path: Path) -> None:
    uri = os.environ.get(f"PLAUDIT_LIVE_{scheme}", "")
    if not uri:
        pytest.skip(f"set PLAUDIT_LIVE_{scheme}")
    pair = {"prompt": "What is 2 + 2?", "response_a": "It is 4.", "response_b": "Purple."}
    judge = Judge("pairwise", engine=uri, cache=tmp_path / "s.db")
    there = judge.judge(pair)
    back = judge.judge(pair | {"response_a": pair["response_b"], "response_b": pair["response_a"]})
    judge.close()
    print(f"\n{there.fields}, {there.usage}")
    assert there.status == back.status == "ok"
    assert there.usage.input_tokens > 10
    assert there.fields["p_a"] == pytest.approx(1 - back.fields["p_a"], abs=1e-6)
