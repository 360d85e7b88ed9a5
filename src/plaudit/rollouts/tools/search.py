"""Search in a corpus as a tool of an agent."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from plaudit.corpus.index import BETWEEN, Corpus, hit_text, open_corpus
from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.tools import Tool, ToolResult
from plaudit.types import Json

_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What to look for, in plain words."}},
    "required": ["query"],
    "additionalProperties": False,
}
_NOTHING = "Nothing was found. Try other words."


def search_tool(index: str | Path | Corpus, k: int = 2) -> Tool:
    """Return the tool `search`: its one argument, `query`, finds the best chunks of a corpus.

    The model reads id, place and text of each chunk, the best first. `data` holds a
    `{"chunk_id", "rank", "score", "end"}` for each of them, for rewards: `end` is where the chunk
    ends in what the model reads.

    Args:
        index: an index, or a corpus that is open.
        k: how many chunks a search gives at most.

    Raises:
        InputError: the index cannot be opened, or is damaged.
        UsageError: `k` is less than 1.
    """
    if k < 1:
        raise UsageError(f"a search must give at least one chunk, not {k}")
    corpus = index if isinstance(index, Corpus) else open_corpus(index)
    corpus.load()  # Now, so that it is no part of the first search's time.
    return _SearchTool(corpus, k)


class _SearchTool:
    """See `search_tool`. Pickles with its corpus, which is loaded where it is unpickled."""

    def __init__(self, corpus: Corpus, k: int) -> None:
        self._corpus = corpus
        self._k = k

    def __reduce__(self) -> tuple[Any, ...]:
        return search_tool, (self._corpus, self._k)

    @property
    def spec(self) -> ToolSpec:
        """What a model is shown of it."""
        return ToolSpec(
            name="search",
            description="Search the documents; returns the passages that fit the query best.",
            parameters=msgspec.Raw(msgspec.json.encode(_PARAMETERS)),
        )

    @property
    def identity(self) -> str:
        """Name, fingerprint of the index, and how many chunks it gives."""
        return f"search:{self._corpus.fingerprint}?k={self._k}"

    async def call(self, arguments: Mapping[str, Json]) -> ToolResult:
        """Search, in a thread, so that others go on meanwhile."""
        hits = await asyncio.to_thread(self._corpus.search, arguments["query"], self._k)
        texts = [hit_text(hit) for hit in hits]
        data: list[Json] = []
        end = -len(BETWEEN)
        for hit, text in zip(hits, texts, strict=True):
            end += len(BETWEEN) + len(text)
            found = {"chunk_id": hit.chunk.id, "rank": hit.rank, "score": hit.score, "end": end}
            data.append(found)
        return ToolResult(BETWEEN.join(texts) or _NOTHING, data)
