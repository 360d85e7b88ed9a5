"""A model that samples token ids, and what a mask covers."""

from typing import Any

from plaudit.engines.base import Completion, Request
from plaudit.rollouts.tokens.rendering import Renderer
from plaudit.rollouts.tokens.tokenizer import FileTokenizer
from plaudit.rollouts.trace import Tokens
from plaudit.types import Usage
from tests.rollouts.acting import Actor


class Sampler(Actor):
    """A model that samples ids: of each reply, with the token that ends it."""

    def __init__(self, renderer: Renderer, *replies: Any, **able: Any) -> None:
        given = {"token_ids": True, "token_prompts": True, "tools": False, **able}
        super().__init__(*replies, **given)
        self.renderer = renderer
        self.sampled: list[tuple[int, ...]] = []

    async def complete(self, request: Request) -> Completion:
        done = await super().complete(request)
        if not self.capabilities.token_ids:
            return done
        tokenizer, end = self.renderer.tokenizer, self.renderer.end
        assert isinstance(tokenizer, FileTokenizer)
        assert end is not None
        anchor = next(iter(tokenizer.control))
        ids = tokenizer.ids(anchor + done.text)[1:]
        if done.finish_reason != "length":
            ids.append(tokenizer.control[end])
        self.sampled.append(tuple(ids))
        read = request.prompt_ids or await self.renderer.prompt_ids(request.prompt)
        return Completion(
            text=done.text,
            finish_reason=done.finish_reason,
            token_ids=tuple(ids),
            token_logprobs=(-0.5,) * len(ids),
            prompt_token_ids=tuple(read),
            usage=Usage(len(read), len(ids)),
        )


def runs_of(tokens: Tokens) -> list[tuple[int, ...]]:
    """The stretches that the mask covers."""
    runs: list[list[int]] = []
    for place, kept in enumerate(tokens.mask):
        if kept and not (place and tokens.mask[place - 1]):
            runs.append([])
        if kept:
            runs[-1].append(tokens.ids[place])
    return [tuple(run) for run in runs]
