"""When the embedded engine may use a cached prompt without changing a number.

llama.cpp computes tokens in pieces, and a piece of one token by other kernels than longer ones, so
that sums differ in their last bits. Activations are rounded to 8 bits, which hides that nearly
always; where it does not, log-probabilities move by 0.1 and more. Every sampled token is a piece of
its own, and so is the last token of a prompt that is cached up to it. So only tokens that were
computed as part of a prompt are used again, and only where at least two tokens follow.
"""

from collections.abc import Sequence

from plaudit.engines.base import Request
from plaudit.types import Message

_Prompt = str | tuple[int, ...] | tuple[Message, ...]


class Reuse:
    """What a model with one slot has in its cache, and whether a request may build on it.

    Attributes:
        allowed: whether a cached prefix may be used at all.
        exact: whether it may only be used where that changes no number.
    """

    def __init__(self, longest_token: int) -> None:
        """Begin with an empty cache; `longest_token` is the most characters of a token."""
        self.allowed = False
        self.exact = True
        self._longest = longest_token
        self._last: _Prompt | None = None

    def for_request(self, request: Request) -> bool:
        """Note the request that is computed next; say whether it may use what is cached."""
        last, prompt = self._last, request.prompt_ids or request.prompt
        self._last = prompt
        if not self.exact:
            return self.allowed
        return self.allowed and last is not None and self._parts(last, prompt)

    def _parts(self, last: _Prompt, prompt: _Prompt) -> bool:
        """Whether a prompt parts from the one before, with two tokens or more of its own."""
        if isinstance(last, str) or isinstance(prompt, str):
            if not (isinstance(last, str) and isinstance(prompt, str)):
                return False
            common = _common(last, prompt)
            return common < len(last) and len(prompt) - common > self._longest
        common = _common(last, prompt)
        if common == len(last):  # What was sampled then may follow here.
            return False
        own = len(prompt) - common
        # Behind a message stands at least the header of the reply.
        return own > 0 if isinstance(prompt[0], Message) else own > 1


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    pairs = zip(one, other, strict=False)
    least = min(len(one), len(other))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), least)
