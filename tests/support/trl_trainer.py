"""What `trl_rollout_func` asks of a TRL trainer, with a model whose replies are written down.

It samples by the road that TRL takes with vLLM, which needs neither torch nor a model.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from plaudit.rollouts.tokens.tokenizer import FileTokenizer

Speak = Callable[[str], str]
"""From the text of a prompt to the reply, without its end token."""


class StandInTrainer:
    """A trainer on one process."""

    use_vllm = True

    def __init__(self, folder: Path, end: str, speak: Speak, **fields: Any) -> None:
        """Take the folder of a tokenizer and its template, and the token that ends a turn."""
        self.tokenizer = FileTokenizer(folder)
        self.end_id = self.tokenizer.control[end]
        self.eos_token_ids = [self.end_id]
        self.temperature = 1.0
        self.max_completion_length = 256
        self.accelerator = SimpleNamespace(num_processes=1, device=SimpleNamespace(type="cpu"))
        self.args = SimpleNamespace(vllm_max_model_length=4096, vllm_mode="colocate")
        self.processing_class = SimpleNamespace(
            save_pretrained=lambda target: [
                (Path(target) / file.name).write_bytes(file.read_bytes())
                for file in folder.iterdir()
            ],
            decode=lambda ids, **_: self.tokenizer.native.decode(ids, skip_special_tokens=False),
        )
        self.vllm_generation = SimpleNamespace(generate=self._generate)
        self.batches: list[int] = []
        self._speak = speak
        self.__dict__.update(fields)

    def _generate(
        self, prompts: Sequence[list[int]], images: None, num_generations: int
    ) -> tuple[Any, list[list[int]], list[list[list[float | None]]], None]:
        assert images is None
        assert num_generations == 1
        self.batches.append(len(prompts))
        replies = [self._reply(prompt) for prompt in prompts]
        logprobs = [[[self.logprob(place)] for place in range(len(ids))] for ids in replies]
        return prompts, replies, logprobs, None

    @staticmethod
    def logprob(place: int) -> float | None:
        """Return the log-probability of the token at a place of a reply; None: unknown."""
        return -0.5 - place

    def _reply(self, prompt: list[int]) -> list[int]:
        text = self.tokenizer.native.decode(prompt, skip_special_tokens=False)
        ids = [*self.tokenizer.ids(self._speak(text)), self.end_id]
        return ids[: self.max_completion_length]
