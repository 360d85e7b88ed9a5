"""A conversation whose token ids are made here: the model goes on from exactly what it sampled."""

from collections.abc import Sequence

import msgspec

from plaudit.engines.base import Completion, Request
from plaudit.errors import EngineUnusableError
from plaudit.rollouts.forms import Call
from plaudit.rollouts.policy import ChatConversation, Policy
from plaudit.rollouts.rendering import Renderer
from plaudit.rollouts.tokens import TokenLog
from plaudit.rollouts.trace import Turn
from plaudit.types import Message


class TokenConversation(ChatConversation):
    """Sends token ids: the prompt, what was sampled, and what the template puts in between."""

    def __init__(
        self, policy: Policy, renderer: Renderer, question: str, draw: int, sample_id: str
    ) -> None:
        """Begin with the policy's prompts; `start` makes their ids."""
        super().__init__(policy, question, draw, sample_id)
        self._renderer = renderer
        self._ids = TokenLog()
        self._log = self._ids
        self._text = ""
        self._last: tuple[int, ...] = ()
        self._ended = True

    async def start(self) -> "TokenConversation":
        """Make the ids of the prompt.

        Raises:
            CallError: the template refuses it.
        """
        self._ids.begin(await self._renderer.prompt_ids(self._sent, self._policy.form.specs))
        return self

    def request(self, max_tokens: int) -> Request:
        """Return the request for the next reply."""
        return Request(
            prompt=self._text,
            prompt_ids=self._ids.ids,
            sampling=self._policy.sampling(self._draw, max_tokens),
            trace_tokens=True,
            draw=self._draw,
            sample_id=self._sample_id,
            turn=str(self._turn),
        )

    async def take(self, completion: Completion) -> tuple[Turn, Sequence[Call]]:
        """Take the reply; what it says is read from its ids."""
        ids = completion.token_ids
        if ids is None:
            raise EngineUnusableError(f"{self._policy.engine.uri} tells no token ids")
        ended = self._renderer.ended(ids, completion.finish_reason)
        self._ended = ended
        text = await self._renderer.tokenizer.decode(ids[:-1] if ended else ids)
        return await super().take(msgspec.structs.replace(completion, text=text))

    def _note_tokens(self, completion: Completion) -> None:
        self._ids.sampled(completion.token_ids or (), completion.token_logprobs)

    async def answer(self, answers: Sequence[Message]) -> None:
        """Tell the model the results of its calls."""
        before = len(self._sent)
        await super().answer(answers)
        self._ids.append(
            await self._renderer.between(
                self._sent[:before],
                self._sent[before:],
                self._policy.form.specs,
                ended=self._ended,
            )
        )
