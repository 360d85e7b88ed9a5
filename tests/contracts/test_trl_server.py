"""TRL's GRPO with its reward in another process, which is killed and comes back half-way.

The reward server dies with a batch in its hands, and stays away for a whole step. The training
goes on; what had no answer is None for TRL, and moves nothing.
"""

import asyncio
import json
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

trl = pytest.importorskip("trl", reason="TRL is not installed: scripts/contracts trl has it")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402
from trl.chat_template_utils import qwen2_5_chat_template  # noqa: E402

from plaudit.integrations.trl import as_trl_reward  # noqa: E402
from tests.support import tiny_model  # noqa: E402
from tests.support.command import Plaudit  # noqa: E402
from tests.support.served import Served  # noqa: E402
from tests.support.tiny_model import PLACES, question  # noqa: E402

GROUP, STEPS, DEADLINE = 4, 7, 8.0
LOST, BACK = 3, 5
"""The step whose batch the server loses, and the first one after its return that must be scored."""

SPEC = """\
[rewards.correctness]
by = "rules"
undecided = 0.0

[rewards.held]
function = "held.py:held"
weight = 0.5
"""
HELD = '''\
"""Waits where a file says so, as a slow verifier does."""

import asyncio
from pathlib import Path

HERE = Path(__file__).parent


async def held(trace):
    (HERE / "begun").touch()
    while (HERE / "hold").exists():
        await asyncio.sleep(0.05)
    return float(len(trace.final_answer or "") < 20)
'''


class Loop:
    """A served reward: every batch that TRL had scored, and the server's comings and goings."""

    def __init__(self, home: Path) -> None:
        self.home, self.steps = home, []
        self.server = Served(home, "rewards.toml")
        self.reward = as_trl_reward(
            f"{self.server.url}/v1/score/rewards", name="served", deadline=DEADLINE
        )

    @property
    def step(self) -> int:
        return len(self.steps) + 1

    async def __call__(self, **batch: Any) -> list[float | None]:
        """Score as TRL asks; in one step the server dies before it has answered."""
        if self.step == LOST:
            (self.home / "begun").unlink()
            (self.home / "hold").touch()
        asked = asyncio.ensure_future(self.reward(**batch))
        if self.step == LOST:
            while not (self.home / "begun").exists():
                await asyncio.sleep(0.05)
            self.server.stop(signal.SIGKILL)
        found = await asked
        self.steps.append((batch["prompts"], batch["completions"], batch["answer"], found))
        return found

    def come_back(self) -> None:
        """Start the server again; nobody waits for it."""
        (self.home / "hold").unlink()
        self.server = Served(self.home, "rewards.toml", port=self.server.port)


class Events(TrainerCallback):
    """Brings the server back after the step that it lost."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == LOST:
            self.loop.come_back()


class Watched(GRPOTrainer):
    """Keeps the advantages of each step."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.advantages: list[Any] = []

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        batch = super()._generate_and_score_completions(inputs)
        self.advantages.append(batch["advantages"].clone())
        return batch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers in a word, often the right one."""
    folder = tmp_path_factory.mktemp("model")
    chats = [
        [
            {"role": "user", "content": question(thing)},
            {"role": "assistant", "content": PLACES[thing]},
        ]
        for thing in PLACES
    ]
    plain = tiny_model.tokenizer_of([], qwen2_5_chat_template)
    texts = [plain.apply_chat_template(one, tokenize=False) for one in chats]
    tokenizer = tiny_model.tokenizer_of(texts, qwen2_5_chat_template)
    lessons = [tiny_model.lesson(tokenizer, one, []) for one in chats]
    return tiny_model.save(tiny_model.taught(len(tokenizer), lessons, 25), tokenizer, folder)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    (tmp_path / "rewards.toml").write_text(SPEC)
    (tmp_path / "held.py").write_text(HELD)
    served = Loop(tmp_path)
    yield served
    served.server.stop(signal.SIGKILL)


def trained(model: Path, loop: Loop) -> Watched:
    data = [
        {"prompt": [{"role": "user", "content": question(thing)}], "answer": place}
        for thing, place in PLACES.items()
    ]

    async def served(**batch: Any) -> list[float | None]:
        return await loop(**batch)

    trainer = Watched(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(model),
        reward_funcs=served,
        args=GRPOConfig(
            output_dir=str(loop.home / "trained"),
            per_device_train_batch_size=2 * GROUP,
            num_generations=GROUP,
            max_completion_length=16,
            max_steps=STEPS,
            learning_rate=1e-3,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(data),
        callbacks=[Events(loop)],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    return trainer


def scored_offline(loop: Loop) -> list[list[float | None]]:
    """What `plaudit score` says of the same rows."""
    rows = [
        {"messages": [*prompt, *completion], "reference": answer}
        for prompts, completions, answers, _ in loop.steps
        for prompt, completion, answer in zip(prompts, completions, answers, strict=True)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (loop.home / "rows.jsonl").write_text(lines)
    done = Plaudit(loop.home / "store", folder=loop.home).start(
        "score", "rows.jsonl", "--rewards", "rewards.toml", "-o", "scored.jsonl"
    )
    _, problem = done.communicate(timeout=300)
    assert done.returncode == 0, problem
    lines = (loop.home / "scored.jsonl").read_text()
    values = [json.loads(line)["rewards"]["value"] for line in lines.splitlines()]
    width = 2 * GROUP
    return [values[start : start + width] for start in range(0, len(values), width)]


def test_training_goes_on_without_the_server_and_no_reward_is_made_up(
    model: Path, loop: Loop
) -> None:
    trainer = trained(model, loop)
    logs = [entry for entry in trainer.state.log_history if "served/unscored" in entry]
    report(logs)
    assert trainer.state.global_step == STEPS == len(logs) == len(loop.steps)

    used = [found for *_, found in loop.steps]
    offline = scored_offline(loop)
    for given, known in zip(used, offline, strict=True):
        assert all(value is None or value == own for value, own in zip(given, known, strict=True))
    lost = [step for step, given in enumerate(used, 1) if None in given]
    assert LOST in lost
    assert set(lost) <= set(range(LOST, BACK))
    assert all(value is None for value in used[LOST - 1])
    assert all(value is not None for known in offline for value in known)

    for step, (given, entry, advantages) in enumerate(
        zip(used, logs, trainer.advantages, strict=True), 1
    ):
        assert entry["served/unscored"] == given.count(None) / len(given), step
        assert torch.allclose(advantages, expected(given), atol=1e-4), step
    assert logs[LOST - 1]["grad_norm"] == 0
    assert any(entry["grad_norm"] > 0 for entry in logs[BACK - 1 :])


def expected(given: list[float | None]) -> Any:
    """Advantages within groups, without the rows that have no value; theirs are 0."""
    groups = torch.tensor([float("nan") if v is None else v for v in given]).view(-1, GROUP)
    means = groups.nanmean(dim=1, keepdim=True)
    known = (~groups.isnan()).sum(dim=1, keepdim=True)
    spread = ((groups - means).square().nansum(dim=1, keepdim=True) / (known - 1).clamp(min=1)) ** 0.5
    return ((groups - means) / (spread + 1e-4)).nan_to_num(0.0).flatten()


def report(logs: list[dict[str, Any]]) -> None:
    """Print what docs/reference/trainers.md shows: pytest -s."""
    for step, entry in enumerate(logs, 1):
        figures = ("rewards/served/mean", "served/unscored", "grad_norm", "step_time")
        print(f"step {step}:", ", ".join(f"{name} {entry[name]:.3f}" for name in figures))
