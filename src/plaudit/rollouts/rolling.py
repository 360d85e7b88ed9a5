"""Many rollouts with one agent: from the store where they are finished, else by asking."""

import hashlib

import msgspec

from plaudit.corpus.questions import Question
from plaudit.engines.base import Engine, engine_info
from plaudit.errors import ToolsRefusedError
from plaudit.rollouts.agent import Agent
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.policy import Policy
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import Trace
from plaudit.runs.cached import CachedClient, CachePolicy, SampleClient
from plaudit.runs.record import Bill, bill
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.base import ResultStore

_VERSION = 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Trace).decode


class Rolled(msgspec.Struct, frozen=True):
    """A rollout, and where it came from."""

    trace: Trace
    from_store: bool
    """Whether no request was sent for it."""


class RolloutSession:
    """An agent at work: what a run over a file and a call from Python have in common."""

    def __init__(self, agent: Agent, client: CachedClient, store: ResultStore | None) -> None:
        """Join an agent with what asks for it and what remembers; nothing is asked yet."""
        self.agent = agent
        self._client = client
        self._store = store
        self._notes: list[str] = []

    @classmethod
    async def begin(
        cls,
        engine: Engine,
        tools: ToolSet,
        config: RolloutConfig,
        *,
        send: SendPolicy,
        cache: CachePolicy,
        store: ResultStore | None,
    ) -> "RolloutSession":
        """Settle how the engine is asked.

        Args:
            engine: anything that completes in chat mode.
            tools: open.
            config: prompts, limits and sampling.
            send: how requests are sent.
            cache: how stored replies are used.
            store: where replies and finished rollouts are kept; None: nowhere.

        Raises:
            UsageError: engine, tools and configuration do not go together.
            EngineUnusableError: the model cannot be found out.
        """
        policy = await Policy.bind(engine, tools, config)
        agent = Agent(policy, tools, config)
        kept = store if engine.capabilities.cacheable else None
        client = CachedClient(Pool(engine, send), policy.identity, kept, cache, keep_problems=False)
        return cls(agent, client, kept)

    @property
    def window(self) -> int:
        """Rollouts worth having under way: one or two for each request that may be."""
        pool = self._client.pool
        able = pool.engine.capabilities.concurrency
        return pool.window if able is None else min(pool.window, able + able // 2)

    async def roll(self, question: Question, draw: int) -> Rolled:
        """Roll out a question, unless that is done already.

        Raises:
            EngineUnusableError: no request can succeed.
            ToolsRefusedError: native calls were asked for, and the engine takes none.
        """
        agent = self.agent
        try:
            return await self._roll(agent, question, draw)
        except ToolsRefusedError as refusal:
            if agent.config.tools_as != "auto" or agent.policy.form.name != "native":
                raise
            await self._write_calls_as_text(agent, refusal)
            return await self.roll(question, draw)

    async def _roll(self, agent: Agent, question: Question, draw: int) -> Rolled:
        finished = Finished(self._store, self._client.policy, agent.fingerprint)
        place = finished.place(agent.policy.prompts.user(question.question), draw)
        known = finished.find(place, question, draw)
        if known is not None:
            return Rolled(known, True)
        ask = SampleClient(self._client)
        trace = await agent.run(question, draw, ask)
        finished.keep(place, trace)
        return Rolled(trace, ask.from_store)

    async def _write_calls_as_text(self, agent: Agent, refusal: ToolsRefusedError) -> None:
        """Go on without native calls, once it has come out that the engine takes none."""
        if self.agent is agent:
            engine = self._client.pool.engine
            policy = await Policy.bind(engine, agent.tools, agent.config, native=False)
            if self.agent is agent:
                self.agent = Agent(policy, agent.tools, agent.config)
                self._notes.append(f"calls are written as text: {refusal}")

    def bill(self, prices: Prices) -> Bill:
        """Return what was spent."""
        given_up = (f"the endpoint {n}" for n in engine_info(self._client.pool.engine).notes)
        notes = [*given_up, *self.agent.policy.notes, *self._notes]
        return bill([(self._client, self.agent.policy.identity)], prices, notes)

    async def close(self) -> None:
        """Free what the engine took."""
        await self._client.pool.engine.close()


class Finished:
    """Finished rollouts in the store, each under a key of all that it depends on.

    A stored rollout costs no request and runs no tool, and says how long it took when it was made.
    One that was broken off, or in which a tool failed, is not stored: it is tried again, from the
    replies that came.
    """

    def __init__(self, store: ResultStore | None, cache: CachePolicy, fingerprint: bytes) -> None:
        """Join a store, which may be none."""
        self._reads = store if cache.read else None
        self._writes = store if cache.write else None
        self._fingerprint = fingerprint

    def place(self, prompt: str, draw: int) -> bytes:
        """Return the key of a rollout, by the user's message and the number of the draw."""
        content = msgspec.msgpack.encode((_VERSION, self._fingerprint, prompt, draw))
        return hashlib.blake2b(content, digest_size=16).digest()

    def find(self, place: bytes, question: Question, draw: int) -> Trace | None:
        """Return the rollout of a key as one of this question; None where there is none."""
        stored = None if self._reads is None else self._stored(self._reads, place)
        if stored is None:
            return None
        trace = _decode(stored)
        if trace.unfinished:  # Earlier versions stored rollouts in which a tool failed.
            return None
        return trace.of(question, draw)

    def _stored(self, store: ResultStore, place: bytes) -> bytes | None:
        found = store.get_result(place)
        if found is None:  # Earlier versions stored traces as the texts of replies.
            reply = store.get_reply(place)
            return None if reply is None else reply.text.encode()
        return found

    def keep(self, place: bytes, trace: Trace) -> None:
        """Keep a rollout if it is finished."""
        if self._writes is None or trace.unfinished:
            return
        bare = msgspec.structs.replace(trace, question=None)
        self._writes.put_result(place, _encode(bare))
