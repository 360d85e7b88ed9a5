"""Trains a reward model on preferences: TRL's RewardTrainer, on the CPU.

    plaudit pairs examples/candidates.jsonl -o pairs.jsonl
    plaudit export trl-reward pairs.jsonl -o reward
    python examples/train_reward.py --data reward --model HuggingFaceTB/SmolLM2-135M-Instruct

What was learned is measured on the pairs that were held out, before and after.
Needs the extra: pip install 'plaudit[trl]'
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset, load_dataset
from trl import RewardConfig, RewardTrainer

METRICS = ("loss", "accuracy", "margin")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="folder of `export trl-reward`")
    parser.add_argument("--model", required=True, help="a folder or a name on the hub")
    parser.add_argument("--steps", default=30, type=int, help="of two pairs each")
    parser.add_argument("--learning-rate", default=2e-5, type=float)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("-o", "--out", type=Path, help="folder for the trained model")
    return parser.parse_args(words)


def pairs(folder: Path, split: str, scratch: str) -> Dataset:
    """Return the pairs of a split."""
    file = folder / f"{split}.jsonl"
    if not file.is_file() or not file.stat().st_size:
        sys.exit(f"{file} has no pairs: export more examples, or another --val-fraction")
    return load_dataset("json", data_files=str(file), split="train", cache_dir=scratch)


def settings(given: argparse.Namespace, scratch: str) -> RewardConfig:
    """Return the trainer's configuration."""
    return RewardConfig(
        output_dir=scratch,
        model_init_kwargs={"dtype": "float32"},
        max_steps=given.steps,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=1,  # TRL averages over batches, however many pairs are in each.
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


def held_out(trainer: RewardTrainer) -> dict[str, float]:
    """Measure the model on the pairs that it does not learn from."""
    found = trainer.evaluate()
    return {name: round(found[f"eval_{name}"], 4) for name in METRICS}


def train(given: argparse.Namespace, scratch: str) -> dict[str, object]:
    """Train, and return what was measured before and after."""
    trainer = RewardTrainer(
        model=given.model,
        args=settings(given, scratch),
        train_dataset=pairs(given.data, "train", scratch),
        eval_dataset=pairs(given.data, "validation", scratch),
    )
    reported = {"pairs": len(trainer.train_dataset), "held_out": len(trainer.eval_dataset)}
    before, started = held_out(trainer), time.monotonic()
    trainer.train()
    reported |= {"steps": given.steps, "seconds": round(time.monotonic() - started)}
    if given.out:
        trainer.save_model(str(given.out))
    return reported | {"before": before, "after": held_out(trainer)}


def main(words: list[str] | None = None) -> None:
    """Print the figures as JSON; what the trainer says goes to standard error."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(sys.stderr):
        reported = train(arguments(words), scratch)
    print(json.dumps(reported))


if __name__ == "__main__":
    main()
