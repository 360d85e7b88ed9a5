"""The three steps of NVIDIA's DPO trajectory builder on candidate rows; run in the toolkit's env.

    python toolkit_pairs.py CANDIDATES.jsonl

Prints one JSON line: pairs, seconds of the three steps (collect, pair, build and group), and the
process's peak memory. Reading the file and making the typed steps of it are not timed.
"""

import json
import logging
import resource
import sys
import time
from types import SimpleNamespace

from nat.data_models.intermediate_step import (
    IntermediateStep,
    IntermediateStepPayload,
    IntermediateStepType,
    TTCEventData,
)
from nat.data_models.invocation_node import InvocationNode
from nat.plugins.customizer.dpo.config import DPOTrajectoryBuilderConfig
from nat.plugins.customizer.dpo.trajectory_builder import DPOTrajectoryBuilder


def main() -> None:
    logging.disable(logging.CRITICAL)
    ancestry = InvocationNode(function_id="f", function_name="f")
    steps: dict[str, list[IntermediateStep]] = {}
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            data = TTCEventData(
                turn_id=row["turn_id"],
                candidate_index=row["candidate_index"],
                score=row["score"],
                input=row["prompt"],
                output=row["response"],
            )
            payload = IntermediateStepPayload(
                event_type=IntermediateStepType.TTC_END, name="dpo_candidate_move", data=data
            )
            step = IntermediateStep(parent_id="root", function_ancestry=ancestry, payload=payload)
            steps.setdefault(row["example_id"], []).append(step)
    items = [SimpleNamespace(id=name, trajectory=taken) for name, taken in steps.items()]
    result = SimpleNamespace(eval_input=SimpleNamespace(eval_input_items=items))
    builder = DPOTrajectoryBuilder(DPOTrajectoryBuilderConfig())
    started = time.perf_counter()
    candidates = builder._collect_candidates(result)
    pairs = builder._generate_preference_pairs(candidates)
    builder._group_by_example(builder._build_trajectories(pairs))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"pairs": len(pairs), "seconds": seconds, "peak_mb": round(peak, 1)}))


main()
