"""What the model of a TRL trainer samples, as an engine that takes and returns token ids."""

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, NamedTuple

import msgspec

from plaudit._util.packages import load_package
from plaudit.engines.base import Request
from plaudit.engines.callable import CallableEngine
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError, UsageError


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


_BATCH = 1 << 16
"""Prompts that are sampled from at once: all that there are, as TRL itself does."""


class _Output(NamedTuple):
    """A reply as `CallableEngine` reads it."""

    text: str
    token_ids: list[int]
    logprobs: list[float] | None
    finish_reason: str


class _Reply(NamedTuple):
    outputs: list[_Output]


def trainer_engine(trainer: Any) -> CallableEngine:
    """Return the trainer's model as an engine, with the weights that it has at each request.

    How tokens are drawn is the trainer's own affair (its temperature and so on); of a request only
    the ids of the prompt and the most tokens count. Log-probabilities are those that TRL reckons
    with: of vLLM at the trainer's temperature, else at temperature 1.

    Args:
        trainer: a `GRPOTrainer`.

    Raises:
        UsageError: its processes must generate in step, which rollouts cannot.
    """
    _check_processes(trainer)

    def generate(prompts: Sequence[object], requests: list[Request]) -> list[_Reply | CallError]:
        del prompts  # The requests have their ids.
        try:
            return _generate(trainer, requests)
        except PlauditError:
            raise
        except Exception as error:  # An error of the trainer's own must end the training.
            problem = f"the trainer's model could not generate: {type(error).__name__}: {error}"
            raise EngineUnusableError(problem) from error

    return CallableEngine(generate, name="trainer", token_ids=True, max_batch=_BATCH)


def _check_processes(trainer: Any) -> None:
    """Refuse what must be called the same number of times by all processes."""
    if trainer.accelerator.num_processes == 1:
        return
    args = trainer.args
    together = (
        getattr(trainer, "is_fsdp_enabled", False)
        or getattr(trainer, "is_deepspeed_enabled", False)
        or (trainer.use_vllm and (args.vllm_mode == "server" or args.vllm_tensor_parallel_size > 1))
    )
    if together:
        raise UsageError(
            "with FSDP, DeepSpeed, a vLLM server or tensor parallelism all processes must generate "
            "in step, and rollouts take different numbers of turns; use one process, or DDP with "
            'vllm_mode="colocate" and vllm_tensor_parallel_size=1'
        )


def _generate(trainer: Any, requests: Sequence[Request]) -> list[_Reply | CallError]:
    context = _context(trainer)
    rooms = [min(r.sampling.max_tokens, context - len(r.prompt_ids)) for r in requests]
    able = [number for number, room in enumerate(rooms) if room >= 1]
    replies: list[_Reply | CallError] = [_overflow(len(r.prompt_ids), context) for r in requests]
    if able:
        draw = _vllm if trainer.use_vllm else _transformers
        prompts = [list(requests[number].prompt_ids) for number in able]
        drawn = draw(trainer, prompts, [rooms[number] for number in able])
        for number, output in zip(able, drawn, strict=True):
            replies[number] = _Reply([output])
    return replies


def _context(trainer: Any) -> int:
    """Return how many tokens the model can read and write."""
    given = getattr(trainer.args, "vllm_max_model_length", None) if trainer.use_vllm else None
    return given or trainer.model.config.get_text_config().max_position_embeddings


def _overflow(length: int, context: int) -> CallError:
    problem = f"a prompt of {length} tokens leaves no room in a context of {context}"
    return CallError(Cause.CONTEXT_OVERFLOW, problem)


def _output(trainer: Any, ids: list[int], logprobs: list[float] | None, ended: bool) -> _Output:
    given = trainer.processing_class
    text: str = getattr(given, "tokenizer", given).decode(
        ids[:-1] if ended else ids,
        skip_special_tokens=False,  # Some models open a call with a special token.
        clean_up_tokenization_spaces=False,
    )
    return _Output(text, ids, logprobs, "stop" if ended else "length")


def _transformers(trainer: Any, prompts: list[list[int]], limits: list[int]) -> list[_Output]:
    _use_device(trainer.accelerator.device)
    models: Any = import_module("trl.models")  # It is there: the trainer comes from it.
    unwrapped: AbstractContextManager[Any] = models.unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        generation_kwargs=trainer.generation_kwargs,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    )
    with unwrapped as model:
        drawn = sample(model, prompts, limits, trainer.generation_config)
    return [_output(trainer, one.ids, one.logprobs, one.ended) for one in drawn]


def _use_device(device: Any) -> None:
    """Make the trainer's device the current one of this thread too."""
    if device.type == "cuda":
        import torch  # pyright: ignore[reportMissingImports]

        torch.cuda.set_device(device)  # pyright: ignore[reportUnknownMemberType]


def _vllm(trainer: Any, prompts: list[list[int]], limits: list[int]) -> list[_Output]:
    _use_device(trainer.accelerator.device)
    _, replies, logprobs, _ = trainer.vllm_generation.generate(
        prompts=prompts, images=None, num_generations=1
    )
    found: list[_Output] = []
    for ids, logprob, limit in zip(replies, logprobs, limits, strict=True):
        kept = list(ids[:limit])
        known = [math.nan if one[0] is None else one[0] for one in logprob[:limit]]
        ended = bool(kept) and kept[-1] in trainer.eos_token_ids
        found.append(_output(trainer, kept, known, ended))
    return found
