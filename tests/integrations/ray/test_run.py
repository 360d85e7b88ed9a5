import importlib.util
from pathlib import Path
from typing import Any

import pytest

from plaudit.engines.load import load_engine
from plaudit.errors import MissingDependencyError, UsageError
from plaudit.integrations.ray.run import ClusterJob, ClusterOptions, judge_on_ray
from plaudit.io.progress import Progress
from plaudit.judges.config import JudgeConfig
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import JudgeOptions, JudgeRecord
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices


def job(folder: Path, send: SendPolicy | None = None, **options: Any) -> ClusterJob:
    given = {"source": str(folder / "rows.jsonl"), "out": str(folder / "out")} | options
    record = JudgeRecord(
        judge=JudgeConfig(kind="verify"), engine="none:", options=JudgeOptions(**given)
    )
    return ClusterJob(
        kind="verify",
        record=record,
        engine=load_engine("none:"),
        launched_gpus=None,
        options=ClusterOptions(ray="local", actors=4),
        send=send or SendPolicy(),
        cache=CachePolicy(),
        store=str(folder / "store.db"),
        prices=Prices(),
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": None}, "out must name a folder"),
        ({"out": "out.jsonl"}, "out must name a folder"),
        ({"limit": 5}, "limit must be left out on Ray"),
        ({"source": "-"}, "a file that all nodes see"),
        ({"send": SendPolicy(concurrency=3)}, "actors must be at most 3, the concurrency"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        judge_on_ray(job(tmp_path, **options), Progress("", enabled=False))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"plaudit\[ray\]"):
        judge_on_ray(job(tmp_path), Progress("", enabled=False))
