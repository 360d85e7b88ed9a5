"""What a model in the trainer's own process samples: exact ids and their log-probabilities."""

import copy
from collections.abc import Sequence
from typing import Any

import msgspec

from plaudit._util.packages import load_package


class Sampled(msgspec.Struct, frozen=True):
    """What was sampled after one prompt."""

    ids: list[int]
    """The token that ended it included where one did."""
    logprobs: list[float]
    """Natural logarithms at temperature 1, one an id."""
    ended: bool
    """Whether an end token was sampled, and not the limit reached."""


def sample(
    model: Any, prompts: Sequence[Sequence[int]], limits: Sequence[int], config: Any
) -> list[Sampled]:
    """Sample after several prompts at once with a causal model of `transformers`.

    Args:
        model: a model with `generate`, on one device.
        prompts: ids, at least one a prompt; they are padded on the left.
        limits: most tokens to sample, one a prompt, each at least 1.
        config: `GenerationConfig` with pad and end tokens and how to draw; its limit is not read.

    Returns:
        One a prompt, in their order.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    torch = load_package("torch", "trl")
    width, pad = max(map(len, prompts)), config.pad_token_id
    gaps = [width - len(prompt) for prompt in prompts]
    rows = [[pad] * gap + list(prompt) for gap, prompt in zip(gaps, prompts, strict=True)]
    seen = [[0] * gap + [1] * (width - gap) for gap in gaps]
    recorder = Recorder(torch)
    with torch.no_grad():
        everything = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(seen, device=model.device),
            generation_config=_limited(config, max(limits)),
            logits_processor=[recorder],
        )
        replies = everything[:, width:]
        logprobs = recorder.finish(replies).tolist()
    ends = _ends(config)
    drawn = zip(replies.tolist(), logprobs, limits, strict=True)
    return [_cut(ids[:limit], noted, ends) for ids, noted, limit in drawn]


def _limited(config: Any, limit: int) -> Any:
    limited = copy.deepcopy(config)
    limited.max_new_tokens, limited.max_length = limit, None
    return limited


def _ends(config: Any) -> frozenset[int]:
    ends = config.eos_token_id
    if ends is None:
        return frozenset()
    return frozenset([ends] if isinstance(ends, int) else ends)


def _cut(ids: list[int], logprobs: list[float], ends: frozenset[int]) -> Sampled:
    """Drop the padding after the first end token."""
    end = next((place for place, id in enumerate(ids) if id in ends), None)
    length = len(ids) if end is None else end + 1
    return Sampled(ids[:length], logprobs[:length], end is not None)


class Recorder:
    """A logits processor that changes nothing: it notes how probable each sampled token was.

    It runs before temperature and cut-offs apply, and keeps one number a token: the logits of a
    whole reply would take a gigabyte for every 2,000 tokens of a vocabulary of 128,000.
    """

    def __init__(self, torch: Any) -> None:
        """Begin with nothing noted; `torch` is the module."""
        self._torch = torch
        self._last: Any = None
        self._noted: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Note the token that the last step chose, and what this one may choose from."""
        self._note(input_ids[:, -1])
        self._last = self._torch.log_softmax(scores.float(), dim=-1)
        return scores

    def _note(self, chosen: Any) -> None:
        if self._last is not None:
            self._noted.append(self._last.gather(1, chosen[:, None]).squeeze(1))

    def finish(self, replies: Any) -> Any:
        """Return the log-probabilities of what was sampled, of the same shape as its ids."""
        length = replies.shape[1]
        if len(self._noted) < length:  # There are more where a step too many was taken and undone.
            self._note(replies[:, -1])
        return self._torch.stack(self._noted[:length], dim=1)
