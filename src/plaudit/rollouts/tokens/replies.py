"""What a chat template writes around a reply, found with a placeholder in place of the reply.

One rule says what ends a reply: **the control tokens that stand right behind it, with which a model
stops.** These are

- the end of turn that the template writes: one token, or several that touch (Cohere has two); it
  may be another in mid-conversation than at the end (gpt-oss has `<|end|>` and `<|return|>`);
- where the template writes no end of turn at all, the first token of the next message, if that
  token names another role: with it a model such as GLM stops (`<|user|>`, `<|observation|>`). At
  the end of a conversation there is none.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Sequence

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import CallError, Cause, UsageError
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
    """What ends the reply: text up to and with control tokens; empty where there are none."""
    rest: str
    """What comes then."""
    borrowed: bool = False
    """Whether `close` is the next message's first token, since the template writes no end."""


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
        tools: what the model can call.
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
        "as it is and once, so the ids around it are unknown; use another template"
    )


def end_of_reply(template: SafeTemplate) -> tuple[str, ...]:
    """Return the control tokens with which a template ends the last reply of a conversation.

    Raises:
        CallError: the template refuses a question with a reply.
        UsageError: the template does not keep the placeholder.
    """
    chat: Chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ""}]
    ends = template.controls(around_reply(template, chat, []).close)
    return tuple(end.group() for end in ends)


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
            rest = tail[len(close) :]
            return Around(before, plain, self._last_run(close) if calls else close, rest)
        if calls:
            return None
        end, borrowed = self._end_before_more(tail, bool(close))
        return Around(before, plain, tail[:end], tail[end:], borrowed)

    def _split(self, new: Chat, prompt: bool) -> tuple[str, str] | None:
        """Return what stands before and after the placeholder, if it is there just once."""
        text = self.template.render([*self.chat, *new], self.tools, prompt=prompt)
        parts = text.split(self.mark)
        return (parts[0], parts[1]) if len(parts) == 2 else None

    def _end(self, tail: str, calls: bool) -> int:
        """Return where the end of the last reply ends: of calls, the last token does."""
        found = self.template.controls(tail)
        if calls or not found:
            return found[-1].end() if found else 0
        return _touching(found)

    def _last_run(self, close: str) -> str:
        """Return the control tokens that touch each other at the end of a text."""
        found = self.template.controls(close)
        begin = len(close)
        while found and found[-1].end() == begin:
            begin = found.pop().start()
        return close[begin:]

    def _end_before_more(self, tail: str, has_end: bool) -> tuple[int, bool]:
        """Return the same where replies end otherwise in mid-conversation.

        Args:
            tail: what follows the reply.
            has_end: whether the template ends the last reply of a conversation.

        Returns:
            Where the end ends, and whether it is the first token of the next message.
        """
        found = self.template.controls(tail)
        if not found:
            return 0, False
        first = found[0].group()
        question: Chat = [{"role": "user", "content": self.mark}]
        opening = self.template.render(question).split(self.mark)[0]
        begins = {begin.group() for begin in self.template.controls(opening)}
        # What stands behind questions too, before the reply's own header, ends messages.
        behind = self.template.render(question, prompt=True).partition(self.mark)[2]
        same = os.path.commonprefix([behind, tail])  # noqa: RUF071 - of texts, not of paths.
        shared = self.template.controls(same)
        ends_all = bool(shared) and (first not in begins or len(shared) > 1)
        if ends_all or (has_end and first not in begins):
            ends = [one for one in found if one is found[0] or one.group() not in begins]
            return _touching(ends), False
        own = {control.group() for control in self.template.controls(behind)}
        borrowed = not has_end and found[0].start() == 0 and first not in own
        return (found[0].end() if borrowed else 0), borrowed


def _touching(found: Sequence[re.Match[str]]) -> int:
    """Return where the first of some matches ends, or the last that touches it."""
    end = found[0].end()
    for one in found[1:]:
        if one.start() != end:
            break
        end = one.end()
    return end


Span = tuple[int, int]


class Located(msgspec.Struct, frozen=True):
    """A conversation's text, and where its replies are."""

    text: str
    spans: list[Span]
    """Begin and end of each reply in characters: what the assistant said, calls and thoughts as the
    template writes them, and the control token that ends it. Not its header, nor what the template
    puts before every plain reply, such as empty thoughts."""


def locate_replies(
    template: SafeTemplate,
    chat: Chat,
    tools: Sequence[ToolSpec] = (),
    cut_off: Collection[int] = (),
) -> Located:
    """Find the replies of a conversation of safe texts, at the cost of some renderings of each.

    Args:
        template: the model's.
        chat: the conversation.
        tools: what the model can call.
        cut_off: numbers of the replies, from 0, that did not end: what the template writes to end
            them is not theirs.

    Raises:
        CallError: the template refuses the conversation, or rewrites it so that a reply's place
            is unknown.
        UsageError: the template does not keep what replies say.
    """
    template.check_calls(chat, tools)
    text = template.render(chat, tools)
    replies = [place for place, turn in enumerate(chat) if turn.get("role") == "assistant"]
    spans = [
        _locate(template, chat, tools, text, place, number not in cut_off)
        for number, place in enumerate(replies)
    ]
    return Located(text, spans)


def _locate(
    template: SafeTemplate,
    chat: Chat,
    tools: Sequence[ToolSpec],
    text: str,
    place: int,
    ended: bool,
) -> Span:
    around = around_reply(template, chat[: place + 1], chat[place + 1 :], tools)
    header = template.render(chat[:place], tools, prompt=True) if place else ""
    begin, end = _begin(template, text, header, around), len(text) - len(around.rest)
    if begin is None or not text.endswith(around.rest) or end < begin:
        raise CallError(
            Cause.BAD_REQUEST,
            f"the chat template {template.name} writes message {place + 1} in a way that does not "
            "show where it begins and ends; leave this conversation out, or use another template",
        )
    return begin, end if ended else max(begin, end - len(around.close))


def _begin(template: SafeTemplate, text: str, header: str, around: Around) -> int | None:
    """Return where a reply begins, which is after all that the template puts before plain ones.

    Where a reply begins otherwise, with calls or thoughts, it begins after the header that the
    model is given.
    """
    before = around.before
    if around.plain and text.startswith(before):
        return len(before) - _missing_space(template, header, before)
    given = _last_stretch(template, header)
    begin = before.rfind(given) + len(given)
    found = bool(given) and given in before and text.startswith(before[:begin])
    return begin if found else None


def _missing_space(template: SafeTemplate, header: str, before: str) -> int:
    """Return how much white space the model must write first, since its header ends without it."""
    given, put = _last_stretch(template, header), _last_stretch(template, before)
    added = put[len(given) :] if given and put.startswith(given) else ""
    return len(added) if added.isspace() else 0


def _last_stretch(template: SafeTemplate, text: str) -> str:
    controls = template.controls(text)
    return text[controls[-1].start() :] if controls else ""
