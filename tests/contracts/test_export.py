"""Exports, read by who they are for: TRL's trainers and `datasets`, as they are installed.

`scripts/contracts trl`, or wherever TRL can be imported. Formats whose readers do not install here
are held to their documented schema in tests/preferences/export/test_formats.py.
"""

import json
from pathlib import Path
from typing import Any

import pytest

trl = pytest.importorskip("trl", reason="TRL is not installed: scripts/contracts trl has it")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

import torch  # noqa: E402
from datasets import load_dataset, load_from_disk  # noqa: E402
from transformers import AutoModelForCausalLM, LlamaForSequenceClassification  # noqa: E402
from trl.chat_template_utils import qwen2_5_chat_template  # noqa: E402

from plaudit.preferences.export import ExportOptions, export_pairs  # noqa: E402
from plaudit.preferences.split import SplitOptions  # noqa: E402
from tests.support import tiny_model  # noqa: E402
from tests.support.preferences import LOOKED_UP, TOOL, chat, many, pair, said, write  # noqa: E402

PARTS = {
    "trl-dpo": ("prompt_ids", "chosen_ids", "rejected_ids"),
    "trl-kto": ("prompt_ids", "completion_ids"),
    "trl-reward": ("chosen_ids", "rejected_ids"),
    "trl-sft": ("input_ids",),
}
TRAINERS = {
    "trl-dpo": (trl.DPOTrainer, trl.DPOConfig),
    "trl-kto": (trl.KTOTrainer, trl.KTOConfig),
    "trl-reward": (trl.RewardTrainer, trl.RewardConfig),
    "trl-sft": (trl.SFTTrainer, trl.SFTConfig),
}
CALL_TEXT = '{"name": "search", "arguments": {"query": "hut", "k": 3}}'


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_model.tokenizer_of(
        [CALL_TEXT, "How high did the hut stand?"], qwen2_5_chat_template
    )


def with_tools() -> list[Any]:
    """Texts, messages, calls whose arguments differ, and tools on one row alone."""
    other = {"name": "look", "arguments": {"at": ["the", "map"]}}
    looked = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": other}],
        }
    ]
    tools = {"chosen": {"tools": [TOOL]}}
    return [
        pair("calls", chat("How high?"), LOOKED_UP, said("I cannot tell."), metadata=tools),
        pair("other", chat("Where was it?"), looked, "Nowhere."),
        *many(14, 1),
    ]


def exported(folder: Path, name: str, rows: list[Any]) -> Path:
    done = export_pairs(
        write(folder / "in.jsonl", rows),
        name,
        str(folder / "out"),
        ExportOptions(split=SplitOptions(val_fraction=0.3, seed=7)),
    )
    assert done.exit_status == 0
    assert done.validation
    return folder / "out"


def trainer(name: str, data: Any, folder: Path, tokenizer: Any) -> Any:
    made, config = TRAINERS[name]
    settings = config(
        output_dir=str(folder / "trained"),
        per_device_train_batch_size=4,
        max_steps=2,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
    )
    torch.manual_seed(0)
    lesson = tiny_model.lesson(tokenizer, [*chat("Why?"), said("So.")], [])
    taught = tiny_model.taught(len(tokenizer), [lesson], steps=1)
    saved = tiny_model.save(taught, tokenizer, folder / "model")  # DPO loads it again as reference
    model: Any = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
    if name == "trl-reward":
        model.config.num_labels = 1
        model = LlamaForSequenceClassification(model.config)
    return made(
        model=model,
        args=settings,
        processing_class=tokenizer,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
    )


def as_texts(prepared: Any, name: str, tokenizer: Any) -> list[str]:
    """What each row is to the trainer after its own preparation."""
    return ["".join(tokenizer.decode(row[part]) for part in PARTS[name]) for row in prepared]


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("rows", [many(20, 1), with_tools()], ids=["texts", "messages"])
def test_trl_reads_every_row_as_it_was_and_trains(
    tmp_path: Path, tokenizer: Any, name: str, rows: list[Any]
) -> None:
    out = exported(tmp_path, name, rows)
    data = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert set(data) == {"train", "validation"}
    made = trainer(name, data, tmp_path, tokenizer)
    sides = {"train": made.train_dataset, "validation": made.eval_dataset}
    for side, prepared in sides.items():
        lines = (out / f"{side}.jsonl").read_text().splitlines()
        texts = as_texts(prepared, name, tokenizer)
        assert len(texts) == len(lines)
        for line, text in zip(lines, texts, strict=True):
            assert all(value in text for value in spoken(json.loads(line)))
            assert "None" not in text
            assert '": null' not in text
    made.train()
    assert all(
        torch.isfinite(torch.tensor(log["loss"])) for log in made.state.log_history if "loss" in log
    )


def spoken(line: dict[str, Any]) -> list[str]:
    """The texts and calls of a row, as a template writes them."""
    found: list[str] = []
    for name in ("prompt", "chosen", "rejected", "completion"):
        value = line.get(name, [])
        for message in [{"content": value}] if isinstance(value, str) else value:
            found.append(message.get("content") or "")
            for call in message.get("tool_calls", ()):
                found.append(json.dumps(call["function"]["arguments"]))
    if line.get("tools"):
        found.append("Looks it up.")
    return found


def test_kto_labels_reach_the_trainer(tmp_path: Path, tokenizer: Any) -> None:
    out = exported(tmp_path, "trl-kto", many(20, 1))
    data = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    labels = trainer("trl-kto", data, tmp_path, tokenizer).train_dataset["label"]
    assert set(labels) == {True, False}


@pytest.mark.parametrize("rows", [many(20, 1), with_tools()], ids=["texts", "messages"])
def test_trl_reads_a_datasets_folder(tmp_path: Path, tokenizer: Any, rows: list[Any]) -> None:
    data = load_from_disk(str(exported(tmp_path, "datasets", rows)))
    made = trainer("trl-dpo", data, tmp_path, tokenizer)
    texts = as_texts(made.train_dataset, "trl-dpo", tokenizer)
    assert len(texts) == data["train"].num_rows
    assert all("None" not in text for text in texts)
    made.train()


@pytest.mark.parametrize("name", ["nemo-rl", "openrlhf", "axolotl"])
def test_datasets_finds_both_sides_of_the_others(tmp_path: Path, name: str) -> None:
    out = exported(tmp_path, name, [*many(20, 1), pair("x", chat("Why?"))])
    data = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {side: found.num_rows for side, found in data.items()} == {
        side: len((out / f"{side}.jsonl").read_text().splitlines())
        for side in ("train", "validation")
    }
