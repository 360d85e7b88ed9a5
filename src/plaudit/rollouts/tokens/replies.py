"""Where replies stand in a conversation's text, told for any chat template."""

from collections.abc import Collection, Sequence

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import CallError, Cause
from plaudit.rollouts.tokens.conforming import Chat
from plaudit.rollouts.tokens.placeholder import Around, around_reply
from plaudit.rollouts.tokens.safe_template import SafeTemplate

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
        tools: what the model is told that it can call.
        cut_off: numbers of the replies, from 0, that did not end: what the template writes to end
            them is not theirs.

    Raises:
        CallError: the template refuses the conversation, or rewrites it so that a reply's place
            cannot be told.
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
            "tell where it begins and ends; leave this conversation out, or use another template",
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
