"""The search as a tool of an agent."""

import asyncio
import json
import pickle
from pathlib import Path

import pytest

from plaudit.corpus import build_corpus, open_corpus, search_tool
from plaudit.engines.base import ToolCall
from plaudit.errors import InputError, UsageError
from plaudit.rollouts.tools import load_tools
from tests.support.documents import write_report


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build_corpus(write_report(tmp_path), tmp_path / "index", chunk_size=300)
    return tmp_path / "index"


async def test_a_model_reads_chunks_and_rewards_read_their_ids(index: Path) -> None:
    tool = search_tool(index)
    result = await tool.call({"query": "Who made the sextant?"})
    assert isinstance(result.data, list)
    assert [list(entry) for entry in result.data] == [["chunk_id", "rank", "score", "end"]] * 2
    assert [entry["rank"] for entry in result.data] == [1, 2]
    for entry in result.data:
        chunk = open_corpus(index).chunk(entry["chunk_id"])
        shown = f"[[chunk {chunk.id}]] {chunk.place}\n{chunk.text}"
        assert result.content[: entry["end"]].endswith(shown)
    assert result.data[-1]["end"] == len(result.content)


async def test_nothing_found_is_said(index: Path) -> None:
    result = await search_tool(index).call({"query": "zzz"})
    assert (result.content, result.data) == ("Nothing was found. Try other words.", [])


def test_what_a_model_sees_of_it(index: Path) -> None:
    spec = search_tool(index).spec
    schema = json.loads(bytes(spec.parameters))
    assert spec.name == "search" and spec.description
    assert (list(schema["properties"]), schema["required"]) == (["query"], ["query"])
    assert schema["properties"]["query"]["type"] == "string"


def test_its_identity_is_that_of_the_index(index: Path) -> None:
    corpus = open_corpus(index)
    assert search_tool(corpus).identity == search_tool(index).identity
    assert search_tool(index, k=3).identity != search_tool(index).identity
    assert corpus.fingerprint in search_tool(index).identity


async def test_many_at_once_and_after_pickling(index: Path) -> None:
    tool = pickle.loads(pickle.dumps(search_tool(index, k=1)))
    results = await asyncio.gather(*(tool.call({"query": f"sextant {n}"}) for n in range(100)))
    assert {len(result.data) for result in results} == {1}


def test_what_cannot_be_is_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one chunk"):
        search_tool(index, k=0)
    with pytest.raises(InputError, match="does not exist"):
        search_tool(tmp_path / "none")


async def test_it_is_what_the_command_line_calls_search(index: Path) -> None:
    call = ToolCall("call-1", "search", '{"query": "Who made the sextant?"}')
    wrong = ToolCall("call-2", "search", '{"query": 7}')
    async with load_tools([f"search:{index}?k=1"]) as tools:
        record, message = await tools.run(call, 0)
        refused, _ = await tools.run(wrong, 0)
    assert (record.status, refused.status) == ("ok", "invalid_arguments")
    assert [entry["rank"] for entry in record.data] == [1]
    assert "Nils Orre" in str(message.content) and message.tool_call_id == "call-1"


async def test_defect_24_the_index_is_loaded_before_the_first_search(index: Path) -> None:
    tool = search_tool(index)
    for name in ("scores.npy", "holders.npy", "columns.npy", "words.json"):
        (index / name).unlink()
    result = await tool.call({"query": "Who made the sextant?"})
    assert isinstance(result.data, list)
    assert len(result.data) == 2
    with pytest.raises(InputError, match="damaged"):  # Now, and not when a model searches.
        search_tool(index)
