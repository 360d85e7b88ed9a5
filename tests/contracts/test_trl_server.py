"""TRL's GRPO with its reward in another process, which is killed and comes back half-way.

The reward server dies with a batch in its hands, twice. The first time it stays away until the
batch's deadline: every row is None for TRL, and has no gradient. The second time it comes back at
once: the batch is asked again, and scored.
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

GROUP, STEPS = 4, 7
LOST, ASKED_AGAIN = 3, 5
"""Steps whose batch the server loses: for good, and until it comes back."""
SHORT_S, LONG_S = 4.0, 120.0
"""Deadlines of a batch, of the lost one and of the others."""

SPEC = """\
[rewards.correctness]
by = "rules"
undecided = 0.0

[rewards.held]
function = "held.py:held"
weight = 0.5
"""
HELD = '''\
"""Waits where a file says so, as a slow verifier does, and cannot say of one answer."""

import asyncio
from pathlib import Path

HERE = Path(__file__).parent


async def held(trace):
    (HERE / "begun").touch()
    while (HERE / "hold").exists():
        await asyncio.sleep(0.05)
    answer = trace.final_answer or ""
    return None if "hut" in answer else float(len(answer) < 20)
'''


class Loop:
    """A served reward: every batch that TRL had scored, and the server's comings and goings."""

    def __init__(self, home: Path) -> None:
        self.home, self.steps = home, []
        self.server = Served(home, "rewards.toml")
        url = f"{self.server.url}/v1/score/rewards"
        self.hasty = as_trl_reward(url, name="served", deadline=SHORT_S)
        self.patient = as_trl_reward(url, name="served", deadline=LONG_S)

    async def __call__(self, **batch: Any) -> list[float | None]:
        """Score as TRL asks; in two steps the server dies before it has answered."""
        step = len(self.steps) + 1
        reward = self.hasty if step == LOST else self.patient
        if step not in (LOST, ASKED_AGAIN):
            found = await reward(**batch)
        else:
            found = await self.interrupted(reward(**batch), comes_back=step == ASKED_AGAIN)
        self.steps.append((batch["prompts"], batch["completions"], batch["answer"], found))
        return found

    async def interrupted(self, scoring: Any, *, comes_back: bool) -> list[float | None]:
        """Kill the server while it has a batch, and let it come back then or later."""
        (self.home / "begun").unlink()
        (self.home / "hold").touch()
        asked = asyncio.ensure_future(scoring)
        while not (self.home / "begun").exists():
            await asyncio.sleep(0.05)
        self.server.stop(signal.SIGKILL)
        (self.home / "hold").unlink()
        if comes_back:
            await asyncio.to_thread(self.come_back)
        return await asked

    def come_back(self) -> None:
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
        {"messages": [*prompt, *completion], "answer": answer}
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
    values = [json.loads(line)["rewards"]["total"]["value"] for line in lines.splitlines()]
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
    assert set(used[LOST - 1]) == {None} != set(offline[LOST - 1])
    kept = [step for step in range(STEPS) if step != LOST - 1]
    assert [used[step] for step in kept] == [offline[step] for step in kept]
    assert any(None in group and len(set(group)) > 1 for step in used for group in groups_of(step))

    for step, (given, entry, advantages) in enumerate(
        zip(used, logs, trainer.advantages, strict=True), 1
    ):
        assert entry["served/unscored"] == given.count(None) / len(given), step
        assert torch.allclose(advantages, expected(given), atol=1e-4), step
    assert logs[LOST - 1]["grad_norm"] == 0
    assert any(entry["grad_norm"] > 0 for entry in logs[LOST:])


def groups_of(given: list[float | None]) -> list[list[float | None]]:
    return [given[:GROUP], given[GROUP:]]


def expected(given: list[float | None]) -> Any:
    """Advantages within groups, without the rows that have no value; theirs are 0."""
    groups = torch.tensor([float("nan") if v is None else v for v in given]).view(-1, GROUP)
    means = groups.nanmean(dim=1, keepdim=True)
    known = (~groups.isnan()).sum(dim=1, keepdim=True)
    squares = (groups - means).square().nansum(dim=1, keepdim=True)
    spread = (squares / (known - 1).clamp(min=1)).sqrt()
    return ((groups - means) / (spread + 1e-4)).nan_to_num(0.0).flatten()


def report(logs: list[dict[str, Any]]) -> None:
    """Print what docs/reference/trainers.md shows: pytest -s."""
    for step, entry in enumerate(logs, 1):
        figures = ("rewards/served/mean", "served/unscored", "grad_norm", "step_time")
        found = ((name, entry[name]) for name in figures)
        shown = (f"{name} {'none' if value is None else f'{value:.3f}'}" for name, value in found)
        print(f"step {step}:", ", ".join(shown))
