"""What the model of a TRL trainer samples, as an engine that takes and tells token ids."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, NamedTuple

from plaudit.engines.base import Completion, Request
from plaudit.engines.callable import CallableEngine
from plaudit.errors import (
    CallError,
    Cause,
    EngineUnusableError,
    PlauditError,
    UsageError,
)
from plaudit.integrations.sampling import sample
from plaudit.types import Usage


class _Reply(NamedTuple):
    ids: list[int]
    logprobs: list[float | None]
    ended: bool


def trainer_engine(trainer: Any, batch: int) -> CallableEngine:
    """Return the trainer's model as an engine, with the weights that it has at each request.

    How tokens are drawn is the trainer's own affair (its temperature and so on); of a request only
    the ids of the prompt and the most tokens count. Log-probabilities are those that TRL reckons
    with: of vLLM at the trainer's temperature, else at temperature 1.

    Args:
        trainer: a `GRPOTrainer`.
        batch: most prompts that are sampled from at once.

    Raises:
        UsageError: its processes must generate in step, which rollouts cannot.
    """
    _check_processes(trainer)

    def generate(prompts: list[list[int]], requests: list[Request]) -> list[Completion | CallError]:
        try:
            return _generate(trainer, prompts, [r.sampling.max_tokens for r in requests])
        except PlauditError:
            raise
        except Exception as error:  # An error of the trainer's own must end the training.
            problem = f"the trainer's model could not generate: {type(error).__name__}: {error}"
            raise EngineUnusableError(problem) from error

    return CallableEngine(generate, name="trainer", tokens=True, max_batch=batch)


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


def _generate(
    trainer: Any, prompts: Sequence[Sequence[int]], limits: Sequence[int]
) -> list[Completion | CallError]:
    context = _context(trainer)
    rooms = [min(limit, context - len(p)) for p, limit in zip(prompts, limits, strict=True)]
    able = [number for number, room in enumerate(rooms) if room >= 1]
    draw = _vllm if trainer.use_vllm else _transformers
    replies: list[Completion | CallError] = [_overflow(len(p), context) for p in prompts]
    if able:
        drawn = draw(trainer, [list(prompts[n]) for n in able], [rooms[n] for n in able])
        for number, reply in zip(able, drawn, strict=True):
            replies[number] = _completion(reply, prompts[number])
    return replies


def _context(trainer: Any) -> int:
    """Return how many tokens the model can read and write."""
    given = getattr(trainer.args, "vllm_max_model_length", None) if trainer.use_vllm else None
    return given or trainer.model.config.get_text_config().max_position_embeddings


def _overflow(length: int, context: int) -> CallError:
    problem = f"a prompt of {length} tokens leaves no room in a context of {context}"
    return CallError(Cause.CONTEXT_OVERFLOW, problem)


def _completion(reply: _Reply, prompt: Sequence[int]) -> Completion:
    known = [one for one in reply.logprobs if one is not None]
    return Completion(
        text="",  # It is read from the ids.
        finish_reason="stop" if reply.ended else "length",
        token_ids=tuple(reply.ids),
        token_logprobs=tuple(known) if len(known) == len(reply.ids) else None,
        prompt_token_ids=tuple(prompt),
        usage=Usage(len(prompt), len(reply.ids)),
    )


def _transformers(trainer: Any, prompts: list[list[int]], limits: list[int]) -> list[_Reply]:
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
    return [_Reply(one.ids, list(one.logprobs), one.ended) for one in drawn]


def _use_device(device: Any) -> None:
    """Make the trainer's device the current one of this thread too."""
    if device.type == "cuda":
        import torch  # pyright: ignore[reportMissingImports]

        torch.cuda.set_device(device)  # pyright: ignore[reportUnknownMemberType]


def _vllm(trainer: Any, prompts: list[list[int]], limits: list[int]) -> list[_Reply]:
    _use_device(trainer.accelerator.device)
    _, replies, logprobs, _ = trainer.vllm_generation.generate(
        prompts=prompts, images=None, num_generations=1
    )
    found: list[_Reply] = []
    for ids, told, limit in zip(replies, logprobs, limits, strict=True):
        kept = list(ids[:limit])
        ended = bool(kept) and kept[-1] in trainer.eos_token_ids
        found.append(_Reply(kept, [one[0] for one in told[:limit]], ended))
    return found
