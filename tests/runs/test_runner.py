"""A run over a file, made again."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plaudit.engines.base import Completion
from plaudit.engines.load import load_engine
from plaudit.io.progress import Progress
from plaudit.judges.load import make_config
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import JudgeOptions, JudgeRecord, RunSettings
from plaudit.runs.runner import run_judge
from plaudit.runs.summary import JudgeSummary
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from plaudit.store.upkeep import store_info
from tests.judges.making import GOOD
from tests.support.command import write_rows

SCRIPT = [{"match": {}, "replies": [{"text": json.dumps(GOOD["feedback"])}]}]


async def run(folder: Path, uri: str, store: Any = None) -> tuple[JudgeSummary, list[int]]:
    """Judge the rows of a folder; return the summary, and the samples in the order of judging."""
    rows, seen = str(folder / "rows.jsonl"), list[int]()
    record = JudgeRecord(
        judge=make_config("feedback", {"readout": "json"}),
        engine=uri,
        options=JudgeOptions(source=rows, out=str(folder / "out.jsonl")),
    )
    with Store(folder / "store.sqlite") as own, Progress("", enabled=False) as bar:
        settings = RunSettings(
            store=store or own,
            progress=bar,
            send=SendPolicy(),
            cache=CachePolicy(),
            prices=Prices(),
        )
        watch = lambda verdict, _: seen.append(verdict.index)  # noqa: E731
        summary = await run_judge(settings, record, load_engine(uri), watch=watch)
    return summary, seen


async def test_a_run_that_is_made_again_judges_in_order_so_that_no_line_waits(
    tmp_path: Path,
) -> None:
    write_rows(
        tmp_path / "rows.jsonl",
        [{"query": f"{n}", "answer": "a", "follow_up": "f"} for n in range(1_000)],
    )
    write_rows(tmp_path / "script.jsonl", SCRIPT)
    uri = f"scripted:{tmp_path / 'script.jsonl'}"
    await run(tmp_path, uri)
    first = (tmp_path / "out.jsonl").read_bytes()
    summary, seen = await run(tmp_path, uri)
    assert (summary.cached, summary.engine_calls) == (1_000, 0)
    assert seen == list(range(1_000))
    assert (tmp_path / "out.jsonl").read_bytes() == first


class Sharded:
    """Replies over two files by their keys; runs and verdicts in the first."""

    def __init__(self, *stores: Store) -> None:
        self._stores = stores

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stores[0], name)

    def _of(self, key: bytes) -> Store:
        return self._stores[key[0] % len(self._stores)]

    def get_reply(self, key: bytes) -> Completion | None:
        return self._of(key).get_reply(key)

    def get_replies(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        return {key: reply for key in keys if (reply := self.get_reply(key)) is not None}

    def put_reply(self, key: bytes, completion: Completion) -> None:
        self._of(key).put_reply(key, completion)


async def test_several_files_can_stand_behind_a_run(tmp_path: Path) -> None:
    rows = [{"query": f"{n}", "answer": "a", "follow_up": "f"} for n in range(200)]
    write_rows(tmp_path / "rows.jsonl", rows)
    write_rows(tmp_path / "script.jsonl", SCRIPT)
    uri = f"scripted:{tmp_path / 'script.jsonl'}"
    paths = [tmp_path / "one.sqlite", tmp_path / "two.sqlite"]
    for calls in (200, 0):
        with Store(paths[0]) as one, Store(paths[1]) as two:
            summary, _ = await run(tmp_path, uri, Sharded(one, two))
        assert (summary.ok, summary.engine_calls) == (200, calls)
    assert all(store_info(Store(path)).replies > 50 for path in paths)


def test_an_http_client_is_imported_with_the_first_request() -> None:
    code = """
        import sys
        import plaudit.cli
        from plaudit.engines.base import Completion
from plaudit.engines.load import load_engine
        load_engine("openai:m@http://127.0.0.1:1/v1")
        print("aiohttp" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in code.splitlines())],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"
