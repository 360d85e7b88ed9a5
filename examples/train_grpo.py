"""Trains a small model to search before it answers: TRL's GRPO, plaudit's agent and rewards.

    python examples/train_grpo.py --model HuggingFaceTB/SmolLM2-135M-Instruct --steps 3

Everything runs on the CPU. A step takes half a minute with a model of 135 million weights, which
learns next to nothing in three of them: this shows how the parts go together, and that what is
trained on is what was rolled out. Needs the extras: pip install 'plaudit[trl,search]'
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from plaudit.integrations.trl import TRLRollouts, as_trl_reward, trl_rollout_func
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.corpus import build_corpus, search_tool
from plaudit.rollouts.questions import question_dataset

HERE = Path(__file__).parent
REWARDS = {
    "rewards": {
        "correctness": {"by": "rules"},
        "format": {"weight": 0.2},
        "search_effort": {"weight": 0.2},
        "chunk_hit": {"weight": 0.2, "on_none": "renormalise"},
        "length": {"weight": 0.2, "of": "all", "free": 50, "full": 1000},
        "repetition": {"weight": 0.2, "free": 0.0},
    }
}


class Report(TrainerCallback):
    """Prints a line a step, and what the model wrote first."""

    def __init__(self, rollouts: TRLRollouts) -> None:
        """Look at the traces of these rollouts."""
        self.rollouts = rollouts
        self.started = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
        """Print a step's loss, rewards and tokens."""
        if "reward" not in logs:
            return
        tokens = [trace.tokens for trace in self.rollouts.traces if trace.tokens]
        now = time.monotonic()
        print(
            f"step {state.global_step}: loss {float(logs['loss']):+.4f}, "
            f"reward {float(logs['reward']):.3f} (sd {float(logs['reward_std']):.3f}), "
            f"{sum(len(trace.tool_calls) for trace in self.rollouts.traces)} calls, "
            f"{sum(sum(one.mask) for one in tokens)} of {sum(len(one.ids) for one in tokens)} "
            f"tokens sampled, {now - self.started:.0f} s"
        )
        for name, value in logs.items():
            if name.startswith("plaudit/") and name.endswith("/mean"):
                print(f"    {name.split('/')[1]}: {float(value):.3f}")
        first = self.rollouts.traces[0]
        print(f"    {first.question.question} -> {first.turns[0].text[:200]!r}", flush=True)
        self.started = now


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a folder or a name on the hub")
    parser.add_argument("--document", default=HERE / "expedition.md", type=Path)
    parser.add_argument("--questions", default=HERE / "questions.jsonl", type=Path)
    parser.add_argument("--rewards", help="a specification, in place of the one above")
    parser.add_argument("--steps", default=3, type=int)
    parser.add_argument("--group", default=4, type=int, help="rollouts a question")
    parser.add_argument("--batch", default=2, type=int, help="questions a step")
    parser.add_argument("--max-turns", default=3, type=int)
    parser.add_argument("--max-new-tokens", default=96, type=int, help="a rollout, all turns")
    parser.add_argument("--learning-rate", default=1e-5, type=float)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("-o", "--out", type=Path, help="folder for the trained model")
    return parser.parse_args()


def settings(given: argparse.Namespace, scratch: str) -> GRPOConfig:
    """Return the trainer's configuration."""
    return GRPOConfig(
        output_dir=scratch,
        max_steps=given.steps,
        num_generations=given.group,
        per_device_train_batch_size=given.group * given.batch,
        max_completion_length=given.max_new_tokens,
        learning_rate=given.learning_rate,
        seed=given.seed,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
    )


def train(given: argparse.Namespace, scratch: str) -> GRPOTrainer:
    """Build a corpus, and train on questions about it."""
    index = Path(scratch) / "index"
    build_corpus(given.document, index)
    questions = question_dataset(given.questions, split="train")
    rollouts = trl_rollout_func([search_tool(index)], RolloutConfig(max_turns=given.max_turns))
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(given.model),
        reward_funcs=as_trl_reward(given.rewards or REWARDS, name="plaudit"),
        args=settings(given, scratch),
        train_dataset=questions.add_column("prompt", questions["question"]),
        rollout_func=rollouts,
        callbacks=[Report(rollouts)],
    )
    trainer.train()
    return trainer


def main() -> None:
    """Train, and keep the model where a folder is named."""
    given = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = train(given, scratch)
        if given.out:
            trainer.save_model(str(given.out))
            print(f"the model is in {given.out}")


if __name__ == "__main__":
    main()
