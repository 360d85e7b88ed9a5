"""One rollout's conversation with the model: what it is sent, what it says, and the token ids."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from plaudit.engines.base import Completion, FinishReason, Request, Sampling
from plaudit.errors import CallError, EmptyMaskError, EngineUnusableError
from plaudit.rollouts.calls.forms import OwnMessage, closers_of, marks_of
from plaudit.rollouts.calls.parsing import THOUGHTS, open_thought
from plaudit.rollouts.forms import Call, Form, as_openai
from plaudit.rollouts.prompts import Prompts
from plaudit.rollouts.tokens.log import TokenLog
from plaudit.rollouts.tokens.rendering import Renderer
from plaudit.rollouts.tokens.replies import locate_replies
from plaudit.rollouts.tokens.tokenizer import FileTokenizer
from plaudit.rollouts.trace import Exactness, Tokens, Turn
from plaudit.types import Json, Message, Usage

_ENDED: frozenset[FinishReason] = frozenset({"stop", "tool_calls"})
"""How a reply finishes whose end token the model sampled; of others that is not known."""


class ModelTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What all conversations with one model have in common."""

    uri: str
    """The engine's, for messages."""
    form: Form
    prompts: Prompts
    sampling: Callable[[int, int], Sampling]
    """How a reply is sampled, by the number of the draw and its most tokens."""
    renderer: Renderer | None = None
    """Makes token ids of messages, where that is not the engine's to do."""
    takes_ids: bool = False
    """Whether prompts are sent as ids."""
    tells_ids: bool = False
    """Whether the engine returns the ids of what it sampled."""
    exact_only: bool = False
    """Whether ids that are not exact are an error."""
    max_length: int | None = None
    """Most tokens of a trace."""

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return what the model is shown of results; they cannot speak as anything else."""
        escape = self.prompts.escape_rare if self.form.escapes else self.prompts.escape
        return self.form.results([_with_text(one, escape(one.text)) for one in answers])


class Conversation:
    """One rollout's conversation with the model; subclasses keep the token ids.

    Attributes:
        messages: the conversation in the OpenAI format, calls and results as they were made.
    """

    def __init__(self, terms: ModelTerms, question: str, draw: int, sample_id: str) -> None:
        prompts = terms.prompts
        opening = [Message("system", prompts.system)] if prompts.system else []
        self.messages: list[Message] = [*opening, Message("user", prompts.user(question))]
        self._sent = [*map(_own, opening), *self.messages[len(opening) :]]
        """The conversation as the model is shown it."""
        self._shared = len(opening)
        self._cut_off: set[int] = set()
        """Numbers of the replies that the model did not end."""
        self._rewritten: set[int] = set()
        """Numbers of the replies that the model is shown otherwise than it wrote them."""
        self._terms = terms
        self._draw = draw
        self._sample_id = sample_id
        self._turn = 0
        self._shown_ids: dict[str, str] = {}
        """Ids of calls as the model is shown them, where they are others."""

    async def request(self, max_tokens: int) -> Request:
        """Return the request for the model's next reply, of at most so many tokens.

        Raises:
            CallError: the chat template refuses the conversation.
        """
        raise NotImplementedError

    async def take(self, completion: Completion) -> tuple[Turn, Sequence[Call]]:
        """Take the reply; return it as a turn, and the calls that it makes.

        Raises:
            CallError: the engine's token ids make no sense.
            EngineUnusableError: it returns no ids, and only exact ones will do.
        """
        raise NotImplementedError

    async def tokens(self) -> Tokens | None:
        """Return the ids up to the last reply; None where they are not known, or none was sampled.

        Results that no reply came to are not among them: there is nothing to learn from them.
        """
        raise NotImplementedError

    def answer(self, answers: Sequence[Message]) -> None:
        """Show the model the results of its calls: messages with role `tool`, in their order."""
        self.messages += answers
        shown = [
            msgspec.structs.replace(one, tool_call_id=self._shown_ids.get(id_, id_))
            if (id_ := one.tool_call_id)
            else one
            for one in answers
        ]
        self._sent += self._terms.results(shown)

    def _read(self, completion: Completion, in_thought: str = "") -> tuple[Turn, Sequence[Call]]:
        form = self._terms.form
        read = form.read(completion, self._turn, in_thought)
        said = form.said(completion, read)
        shown = [str(call["id"]) for call in said.tool_calls or ()]
        self._shown_ids |= dict(zip((call.id for call in read.calls), shown, strict=False))
        calls = [as_openai(call) for call in read.calls] or None
        if completion.finish_reason not in _ENDED:
            self._cut_off.add(self._turn)
        if said.tool_calls and _without_ids(said.tool_calls) != _without_ids(calls or ()):
            self._rewritten.add(self._turn)
        self._turn += 1
        self._sent.append(said)
        self.messages.append(Message("assistant", read.answer or None, tool_calls=calls))
        turn = Turn(
            text=completion.text,
            reasoning=read.reasoning,
            answer=read.answer,
            finish_reason=completion.finish_reason,
            calls=[call.id for call in read.calls],
            usage=_usage(completion),
        )
        return turn, read.calls


class ChatConversation(Conversation):
    """A conversation in chat mode: the engine makes token ids of the messages, and may return them.

    Where it returns none, a tokenizer gives ids for the whole text: an approximation.
    """

    def __init__(self, terms: ModelTerms, question: str, draw: int, sample_id: str) -> None:
        super().__init__(terms, question, draw, sample_id)
        self._log = TokenLog() if terms.tells_ids else None

    async def request(self, max_tokens: int) -> Request:
        """Return the request for the next reply."""
        terms = self._terms
        return Request(
            prompt=tuple(self._sent),
            sampling=terms.sampling(self._draw, max_tokens),
            tools=terms.form.specs,
            trace_tokens=self._log is not None,
            draw=self._draw,
            sample_id=self._sample_id,
            affinity=self._sample_id,
            shared=self._shared,
            turn=str(self._turn),
        )

    async def take(self, completion: Completion) -> tuple[Turn, Sequence[Call]]:
        """Take the reply."""
        log, prompt, sampled = self._log, completion.prompt_token_ids, completion.token_ids
        if log is not None and (prompt is None or sampled is None):
            if self._terms.exact_only:
                raise _no_ids(self._terms)
            self._log = None  # A trace with gaps would be of no use.
        elif log is not None and prompt is not None and sampled is not None:
            log.observe(prompt)
            log.sampled(sampled, completion.token_logprobs)
        renderer = self._terms.renderer
        if renderer is not None and not _counted(completion):
            written = await renderer.written_ids(completion.text, ended=False)
            completion = _with_count(completion, len(written))
        return self._read(completion)

    async def tokens(self) -> Tokens | None:
        """Return the ids as the engine returned them, or as the tokenizer gives them."""
        log, terms = self._log, self._terms
        exactness: Exactness = "exact"
        if log is None and terms.renderer is not None and self._turn:
            log, exactness = await self._located(terms.renderer), "approximate"
        return None if log is None else _finished(log, exactness, terms.max_length)

    async def _located(self, renderer: Renderer) -> TokenLog | None:
        """Return the ids of a whole chat, its replies as sampled; None where they are not known.

        A reply that the template shows otherwise than the model wrote it, such as a malformed call,
        counts as read.
        """
        tokenizer, specs, chat = renderer.tokenizer, self._terms.form.specs, self._sent
        if not isinstance(tokenizer, FileTokenizer):
            return None
        while chat and chat[-1].role != "assistant":
            chat = chat[:-1]
        try:
            template = renderer.template
            located = locate_replies(template, template.chat(chat), specs, self._cut_off)
        except CallError:
            return None
        spans = [span for n, span in enumerate(located.spans) if n not in self._rewritten]
        encoded = await asyncio.to_thread(tokenizer.locate, located.text, spans)
        log, place = TokenLog(), 0
        for number, (begin, end) in enumerate(encoded.spans):
            (log.append if number else log.begin)(encoded.ids[place:begin])
            log.sampled(encoded.ids[begin:end])
            place = end
        return log


class RenderedConversation(Conversation):
    """A conversation whose token ids are made here: what was sampled is never tokenised again."""

    def __init__(
        self, terms: ModelTerms, renderer: Renderer, question: str, draw: int, sample_id: str
    ) -> None:
        super().__init__(terms, question, draw, sample_id)
        self._renderer = renderer
        self._log = TokenLog()
        self._exactness: Exactness = "exact"
        self._said = 0
        """Messages up to and with the model's last one."""
        self._ended = False
        self._asked: tuple[int, ...] = ()
        self._in_thought = ""

    async def request(self, max_tokens: int) -> Request:
        """Return the request for the next reply."""
        terms = self._terms
        ids = await self._prompt()
        text = await self._renderer.tokenizer.decode(ids)
        self._in_thought = open_thought(text)
        begin = "" if terms.takes_ids else self._renderer.template.begin_of_text
        return Request(
            prompt=text.removeprefix(begin),
            prompt_ids=ids if terms.takes_ids else (),
            sampling=terms.sampling(self._draw, max_tokens),
            trace_tokens=terms.tells_ids,
            draw=self._draw,
            sample_id=self._sample_id,
            affinity=self._sample_id,
            turn=str(self._turn),
        )

    async def take(self, completion: Completion) -> tuple[Turn, Sequence[Call]]:
        """Take the reply."""
        log, reported = self._log, completion.prompt_token_ids
        if not self._terms.takes_ids and reported is not None:
            log.observe(reported)
        elif self._said:
            log.append(self._asked[len(log) :])
        else:
            log.begin(self._asked)
        before = len(log)
        await self._sample(completion)
        if not _counted(completion):
            completion = _with_count(completion, len(log) - before)
        completion = await self._with_marks(completion)
        taken = self._read(completion, self._in_thought)
        self._said = len(self._sent)
        return taken

    async def tokens(self) -> Tokens | None:
        """Return the ids that were sent and sampled."""
        return _finished(self._log, self._exactness, self._terms.max_length)

    async def _prompt(self) -> tuple[int, ...]:
        """Return the ids of the prompt for the next reply; nothing is written down yet."""
        renderer, sent, specs = self._renderer, self._sent, self._terms.form.specs
        if not self._said:
            self._asked = tuple(await renderer.prompt_ids(sent, specs))
        else:
            said, more = sent[: self._said], sent[self._said :]
            ended = self._log.ids[-1] if self._ended else None
            new = await renderer.between(said, more, specs, ended=ended)
            self._asked = (*self._log.ids, *new)
        return self._asked

    async def _with_marks(self, completion: Completion) -> Completion:
        """Return the reply with the special tokens around its calls and thoughts.

        Engines leave them out of texts.
        """
        ids, forms = list(completion.token_ids or ()), self._terms.form.reads
        tokenizer = self._renderer.tokenizer
        closers = {tokenizer.control.get(mark) for mark in closers_of(forms)}
        if self._renderer.ended(ids, completion.finish_reason) and ids[-1] not in closers:
            ids.pop()
        known = marks_of(forms) | THOUGHTS.keys() | set(THOUGHTS.values())
        marks = {tokenizer.control.get(mark) for mark in known}
        if marks.isdisjoint(ids):
            return completion
        return msgspec.structs.replace(completion, text=await tokenizer.decode(ids))

    async def _sample(self, completion: Completion) -> None:
        finish = completion.finish_reason
        if completion.token_ids is not None:
            self._log.sampled(completion.token_ids, completion.token_logprobs)
            self._ended = self._renderer.ended(completion.token_ids, finish)
            return
        if self._terms.exact_only:
            raise _no_ids(self._terms)
        self._exactness, self._ended = "approximate", finish in _ENDED
        text = completion.text
        self._log.sampled(await self._renderer.written_ids(text, ended=self._ended))


def _finished(log: TokenLog, exactness: Exactness, max_length: int | None) -> Tokens | None:
    """Return what was written down; None where nothing in it was sampled."""
    if max_length is not None:
        log.truncate(max_length)
    try:
        return log.finish(exactness)
    except EmptyMaskError:
        return None


def _usage(completion: Completion) -> Usage:
    """Return the usage, its output counted where there are ids."""
    if completion.token_ids is None:
        return completion.usage
    return Usage(completion.usage.input_tokens, len(completion.token_ids))


def _counted(completion: Completion) -> bool:
    """Whether the length of a reply is known; functions that return texts do not report it."""
    return completion.token_ids is not None or completion.usage.output_tokens > 0


def _with_count(completion: Completion, written: int) -> Completion:
    usage = Usage(completion.usage.input_tokens, written)
    return msgspec.structs.replace(completion, usage=usage)


def _no_ids(terms: ModelTerms) -> EngineUnusableError:
    return EngineUnusableError(
        f"{terms.uri} returns no token ids of what it sampled, and only exact ones will do; leave "
        "out --tokens exact, or use an engine that returns them"
    )


def _without_ids(calls: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """Return calls without their ids, which are shown as the form spells them."""
    return [{name: value for name, value in call.items() if name != "id"} for call in calls]


def _own(message: Message) -> OwnMessage:
    return OwnMessage(message.role, message.content)


def _with_text(message: Message, text: str) -> Message:
    return msgspec.structs.replace(message, content=text)
