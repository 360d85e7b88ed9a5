"""Runs of NVIDIA's NeMo Agent Toolkit without a workflow: typed steps, given to real builders."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nat.data_models.evaluate_runtime import EvaluationRunOutput
from nat.data_models.evaluator import EvalInput, EvalInputItem
from nat.data_models.intermediate_step import (
    IntermediateStep,
    IntermediateStepPayload,
    IntermediateStepType,
    TTCEventData,
)
from nat.data_models.invocation_node import InvocationNode

_ANCESTRY = InvocationNode(function_id="f", function_name="f")


@dataclass
class Step:
    """A candidate, as a workflow reports one."""

    uid: int
    turn: str | None
    index: int | None
    score: float | None
    prompt: Any
    response: Any

    def made(self, name: str = "dpo_candidate_move") -> IntermediateStep:
        data = TTCEventData(
            turn_id=self.turn,
            candidate_index=self.index,
            score=self.score,
            input=self.prompt,
            output=self.response,
        )
        return typed_step(data, name, {"uid": self.uid})


@dataclass
class Item:
    """A row of an evaluation's data set with what happened to it."""

    id: Any
    steps: list[Step] = field(default_factory=list)


def typed_step(data: Any, name: str, metadata: Any = None) -> IntermediateStep:
    return IntermediateStep(
        parent_id="root",
        function_ancestry=_ANCESTRY,
        payload=IntermediateStepPayload(
            event_type=IntermediateStepType.TTC_END, name=name, metadata=metadata, data=data
        ),
    )


def output_of(items: Iterable[Item | tuple[Any, list[Any]]]) -> EvaluationRunOutput:
    """What an evaluation returns; an item can be its id and ready steps."""
    rows = [
        (item.id, [step.made() for step in item.steps]) if isinstance(item, Item) else item
        for item in items
    ]
    made = [
        EvalInputItem.model_construct(
            id=identity,
            input_obj="",
            expected_output_obj="",
            trajectory=steps,
            full_dataset_entry={},
        )
        for identity, steps in rows
    ]
    return EvaluationRunOutput.model_construct(
        eval_input=EvalInput.model_construct(eval_input_items=made), workflow_interrupted=False
    )


def collected(builder: Any, items: Iterable[Any], run_id: str = "run") -> Any:
    """Run a builder to its end, with what an evaluation would have returned."""
    evaluates(builder, items)

    async def both() -> Any:
        await builder.start_run(run_id)
        return await builder.finalize(run_id)

    return asyncio.run(both())


def evaluates(builder: Any, items: Iterable[Any]) -> None:
    """Let a builder's evaluations return these items."""
    output = output_of(items)

    async def run_eval() -> EvaluationRunOutput:
        return output

    builder.run_eval = run_eval


@contextmanager
def quiet() -> Iterator[None]:
    """Without the logs of thousands of runs."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
