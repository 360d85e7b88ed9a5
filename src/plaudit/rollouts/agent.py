"""One rollout: a model and its tools take turns, until there is an answer or a limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property

import msgspec

from plaudit.corpus.questions import Question
from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, Cause, ReplyError
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.forms import Call, written
from plaudit.rollouts.policy import Policy
from plaudit.rollouts.telemetry import Spans, now_ns
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import CallRecord, CallStatus, StopReason, Timing, Trace, Turn
from plaudit.types import Failure, Message, Usage

Ask = Callable[[Request], Awaitable[Completion]]
"""Gets a completion for a request, from a cache or an engine; raises CallError or ReplyError."""

_LEAST_ROOM = 64
"""Tokens of a reply under which it is not tried whether a shorter one would still fit."""


class Agent:
    """A policy with its tools and limits; any number of rollouts may be under way."""

    def __init__(self, policy: Policy, tools: ToolSet, config: RolloutConfig) -> None:
        self.policy = policy
        self.tools = tools
        self.config = config

    @cached_property
    def fingerprint(self) -> bytes:
        """All that a rollout depends on besides its question and the number of its draw."""
        limits = self.config
        parts = (
            self.policy.made_of,
            self.tools.identity,
            limits.max_turns,
            limits.max_new_tokens,
            limits.max_tool_calls,
        )
        return msgspec.msgpack.encode(parts)

    async def run(self, question: Question, draw: int, ask: Ask) -> Trace:
        """Roll out one question. Only its text is shown to the policy.

        Args:
            question: what is to be answered.
            draw: number of the rollout within its group.
            ask: gets completions.

        Raises:
            EngineUnusableError: no request can succeed.
            UsageError: the policy cannot be asked in this way at all.
        """
        return await _Rollout(self, question, draw, ask).run()


class _Rollout:
    """A rollout on its way."""

    def __init__(self, agent: Agent, question: Question, draw: int, ask: Ask) -> None:
        self._agent = agent
        self._config = agent.config
        self._question = question
        self._draw = draw
        self._id = f"{question.id}/{draw}"
        self._ask = ask
        self._spans = Spans(agent.policy.uri, agent.policy.identity)
        self._conversation = agent.policy.begin(question.question, draw, question.id)
        self._turns: list[Turn] = []
        self._records: list[CallRecord] = []
        self._pending: Sequence[Call] = ()
        self._written = 0
        self._made = 0
        self._usage = Usage()
        self._engine_seconds = self._tool_seconds = 0.0

    async def run(self) -> Trace:
        with self._spans.rollout(self._id) as span:
            started = time.monotonic()
            stop, failure = await self._until_stopped()
            trace = await self._trace(stop, failure, time.monotonic() - started)
            span.ended(trace)
            return trace

    async def _trace(self, stop: StopReason, failure: Failure | None, total: float) -> Trace:
        question = self._question
        return Trace(
            id=self._id,
            question_id=question.id,
            group=question.id,
            draw=self._draw,
            question=question,
            messages=self._conversation.messages,
            turns=self._turns,
            tool_calls=self._records,
            tokens=await self._conversation.tokens(),
            stop_reason=stop,
            final_answer=self._final_answer(stop),
            error=failure,
            timing=Timing(
                total=round(total, 3),
                engine=round(self._engine_seconds, 3),
                tools=round(self._tool_seconds, 3),
            ),
            usage=self._usage,
            engine=self._agent.policy.identity,
        )

    async def _until_stopped(self) -> tuple[StopReason, Failure | None]:
        try:
            # Code below has time limits of its own, which raise other errors.
            async with asyncio.timeout(self._config.deadline):
                return await self._take_turns(), None
        except TimeoutError:
            self._answer_late()
            return StopReason.DEADLINE, None
        except ReplyError as error:
            refused = error.cause is Cause.REFUSED
            reason = StopReason.REFUSED if refused else StopReason.FAILED
            return reason, Failure(error.cause, str(error))
        except CallError as error:
            if error.cause is Cause.CONTEXT_OVERFLOW and self._turns:
                return StopReason.CONTEXT_FULL, None
            return StopReason.FAILED, Failure(error.cause, str(error), error.attempts)

    async def _take_turns(self) -> StopReason:
        while True:
            stop = await self._take_turn()
            if stop is not None:
                return stop

    async def _take_turn(self) -> StopReason | None:
        room = self._config.max_new_tokens - self._written
        completion, asked = await self._reply(room)
        turn, calls = await self._conversation.take(completion)
        self._turns.append(turn)
        self._usage += turn.usage
        self._written += turn.usage.output_tokens
        await self._call_tools(calls)
        if completion.finish_reason == "content_filter":
            return StopReason.REFUSED
        if completion.finish_reason == "length":
            full = 0 < turn.usage.output_tokens < room or asked < room
            return StopReason.CONTEXT_FULL if full else StopReason.MAX_NEW_TOKENS
        return self._stop_after(calls)

    async def _reply(self, room: int) -> tuple[Completion, int]:
        """Ask for the next reply.

        Servers refuse a request whose prompt and longest reply do not fit together, though the
        prompt alone would; so a shorter reply is asked for before the context counts as full.

        Returns:
            The completion, and the most tokens that were asked for.
        """
        started, asked = time.monotonic(), room
        try:
            while True:
                try:
                    return await self._asked(await self._conversation.request(asked)), asked
                except CallError as error:
                    if error.cause is not Cause.CONTEXT_OVERFLOW or asked <= _LEAST_ROOM:
                        raise
                    asked = max(asked // 2, _LEAST_ROOM)
        finally:
            self._engine_seconds += time.monotonic() - started

    async def _asked(self, request: Request) -> Completion:
        with self._spans.chat(request) as span:
            completion = await self._ask(request)
            span.replied(completion)
            return completion

    def _stop_after(self, calls: Sequence[Call]) -> StopReason | None:
        config = self._config
        if not calls:
            return StopReason.ANSWERED
        if config.max_tool_calls is not None and self._made > config.max_tool_calls:
            return StopReason.MAX_TOOL_CALLS
        if self._written >= config.max_new_tokens:
            return StopReason.MAX_NEW_TOKENS
        if len(self._turns) >= config.max_turns:
            return StopReason.MAX_TURNS
        return None

    async def _call_tools(self, calls: Sequence[Call]) -> None:
        """Run the calls of a turn side by side; those beyond the limit are refused."""
        if not calls:
            return
        most, number = self._config.max_tool_calls, len(self._turns) - 1
        allowed = len(calls) if most is None else max(0, most - self._made)
        self._made += len(calls)
        self._pending = calls
        started, began = time.monotonic(), now_ns()
        answered = await self._agent.tools.run_all(calls[:allowed], number)
        answered += [_refused(call, number, most) for call in calls[allowed:]]
        self._spans.tools(answered, began)
        self._tool_seconds += time.monotonic() - started
        self._pending = ()
        self._records += [record for record, _ in answered]
        self._conversation.answer([message for _, message in answered])

    def _answer_late(self) -> None:
        """Answer the calls that ran when the time was up, so that none stays without an answer."""
        pending, self._pending = self._pending, ()
        if pending:
            answered = [_late(call, len(self._turns) - 1) for call in pending]
            self._records += [record for record, _ in answered]
            self._conversation.answer([message for _, message in answered])

    def _final_answer(self, stop: StopReason) -> str | None:
        """Return the text of the last turn, unless it called a tool or was kept back."""
        if not self._turns or self._turns[-1].calls or stop is StopReason.REFUSED:
            return None
        return self._turns[-1].answer or None


def _refused(call: Call, turn: int, most: int | None) -> tuple[CallRecord, Message]:
    return _unanswered(call, turn, "over_limit", f"no more than {most} tool calls are allowed")


def _late(call: Call, turn: int) -> tuple[CallRecord, Message]:
    return _unanswered(call, turn, "timeout", "the time for this question is over")


def _unanswered(call: Call, turn: int, status: CallStatus, why: str) -> tuple[CallRecord, Message]:
    record = CallRecord(
        id=call.id, turn=turn, name=call.name, arguments=written(call), status=status
    )
    return record, Message("tool", f"Error: {why}", tool_call_id=call.id)
