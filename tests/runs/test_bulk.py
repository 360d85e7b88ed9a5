"""Judging in bulk: streams with back-pressure, data sets, worker processes with one store."""

import asyncio
import itertools
import json
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from plaudit import InputError, Judge, SendPolicy, UsageError, Verdict
from plaudit.store.store import Store
from plaudit.types import Json
from tests.support.command import Forked, rows_of, write_rows
from tests.support.waiting import await_until

PRAISE = json.dumps({"rationale": "r", "label": "pos_praise", "confidence": 0.9})
BAD: dict[str, Json] = {"query": "q"}


def row(number: int, text: str = "") -> dict[str, Json]:
    return {"id": f"r{number}", "query": f"q{number}", "answer": "a", "follow_up": f"f{text}"}


def rows(count: int) -> list[dict[str, Json]]:
    return [row(n) for n in range(count)]


def script(tmp_path: Path, *first: dict[str, Json]) -> str:
    path = tmp_path / "script.jsonl"
    return f"scripted:{write_rows(path, [*first, {'match': {}, 'replies': [{'text': PRAISE}]}])}"


def scripted(tmp_path: Path, *first: dict[str, Json], **options: Any) -> Judge:
    store = tmp_path / "store.sqlite"
    return Judge("feedback", engine=script(tmp_path, *first), cache=store, **options)


def slow(sample: str, seconds: float = 60) -> dict[str, Json]:
    return {"match": {"sample_id": sample}, "replies": [{"text": PRAISE, "delay": seconds}]}


class Counted(Iterator[Any]):
    """Endless rows that know how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __next__(self) -> dict[str, Json]:
        self.taken += 1
        return row(self.taken - 1)


async def slowly(items: Sequence[Any]) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


def ids(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.id for verdict in verdicts]


# Streams


def test_a_stream_gives_every_verdict_in_order(tmp_path: Path) -> None:
    first = [slow(f"r{n}", 0.02) for n in (0, 7, 8, 200)]
    verdicts = list(scripted(tmp_path, *first).stream(row(n) for n in range(1_000)))
    assert [(v.index, v.id) for v in verdicts] == [(n, f"r{n}") for n in range(1_000)]
    assert {v.value for v in verdicts} == {"pos_praise"}


async def test_an_async_stream_takes_any_iterable(tmp_path: Path) -> None:
    judge = scripted(tmp_path, slow("r1", 0.02))
    for source in (rows(300), iter(rows(300)), slowly(rows(300))):
        assert ids([v async for v in judge.astream(source)]) == [f"r{n}" for n in range(300)]
    assert len(await judge.ajudge_batch(slowly(rows(300)))) == 300
    await judge.aclose()


def test_a_stream_reads_no_further_ahead_than_its_window(tmp_path: Path) -> None:
    endless = Counted()
    stream = scripted(tmp_path, slow("r5")).stream(endless, window=8)
    for number in range(5):
        assert next(stream).id == f"r{number}"
        assert endless.taken <= number + 8
    stream.close()
    endless = Counted()
    judge = scripted(tmp_path, send=SendPolicy(concurrency=4))
    assert ids(list(itertools.islice(judge.stream(endless), 50))) == [f"r{n}" for n in range(50)]
    assert endless.taken <= 50 + 8


async def test_a_slow_first_sample_bounds_what_is_read(tmp_path: Path) -> None:
    endless = Counted()
    judge = scripted(tmp_path, slow("r0"))
    stream = judge.astream(endless, window=16)
    first = asyncio.ensure_future(anext(stream))
    await await_until(lambda: endless.taken == 16, "the reading of a window")
    await asyncio.sleep(0.05)
    assert endless.taken == 16
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await judge.aclose()


async def test_a_batch_reads_a_generator_as_it_is_judged(tmp_path: Path) -> None:
    done = 0

    def source() -> Iterator[dict[str, Json]]:
        for number in range(500):
            assert number < done + 20
            yield row(number)

    def count(verdict: Verdict) -> None:
        nonlocal done
        done += 1

    judge = scripted(tmp_path, send=SendPolicy(concurrency=5))
    assert len(await judge.ajudge_batch(source(), progress=count)) == 500
    done = 0
    assert len(judge.judge_batch(source(), progress=count)) == 500
    await judge.aclose()


async def test_what_the_input_raises_comes_after_the_verdicts_before_it(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Json]]:
        yield from rows(30)
        raise OSError("disk")

    async def broken_async() -> AsyncIterator[dict[str, Json]]:
        for item in broken():
            yield item

    judge = scripted(tmp_path, slow("r29", 0.05))
    got: list[Verdict] = []
    with pytest.raises(OSError, match="disk"):
        for verdict in judge.stream(broken()):
            got.append(verdict)
    assert ids(got) == [f"r{n}" for n in range(30)]
    got.clear()
    with pytest.raises(OSError, match="disk"):
        async for verdict in judge.astream(broken_async()):
            got.append(verdict)
    assert ids(got) == [f"r{n}" for n in range(30)]
    with pytest.raises(OSError, match="disk"):
        judge.judge_batch(broken())
    await judge.aclose()


async def test_a_malformed_row_raises_in_its_place_or_is_reported(tmp_path: Path) -> None:
    judge = scripted(tmp_path)
    source = [row(0), BAD, row(2), "no row", row(4)]
    got: list[Verdict] = []
    with pytest.raises(InputError, match="row 1: the field 'answer' is missing"):
        for verdict in judge.stream(source):
            got.append(verdict)
    assert ids(got) == ["r0"]
    for run in (
        lambda reported: list(judge.stream(source, on_reject=reported)),
        lambda reported: judge.judge_batch(source, on_reject=reported),
        lambda reported: judge.judge_batch(iter(source), on_reject=reported),
    ):
        rejected: dict[int, InputError] = {}
        verdicts = run(rejected.__setitem__)
        assert [(v.index, v.id) for v in verdicts] == [(0, "r0"), (1, "r2"), (2, "r4")]
        assert {n: str(error) for n, error in rejected.items()} == {
            1: "row 1: the field 'answer' is missing",
            3: "row 3: not a dict, but of type str",
        }
    rejected = {}
    assert (
        len([v async for v in judge.astream(slowly(source), on_reject=rejected.__setitem__)]) == 3
    )
    assert sorted(rejected) == [1, 3]
    await judge.aclose()


def test_an_async_iterable_needs_an_async_call(tmp_path: Path) -> None:
    judge = scripted(tmp_path)
    for run in (judge.judge_batch, lambda source: list(judge.stream(source))):
        with pytest.raises(UsageError, match="need astream or ajudge_batch"):
            run(slowly(rows(1)))


async def test_ending_a_stream_early_leaves_nothing_in_flight(tmp_path: Path) -> None:
    judge = scripted(tmp_path, *(slow(f"r{n}") for n in range(1, 30)))
    before = asyncio.all_tasks()
    async for verdict in judge.astream(Counted(), window=20):
        assert verdict.id == "r0"
        break
    await await_until(lambda: asyncio.all_tasks() == before, "the end of all tasks")
    for _ in judge.stream(Counted(), window=20):
        break
    assert judge.sent <= 2 * 21
    await asyncio.sleep(0.02)
    assert judge.sent <= 2 * 21
    await judge.aclose()


def run_python(source: str, *args: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *map(str, args)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_streams_that_are_left_open_end_in_silence(tmp_path: Path) -> None:
    """Broken off, cancelled, forgotten and left to the interpreter's end: no word, no hang."""
    store = tmp_path / "store.sqlite"
    out = run_python(
        """
        import asyncio, itertools, sys
        from plaudit import Judge
        judge = Judge("feedback", engine=sys.argv[1], cache=sys.argv[2])
        endless = lambda: ({"id": f"r{n}", "query": f"q{n}", "answer": "a", "follow_up": "f"}
                           for n in itertools.count())
        async def main():
            async for verdict in judge.astream(endless()):
                print(verdict.id)
                break
            task = asyncio.create_task(anext(judge.astream(endless())))
            await asyncio.sleep(0.01)
            task.cancel()
            forgotten = judge.astream(endless())
            print((await anext(forgotten)).id)
        asyncio.run(main())
        for verdict in judge.stream(endless()):
            break
        left = judge.stream(endless())
        print(next(left).id)
        """,
        script(tmp_path, slow("r1")),
        store,
    )
    assert out.split() == ["r0"] * 3


def test_two_streams_and_a_notebooks_loop_at_once(tmp_path: Path) -> None:
    judge = scripted(tmp_path)

    async def notebook() -> list[str]:
        first, second = judge.stream(rows(50)), judge.stream(rows(50))
        other = asyncio.to_thread(judge.judge_batch, rows(50))
        mixed = [verdict.id for pair in zip(first, second, strict=True) for verdict in pair]
        assert len(await other) == 50
        return mixed

    assert asyncio.run(notebook()) == [f"r{n // 2}" for n in range(100)]


def test_a_stream_may_judge_while_it_is_read(tmp_path: Path) -> None:
    judge = scripted(tmp_path)
    source = (row(n) for n in range(20) if judge.judge(row(1_000 + n)).should_update)
    assert len(list(judge.stream(source))) == 20


def test_when_a_batch_returns_its_replies_are_in_the_store(tmp_path: Path) -> None:
    """Worker processes are ended by a signal, without a chance to write."""
    code = """
        import os, signal, sys
        from plaudit import Judge
        judge = Judge("feedback", engine=sys.argv[1], cache=sys.argv[2])
        rows = [{"query": f"q{n}", "answer": "a", "follow_up": "f"} for n in range(50)]
        judge.judge_batch(rows[:25])
        list(judge.stream(rows[25:]))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    store = tmp_path / "store.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(code), script(tmp_path), str(store)]
    subprocess.run(command, check=False)
    judge = scripted(tmp_path)
    judge.judge_batch([{"query": f"q{n}", "answer": "a", "follow_up": "f"} for n in range(50)])
    assert judge.sent == 0


_PEAK = """
    import json, resource, sys
    from plaudit import Judge
    judge = Judge("feedback", engine=sys.argv[1], cache=sys.argv[2])
    text = "lorem ipsum " * 25
    rows = ({"id": f"r{n}", "query": f"{n} {text}", "answer": text, "follow_up": "f"}
            for n in range(int(sys.argv[3])))
    count = sum(verdict.should_update for verdict in judge.stream(rows))
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """


def peak(tmp_path: Path, count: int) -> int:
    store = tmp_path / f"store-{count}.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PEAK), script(tmp_path), store, str(count)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    judged, megabytes = map(int, done.stdout.split())
    assert judged == count
    return megabytes


def test_memory_of_a_stream_does_not_grow_with_its_input(tmp_path: Path) -> None:
    """What the larger input holds more is 18 MB of text alone, and as much again in verdicts."""
    assert peak(tmp_path, 20_000) < peak(tmp_path, 4_000) + 12


@pytest.mark.full
@pytest.mark.timeout(600)
def test_memory_of_a_long_stream_does_not_grow_with_its_input(tmp_path: Path) -> None:
    assert peak(tmp_path, 200_000) < peak(tmp_path, 10_000) + 25


# Data sets of `datasets`


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pytest.importorskip("datasets")
    module.disable_progress_bars()
    return module


def test_data_sets_are_rows(tmp_path: Path, datasets: Any) -> None:
    judge = scripted(tmp_path)
    data = datasets.Dataset.from_list(rows(25))
    for source in (data, data.to_iterable_dataset(), data.select([3, 1])):
        expected = [one["id"] for one in source]
        assert ids(judge.judge_batch(source)) == expected
        assert ids(list(judge.stream(source))) == expected


MIXED = {"match": {"sample_id": "r3"}, "replies": [{"error": "timeout"}]}
UNSURE = {
    "match": {"sample_id": "r4"},
    "replies": [{"text": json.dumps({"rationale": "r", "label": "neutral", "confidence": 0.1})}],
}


def test_a_batch_of_columns_gets_nulls_where_there_is_no_number(tmp_path: Path) -> None:
    judge = scripted(tmp_path, MIXED, UNSURE)
    batch = {name: [one.get(name) for one in (row(0), row(3), row(4), BAD)] for name in row(0)}
    columns = judge.map_batch(batch)
    assert columns == {
        "plaudit_status": ["ok", "failed", "abstained", "rejected"],
        "plaudit_value": ["pos_praise", None, "neutral", None],
        "plaudit_reward": [0.8, None, None, None],
        "plaudit_confidence": [0.9, None, 0.1, None],
        "plaudit_cause": [None, "timeout", "below_gate", "bad_row"],
        "plaudit_message": [
            None,
            "scripted timeout",
            "confidence 0.100 is under the gate of 0.6",
            "'answer' must be text, not null",
        ],
    }
    talk = [{"role": r, "content": "x"} for r in ("user", "assistant", "user", "assistant", "user")]
    several = judge.map_batch({"messages": [talk, talk[:2], talk[:3]]}, prefix="")
    assert several["status"] == ["rejected", "rejected", "ok"]
    assert several["message"][0] == "the row holds 2 samples, where a row has one verdict"
    assert judge.map_batch({name: [] for name in row(0)})["plaudit_reward"] == []


def test_one_row_is_no_batch(tmp_path: Path) -> None:
    judge = scripted(tmp_path)
    for wrong in (row(0), {"messages": [], "n": 3}, {"query": ["a"], "answer": ["a", "b"]}):
        with pytest.raises(UsageError, match="call map with batched=True"):
            judge.map_batch(wrong)  # type: ignore[arg-type]


TYPES = {
    "plaudit_status": "string",
    "plaudit_value": "string",
    "plaudit_reward": "float64",
    "plaudit_confidence": "float64",
    "plaudit_cause": "string",
    "plaudit_message": "string",
}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("processes", [None, 4])
def test_a_map_whose_first_batches_are_an_outage_goes_on(
    tmp_path: Path, datasets: Any, processes: int | None
) -> None:
    down = [
        {"match": {"sample_id": f"r{n}"}, "replies": [{"error": "context_overflow"}]}
        for n in (*range(8), *range(25, 33))
    ]
    judge = scripted(tmp_path, *down)
    data = datasets.Dataset.from_list(rows(100))
    mapped = data.map(judge.map_batch, batched=True, batch_size=4, num_proc=processes)
    assert {name: mapped.features[name].dtype for name in TYPES} == TYPES
    assert Counter(mapped["plaudit_status"]) == {"ok": 84, "failed": 16}
    assert [n for n, reward in enumerate(mapped["plaudit_reward"]) if reward is None] == [
        *range(8),
        *range(25, 33),
    ]
    everything_down = scripted(tmp_path, {"match": {}, "replies": [{"error": "context_overflow"}]})
    mapped = data.map(everything_down.map_batch, batched=True, num_proc=processes)
    assert {name: mapped.features[name].dtype for name in TYPES} == TYPES
    assert set(mapped["plaudit_reward"]) == {None}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("used", [False, True])
def test_four_processes_share_one_store(tmp_path: Path, datasets: Any, used: bool) -> None:
    judge = scripted(tmp_path)
    if used:
        judge.judge(row(0))  # Threads and an open store when the processes are forked.
    data = datasets.Dataset.from_list(rows(400))
    mapped = data.map(judge.map_batch, batched=True, batch_size=20, num_proc=4)
    assert mapped["plaudit_reward"] == [0.8] * 400
    again = scripted(tmp_path)
    again.judge_batch(rows(400))
    assert again.sent == 0, "all replies were in the store"
    with Store(tmp_path / "store.sqlite") as store:
        assert len(list(store.open().rows("SELECT key FROM reply WHERE ?", (1,)))) == 400


def test_an_iterable_data_set_is_mapped_as_it_is_read(tmp_path: Path, datasets: Any) -> None:
    judge = scripted(tmp_path)
    counted = Counted()
    data = datasets.IterableDataset.from_generator(lambda: itertools.islice(counted, 10_000))
    mapped = data.map(judge.map_batch, batched=True, batch_size=10)
    assert [one["plaudit_reward"] for one in itertools.islice(mapped, 15)] == [0.8] * 15
    assert counted.taken <= 30


_HASH = """
    import sys
    from datasets.fingerprint import Hasher
    from plaudit import Judge
    options = eval(sys.argv[2])
    judge = Judge(options.pop("kind", "feedback"), engine=sys.argv[1], cache="s.sqlite", **options)
    first = Hasher.hash(judge.map_batch)
    if "scripted" in sys.argv[1]:
        judge.judge({"query": "q", "answer": "a", "follow_up": "f", "question": "q",
                     "reference": "a"}, cache=False)
    assert Hasher.hash(judge.map_batch) == first
    print(first)
    """


def fingerprint(folder: Path, engine: str, options: dict[str, Json], seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_HASH), engine, repr(options)],
        capture_output=True, text=True, check=False, cwd=folder,
        env={"PYTHONHASHSEED": seed, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.full
def test_datasets_knows_a_judge_again_and_tells_judges_apart(tmp_path: Path, datasets: Any) -> None:
    engine = script(tmp_path)
    found: dict[str, str] = {}
    judges: list[tuple[str, dict[str, Json]]] = [
        (engine, {}),
        (engine, {"gate": 0.9}),
        (engine, {"temperature": 0.5, "generation": {"top_k": 5, "min_p": 0.1}}),
        (engine, {"kind": "verify"}),
        ("openai:m@http://127.0.0.1:1/v1", {}),
        ("local", {}),
    ]
    for number, (uri, options) in enumerate(judges):
        first, second = (fingerprint(tmp_path, uri, options, seed) for seed in ("1", "2"))
        assert first == second
        found[first] = f"{number}"
    assert len(found) == len(judges)


def test_a_changed_template_or_script_is_another_judge(tmp_path: Path, datasets: Any) -> None:
    from datasets.fingerprint import Hasher

    template = tmp_path / "mine.jinja"
    template.write_text("one")
    judge = scripted(tmp_path, template=str(template))
    first = Hasher.hash(judge.map_batch)
    assert Hasher.hash(judge.map_batch) == first
    template.write_text("two")
    assert Hasher.hash(judge.map_batch) != first
    template.write_text("one")
    assert Hasher.hash(judge.map_batch) == first
    assert Hasher.hash(scripted(tmp_path, MIXED, template=str(template)).map_batch) != first


def test_datasets_own_cache_knows_a_map_again(tmp_path: Path, datasets: Any) -> None:
    datasets.Dataset.from_list(rows(20)).save_to_disk(str(tmp_path / "data"))
    data = datasets.load_from_disk(str(tmp_path / "data"))
    first = data.map(scripted(tmp_path).map_batch, batched=True)
    judge = scripted(tmp_path)
    second = data.map(judge.map_batch, batched=True)
    assert second.cache_files == first.cache_files
    assert judge.sent == 0, "nothing was judged"


# Through the command line


def test_verdicts_go_to_a_folder_of_datasets(tmp_path: Path, datasets: Any) -> None:
    plaudit, engine = Forked(tmp_path / "home"), script(tmp_path, MIXED)
    source, folder = tmp_path / "data", tmp_path / "verdicts"
    datasets.Dataset.from_list(rows(30)).save_to_disk(str(source))
    done = plaudit("judge", "feedback", source, "-o", f"{folder}/", "-e", engine, "--json")
    assert (done.status, done.summary["ok"], done.summary["failed"]) == (1, 29, 1)
    lines = tmp_path / "verdicts.jsonl"
    plaudit("judge", "feedback", source, "-o", lines, "-e", engine, "--json")
    data = datasets.load_from_disk(str(folder))
    expected = rows_of(lines)
    assert data.column_names == list(expected[0])
    for name in ("index", "id", "status", "value", "reward", "confidence", "usage", "error"):
        assert data[name] == [one[name] for one in expected]
    assert [json.loads(text) for text in data["input"]] == [one["input"] for one in expected]
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    done = plaudit("judge", "feedback", source, "-o", folder, "-e", engine, "--json")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir() if file.name.startswith(".")) == []


def test_a_folder_is_untouched_by_a_run_that_cannot_reach_its_engine(
    tmp_path: Path, datasets: Any
) -> None:
    plaudit, folder = Forked(tmp_path / "home"), tmp_path / "verdicts"
    source = write_rows(tmp_path / "rows.jsonl", rows(3))
    plaudit("judge", "feedback", source, "-o", f"{folder}/", "-e", script(tmp_path))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    down = script(tmp_path, {"match": {}, "replies": [{"error": "unusable"}]})
    done = plaudit("judge", "feedback", source, "-o", f"{folder}/", "-e", down)
    assert done.status == 3
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    done = plaudit("judge", "feedback", source, "-o", f"{tmp_path / 'home'}/", "-e", down)
    assert done.status == 2
    assert "is a folder that plaudit has not written" in done.stderr
