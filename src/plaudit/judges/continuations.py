"""Options scored as continuations of the prompt, where a reply shows too few log-probabilities.

One request an option: the engine is given the option's word and tells how likely the model is to
write it there, all of its tokens together. That costs the prompt's tokens once an option, so it is
done only for the replies that need it.
"""

import math
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from plaudit.engines.base import Completion, Request
from plaudit.engines.replies import check_logprobs
from plaudit.errors import Cause, ReplyError
from plaudit.judges.readout import MIN_OPTION_MASS, Bounds, options_of, read_options


def could_help(completion: Completion, words: tuple[str, ...]) -> bool:
    """Tell whether a reply leaves room for options that it does not show.

    Where the candidates that it does not show are too improbable to matter, the model does not
    answer with an option, and asking for each changes nothing.
    """
    if not completion.logprobs:
        return False
    return sum(read_options(completion, words, least=0).high) >= MIN_OPTION_MASS


async def score(
    request: Request,
    reply: Completion | None,
    words: tuple[str, ...],
    ask: Callable[[Request], Awaitable[Completion]],
) -> Bounds | None:
    """Ask for each option's word, one after the other; return probabilities as bounds that meet.

    Args:
        request: what the options answer.
        reply: what it brought. Words are asked for in lower case, as prompts show them, unless
            the reply has more of them with a capital. A text that does not end with a space calls
            for one before the word; a chat's reply begins without one.
        words: the options, in lower case.
        ask: gets completions.

    Returns:
        The probability of each word, or None where the engine does not tell one.

    Raises:
        ReplyError: together they are too improbable to be an answer, or what the engine sends is no
            log-probability.
    """
    found: list[float] = []
    spelled = map(str.title, words) if _in_capitals(reply, words) else words
    for word in spelled:
        reported = (await ask(_continued(request, word))).logprobs
        if not reported:
            return None
        check_logprobs(reported)
        found.append(math.exp(reported[0].logprob))
    mass = math.fsum(found)
    if mass < MIN_OPTION_MASS:
        raise ReplyError(
            Cause.LOW_OPTION_MASS,
            f"only {mass:.3f} of the probability is on the options, scored as continuations",
        )
    return Bounds(tuple(found), tuple(found))


_MARKS = " \u2581\u0120"
"""How tokenizers write the space before a word; the last one counts as a capital."""


def _in_capitals(reply: Completion | None, words: tuple[str, ...]) -> bool:
    shown = (reply.logprobs if reply else None) or ()
    options = options_of([candidate.token for candidate in shown], words)
    balance = math.fsum(
        math.exp(candidate.logprob) * (-1 if candidate.token.lstrip(_MARKS).islower() else 1)
        for candidate, option in zip(shown, options, strict=True)
        if option is not None
    )
    return balance > 0


def _continued(request: Request, word: str) -> Request:
    prompt, turn = request.prompt, f"{request.turn}-continuation"
    space = " " if isinstance(prompt, str) and prompt and not prompt[-1].isspace() else ""
    return replace(request, continuation=space + word, logprobs=0, options=(), turn=turn)
