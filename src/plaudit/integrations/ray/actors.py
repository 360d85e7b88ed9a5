"""Actors of Ray Data that work on blocks, and the stream of their reports."""

import logging
import os
import pickle
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import msgspec

from plaudit._util.loops import run_sync
from plaudit._util.packages import load_package
from plaudit.errors import PlauditError, UsageError
from plaudit.integrations.ray.blocks import RayBlock
from plaudit.integrations.ray.limits import Share, start_limiter
from plaudit.integrations.ray.work import BlockReport, BlockWork

_AT_ONCE = 2
"""Blocks that an actor works on at once, so that the end of one does not leave it idle."""
_LOCAL_STORE = 200 * 2**20
"""Bytes of Ray's object store on this machine: few pass through it."""


class BlockActor:
    """Works on blocks, given as JSON; an error is returned, so that it keeps its type.

    It does nothing when it is made, since an actor that dies then ends the job.
    """

    def __init__(self, work: bytes, limiter: Any) -> None:
        """Take the work, pickled, and the handle of the limiter."""
        given: BlockWork = pickle.loads(work)
        self._worker = given.begin(Share(limiter, given.send))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work on blocks; return the pickled report of each, or its error."""
        blocks = [msgspec.json.decode(one, type=RayBlock) for one in batch["block"]]
        return {"report": [pickle.dumps(self._report(block)) for block in blocks]}

    def _report(self, block: RayBlock) -> BlockReport | PlauditError:
        try:
            return run_sync(self._worker.work(block))
        except PlauditError as error:
            return error


@contextmanager
def connected(address: str, actors: int, launched: bool) -> Generator[Any]:
    """Connect to a cluster, or start one on this machine; yield the package `ray`.

    Args:
        address: `local`, or the address of a cluster.
        actors: that must find a place.
        launched: whether they start servers, which a watchdog ends; Ray would kill that first.

    Raises:
        MissingDependencyError: the extra `ray` is not installed.
        UsageError: the cluster does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = load_package("ray", "ray")
    load_package("ray.data", "ray")
    given: dict[str, Any] = {"address": address}
    if launched:
        variables = {"RAY_kill_child_processes_on_worker_exit": "false"}
        given["runtime_env"] = {"env_vars": variables}
    if address == "local":
        cores = max(actors, os.cpu_count() or 1)
        given |= {
            "num_cpus": cores, "object_store_memory": _LOCAL_STORE, "include_dashboard": False
        }  # fmt: skip
    with redirect_stdout(sys.stderr):  # Ray prints what went wrong, and goes on.
        yield from _initialised(ray, address, given)


def _initialised(ray: Any, address: str, given: dict[str, Any]) -> Generator[Any]:
    try:
        with _silent_natively():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **given)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"Ray at {address} does not answer: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _silent_natively() -> Generator[None]:
    """Drop what native code writes to standard error: Ray reports there that it logs less."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def reports(
    ray: Any, work: BlockWork, blocks: Sequence[RayBlock], actors: int, gpus: int = 0
) -> Generator[BlockReport]:
    """Yield what comes of each block, in order of arrival.

    Args:
        ray: the package, connected.
        work: what the actors do.
        blocks: what they work on.
        actors: their number.
        gpus: of each actor, where the cluster has any.

    Raises:
        PlauditError: what ended the work of an actor.
    """
    data = ray.data
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    data.DataContext.get_current().enable_progress_bars = False
    limiter = start_limiter(ray, work.send)
    items = [{"block": msgspec.json.encode(block)} for block in blocks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        judged = data.from_items(items, override_num_blocks=len(items)).map_batches(
            BlockActor,
            fn_constructor_args=(pickle.dumps(work), limiter),
            compute=data.ActorPoolStrategy(
                size=min(actors, len(blocks)),
                max_tasks_in_flight_per_actor=2 * _AT_ONCE,
                max_concurrent_calls_per_actor=_AT_ONCE,
                enable_true_multi_threading=True,
            ),
            batch_size=1,
            num_gpus=gpus if ray.cluster_resources().get("GPU") else 0,
        )
        for row in judged.iter_rows():
            report: BlockReport | PlauditError = pickle.loads(row["report"])
            if isinstance(report, PlauditError):
                raise report
            yield report
