# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
"""The trajectory builder: evaluations run in the background, and the pairs of their candidates."""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any, cast

from nat.data_models.finetuning import TrajectoryCollection
from nat.finetuning.interfaces.trajectory_builder import TrajectoryBuilder

from plaudit._util.aio import aside
from plaudit.errors import UsageError
from plaudit.integrations.nat.collecting import Collected, collect
from plaudit.integrations.nat.config import PairTrajectoriesConfig
from plaudit.integrations.nat.names import log_line
from plaudit.integrations.nat.trajectories import trajectories
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.types import PairOptions, Tally
from plaudit.types import Json

_log = logging.getLogger(__name__)

LOG_FOLDER = Path(".tmp/nat/finetuning/dpo_trajectory_builder")


class PairTrajectories(TrajectoryBuilder):
    """Makes trajectories of the candidates that a workflow scored.

    Several runs may be under way at once; each has its own counters. The id of a run that ended,
    whatever its end, is free.
    """

    def __init__(self, trajectory_builder_config: PairTrajectoriesConfig) -> None:
        super().__init__(trajectory_builder_config=trajectory_builder_config)
        self.config = trajectory_builder_config
        self.evaluation_runs: dict[str, asyncio.Task[Any]] = {}
        """Runs that were started and not finalized; the toolkit's trainer cancels them."""
        self._metrics: dict[str, dict[str, Json]] = {}
        self._options = options_of(trajectory_builder_config)

    async def start_run(self, run_id: str, meta: dict[str, Any] | None = None) -> None:
        """Start an evaluation in the background.

        Raises:
            UsageError: a run of this id is in progress; one that failed is not.
        """
        before = self.evaluation_runs.get(run_id)
        if before is not None and not _failed(before):
            raise UsageError(f"run {run_id!r} is in progress: finalize it, or give another id")
        self._metrics.pop(run_id, None)
        task = asyncio.create_task(cast(Any, self).run_eval(), name=f"plaudit-dpo-{run_id}")
        task.add_done_callback(_say_end)
        self.evaluation_runs[run_id] = task

    async def finalize(self, run_id: str, meta: dict[str, Any] | None = None) -> Any:
        """Wait for a run and return the trajectories of its pairs, in a list for each example.

        Raises:
            UsageError: no such run was started.
            InputError: a turn has too many candidates (`plaudit.preferences.pairing`).
            Exception: whatever the evaluation raised.
        """
        task = self.evaluation_runs.get(run_id)
        if task is None:
            raise UsageError(f"no run {run_id!r} was started, or it was finalized")
        try:
            result = await task
            # In a thread, since other runs are to go on.
            groups, metrics = await aside(partial(self._groups, run_id, result))
        finally:
            if self.evaluation_runs.get(run_id) is task:
                del self.evaluation_runs[run_id]
        self._metrics[run_id] = metrics
        return TrajectoryCollection(trajectories=groups, run_id=run_id)

    def log_progress(
        self, run_id: str, metrics: dict[str, Any], output_dir: str | None = None
    ) -> None:
        """Append a line to the run's log: its settings, its own counters, and what is given."""
        config = {
            name: getattr(self.config, name)
            for name in (
                "ttc_step_name",
                "exhaustive_pairs",
                "min_score_diff",
                "max_pairs_per_turn",
            )
        }
        fields = {"config": config, **self._metrics.get(run_id, {}), **metrics}
        folder = Path(output_dir) if output_dir else LOG_FOLDER
        log_line(folder, "dpo_trajectory_builder", run_id, fields)

    def _groups(self, run_id: str, result: Any) -> tuple[list[list[Any]], dict[str, Json]]:
        """Return the trajectories by example, and what the log says of the run."""
        if result.workflow_interrupted:
            _log.warning("run %r was interrupted: its pairs are of what had been done", run_id)
        found = collect(result.eval_input.eval_input_items, self.config.ttc_step_name)
        tally, single = Tally(), 0
        groups: dict[object, list[Any]] = {}
        for candidates in found.turns:
            turn = pair_turn(candidates, self._options, tally)
            if turn is None:
                single += 1
            elif turn.picks:
                group = groups.setdefault(turn.candidates[0].example_id, [])
                group.extend(trajectories(turn, self._options))
        self._warn(run_id, found, tally)
        counted = single if self.config.require_multiple_candidates else 0
        return list(groups.values()), _metrics(run_id, len(groups), counted, found, tally)

    def _warn(self, run_id: str, found: Collected, tally: Tally) -> None:
        """Say what the user may not expect: nothing found, or something left out."""
        if not found.turns:
            seen = ", ".join(f"{kind} {name!r}" for kind, name in list(found.seen)[:10])
            _log.warning(
                "run %r has no candidates: none of its steps is a readable TTC_END named %r; "
                "seen: %s",
                run_id,
                self.config.ttc_step_name,
                seen or "no steps at all",
            )
        elif not tally.pairs:
            _log.warning("run %r makes no pairs: %s", run_id, _dropped(found, tally))
        if found.not_text:
            _log.warning(
                "run %r: %d candidates are left out, since the toolkit's DPO items hold role and "
                "text alone, and their prompt or response has more, such as tool calls or images",
                run_id,
                found.not_text,
            )


def options_of(config: PairTrajectoriesConfig) -> PairOptions:
    """Return the toolkit's settings in plaudit's words."""
    return PairOptions(
        mode="exhaustive" if config.exhaustive_pairs else "best-worst",
        min_margin=config.min_score_diff,
        max_per_turn=config.max_pairs_per_turn,
        reward="margin" if config.reward_from_score_diff else "chosen",
    )


def _metrics(
    run_id: str, examples: int, single: int, found: Collected, tally: Tally
) -> dict[str, Json]:
    pairs = tally.dropped_pairs
    return {
        "run_id": run_id,
        "total_examples": examples,
        "total_turns": sum(any(c.score is not None for c in turn) for turn in found.turns),
        "total_candidates": tally.candidates - tally.dropped.get("no_score", 0),
        "total_pairs": tally.pairs,
        "total_trajectories": tally.pairs,
        "skipped_single_candidate": single,
        "skipped_score_diff": pairs.get("below_margin", 0) + pairs.get("tie", 0),
        "skipped_steps": found.unread,
        **_dropped(found, tally),
    }


def _dropped(found: Collected, tally: Tally) -> dict[str, Json]:
    candidates: dict[str, int] = {str(name): n for name, n in tally.dropped.items()}
    candidates["no_score"] = candidates.get("no_score", 0) - found.not_text
    candidates["not_text"] = found.not_text
    return {
        "dropped_candidates": {name: n for name, n in candidates.items() if n},
        "dropped_pairs": dict(tally.dropped_pairs),
    }


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _say_end(task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        _log.info("%s was cancelled", task.get_name())
    elif error := task.exception():
        _log.error("%s failed: %s", task.get_name(), error)
