# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
"""The two files that NeMo Customizer trains from."""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec
from nat.data_models.finetuning import DPOItem

from plaudit.errors import InputError
from plaudit.preferences.split import example_key, within_bounds
from plaudit.types import Json

_log = logging.getLogger(__name__)

VALIDATION_SHARE = 0.2
SEED = 42
TRAINING, VALIDATION = "training/training_file.jsonl", "validation/validation_file.jsonl"
"""The paths in a data set where NeMo Customizer looks for them."""


def write_files(folder: Path, collection: Any, whole_history: bool) -> dict[str, int]:
    """Write the pairs of a collection as JSON Lines, by example to training or validation.

    All pairs of an example are on one side. At least one example is for validation, and of a small
    set at most half; a single one is for training. An empty file is not written. Items whose two
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
    held_out = held_out_of(examples)
    rows: dict[str, int] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for path, wanted in ((TRAINING, examples - held_out), (VALIDATION, held_out)):
        target = folder / Path(path).name
        target.unlink(missing_ok=True)  # What an earlier run of the same id may have left.
        if wanted:
            rows[path] = _write(target, collection, wanted, whole_history)
    return rows


def is_held_out(example: str) -> bool:
    """Whether the hash of an example's identity, which is seeded, puts it out."""
    return example_key(example, SEED) < VALIDATION_SHARE * 2**64


def held_out_of(examples: Collection[str]) -> set[str]:
    """Return the examples that are for validation, by a seeded hash of their identities."""
    keys = [example_key(example, SEED) for example in examples]
    hashed = list(map(is_held_out, examples))
    kept = within_bounds(keys, [1] * len(keys), hashed, VALIDATION_SHARE)
    if sum(kept) != sum(hashed):
        _log.warning(
            "the hash put %d of %d examples into the validation file; %d are there, since it holds "
            "at least one and of a small set at most half",
            sum(hashed),
            len(keys),
            sum(kept),
        )
    return {example for example, out in zip(examples, kept, strict=True) if out}


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
    """Yield each DPO item with its example, which is its prompt where none is given."""
    for group in collection.trajectories:
        for trajectory in group:
            reported = (trajectory.metadata or {}).get("example_id")
            for item in trajectory.episode:
                if isinstance(item, DPOItem) and not _has_same_responses(item):
                    yield str(prompt_as(item.prompt, True) if reported is None else reported), item


def _dpo_items(collection: Any) -> Iterator[Any]:
    for group in collection.trajectories:
        for trajectory in group:
            yield from (item for item in trajectory.episode if isinstance(item, DPOItem))


def _has_same_responses(item: Any) -> bool:
    return item.chosen_response.strip() == item.rejected_response.strip()
