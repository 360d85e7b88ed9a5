"""Prompts as they were sent, rendered again, with the text that came with the row marked."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.history import bind_again
from plaudit.runs.record import JudgeRecord
from plaudit.types import Json, Message

_SHORTEST = 4
"""Characters of a text that is looked for; shorter ones stand in prompts by chance."""


class PromptPiece(NamedTuple):
    """A run of a prompt's text."""

    text: str
    untrusted: bool
    """Whether it came with the row."""


class PromptTurn(NamedTuple):
    """A message of a prompt; a prompt in completion mode is one without a role."""

    role: str
    pieces: list[PromptPiece]


class SentPrompts:
    """Renders the prompts of runs. A judge is bound once for all of its rows."""

    def __init__(self) -> None:
        """Bind nothing yet."""
        self._bound: dict[bytes, tuple[BaseJudge | PanelJudge, Sequence[Engine]]] = {}
        self._lock = asyncio.Lock()

    async def of(self, config: bytes, row: Mapping[str, Json]) -> list[list[PromptTurn]]:
        """Return the prompts about a row, each as its turns; equal ones once.

        Args:
            config: the record of the run, as JSON.
            row: what was judged, in the form of an input row.

        Raises:
            PlauditError: the engine or the model cannot be found, or the row is none of the judge.
        """
        async with self._lock:
            if config not in self._bound:
                record = msgspec.json.decode(config, type=JudgeRecord)
                task, engine = await bind_again(record)
                engines = engine if isinstance(engine, Sequence) else [engine]
                self._bound[config] = task, engines
            task, _ = self._bound[config]
        samples = task.read_row(row, 0)
        if not samples:
            raise UsageError("the judge takes no sample from this row")
        found: list[list[PromptTurn]] = []
        for member in task.tasks if isinstance(task, PanelJudge) else (task,):
            texts = {member.prompt.escape(text) for text in _texts(row)}
            for request in member.requests(samples[0]):
                turns = _turns(request.prompt, texts)
                found += [turns] if turns not in found else []
        return found

    async def close(self) -> None:
        """Close the engines."""
        for _, engines in self._bound.values():
            for engine in engines:
                await engine.close()


def _turns(prompt: str | tuple[Message, ...], texts: Iterable[str]) -> list[PromptTurn]:
    if isinstance(prompt, str):
        return [PromptTurn("", _marked(prompt, texts))]
    return [PromptTurn(message.role, _marked(message.text, texts)) for message in prompt]


def _marked(text: str, texts: Iterable[str]) -> list[PromptPiece]:
    """Return a text in pieces; those of the row's texts that stand in it are untrusted."""
    ranges: list[tuple[int, int]] = []
    for one in texts:
        start = text.find(one)
        while start >= 0:
            ranges.append((start, start + len(one)))
            start = text.find(one, start + len(one))
    pieces: list[PromptPiece] = []
    end = 0
    for first, last in sorted(ranges, key=lambda one: (one[0], -one[1])):
        if last <= end:
            continue
        first = max(first, end)
        pieces += [PromptPiece(text[end:first], False)] if first > end else []
        pieces.append(PromptPiece(text[first:last], True))
        end = last
    return [*pieces, PromptPiece(text[end:], False)] if end < len(text) else pieces


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        if len(value.strip()) >= _SHORTEST:
            yield value
            yield value.strip()
    elif isinstance(value, Mapping):
        for name, one in cast("Mapping[str, Json]", value).items():
            if name != "role":
                yield from _texts(one)
    elif isinstance(value, list):
        for one in cast("list[Json]", value):
            yield from _texts(one)
