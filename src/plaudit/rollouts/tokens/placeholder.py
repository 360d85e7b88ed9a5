"""What a chat template writes around a reply, found with a placeholder in place of the reply."""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import CallError, UsageError
from plaudit.rollouts.tokens.conforming import Chat
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.types import Json


class Around(msgspec.Struct, frozen=True):
    """What stands around a reply."""

    before: str
    """All that precedes the placeholder."""
    plain: bool
    """Whether that is what precedes a reply of text; else some of a call precedes it too."""
    close: str
    """What ends the reply: text up to and with a control token; empty where there is none."""
    rest: str
    """What comes then."""


def around_reply(
    template: SafeTemplate,
    chat: Chat,
    new: Chat,
    tools: Sequence[ToolSpec] = (),
    *,
    prompt: bool = False,
) -> Around:
    """Return what a template writes around a reply.

    Args:
        template: the template.
        chat: safe texts, up to and with the reply; what the reply holds matters only as far as
            the template reads its calls when it writes their results.
        new: what follows the reply.
        tools: what the model is told that it can call.
        prompt: whether the header of the model's next message follows.

    Raises:
        CallError: the template refuses the conversation.
        UsageError: the template does not keep the placeholder.
    """
    refusal: CallError | None = None
    mark = placeholder([*chat, *new])
    for reply in _stand_ins(chat[-1], mark):
        try:
            found = _Reply(template, [*chat[:-1], reply], mark, tools).around(new, prompt)
        except CallError as error:
            refusal = refusal or error
        else:
            if found is not None:
                return found
    if refusal is not None:
        raise refusal
    raise UsageError(
        f"the chat template {template.name} does not write what an assistant message holds just "
        "as it is and once, so the ids around it cannot be told; use another template"
    )


def end_of_reply(template: SafeTemplate) -> str | None:
    """Return the control token with which a template ends a reply, if it has one.

    Raises:
        CallError: the template refuses a question with a reply.
        UsageError: the template does not keep the placeholder.
    """
    chat: Chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ""}]
    ends = template.controls(around_reply(template, chat, []).close)
    return ends[-1].group() if ends else None


def placeholder(chat: Chat) -> str:
    """Return a word that no text of the conversation holds, for it is made of all of them."""
    return "w" + hashlib.blake2b(msgspec.msgpack.encode(chat), digest_size=12).hexdigest()


def _stand_ins(reply: dict[str, Json], mark: str) -> Iterator[dict[str, Json]]:
    """Replies that hold the placeholder, the most faithful first.

    Templates may read the calls when they write the results, leave out content beside calls, or
    take one call at most.
    """
    calls: list[dict[str, Json]] = reply.get("tool_calls") or []
    if calls:
        yield {"role": "assistant", "content": mark, "tool_calls": calls}
        function = {**calls[-1].get("function", {}), "arguments": {"value": mark}}
        last = calls[-1] | {"function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [*calls[:-1], last]}
    yield {"role": "assistant", "content": mark}


class _Reply(msgspec.Struct, frozen=True):
    """A reply that holds a placeholder, with the conversation before it."""

    template: SafeTemplate
    chat: Chat
    mark: str
    tools: Sequence[ToolSpec]

    def around(self, new: Chat, prompt: bool) -> Around | None:
        """Return what stands around the placeholder; None where calls hide it."""
        alone = self._split([], False)
        found = self._split(new, prompt) if new or prompt else alone
        if found is None or alone is None:
            return None
        calls = bool(self.chat[-1].get("tool_calls"))
        plain = self.chat[-1]["content"] == self.mark
        (before, tail), close = found, alone[1][: self._end(alone[1], calls)]
        if close and tail.startswith(close):
            end = self.template.controls(close)[-1].group()
            return Around(before, plain, end if calls else close, tail[len(close) :])
        if calls:
            return None
        close = tail[: self._end_before_more(tail)]
        return Around(before, plain, close, tail[len(close) :])

    def _split(self, new: Chat, prompt: bool) -> tuple[str, str] | None:
        """Return what stands before and after the placeholder, if it is there just once."""
        text = self.template.render([*self.chat, *new], self.tools, prompt=prompt)
        parts = text.split(self.mark)
        return (parts[0], parts[1]) if len(parts) == 2 else None

    def _end(self, tail: str, calls: bool) -> int:
        """Return where the token that ends the reply ends; of calls, the last token does."""
        found = self.template.controls(tail)
        return found[-1 if calls else 0].end() if found else 0

    def _end_before_more(self, tail: str) -> int:
        """The same where replies end otherwise in mid-conversation: unless a message begins."""
        found = self.template.controls(tail)
        if not found:
            return 0
        opening = self.template.render([{"role": "user", "content": self.mark}])
        begins = self.template.controls(opening.split(self.mark)[0])
        return 0 if found[0].group() in {begin.group() for begin in begins} else found[0].end()
