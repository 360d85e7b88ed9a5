# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
"""The two files that NeMo Customizer trains from."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from nat.data_models.finetuning import DPOItem

from plaudit.errors import InputError
from plaudit.preferences.split import example_key
from plaudit.types import Json

_log = logging.getLogger(__name__)

VALIDATION_SHARE = 0.2
SEED = 42
TRAINING, VALIDATION = "training/training_file.jsonl", "validation/validation_file.jsonl"
"""The paths in a data set where NeMo Customizer looks for them."""


def write_files(folder: Path, collection: Any, whole_history: bool) -> dict[str, int]:
    """Write the pairs of a collection as JSON Lines, by example to training or validation.

    All pairs of an example are on one side, and on the same one in every run. Where all examples
    would be for validation, all are for training. An empty file is not written. Items whose two
    responses are the same are left out, and counted in the log.

    Args:
        folder: is made where it is missing.
        collection: the toolkit's `TrajectoryCollection`.
        whole_history: whether prompts are written as messages, or as the last one's text.

    Returns:
        How many rows are in each file that was written, by the path that it gets in a data set;
        in the folder it has that path's last part.

    Raises:
        InputError: there are no pairs.
    """
    same = sum(map(_has_same_responses, _dpo_items(collection)))
    if same:
        _log.warning("%d DPO items are left out: both of their responses are the same", same)
    examples = {example for example, _ in _items(collection)}
    if not examples:
        raise InputError("there is nothing to train on: the trajectories have no DPO items")
    held_out = {example for example in examples if is_held_out(example)}
    if held_out == examples:
        held_out = set[str]()
    rows: dict[str, int] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for path, wanted in ((TRAINING, examples - held_out), (VALIDATION, held_out)):
        target = folder / Path(path).name
        target.unlink(missing_ok=True)  # What an earlier run of the same id may have left.
        if wanted:
            rows[path] = _write(target, collection, wanted, whole_history)
    return rows


def is_held_out(example: str) -> bool:
    """Whether an example is for validation, by a seeded hash of its identity."""
    return example_key(example, SEED) < VALIDATION_SHARE * 2**64


def prompt_as(prompt: Any, whole_history: bool) -> Json:
    """Return a DPO item's prompt as it is written: its messages, or the last one's text."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}] if whole_history else prompt
    if whole_history:
        return [{"role": message.role, "content": message.content} for message in prompt]
    return prompt[-1].content if prompt else ""


def _write(target: Path, collection: Any, wanted: set[str], whole_history: bool) -> int:
    rows = 0
    with open(target, "wb") as file:
        for example, item in _items(collection):
            if example not in wanted:
                continue
            row = {
                "prompt": prompt_as(item.prompt, whole_history),
                "chosen_response": item.chosen_response,
                "rejected_response": item.rejected_response,
            }
            file.write(msgspec.json.encode(row) + b"\n")
            rows += 1
    return rows


def _items(collection: Any) -> Iterator[tuple[str, Any]]:
    """Yield each DPO item with its example, which is its prompt where none is told."""
    for group in collection.trajectories:
        for trajectory in group:
            told = (trajectory.metadata or {}).get("example_id")
            for item in trajectory.episode:
                if isinstance(item, DPOItem) and not _has_same_responses(item):
                    yield str(prompt_as(item.prompt, True) if told is None else told), item


def _dpo_items(collection: Any) -> Iterator[Any]:
    for group in collection.trajectories:
        for trajectory in group:
            yield from (item for item in trajectory.episode if isinstance(item, DPOItem))


def _has_same_responses(item: Any) -> bool:
    return item.chosen_response.strip() == item.rejected_response.strip()
