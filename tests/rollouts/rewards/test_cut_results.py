"""What `--max-result-chars` cut away was not shown, so nothing is paid for it."""

from pathlib import Path

import pytest

from plaudit.corpus import build_corpus, search_tool
from plaudit.engines.base import ToolCall
from plaudit.rollouts.rewards.measures import ChunkHit, searches_of
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.tools.base import cut
from plaudit.rollouts.trace import Trace
from plaudit.types import Json
from tests.rollouts.rewards.playing import Found, is_no_number, question, rollout

TEXT = "a" * 100 + "b" * 100
CHUNKS: list[Json] = [{"chunk_id": "a", "end": 100}, {"chunk_id": "b", "end": 200}]


def trace(most: int, gold: str, data: Json = None) -> Trace:
    text, truncated = cut(TEXT, most)
    found = Found(text=text, data=CHUNKS if data is None else data, truncated=truncated)
    return rollout(found, asked=question(chunk_ids=[gold]))


@pytest.mark.parametrize(
    ("most", "shown"), [(99, ""), (100, "a"), (101, "a"), (199, "a"), (200, "ab"), (300, "ab")]
)
def test_defect_23_only_a_chunk_that_was_shown_whole_is_found(most: int, shown: str) -> None:
    for gold in "ab":
        assert ChunkHit().measure(trace(most, gold)).value == float(gold in shown)
    assert searches_of(trace(most, "a")).useful == (shown != "")


def test_where_chunks_end_must_be_known_of_a_result_that_was_cut() -> None:
    bare: list[Json] = [{"chunk_id": "a"}, {"chunk_id": "b"}]
    for gold in "ab":
        assert is_no_number(ChunkHit().measure(trace(150, gold, bare)), "not_recorded")
        assert ChunkHit().measure(trace(200, gold, bare)).value == 1.0


def test_a_note_that_the_tool_wrote_itself_cuts_nothing() -> None:
    text = TEXT[:50] + "\n[cut here: 50 of 200 characters are shown]"
    found = Found(text=text, data=CHUNKS)
    assert ChunkHit().measure(rollout(found, asked=question(chunk_ids=["b"]))).value == 1.0


async def test_defect_23_the_search_pays_for_what_it_showed(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(
        "# Lamp\n\n" + "The lamp was lit in 1873. " * 9 + "\n\n# Keeper\n\nAda kept the lamp."
    )
    build_corpus(tmp_path / "notes.md", tmp_path / "index", chunk_size=200)
    tool = search_tool(tmp_path / "index")
    call = ToolCall("call-0-0", "search", '{"query": "lamp"}')
    whole, shown = (await ToolSet([tool]).run(call, 0))[0], {}
    for entry in whole.data:
        for most in (entry["end"] - 1, entry["end"]):
            record, message = await ToolSet([tool], max_result_chars=most).run(call, 0)
            assert record.data == whole.data
            found = Found(text=message.text, data=record.data, truncated=record.truncated)
            asked = question(chunk_ids=[entry["chunk_id"]])
            shown[entry["rank"], most] = ChunkHit().measure(rollout(found, asked=asked)).value
    assert list(shown.values()) == [0.0, 1.0, 0.0, 1.0]
