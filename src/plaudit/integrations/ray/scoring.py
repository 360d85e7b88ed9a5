"""What an actor does with a block of traces: score them, and write the part."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from plaudit.errors import InputError, UsageError
from plaudit.integrations.ray.blocks import RayBlock, RayBlockReader
from plaudit.integrations.ray.limits import Share
from plaudit.integrations.ray.parts import BITS_IN_BLOCK, OutputPart, PartsFolder, part_name
from plaudit.integrations.ray.work import BlockReport, Rejects
from plaudit.io.rows import Row
from plaudit.io.tables import ParquetPart
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.rewards.correctness import Correctness, Grader
from plaudit.rollouts.rewards.scoring import scored
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.rewards.tally import ScoreTally, status_of
from plaudit.rollouts.trace import Trace, Unscored
from plaudit.rollouts.traces import read_trace
from plaudit.sending.pool import SendPolicy

COLUMNS = (*Trace.__struct_fields__, "reward", "scores", "unscored")
"""The columns of a part: a trace, its total, and by reward the value or the cause."""
_AGAIN = frozenset({Unscored.JUDGE_FAILED, Unscored.RAISED, Unscored.TIMED_OUT})
"""Causes that another attempt may not have."""
_MOST = 2**63
"""What a number of a table is less than."""


class ScoreWork(msgspec.Struct, frozen=True, kw_only=True):
    """What all actors of a run are given."""

    spec: str | None
    """Path of the specification, which all nodes see; None: the default one."""
    rewards: str
    """Fingerprint of the specification on the driver."""
    engine: str | None
    send: SendPolicy
    cache: bool | str
    """False, or the path of the store on each node."""
    strict: bool
    out: str
    """Folder of the parts, which all nodes see."""
    fingerprint: str
    """Of what decides the scores and the columns."""

    def load(self) -> Composite:
        """Return the rewards; no engine is loaded before it is asked.

        Raises:
            UsageError: the specification cannot be used, or is another one than on the driver.
        """
        grader = Grader(engine=self.engine, cache=self.cache, send=self.send)
        rewards = load_rewards(self.spec, grader)
        if self.rewards != rewards.fingerprint:
            raise UsageError(f"rewards {self.spec}: not the same on all nodes")
        return rewards

    def begin(self, share: Share) -> "BlockScorer":
        """Return what scores in one actor; nothing is opened."""
        return BlockScorer(self, share)


class BlockScorer:
    """Scores blocks of traces; one in each actor, used by all its threads."""

    def __init__(self, work: ScoreWork, share: Share) -> None:
        """Take the work and the way to the limiter; nothing is opened."""
        self._work, self._share = work, share
        self._folder = PartsFolder(work.out, work.fingerprint)
        self._reader = RayBlockReader()
        self._loaded: Composite | None = None

    async def work(self, block: RayBlock) -> BlockReport:
        """Score a block and write its part, unless that was finished before.

        Raises:
            EngineUnusableError: a judge is asked, and its engine can answer nothing.
            InputError: the block cannot be read.
            StoreError: the part cannot be written.
        """
        part = await asyncio.to_thread(self._folder.note, block.number)
        if part is None or part.failed:
            part = await self._scored(block)
        return BlockReport(part=part)

    def _rewards(self) -> Composite:
        if self._loaded is None:
            self._loaded = self._work.load()
            for part in self._loaded.parts:
                if isinstance(part.reward, Correctness):
                    part.reward.judge.runtimes.make_pool = self._share.pool
        return self._loaded

    async def _scored(self, block: RayBlock) -> OutputPart:
        rewards, rejects = self._rewards(), Rejects(self._work.strict)
        rows = await asyncio.to_thread(list, self._reader.rows(block))
        read = _traces(rows, block.number << BITS_IN_BLOCK, rejects)
        async with aclosing(scored(read, rewards, 2 * self._work.send.concurrency)) as stream:
            traces = [trace async for trace in stream]
        part = OutputPart(
            block=block,
            fingerprint=self._work.fingerprint,
            rows=len(traces),
            failed=sum(map(_may_be_scored_yet, traces)),
            statuses=Counter(map(status_of, traces)),
            rejected=rejects.lines,
            counts=msgspec.Raw(msgspec.json.encode(ScoreTally(rewards).block(traces))),
        )
        await asyncio.to_thread(self._write, part, traces)
        return part

    def _write(self, part: OutputPart, traces: Sequence[Trace]) -> None:
        table = ParquetPart(part_name(part.block.number), COLUMNS, "float64")
        encode = msgspec.json.Encoder().encode
        for trace in traces:
            table.write(encode(_columns(trace)))
        self._folder.finish(part, table.whole())


def _traces(rows: Sequence[Row], first: int, rejects: Rejects) -> list[Trace]:
    """Read the traces of rows; a row that is no trace costs no other row its score."""
    found: list[Trace] = []
    for row in rows:
        try:
            if row.data is None:
                raise InputError(row.error or "")
            (trace,) = read_trace(row.data, first + len(found))
            _check_fits(trace)
        except InputError as error:
            rejects.add(row, str(error))
        else:
            found.append(trace)
    return found


def _check_fits(trace: Trace) -> None:
    """Refuse whole numbers that no table holds.

    Raises:
        InputError: there is one.
    """
    numbers = [trace.draw, trace.usage.input_tokens, trace.usage.output_tokens]
    numbers += [] if trace.error is None else [trace.error.attempts]
    if max(map(abs, numbers)) >= _MOST:
        raise InputError("a number of the trace has more than 64 bits")


def _may_be_scored_yet(trace: Trace) -> bool:
    return any(score.cause in _AGAIN for score in (trace.rewards or {}).values())


def _columns(trace: Trace) -> dict[str, Any]:
    """Return the columns of a scored trace. A reward without a value has a cause and no number."""
    scores = trace.rewards or {}
    own = {name: getattr(trace, name) for name in Trace.__struct_fields__}
    return own | {
        "reward": scores[TOTAL].value,
        "scores": {name: score.value for name, score in scores.items()},
        "unscored": {name: s.cause for name, s in scores.items() if s.value is None},
    }
