"""Trains a small model to search before it answers: TRL's GRPO, plaudit's agent and rewards.

    python examples/train_grpo.py --model HuggingFaceTB/SmolLM2-135M-Instruct --steps 3

A model of that size does not search of itself, so it is shown first how: a script rolls out some
questions, and the model is fitted to these traces. Then it answers for itself and is rewarded.
Everything runs on the CPU, and a few steps teach next to nothing: this shows how the parts go
together. Needs the extras: pip install 'plaudit[trl,search]'
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from plaudit import CallableEngine
from plaudit.corpus import build_corpus, search_tool
from plaudit.integrations.trl import TRLRollouts, as_trl_reward, trl_rollout_func
from plaudit.rollouts import RolloutConfig, Trace, question_dataset, rollout, write_call

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


def shown(questions: Any, tools: list[Any], tokenizer: Any, scratch: str) -> list[Trace]:
    """Return rollouts in which each question is searched for and then answered rightly."""
    answers = dict(zip(questions["question"], questions["answer"], strict=True))

    def show(prompts: list[str]) -> list[str]:
        return [reply(prompt) for prompt in prompts]

    def reply(prompt: str) -> str:
        asked = max((question for question in answers if question in prompt), key=len)
        if "<tool_response>" in prompt.split(asked)[-1]:
            return answers[asked][0]
        return write_call("hermes", "search", {"query": asked.rstrip("?")})

    folder = Path(scratch) / "tokenizer"
    tokenizer.save_pretrained(folder)
    return list(rollout(CallableEngine(show), list(answers), tools, tokenizer=str(folder)))


def fit(model: Any, traces: list[Trace], steps: int, rate: float = 1e-4) -> None:
    """Fit a model to what was said in traces, one trace a step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for step, trace in zip(range(steps), itertools.cycle(traces), strict=False):
        ids, mask = torch.tensor([trace.tokens.ids]), torch.tensor([trace.tokens.mask])
        loss = model(input_ids=ids, labels=ids.masked_fill(mask == 0, -100)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        print(f"shown {step + 1}: loss {loss.item():.3f}", flush=True)


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
    parser.add_argument("--shown", default=16, type=int, help="steps on what a script does")
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
    tools = [search_tool(index, k=1)]
    questions = question_dataset(given.questions, split="train")
    rollouts = trl_rollout_func(tools, RolloutConfig(max_turns=given.max_turns))
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    if given.shown:
        fit(model, shown(questions, tools, tokenizer, scratch), given.shown)
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=as_trl_reward(given.rewards or REWARDS, name="plaudit"),
        args=settings(given, scratch),
        train_dataset=questions.add_column("prompt", questions["question"]),
        rollout_func=rollouts,
        callbacks=[Report(rollouts)],
    )
    trainer.remove_callback(PrinterCallback)  # Report says it in fewer words.
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
