"""Shots: labelled examples placed in a prompt, and the balanced sets that measure priors."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import msgspec

_Rows = Sequence[Mapping[str, Any]]
_rows = msgspec.json.Decoder(dict[str, Any])


def load_shots(kind: str) -> tuple[_Rows, str]:
    """Return a judge's built-in shots, input rows with `feedback`, and the hash of their file."""
    return _load(f"{kind}.jsonl")


def load_prior(kind: str) -> tuple[_Rows, str]:
    """Return the balanced set on which a judge's prior is measured, and the hash of its file.

    Empty, with the hash `none`, for a judge that has no such set.
    """
    return _load(f"{kind}.prior.jsonl")


def _load(name: str) -> tuple[_Rows, str]:
    path = resources.files("plaudit.prompts") / "pools" / name
    if not path.is_file():
        return (), "none"
    data = path.read_bytes()
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return tuple(_rows.decode(line) for line in data.splitlines() if line.strip()), digest
