"""The token ids of one rollout, written down as the model reads and samples them."""

from collections.abc import Sequence

from plaudit.engines.replies import is_logprob
from plaudit.errors import CallError, Cause, EmptyMaskError
from plaudit.rollouts.trace import Exactness, Tokens


class TokenLog:
    """What a model read and sampled in one rollout, in order; nothing in it is ever rewritten.

    Either the prompts are made here (`begin`, then `append` between two replies), or the engine
    makes them and returns them (`observe` before each reply).
    """

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._mask: list[int] = []
        self._logprobs: list[float | None] = []
        self._prompt_length = 0
        self._truncated = 0
        self.forks = 0
        """Times that the engine read a prompt that did not begin with what is written here."""

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids so far: the prompt of the next request."""
        return tuple(self._ids)

    def begin(self, prompt_ids: Sequence[int]) -> None:
        """Write the prompt, over whatever is there: system prompt, tools and question."""
        self._ids, self._mask, self._logprobs = [], [], []
        self.append(prompt_ids)
        self._prompt_length = len(self._ids)

    def sampled(self, ids: Sequence[int], logprobs: Sequence[float] | None = None) -> None:
        """Write what the model sampled, the token that ended its turn included.

        Args:
            ids: as the engine returned them.
            logprobs: natural logarithms, one an id; None where the engine returns none. What is not
                finite, or above 0, counts as not known.

        Raises:
            CallError: the engine returned another number of log-probabilities than of ids.
        """
        if logprobs is not None and len(logprobs) != len(ids):
            problem = f"{len(ids)} sampled ids came with {len(logprobs)} log-probabilities"
            raise CallError(Cause.BAD_RESPONSE, problem)
        self._ids += ids
        self._mask += [1] * len(ids)
        known = [None] * len(ids) if logprobs is None else map(_sound, logprobs)
        self._logprobs += known

    def append(self, ids: Sequence[int]) -> None:
        """Write what the model reads next and did not sample."""
        self._ids += ids
        self._mask += [0] * len(ids)
        self._logprobs += [None] * len(ids)

    def observe(self, prompt_ids: Sequence[int]) -> None:
        """Write a prompt that the engine made itself, as it read it.

        It must begin with all that is written here. If it does not, what was sampled so far is not
        what the model goes on from: a fork. It is counted, and the prompt becomes the beginning of
        a new branch, on which nothing has been sampled yet.
        """
        if not self._ids:
            self.begin(prompt_ids)
        elif list(prompt_ids[: len(self._ids)]) == self._ids:
            self.append(prompt_ids[len(self._ids) :])
        else:
            self.forks += 1
            self.begin(prompt_ids)

    def truncate(self, max_tokens: int) -> None:
        """Cut ids, mask and log-probabilities off after `max_tokens`, and count what was cut."""
        cut = max(0, len(self._ids) - max_tokens)
        self._truncated += cut
        keep = len(self._ids) - cut
        for part in (self._ids, self._mask, self._logprobs):
            del part[keep:]
        self._prompt_length = min(self._prompt_length, keep)

    def finish(self, exactness: Exactness) -> Tokens:
        """Return it all as a value.

        Raises:
            EmptyMaskError: nothing in it was sampled, so there is nothing to learn from.
        """
        if not any(self._mask):
            raise EmptyMaskError(_why_empty(self._truncated, len(self._ids)))
        return Tokens(
            ids=list(self._ids),
            mask=list(self._mask),
            logprobs=list(self._logprobs),
            exactness=exactness,
            prompt_length=self._prompt_length,
            forks=self.forks,
            truncated=self._truncated,
        )


def _sound(logprob: float) -> float | None:
    return logprob if is_logprob(logprob) else None


def _why_empty(truncated: int, length: int) -> str:
    if truncated:
        return (
            f"none of the {length} tokens that were kept was sampled by the model: all that it "
            f"wrote is among the {truncated} cut off. Allow more tokens, or shorten the prompt"
        )
    return (
        f"none of the {length} tokens was sampled by the model: there is nothing to learn from. "
        "Leave this rollout out; if all are so, see whether the engine returns ids"
    )
