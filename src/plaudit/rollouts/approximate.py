"""Token ids of a rollout whose engine told texts alone."""

from collections.abc import Sequence

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.rendering import Renderer
from plaudit.rollouts.tokens import TokenLog
from plaudit.rollouts.trace import Tokens, Turn
from plaudit.types import Message


async def approximate_tokens(
    messages: Sequence[Message],
    turns: Sequence[Turn],
    renderer: Renderer,
    tools: Sequence[ToolSpec] = (),
    max_tokens: int | None = None,
) -> Tokens:
    """Return what a model likely read and sampled, from the texts that it wrote.

    The same text can be sampled as other ids than those that its tokenizer makes of it, so these
    are marked `approximate`, and have no log-probabilities.

    Args:
        messages: the whole chat.
        turns: what the model wrote: the texts of the chat's last assistant messages, in order.
        renderer: the model's tokenizer and chat template.
        tools: what the model was told that it can call.
        max_tokens: most tokens that are kept; None: all.

    Raises:
        CallError: the template refuses the conversation.
        EmptyMaskError: nothing was written, or all of it was cut off.
        UsageError: there are more turns than assistant messages, or the template does not keep
            what replies say.
    """
    places = [n for n, message in enumerate(messages) if message.role == "assistant"]
    if len(turns) > len(places):
        raise UsageError(f"there are {len(turns)} turns, but {len(places)} assistant messages")
    places = places[len(places) - len(turns) :]
    log = TokenLog()
    for turn, place, following in zip(turns, places, [*places[1:], None], strict=True):
        if not log:
            log.begin(await renderer.prompt_ids(messages[:place], tools))
        ended = turn.finish_reason != "length"
        log.sampled(await renderer.written_ids(turn.text, ended=ended))
        if following is not None:
            so_far, new = messages[: place + 1], messages[place + 1 : following]
            log.append(await renderer.between(so_far, new, tools, ended=ended))
    if max_tokens is not None:
        log.truncate(max_tokens)
    return log.finish("approximate")
