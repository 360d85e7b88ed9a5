"""Against the installed TRL: `scripts/contracts trl`, or wherever TRL can be imported."""

import asyncio
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

trl = pytest.importorskip("trl", reason="TRL is not installed: scripts/contracts trl has it")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
# What the libraries of the trainer warn of among themselves is not for these tests to judge.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402
from trl.chat_template_utils import qwen2_5_chat_template  # noqa: E402

from plaudit.integrations.trl import as_trl_reward, trl_rollout_func  # noqa: E402
from plaudit.integrations.trl_sampling import Recorder, sample  # noqa: E402
from plaudit.rewarding.completions import with_columns  # noqa: E402
from plaudit.rollouts.calls.forms import write_call  # noqa: E402
from plaudit.rollouts.rewards.reading import results_of  # noqa: E402
from plaudit.rollouts.rewards.spec import load_rewards  # noqa: E402
from plaudit.rollouts.trace import Trace  # noqa: E402
from tests.support import tiny_model  # noqa: E402
from tests.support.tiny_model import END_ID, PAD_ID, PLACES, question, search  # noqa: E402
from tests.support.trl_trainer import StandInTrainer  # noqa: E402

RULES = {"rewards": {"correctness": {"by": "rules", "undecided": 0.0}}}
GROUP = 4
EXAMPLE = Path(__file__).parents[2] / "examples" / "train_grpo.py"


def chat(thing: str) -> list[dict[str, Any]]:
    """A chat as the model should have it."""
    made = {"type": "function", "function": {"name": "search", "arguments": {"query": thing}}}
    return [
        {"role": "user", "content": question(thing)},
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "name": "search", "content": search(thing)},
        {"role": "assistant", "content": PLACES[thing]},
    ]


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that calls tools in the form that TRL reads."""
    chats = [chat(thing) for thing in PLACES]
    plain = tiny_model.tokenizer_of([], qwen2_5_chat_template)
    texts = [plain.apply_chat_template(one, tools=[search], tokenize=False) for one in chats]
    tokenizer = tiny_model.tokenizer_of(texts, qwen2_5_chat_template)
    lessons = [tiny_model.lesson(tokenizer, one, [search]) for one in chats]
    model = tiny_model.taught(len(tokenizer), lessons)
    return tiny_model.save(model, tokenizer, tmp_path_factory.mktemp("native"))


def rows(**columns: Any) -> Dataset:
    return Dataset.from_list(
        [
            {"prompt": [{"role": "user", "content": question(t)}], "answer": place, **columns}
            for t, place in PLACES.items()
        ]
    )


def settings(folder: Path, **fields: Any) -> GRPOConfig:
    given: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 2 * GROUP,
        "num_generations": GROUP,
        "max_completion_length": 96,
        "max_steps": 2,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
    }
    return GRPOConfig(**(given | fields))


def train(model: Path, reward: Any, config: GRPOConfig, data: Dataset, **fields: Any) -> Any:
    """Train, and return the trainer."""
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(model),
        reward_funcs=reward,
        args=config,
        train_dataset=data,
        **fields,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    return trainer


def score(trace: Trace) -> float | None:
    """What the rules say of a trace."""
    return asyncio.run(load_rewards(RULES).score(trace)).value


class Seen:
    """A reward that keeps the traces that it was shown."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []

    def __call__(self, trace: Trace) -> float | None:
        self.traces.append(trace)
        return None if trace.final_answer is None else float(len(trace.final_answer))


def test_sampled_ids_and_log_probabilities_are_the_models_own(native: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(native, dtype=torch.float32)
    prompts, limits = [[5, 6, 7, 8], [9]], [3, 40]
    config = GenerationConfig(
        do_sample=True, temperature=0.5, top_p=0.9, pad_token_id=PAD_ID, eos_token_id=[END_ID]
    )
    torch.manual_seed(1)
    found = sample(model, prompts, limits, config)
    for prompt, limit, one in zip(prompts, limits, found, strict=True):
        assert 1 <= len(one.ids) <= limit
        assert one.ended == (one.ids[-1] == END_ID)
        assert END_ID not in one.ids[:-1]
        logits = model(torch.tensor([prompt + one.ids])).logits[0, len(prompt) - 1 : -1]
        reported = torch.log_softmax(logits, -1).gather(1, torch.tensor(one.ids)[:, None])[:, 0]
        assert torch.allclose(reported, torch.tensor(one.logprobs), atol=1e-4)


@pytest.mark.parametrize("undone", [0, 1])
def test_a_step_that_was_taken_back_counts_for_nothing(undone: int) -> None:
    """On a GPU `generate` may take a step too many before it sees that all replies have ended."""
    recorder, steps = Recorder(torch), torch.randn(3 + undone, 2, 7)
    ids = torch.tensor([[3, 1, 4, 5, 6], [2, 0, 6, 1, 0]])[:, : 4 + undone]
    for number, logits in enumerate(steps):
        assert recorder(ids[:, : number + 1], logits) is logits
    replies = ids[:, 1:4]
    reported = torch.log_softmax(steps[:3], -1).gather(2, replies.T[:, :, None])[:, :, 0].T
    assert torch.equal(recorder.finish(replies), reported)


def test_a_reward_reads_tool_calls_and_results_of_TRLs_own_loop(
    native: Path, tmp_path: Path
) -> None:
    seen = Seen()
    rewards = [as_trl_reward(RULES, name="right"), as_trl_reward(seen, name="seen")]
    trainer = train(native, rewards, settings(tmp_path), rows(), tools=[search])
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logs) == 2
    assert len(seen.traces) == 2 * 2 * GROUP
    searched = [trace for trace in seen.traces if results_of(trace)]
    assert searched
    for trace in searched:
        for result in results_of(trace):
            assert result.text == str(search(**result.call.arguments))
    right = [trace.final_answer == trace.question.answer for trace in seen.traces if trace.question]
    assert any(right)
    means = [entry["rewards/right/mean"] for entry in logs]
    assert sum(means) / 2 == pytest.approx(sum(right) / len(right), abs=0.2)
    assert all("right/unscored" in entry for entry in logs)


class Notes:
    """An environment of TRL, with one tool."""

    def reset(self, **row: Any) -> None:
        self.searches = 0

    def search(self, query: str) -> str:
        """Search the notes.

        Args:
            query: a thing.
        """
        self.searches += 1
        return search(query)


class RewardedNotes(Notes):
    """An environment that rewards too."""

    def get_reward(self) -> float:
        return float(self.searches)


@pytest.mark.parametrize("environment", [Notes, RewardedNotes])
def test_a_reward_reads_what_environments_answer(
    native: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, environment: type[Notes]
) -> None:
    seen = Seen()

    def picky(trace: Trace) -> float | None:
        seen(trace)
        return None if "map" in trace.messages[0].text else 1.0

    rewards = as_trl_reward(picky)
    config = settings(tmp_path, shuffle_dataset=False)
    trainer = train(native, rewards, config, rows(), environment_factory=environment)
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(seen.traces) == 2 * 2 * GROUP
    searched = [result for trace in seen.traces for result in results_of(trace)]
    assert searched
    for result in searched:
        assert result.text == str(search(**result.call.arguments))
    assert sum(entry["picky/unscored"] for entry in logs) == pytest.approx(0.5)
    own = environment is RewardedNotes
    assert all(("rewards/RewardedNotes/mean" in entry) == own for entry in logs)
    assert ("counts as 0" in caplog.text) == own


# The rollout function


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that calls tools in the form that plaudit's own prompt shows it."""
    folder = tmp_path_factory.mktemp("agent")
    plain = tiny_model.tokenizer_of([], qwen2_5_chat_template)
    plain.save_pretrained(folder)
    texts = [text for trace in demonstrations(folder) for text in read(trace)]
    tokenizer = tiny_model.tokenizer_of(texts, qwen2_5_chat_template)
    tokenizer.save_pretrained(folder)
    lessons = [(trace.tokens.ids, trace.tokens.mask) for trace in demonstrations(folder)]
    return tiny_model.save(tiny_model.taught(len(tokenizer), lessons), tokenizer, folder)


def demonstrations(folder: Path) -> list[Any]:
    """Traces of what the model should do."""
    teacher = StandInTrainer(folder, tiny_model.END, habit)
    return trl_rollout_func([search])([question(thing) for thing in PLACES], teacher)["trace"]


def read(trace: Trace) -> list[str]:
    """What a model read and wrote in a rollout."""
    return [message.text for message in trace.messages] + [turn.text for turn in trace.turns]


def habit(prompt: str) -> str:
    asked = next(thing for thing in PLACES if question(thing) in prompt)
    if search(asked) in prompt:
        return PLACES[asked]
    return write_call("hermes", "search", {"query": asked})


class Watched(GRPOTrainer):
    """Keeps what it was handed and what it made of it."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.batches: list[dict[str, Any]] = []
        self.losses: list[float] = []

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        batch = super()._generate_and_score_completions(inputs)
        self.batches.append({"rows": inputs, **batch})
        return batch

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        loss = super()._compute_loss(model, inputs)
        self.losses.append(float(loss.detach()))
        return loss


def unpadded(ids: Any, mask: Any) -> list[list[int]]:
    return [row[m.bool()].tolist() for row, m in zip(ids, mask, strict=True)]


def test_ids_masks_rewards_and_loss_are_what_the_traces_say(agent: Path, tmp_path: Path) -> None:
    rollouts = trl_rollout_func([search])
    trainer = Watched(
        model=AutoModelForCausalLM.from_pretrained(agent, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(agent),
        reward_funcs=as_trl_reward(RULES),
        args=settings(tmp_path, max_steps=1, loss_type="dapo", shuffle_dataset=False),
        train_dataset=rows(),
        rollout_func=rollouts,
    )
    trainer.train()
    before = AutoModelForCausalLM.from_pretrained(agent, dtype=torch.float32)
    (batch,), traces = trainer.batches, rollouts.traces
    assert len(traces) == 2 * GROUP
    assert any(trace.tool_calls for trace in traces)

    prompts = [trace.tokens.prompt_ids for trace in traces]
    assert unpadded(batch["prompt_ids"], batch["prompt_mask"]) == prompts
    completions = [trace.tokens.completion_ids for trace in traces]
    assert unpadded(batch["completion_ids"], batch["completion_mask"]) == completions
    assert unpadded(batch["tool_mask"], batch["completion_mask"]) == [
        trace.tokens.completion_mask for trace in traces
    ]
    answered = zip(traces, batch["rows"], strict=True)
    reported = [score(with_columns(trace, {"answer": row["answer"]})) for trace, row in answered]
    values = torch.tensor(reported)
    assert values.min() < values.max()
    assert trainer.state.log_history[0]["rewards/total/mean"] == pytest.approx(values.mean().item())
    groups = values.view(-1, GROUP)
    spread = groups.std(dim=1, keepdim=True) + 1e-4
    advantages = ((groups - groups.mean(dim=1, keepdim=True)) / spread).flatten()
    assert torch.allclose(batch["advantages"], advantages, atol=1e-5)

    total, sampled = 0.0, 0
    for trace, advantage in zip(traces, advantages, strict=True):
        tokens = trace.tokens
        mask = torch.tensor(tokens.mask[1:]).bool()
        noted = torch.tensor([one or 0.0 for one in tokens.logprobs[1:]])
        assert torch.allclose(logprobs_of(before, tokens.ids)[mask], noted[mask], atol=1e-4)
        # The ratio of new to old probability is 1 in the first step, so a token's loss is -A.
        total -= float(advantage) * sum(tokens.mask)
        sampled += sum(tokens.mask)
    assert trainer.losses == [pytest.approx(total / sampled, abs=1e-5)]


def logprobs_of(model: Any, ids: list[int]) -> Any:
    """The log-probability of each id but the first, by a plain forward pass."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[1:, None])[:, 0]


def test_evaluation_rolls_out_too(agent: Path, tmp_path: Path) -> None:
    rollouts = trl_rollout_func([search])
    trainer = Watched(
        model=AutoModelForCausalLM.from_pretrained(agent, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(agent),
        reward_funcs=as_trl_reward(RULES),
        args=settings(tmp_path, num_generations_eval=2, per_device_eval_batch_size=8),
        train_dataset=rows(),
        eval_dataset=rows(),
        rollout_func=rollouts,
    )
    found = trainer.evaluate()
    assert [trace.draw for trace in rollouts.traces] == [0, 1] * len(PLACES)
    assert 0 <= found["eval_rewards/total/mean"] <= 1


def test_the_example_trains_and_tells_of_it(agent: Path, tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLE, "--model", agent, "--steps", "1", "--shown", "1"]
    out = tmp_path / "trained"
    done = subprocess.run(
        [*map(str, command), "--group", "2", "--max-new-tokens", "24", "-o", str(out)],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    reported = re.search(r"step 1: loss [+-][\d.]+, reward -?[\d.]+ .* tokens sampled", done.stdout)
    assert reported, done.stdout
    assert (out / "model.safetensors").is_file()


def test_a_judge_is_asked_in_the_trainers_own_loop(
    native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path / "home"))
    verdict = {"reasoning": "It says the same.", "verdict": "correct", "confidence": 0.9}
    script = tmp_path / "judge.jsonl"
    script.write_text(json.dumps({"match": {}, "replies": [{"text": json.dumps(verdict)}]}) + "\n")
    seen = Seen()
    # As dates, so that no type and no head decides before the judge is asked.
    asked = {"rewards": {"correctness": {"judge": {"answer_type": "date"}}}}
    judged = as_trl_reward(asked, engine=f"scripted:{script}")
    rewards = [judged, as_trl_reward(seen, name="seen")]
    trainer = train(native, rewards, settings(tmp_path, max_steps=1), rows(), tools=[search])
    log = trainer.state.log_history[0]
    answered = [trace.final_answer is not None for trace in seen.traces]
    assert log["total/unscored"] == 0
    assert log["rewards/total/mean"] == pytest.approx(sum(answered) / len(answered))
    assert sum(answered) > sum(score(trace) for trace in seen.traces)
