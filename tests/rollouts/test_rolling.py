"""Rollouts through pool and store: what is kept, what is asked again, what is given up."""

from pathlib import Path
from typing import Any

import pytest

from plaudit.corpus.questions import Question
from plaudit.engines.base import Completion, Request
from plaudit.errors import Cause, ToolsRefusedError
from plaudit.rollouts.rolling import Rolled, RolloutSession
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import StopReason
from plaudit.runs.cached import CachePolicy
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from tests.rollouts.acting import QUESTION, Actor, calls, config, failed, search

LOOKED_UP = calls(("c1", "search", '{"query": "swigert"}'))


async def begin(
    engine: Actor, store: Store | None = None, tools: ToolSet | None = None, **fields: Any
) -> RolloutSession:
    return await RolloutSession.begin(
        engine,
        tools or ToolSet([search]),
        config(**fields),
        send=SendPolicy(attempts=1),
        cache=CachePolicy(),
        store=store,
    )


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


async def roll(rolling: RolloutSession, question: Question = QUESTION, draw: int = 0) -> Rolled:
    return await rolling.roll(question, draw)


async def test_a_finished_rollout_is_kept_with_its_times(store: Store) -> None:
    actor = Actor(LOOKED_UP, "Swigert.", cacheable=True, delay=0.05)
    first = await roll(await begin(actor, store))
    again = await roll(await begin(actor, store))
    assert (first.from_store, again.from_store) == (False, True)
    assert again.trace == first.trace
    assert again.trace.timing is not None
    assert again.trace.timing.engine >= 0.1
    assert len(actor.requests) == 2


async def test_another_draw_limit_sampling_or_tool_is_another_rollout(store: Store) -> None:
    actor, searches = Actor(LOOKED_UP, "Swigert.", cacheable=True), []

    def search(query: str) -> str:
        """Search.

        Args:
            query: words.
        """
        searches.append(query)
        return f"found {query}"

    def seek(query: str) -> str:
        """Seek.

        Args:
            query: words.
        """
        return query

    async def rolled(tools: ToolSet, draw: int = 0, **fields: Any) -> tuple[int, int]:
        """Return how many requests were sent and searches made."""
        before = len(actor.requests), len(searches)
        await roll(await begin(actor, store, tools, **fields), draw=draw)
        return len(actor.requests) - before[0], len(searches) - before[1]

    tools = ToolSet([search])
    assert await rolled(tools) == (2, 1)
    assert await rolled(tools) == (0, 0)
    assert await rolled(tools, max_turns=3) == (0, 1)  # the same requests, another rollout
    assert await rolled(tools, deadline=60) == (0, 0)  # it was finished without one
    assert await rolled(tools, draw=1) == (2, 1)
    assert await rolled(tools, temperature=0.5) == (2, 1)
    assert await rolled(ToolSet([search, seek])) == (2, 1)
    assert await rolled(ToolSet([search], max_result_chars=5)) == (1, 1)  # what it reads differs


async def test_the_same_question_with_another_answer_costs_nothing(store: Store) -> None:
    actor = Actor(LOOKED_UP, "Swigert.", cacheable=True)
    await roll(await begin(actor, store))
    other = Question(id="other", question=QUESTION.question, answer="somebody else")
    rolled = await roll(await begin(actor, store), other)
    assert rolled.from_store
    assert (rolled.trace.id, rolled.trace.question) == ("other/0", other)


async def test_what_was_broken_off_is_tried_again_from_the_replies_that_came(store: Store) -> None:
    broken = Actor(LOOKED_UP, failed(Cause.TIMEOUT), cacheable=True)
    first = await roll(await begin(broken, store))
    assert first.trace.stop_reason is StopReason.FAILED
    well = Actor(LOOKED_UP, "Swigert.", cacheable=True)
    again = await roll(await begin(well, store))
    assert again.trace.final_answer == "Swigert."
    assert [request.turn for request in well.requests] == ["1"]


async def test_an_engine_whose_weights_may_change_is_never_remembered(store: Store) -> None:
    actor = Actor(LOOKED_UP, "Swigert.", cacheable=False)
    for _ in range(2):
        assert not (await roll(await begin(actor, store))).from_store
    assert len(actor.requests) == 4


class NoTools(Actor):
    """An endpoint that turns out to take no tools."""

    async def complete(self, request: Request) -> Completion:
        if request.tools:
            self.requests.append(request)
            raise ToolsRefusedError("it was started without a parser of calls")
        return await super().complete(request)


async def test_calls_are_written_as_text_where_native_ones_are_refused() -> None:
    written = '<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>'
    engine = NoTools(written, "Swigert.")
    rolling = await begin(engine)
    rolled = [await roll(rolling, draw=draw) for draw in range(2)]
    assert [one.trace.final_answer for one in rolled] == ["Swigert."] * 2
    assert sum(bool(request.tools) for request in engine.requests) == 1
    assert any("without a parser" in note for note in rolling.bill(Prices()).notes)
    with pytest.raises(ToolsRefusedError):
        await roll(await begin(NoTools("x"), tools_as="native"))
