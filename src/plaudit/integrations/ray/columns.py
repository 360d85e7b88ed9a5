"""Ray Data: judge the rows of a data set on the actors of a cluster."""

from typing import Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import ArgumentError
from plaudit.judge import Judge

BATCH_ROWS = 256
"""Rows that an actor judges at once, unless another number is asked for."""

_SHARED = ("concurrency", "requests_per_minute", "tokens_per_minute")


class RayJudge:
    """A judge as an actor of Ray Data, for `map_batches` with `batch_format="pyarrow"`.

    `judge_dataset` is the short way; with this class the call of `map_batches` is your own::

        ds.map_batches(
            RayJudge, fn_constructor_args=(judge,), batch_format="pyarrow", batch_size=256,
            compute=ray.data.ActorPoolStrategy(size=16),
        )
    """

    def __init__(self, judge: Judge, prefix: str = "plaudit_") -> None:
        """Take a judge, which begins anew in this actor.

        Args:
            judge: its limits hold for this actor alone.
            prefix: what the names of the new columns begin with.
        """
        self.judge = judge
        self.prefix = prefix

    def __call__(self, table: Any) -> Any:
        """Return a table of rows (`pyarrow.Table`) with the columns of `Judge.map_batch` behind.

        Raises:
            EngineUnusableError: the engine can answer nothing.
        """
        rows: dict[str, list[Any]] = table.to_pydict()
        for name, column in self.judge.map_batch(rows, prefix=self.prefix).items():
            if name in rows:
                table = table.drop_columns([name])
            table = table.append_column(name, column.__arrow_array__())
        return table


def judge_dataset(
    dataset: Any,
    judge: Judge,
    *,
    actors: int = 1,
    batch_size: int = BATCH_ROWS,
    prefix: str = "plaudit_",
    **resources: Any,
) -> Any:
    """Judge every row of a data set of Ray, on actors that each hold a judge.

    ::

        judge = Judge("feedback", engine=uri)
        judged = judge_dataset(ray.data.read_parquet(rows), judge, actors=16)
        judged.write_parquet(out)

    Every row keeps its columns and gets `plaudit_status`, `plaudit_value`, `plaudit_reward`,
    `plaudit_confidence`, `plaudit_cause` and `plaudit_message`, of the same types in every block. A
    row that cannot be judged has a status, a cause and no number, and costs no other row its
    verdict. Replies are kept in the store of each node, so a run that is begun again asks nothing
    there that was answered before.

    Args:
        dataset: of `ray.data`; each row is in the form of an input row of the judge.
        judge: the limits of its `send` hold for all actors together: each gets its share.
        actors: how many actors judge, each on a CPU of its own unless `resources` say otherwise.
        batch_size: rows that an actor judges at once.
        prefix: what the names of the new columns begin with.
        resources: further arguments of `map_batches`, such as `num_cpus`, `num_gpus` and
            `max_restarts`.

    Returns:
        A data set of Ray. Nothing is judged before its rows are taken or written.

    Raises:
        ArgumentError: there is no actor, or the limits are too low for so many.
        MissingDependencyError: the extra `ray` is not installed.
    """
    data = load_package("ray", "ray").data
    given = {"fn_constructor_args": (_with_share(judge, actors), prefix), **resources}
    return dataset.map_batches(
        RayJudge,
        compute=data.ActorPoolStrategy(size=actors),
        batch_size=batch_size,
        batch_format="pyarrow",
        zero_copy_batch=True,
        **given,
    )


def _with_share(judge: Judge, actors: int) -> Judge:
    """Return a judge like it, whose limits are the share of one of several actors."""
    if actors < 1:
        raise ArgumentError("actors", "must be at least 1")
    send = judge.send
    shares = {name: _share(name, getattr(send, name), actors) for name in _SHARED}
    made = Judge.__new__(type(judge))
    made.__setstate__(judge.__getstate__() | {"send": msgspec.structs.replace(send, **shares)})
    return made


def _share(name: str, limit: int | None, actors: int) -> int | None:
    if limit is None:
        return None
    if limit < actors:
        raise ArgumentError("actors", f"must be at most {limit}, the limit of {name}")
    return limit // actors
