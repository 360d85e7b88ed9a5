"""What a run sends to its workers, and what they send back."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from plaudit.engines.base import Engine
from plaudit.runs.cached import CachePolicy
from plaudit.runs.judging import FoundOut
from plaudit.runs.record import JudgeRecord
from plaudit.runs.summary import JudgeCounts
from plaudit.sending.pool import SendPolicy
from plaudit.types import Sample, Usage


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is given first."""

    kind: str
    """The judge as the command names it; `FILE.py:Class` is imported."""
    record: JudgeRecord
    engine: Engine
    send: SendPolicy
    """The worker's share."""
    cache: CachePolicy
    store: str
    """Path of the store."""
    found_out: FoundOut | None = None
    """What another worker found out before its first verdict; None: this is the first."""


class JobBlock(NamedTuple):
    """Samples that one worker judges together."""

    number: int
    """Place in the input, from 1."""
    samples: Sequence[Sample]


class WorkerSpending(msgspec.Struct, frozen=True):
    """What a worker spent since it began."""

    engine_calls: int = 0
    usage: Usage = Usage()
    counted: Mapping[str, int] = {}
    """What the judge's notes count."""
    given_up: tuple[str, ...] = ()
    """What the engine gave up, for a person."""


class WorkerReport(NamedTuple):
    """What came of a block."""

    number: int
    lines: Sequence[tuple[int, bytes]]
    """Index and output line of each verdict; empty where there is no output."""
    stored: Sequence[tuple[int, str, bytes]]
    """The verdicts as the store takes them."""
    counts: JudgeCounts
    usage: Usage
    """Tokens of the verdicts."""
    spent: WorkerSpending
    without_logprobs: tuple[str, ...]
    """URIs of engines that were found to send no log-probabilities."""
    found_out: FoundOut


class Failed(NamedTuple):
    """What ended the work of a worker, and so ends the run."""

    error: Exception
