"""Against the installed verl: `scripts/contracts verl`, or wherever verl can be imported."""

import asyncio
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed: scripts/contracts verl has it")
# What the libraries of the trainer warn of among themselves is not for these tests to judge.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from omegaconf import OmegaConf
    from verl import DataProto
    from verl.experimental.agent_loop.agent_loop import (
        AgentLoopMetrics,
        AgentLoopOutput,
        AgentLoopWorker,
    )
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
    from verl.trainer.ppo.metric_utils import process_validation_metrics
    from verl.trainer.ppo.reward import load_reward_manager

from plaudit.integrations.verl import MASK  # noqa: E402
from plaudit.rewarding.unscored import UnscoredError  # noqa: E402
from tests.support import tiny_model  # noqa: E402
from tests.support.equality import rl_trainers  # noqa: E402
from tests.support.equality.rows import UNSCORED  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402
from tests.support.tiny_model import PLACES, question, search  # noqa: E402
from tests.support.verl_peer import TEMPLATE, Rollout, fields, rollout  # noqa: E402

FILE = """\
from plaudit.integrations.verl import as_verl_manager, as_verl_reward

RULES = {"rewards": {"correctness": {"by": "rules", "undecided": 0.0}}}
compute_score = as_verl_reward(RULES, when_unscored=-1)
Manager = as_verl_manager(RULES, when_unscored=-1)
Strict = as_verl_manager(RULES, when_unscored="error")
"""
CALL = '<tool_call>\n{"name": "search", "arguments": {"query": "rope"}}\n</tool_call>'
OF_LOOP = {"__num_turns__", "tool_extra_fields"}
"""What verl's loop adds to the columns of a row."""
KEYS = ["score", "abstained", "status", "cause", "reason"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    texts = [f"{question(thing)} {search(thing)} {CALL}" for thing in PLACES]
    made = tiny_model.tokenizer_of(texts, TEMPLATE)
    folder = tmp_path_factory.mktemp("model")
    made.save_pretrained(folder)
    made.name_or_path = str(folder)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "rewards.py").write_text(FILE)
    return tmp_path


def config(home: Path, tokenizer: Any, *, function: str = "", manager: str = "", **reward: Any):
    """verl's configuration, of what a reward worker reads."""
    path, own = str(home / "rewards.py"), {"source": "register", "name": "naive", "module": None}
    if manager:
        own = {"source": "importlib", "name": manager, "module": {"path": path, "name": "any"}}
    made = {
        "data": {},
        "actor_rollout_ref": {
            "model": {"path": tokenizer.name_or_path, "tokenizer_path": None},
        },
        "reward": {
            "custom_reward_function": {
                "path": path if function else None,
                "name": function,
                "reward_kwargs": {},
            },
            "reward_manager": own,
            "reward_model": {"enable": False},
            **reward,
        },
    }
    return OmegaConf.create(made)


def chat(thing: str, *wrote: str, **info: Any) -> tuple[Any, ...]:
    messages = [{"role": "assistant" if n % 2 == 0 else "tool", "content": text}
                for n, text in enumerate(wrote)]  # fmt: skip
    return [{"role": "user", "content": question(thing)}], messages, PLACES[thing], info


CHATS = [
    (chat("rope", "boat"), 1.0),
    (chat("rope", "hut"), 0.0),
    (chat("rope", CALL, search("rope"), "no idea"), 0.0),
    (chat("rope", CALL, search("map"), "boat"), 1.0),
]


def outputs_of(made: Rollout, extra: dict[str, Any]) -> list[AgentLoopOutput]:
    return [
        AgentLoopOutput(
            prompt_ids=made.prompt_ids,
            response_ids=made.ids,
            response_mask=made.mask,
            num_turns=made.num_turns,
            metrics=AgentLoopMetrics(),
            extra_fields=extra,
        )
    ]


class Loop(AgentLoopWorker):
    """verl's worker of agent loops, of which only the scoring is used."""

    def __init__(self, worker: RewardLoopWorker) -> None:
        remote = SimpleNamespace(remote=worker.compute_score)
        self.reward_loop_worker_handles = [SimpleNamespace(compute_score=remote)]
        self.processor, self.mm_processor_kwargs = None, {}

    async def score(self, made: Rollout, beside: dict[str, Any]) -> dict[str, Any]:
        """Score a rollout as verl does while others are sampled."""
        columns = {name: value for name, value in beside.items() if name not in OF_LOOP}
        outputs = outputs_of(made, dict(beside.get("tool_extra_fields", {})))
        await self._compute_score(outputs, {"index": 3, **columns})
        found = outputs[-1].extra_fields["reward_extra_info"]
        assert list(found) == KEYS
        assert outputs[-1].reward_score == found["score"]
        return found

    async def score_chat(
        self, tokenizer: Any, case: Sequence[Any], *, masked: bool = False
    ) -> dict[str, Any]:
        prompt, wrote, answer, info = case
        made = rollout(tokenizer, prompt, wrote)
        extra = {"turn_scores": [], "tool_rewards": []} | ({MASK: made.mask} if masked else {})
        info = {"index": 3, "split": "train", **info}
        beside = fields(made, answer, extra_info=info, tool_extra_fields=extra)
        return await self.score(made, beside)


async def scores(worker: RewardLoopWorker, tokenizer: Any, **how: Any) -> list[dict[str, Any]]:
    loop = Loop(worker)
    return [await loop.score_chat(tokenizer, case, **how) for case, _ in CHATS]


async def test_real_rollouts_have_the_values_of_plaudit_score(
    home: Path, tokenizer: Any, runs: dict[str, Run]
) -> None:
    def make(spec: Path) -> tuple[Any, Any]:
        (home / "rewards.py").write_text(
            "from plaudit.integrations.verl import as_verl_manager\n"
            f"Manager = as_verl_manager({str(spec)!r}, when_unscored={UNSCORED})\n"
        )
        return tokenizer, Loop(RewardLoopWorker(config(home, tokenizer, manager="Manager"))).score

    for run in runs.values():
        for masked in (False, True):
            found = await rl_trainers.verl_manager(run.spec, run.rows, make, masked=masked)
            assert run.differences(found) == []


@pytest.mark.parametrize("masked", [False, True])
async def test_a_manager_named_in_the_configuration_reads_what_the_model_wrote(
    home: Path, tokenizer: Any, masked: bool
) -> None:
    worker = RewardLoopWorker(config(home, tokenizer, manager="Manager"))
    found = await scores(worker, tokenizer, masked=masked)
    assert [one["score"] for one in found] == [value for _, value in CHATS]
    assert {one["abstained"] for one in found} == {0.0}


async def test_a_function_named_in_the_configuration_scores_single_turns(
    home: Path, tokenizer: Any
) -> None:
    worker = RewardLoopWorker(config(home, tokenizer, function="compute_score"))
    loop = Loop(worker)
    for wrote, expected in (("boat", 1.0), ("hut", 0.0)):
        case = chat("rope", wrote, question=question("rope"))
        assert (await loop.score_chat(tokenizer, case))["score"] == expected
    several = chat("rope", CALL, search("rope"), "hut", question=question("rope"))
    found = await loop.score_chat(tokenizer, several)
    assert (found["score"], found["abstained"], found["cause"]) == (-1.0, 1.0, "no_prompt")


async def test_what_tools_answered_is_in_the_text_that_a_function_gets(
    home: Path, tokenizer: Any
) -> None:
    """So a function that reads it as the model's own would reward the text of a document."""
    (home / "rewards.py").write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None, **further):\n"
        "    return {'score': float(ground_truth in solution_str), 'text': solution_str}\n"
    )
    worker = RewardLoopWorker(config(home, tokenizer, function="compute_score"))
    made = rollout(tokenizer, *chat("rope", CALL, search("rope"), "no idea")[:2])
    outputs = outputs_of(made, {})
    kwargs = {"data_source": "x", "reward_model": {"ground_truth": "boat"}, "raw_prompt": [],
              "extra_info": {}}  # fmt: skip
    await Loop(worker)._compute_score(outputs, kwargs)
    assert outputs[-1].reward_score == 1.0
    assert "<|im_start|>" not in outputs[-1].extra_fields["reward_extra_info"]["text"]


def batch_of(tokenizer: Any, cases: Sequence[Any]) -> DataProto:
    """A batch as verl has it when all of it was sampled: padded, and with its masks."""
    made = [rollout(tokenizer, prompt, wrote) for prompt, wrote, _, _ in cases]
    width = max(len(one.ids) for one in made) + 2
    asked = max(len(one.prompt_ids) for one in made)

    def right(values: Sequence[int]) -> list[int]:
        return [*values, *[0] * (width - len(values))]

    def left(values: Sequence[int]) -> list[int]:
        return [*[0] * (asked - len(values)), *values]

    tensors = {
        "prompts": [left(one.prompt_ids) for one in made],
        "responses": [right(one.ids) for one in made],
        "response_mask": [right(one.mask) for one in made],
        "attention_mask": [
            left([1] * len(one.prompt_ids)) + right([1] * len(one.ids)) for one in made
        ],
    }
    others = {
        "data_source": ["notes"] * len(made),
        "reward_model": [{"ground_truth": answer} for _, _, answer, _ in cases],
        "raw_prompt": [prompt for prompt, *_ in cases],
        "extra_info": [{"index": n} for n in range(len(made))],
        "__num_turns__": [one.num_turns for one in made],
    }
    arrays = {}
    for name, values in others.items():
        arrays[name] = np.empty(len(values), dtype=object)
        arrays[name][:] = values
    return DataProto.from_dict(
        tensors={name: torch.tensor(values) for name, values in tensors.items()},
        non_tensors=arrays,
    )


async def test_a_batch_becomes_rewards_at_the_last_token_and_metrics(
    home: Path, tokenizer: Any
) -> None:
    unknown = (*chat("map", "hut")[:2], None, {})
    cases = [*(case for case, _ in CHATS), unknown]
    worker = RewardLoopWorker(config(home, tokenizer, manager="Manager"))
    data = batch_of(tokenizer, cases)
    found = await worker.compute_score_batch(data)
    expected = [*(value for _, value in CHATS), -1.0]
    scored = [one["reward_score"] for one in found]
    assert scored == expected
    rewards = type(worker.reward_manager).assemble_rm_scores(data, scored)
    lengths = data.batch["attention_mask"][:, data.batch["prompts"].size(1) :].sum(dim=1)
    assert rewards[torch.arange(len(cases)), lengths - 1].tolist() == expected
    assert rewards.sum().item() == sum(expected)

    infos = [one["reward_extra_info"] for one in found]
    columns = {name: np.array([one[name] for one in infos]).tolist() for name in infos[0]}
    metrics = process_validation_metrics(["notes"] * 5, [str(n) for n in range(5)], columns)
    assert set(metrics["notes"]) == {"score", "abstained"}
    assert metrics["notes"]["abstained"]["mean@1"] == pytest.approx(0.2)


async def test_error_ends_the_training(home: Path, tokenizer: Any) -> None:
    worker = RewardLoopWorker(config(home, tokenizer, manager="Strict"))
    loop = Loop(worker)
    assert (await loop.score_chat(tokenizer, CHATS[0][0]))["score"] == 1.0
    with pytest.raises(UnscoredError):
        await loop.score_chat(tokenizer, (*chat("map", "hut")[:2], None, {}))


async def test_rate_limited_makes_0_of_what_failed_so_that_error_does_not_end_it(
    home: Path, tokenizer: Any
) -> None:
    """Why the page says not to use that manager with `error`."""
    text = FILE.replace("compute_score = as_verl_reward(RULES, when_unscored=-1)",
                        'compute_score = as_verl_reward(RULES, when_unscored="error")')  # fmt: skip
    (home / "rewards.py").write_text(text)
    own = config(home, tokenizer, function="compute_score", max_concurrent=1)
    own.reward.reward_manager.name = "rate_limited"
    manager = load_reward_manager(own, tokenizer)
    data = batch_of(tokenizer, [(*chat("map", "hut")[:2], None, {})])
    found = await asyncio.wait_for(manager.run_single(data), 60)
    assert found["reward_score"] == 0.0
    assert "have no value" in found["reward_extra_info"]["error"]
