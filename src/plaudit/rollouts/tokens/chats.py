"""Token ids and masks of plain chats, in bulk: what the assistant says is there to be learned."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from plaudit._util.aio import map_ordered_sync
from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate, MessageLike
from plaudit.errors import CallError, EmptyMaskError, InputError, PlauditError, ReplyError
from plaudit.rollouts.tokens.conforming import Chat
from plaudit.rollouts.tokens.masks import assistant_mask, find_markers, load_numpy
from plaudit.rollouts.tokens.replies import locate_replies
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import FileTokenizer
from plaudit.rollouts.trace import Tokens

BATCH = 256
"""Chats that are encoded in one go."""
_AHEAD = 2  # While one batch is encoded, which takes all cores, the next one is rendered.

Result = TypeVar("Result")
Rejected = Callable[[int, PlauditError], None]
"""Called for a chat that cannot be used, with its number, from 0, and why."""


def tokenize_chats(
    chats: Iterable[Sequence[MessageLike]],
    tokenizer: FileTokenizer,
    template: ChatTemplate,
    tools: Sequence[ToolSpec] = (),
    rejected: Rejected | None = None,
    batch: int = BATCH,
) -> Iterator[Tokens]:
    """Yield the tokens of whole chats, in order, with the assistant's replies in the mask.

    The ids are those of the template's own rendering. A reply is what the assistant says, calls and
    thoughts as the template writes them, and the token that ends it. How replies were sampled is
    not known, so exactness is `approximate`. Chats are taken as they are needed.

    Args:
        chats: lists of messages.
        tokenizer: the model's tokenizer.
        template: its chat template.
        tools: what the model can call.
        rejected: called for chats that cannot be used, which are then left out; without it the
            first one ends the work with its error.
        batch: chats that are encoded in one go.

    Raises:
        MissingDependencyError: numpy is not installed.
        EmptyMaskError: a chat has no reply.
        CallError: the template refuses a chat.
        UsageError: the template does not write what replies say.
    """
    tokens = ChatTokenizer(tokenizer, SafeTemplate(template, tokenizer), tools)
    return _accepted(map_ordered_sync(tokens.batch, _batches(chats, batch), _AHEAD), rejected)


def _accepted(
    batches: "Generator[list[Tokens | _Unusable]]", rejected: Rejected | None
) -> Iterator[Tokens]:
    with contextlib.closing(batches):
        for outcome in itertools.chain.from_iterable(batches):
            if isinstance(outcome, Tokens):
                yield outcome
            elif rejected is None:
                raise outcome.error
            else:
                rejected(outcome.number, outcome.error)


def _batches(
    chats: Iterable[Sequence[MessageLike]], size: int
) -> Iterator[list[tuple[int, Sequence[MessageLike]]]]:
    numbered = enumerate(chats)
    while batch := list(itertools.islice(numbered, size)):
        yield batch


class _Rendered(msgspec.Struct):
    """A chat as text."""

    number: int
    turns: Chat
    text: str

    @property
    def replies(self) -> int:
        return sum(turn["role"] == "assistant" for turn in self.turns)


class _Unusable(msgspec.Struct):
    """A chat that cannot be used."""

    number: int
    error: PlauditError


class ChatTokenizer:
    """Tokenises chats of one model."""

    def __init__(
        self, tokenizer: FileTokenizer, template: SafeTemplate, tools: Sequence[ToolSpec] = ()
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._tools = tools
        self._markers = find_markers(template, tokenizer)

    async def batch(
        self, chats: list[tuple[int, Sequence[MessageLike]]]
    ) -> list[Tokens | _Unusable]:
        """Tokenise some chats."""
        outcomes = [
            _attempt(number, partial(self._render, number, turns)) for number, turns in chats
        ]
        rendered = [outcome for outcome in outcomes if isinstance(outcome, _Rendered)]
        texts = [chat.text for chat in rendered]
        ids = await asyncio.to_thread(self._tokenizer.encode_batch, texts)
        masks = self._masks(rendered, ids)
        done = (
            _attempt(chat.number, partial(self._tokens, chat, its_ids, mask))
            for chat, its_ids, mask in zip(rendered, ids, masks, strict=True)
        )
        return [o if isinstance(o, _Unusable) else next(done) for o in outcomes]

    def _render(self, number: int, messages: Sequence[MessageLike]) -> _Rendered:
        turns = self._template.chat(messages)
        self._template.check_calls(turns, self._tools)
        return _Rendered(number, turns, self._template.render(turns, self._tools))

    def _masks(self, chats: list[_Rendered], ids: list[list[int]]) -> Iterator[list[int] | None]:
        """Yield the chats' masks; None where the ids alone do not give one."""
        if self._markers is None or not chats:
            yield from itertools.repeat(None, len(chats))
            return
        numpy = load_numpy()
        lengths = [len(its_ids) for its_ids in ids]
        flat = numpy.fromiter(
            itertools.chain.from_iterable(ids), dtype=numpy.int32, count=sum(lengths)
        )
        found = assistant_mask(flat, self._markers, lengths)
        parts = numpy.split(found.mask.view(numpy.uint8), numpy.cumsum(lengths)[:-1])
        for chat, part, count in zip(chats, parts, found.counts.tolist(), strict=True):
            yield part.tolist() if count == chat.replies else None

    def _tokens(self, chat: _Rendered, ids: list[int], mask: list[int] | None) -> Tokens:
        if mask is None:
            ids, mask = self._located(chat)
        try:
            first = mask.index(1)
        except ValueError:
            problem = "none of its messages is the assistant's; leave it out"
            raise EmptyMaskError(problem) from None
        return Tokens(
            ids=ids,
            mask=mask,
            logprobs=[None] * len(ids),
            exactness="approximate",
            prompt_length=first,
        )

    def _located(self, chat: _Rendered) -> tuple[list[int], list[int]]:
        """Return ids and mask as the places of the replies in the text give them."""
        located = locate_replies(self._template, chat.turns, self._tools)
        encoded = self._tokenizer.locate(located.text, located.spans)
        mask = [0] * len(encoded.ids)
        for begin, end in encoded.spans:
            mask[begin:end] = [1] * (end - begin)
        return encoded.ids, mask


def _attempt(number: int, function: Callable[[], Result]) -> Result | _Unusable:
    """Call a function for a chat; what is wrong with that chat alone is an outcome."""
    try:
        return function()
    except (CallError, ReplyError, InputError) as error:
        error.args = (f"chat {number}: {error}",)
        return _Unusable(number, error)
