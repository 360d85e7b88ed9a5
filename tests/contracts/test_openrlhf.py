"""The installed OpenRLHF asks a reward function of a file, and a reward server.

`scripts/contracts openrlhf`.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

agent = pytest.importorskip("openrlhf.utils.agent", reason="scripts/contracts openrlhf has it")
torch: Any = pytest.importorskip("torch")
pytestmark = [pytest.mark.filterwarnings("default")]

from tests.support.equality.rows import UNSCORED, without  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402
from tests.support.rl_peers import CHAT  # noqa: E402
from tests.support.serving import RULES, serving  # noqa: E402

FILE = """
from plaudit.integrations.openrlhf import as_openrlhf_reward

reward_func = as_openrlhf_reward({spec!r}, when_unscored={choice!r})
"""
BY_RULES = {"rewards": {"correctness": {"by": "rules"}}}


class Tokenizer:
    """Tokens are the characters of a text."""

    def __call__(self, *, text: str, **options: Any) -> dict[str, Any]:
        assert options == {"add_special_tokens": False, "return_tensors": "pt"}
        return {"input_ids": torch.tensor([[ord(one) for one in text]])}

    def decode(self, tokens: Any, *, skip_special_tokens: bool) -> str:
        assert not skip_special_tokens
        return "".join(map(chr, tokens))


class Engine:
    """Writes one text."""

    def __init__(self, said: str) -> None:
        self.said = said

    async def generate(self, ids: Any, params: Any, *, multi_modal_data: Any) -> Any:
        tokens = [ord(one) for one in self.said]
        made = SimpleNamespace(token_ids=tokens, finish_reason="stop", logprobs=None)
        return SimpleNamespace(outputs=[made])


async def rollout(
    where: str, said: str, label: Any, room: int = 4096, prompt: str = CHAT
) -> dict[str, Any]:
    """One sample as OpenRLHF makes it; with little room the prompt is truncated."""
    executor = agent.SingleTurnAgentExecutor([where])
    params = SimpleNamespace(max_tokens=16, logprobs=None)
    return await executor.execute(prompt, label, params, room, Tokenizer(), Engine(said))


def as_number(value: Any) -> float | None:
    """What `_process_response_into_experience` makes of a reward."""
    return None if value is None else torch.tensor([value]).flatten().item()


def written(folder: Path, choice: Any, spec: Any = BY_RULES) -> str:
    file = folder / "reward.py"
    file.write_text(FILE.format(choice=choice, spec=spec))
    return str(file)


async def check(where: str) -> None:
    for said, label, room, expected in (
        ("4<|im_end|>", "4", 4096, (1.0, 1.0, 0.0)),
        ("5<|im_end|>", "4", 4096, (0.0, 0.0, 0.0)),
        ("4<|im_end|>", None, 4096, (-1.0, 0.0, 1.0)),
        ("4<|im_end|>", "4", 40, (-1.0, 0.0, 1.0)),  # Its prompt was truncated.
    ):
        found = await rollout(where, said, label, room)
        values = (found["reward"], found["scores"], found["extra_logs"]["unscored"])
        assert tuple(map(as_number, values)) == expected


async def test_a_file_with_a_number(tmp_path: Path) -> None:
    await check(written(tmp_path, -1))


async def test_a_server_with_a_number(tmp_path: Path) -> None:
    async with serving(RULES, "openrlhf", folder=tmp_path, when_unscored="-1") as client:
        await check(f"{client.address.url}/openrlhf")


async def test_after_an_error_there_is_no_reward(tmp_path: Path) -> None:
    where = written(tmp_path, "error")
    assert as_number((await rollout(where, "4", "4"))["reward"]) == 1.0
    lost = await rollout(where, "4", None)
    assert (lost["reward"], lost["scores"], lost["extra_logs"]) == (None, None, {})


async def test_samples_have_the_values_of_plaudit_score(
    tmp_path: Path, runs: dict[str, Run]
) -> None:
    run = runs["graded"]
    where = written(tmp_path, UNSCORED, str(run.spec))
    found = [
        await rollout(where, row["completion"] + "<|im_end|>", row["answer"], prompt=row["prompt"])
        for row in run.rows
    ]
    rewards = [without(as_number(one["reward"])) for one in found]
    expected = [as_number(value) for value in run.values]  # As floats of 32 bits.
    assert run._replace(values=expected).differences(rewards) == []
