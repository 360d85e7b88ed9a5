"""Token ids of conversations: prompts, and what lies between two replies of a model.

What the model wrote is never tokenised again. The ids that a template puts after it (the end of its
turn, results of tools, the header of its next turn) are found by rendering the conversation with a
placeholder in place of what it wrote: they are what follows the placeholder.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

from plaudit.engines.base import Engine, FinishReason, ToolSpec, engine_info
from plaudit.engines.chat_template import ChatTemplate, MessageLike
from plaudit.errors import CallError, Cause, UsageError
from plaudit.rollouts.tokens.replies import around_reply, end_of_reply
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import EngineTokenizer, Tokenizer, load_tokenizer


class Renderer:
    """Makes token ids of conversations, as one model reads them."""

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, kept: Iterable[str] = ()
    ) -> None:
        """Join tokenizer and template; `kept` are plaudit's own marks, which stay in messages."""
        self.tokenizer = tokenizer
        self.chat_template = template
        self.template = SafeTemplate(template, tokenizer, kept)
        self._control_ids = frozenset(tokenizer.control.values())

    @property
    def control(self) -> Collection[str]:
        """Texts of the control tokens."""
        return self.tokenizer.control.keys()

    @property
    def identity(self) -> str:
        """Identifies tokenizer and template."""
        return f"{self.tokenizer.identity} {self.template.identity}"

    def keeping(self, marks: Iterable[str]) -> "Renderer":
        """Return a renderer that keeps plaudit's own marks in messages of plaudit's making."""
        return Renderer(self.tokenizer, self.chat_template, marks)

    async def prompt_ids(
        self, messages: Sequence[MessageLike], tools: Sequence[ToolSpec] = ()
    ) -> list[int]:
        """Return the ids of a prompt: a conversation, and the header of the model's next message.

        Raises:
            CallError: the template refuses the conversation.
        """
        chat = self.template.chat(messages)
        return await self._encode(self.template.render(chat, tools, prompt=True))

    async def between(
        self,
        messages: Sequence[MessageLike],
        new_messages: Sequence[MessageLike],
        tools: Sequence[ToolSpec] = (),
        *,
        ended: int | None,
    ) -> list[int]:
        """Return the ids that lie between what the model wrote and its next message.

        Args:
            messages: the conversation up to and with the message that the model has just written,
                in which nothing matters but its calls.
            new_messages: what follows, such as results of tools.
            tools: what the model can call.
            ended: the token with which it ended its turn (see `ended`): the template's own end is
                then left out, whichever it is. None: the turn was cut off, and the template's own
                end comes first.

        Raises:
            CallError: the template refuses the conversation.
            UsageError: the template does not keep the placeholder.
        """
        chat, new = self.template.chat(messages), self.template.chat(new_messages)
        found = around_reply(self.template, chat, new, tools, prompt=True)
        ids = await self._encode(found.close + found.rest)
        ends = [self.tokenizer.control[end.group()] for end in self.template.controls(found.close)]
        if ended is None or not ends or (found.borrowed and ended != ends[0]):
            return ids
        return ids[ids.index(ended if ended in ends else ends[-1]) + 1 :]

    async def written_ids(self, text: str, *, ended: bool) -> list[int]:
        """Return ids for a text of the model's, where an engine gave no ids: an approximation.

        Args:
            text: what it wrote.
            ended: whether it ended its turn itself: then the template's end of turn follows.
        """
        end = "".join(self._close) if ended else ""
        return await self.tokenizer.encode(self.template.written(text) + end)

    def ended(self, ids: Sequence[int], finish_reason: FinishReason = "stop") -> bool:
        """Whether sampled ids close with a token that ends the model's turn.

        That is the template's own end token, the token that ends texts, or, in a reply that was not
        cut off, any control token: models have several to end a turn with.
        """
        if not ids:
            return False
        whole = finish_reason != "length"
        return ids[-1] in self._ends or (whole and ids[-1] in self._control_ids)

    @cached_property
    def end(self) -> str | None:
        """The last control token with which the template ends a reply, if it has one.

        Raises:
            CallError: the template refuses a question with a reply.
            UsageError: the template does not keep what a reply says.
        """
        return self._close[-1] if self._close else None

    @cached_property
    def _close(self) -> tuple[str, ...]:
        return end_of_reply(self.template)

    @cached_property
    def _ends(self) -> frozenset[int]:
        texts = (self.end or "", self.template.end_of_text)
        known = self.tokenizer.control
        return frozenset(known[text] for text in texts if text in known)

    async def _encode(self, text: str) -> list[int]:
        """Return the ids of a rendering, in which only the template wrote control tokens.

        Raises:
            CallError: the tokenizer made a control token of something else.
        """
        ids = await self.tokenizer.encode(text)
        found = sum(map(self._control_ids.__contains__, ids))
        if found > len(self.template.controls(text)):
            raise CallError(
                Cause.BAD_REQUEST,
                "the tokenizer makes a control token of text that is none, since it rewrites texts "
                "before it reads them; this conversation cannot be shown to the model safely",
            )
        return ids


def load_renderer(path: str | Path, now: datetime | None = None) -> Renderer:
    """Read a model's tokenizer and chat template from its folder, or from its `tokenizer.json`.

    `now` is the time that the template shows, by default the time of this call.

    Raises:
        MissingDependencyError: the `tokenizers` library is not installed.
        UsageError: a file cannot be read, or is no tokenizer or template.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    return Renderer(load_tokenizer(path), ChatTemplate.load(folder, now))


async def engine_renderer(engine: Engine, now: datetime | None = None) -> Renderer:
    """Take tokenizer and chat template from an engine that has the model's file.

    Raises:
        EngineUnusableError: the file is not available or cannot be loaded.
        UsageError: the engine has no such file, or the model no chat template.
    """
    tokenizer = engine_info(engine).tokenizer
    if tokenizer is None:
        raise UsageError(
            f"{engine.uri} does not show its tokenizer; give the model's with --tokenizer PATH: "
            "a folder with tokenizer.json and chat template, as the model is published with"
        )
    identity = await engine.identify()
    metadata = tokenizer.metadata
    if metadata.chat_template is None:
        raise UsageError(f"{engine.uri} is a base model: it has no chat template")
    named = {"bos_token": metadata.bos_token, "eos_token": metadata.eos_token}
    tokens = {name: text for name, text in named.items() if text is not None}
    template = ChatTemplate(engine.uri, {"default": metadata.chat_template}, tokens, now)
    return Renderer(EngineTokenizer(tokenizer, identity), template)
