"""What a judge holds: forks at any moment, event loops that come and go, dropped judges."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripts import run_script
from tests.support.server import FakeAnthropic, FakeOpenAI, chat, message

VERDICT = {"rationale": "r", "label": "neg_correction", "confidence": 0.9}
REPLY = json.dumps(VERDICT)


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """URIs of engines that all give the same verdict, by kind."""
    script = tmp_path_factory.mktemp("scripts") / "script.jsonl"
    reply = {"text": REPLY, "logprobs": {"praise": -0.1, "correction": -3.0}}
    script.write_text(json.dumps({"match": {}, "replies": [reply]}) + "\n")
    with (
        FakeOpenAI(lambda _: chat(REPLY)) as openai,
        FakeAnthropic(lambda _: message(tool_input=VERDICT)) as anthropic,
    ):
        yield {
            "http": f"openai:m@{openai.url}",
            "named": f"openai:m@{openai.url}".replace("127.0.0.1", "localhost"),
            "anthropic": f"anthropic:m@{anthropic.url}",
            "scripted": f"scripted:{script}",
            "function": "function",
        }


# ------------------------------------------------------------------ forks

_IMPORTS = """
    import json, sys, tempfile
    from pathlib import Path
    from plaudit import CallableEngine, Judge
    engine, options, reply = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    if engine == "function":
        engine = CallableEngine(lambda prompts: [reply] * len(prompts))
    folder = Path(tempfile.mkdtemp())
    judge = Judge("feedback", engine=engine, cache=folder / "store.sqlite", **options)
    known = set(sys.modules)
    verdict = judge.judge({"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."})
    assert verdict.status == "ok", verdict.error
    print(sorted(sys.modules.keys() - known))
    judge.close()
"""


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("named", {"readout": "json"}),
        ("anthropic", {}),
        ("scripted", {"readout": "logprob", "shots": 2, "select": "similar"}),
        ("function", {"readout": "json", "votes": 10, "temperature": 0.7}),
    ],
)
def test_defect_47_a_request_imports_nothing(
    uris: dict[str, str], engine: str, options: dict[str, Any]
) -> None:
    done = run_script(_IMPORTS, uris[engine], json.dumps(options), REPLY)
    assert (done.stdout, done.stderr) == ("[]\n", "")


_COLD = """
    import faulthandler, multiprocessing, os, sys, threading, time
    from plaudit import Judge
    engine, store, delay, how = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    row = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}
    judge = Judge("feedback", engine=engine, readout="json", cache=store)
    first = threading.Thread(target=judge.judge, args=(row,))

    def work():
        faulthandler.dump_traceback_later(60, exit=True)
        assert judge.judge(row | {"query": "child"}).status == "ok"

    first.start()
    time.sleep(delay)
    if how == "process":
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join()
        assert child.exitcode == 0
    else:
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first.join()
    assert judge.judge(row | {"query": "after"}).status == "ok"
    judge.close()
"""


def fork_cold(engine: str, folder: Path, times: int) -> None:
    """Fork at moments of the first request of an engine that was not used before."""
    for number in range(times):
        delay, how = 0.3 * number / times, ("fork", "process")[number % 2]
        done = run_script(_COLD, engine, folder / f"{number}.sqlite", delay, how)
        assert (done.returncode, done.stderr) == (0, ""), delay


def test_defect_47_cold_forks(uris: dict[str, str], tmp_path: Path) -> None:
    fork_cold(uris["named"], tmp_path, 2)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["http", "named", "anthropic"])
def test_defect_47_many_cold_forks(uris: dict[str, str], engine: str, tmp_path: Path) -> None:
    fork_cold(uris[engine], tmp_path, 75)


_WARM = """
    import faulthandler, itertools, os, sys, threading
    from plaudit import Judge
    engine, store, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
    row = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}
    judge = Judge("feedback", engine=engine, readout="json", cache=store)
    judge.judge(row)
    stop = threading.Event()

    def ask():
        for number in itertools.count():
            if stop.is_set():
                break
            judge.judge(row | {"query": f"{number}"}, shots=f"Example {number}.")

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for number in range(times):
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(60, exit=True)
            ok = judge.judge(row | {"query": f"child {number}"}).status == "ok"
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
    stop.set()
    for thread in asking:
        thread.join()
    assert judge.judge(row | {"query": "after"}).status == "ok"
    judge.close()
"""


def test_defect_47_warm_forks(uris: dict[str, str], tmp_path: Path) -> None:
    done = run_script(_WARM, uris["named"], tmp_path / "store.sqlite", 8)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
@pytest.mark.timeout(900)
def test_defect_47_many_warm_forks(uris: dict[str, str], tmp_path: Path) -> None:
    done = run_script(_WARM, uris["named"], tmp_path / "store.sqlite", 640, timeout=800)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------ event loops

_LOOPS = """
    import asyncio, os, resource, sys, threading
    from plaudit import Judge
    engine, store, times, allowed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    row = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}

    def held():
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before = held()
    judge = Judge("feedback", engine=engine, readout="json", cache=store)
    seen = set()
    for number in range(times):
        assert asyncio.run(judge.ajudge(row | {"query": f"{number}"})).status == "ok"
        seen.add(held())
    most, threads = (max(counts) for counts in zip(*seen))
    assert most < before[0] + 20 and threads <= before[1] + 1, seen
    asyncio.run(judge.aclose())
    assert held() == before, (held(), before)
    assert asyncio.run(judge.ajudge(row | {"query": "again"})).status == "ok"
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize(
    ("times", "allowed"), [(20, 64), pytest.param(300, 256, marks=pytest.mark.full)]
)
def test_defect_48_event_loops_leave_nothing_behind(
    uris: dict[str, str], tmp_path: Path, times: int, allowed: int
) -> None:
    done = run_script(_LOOPS, uris["http"], tmp_path / "store.sqlite", times, allowed)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------ judges that are dropped

_DROPPED = """
    import asyncio, gc, os, sys, threading, time
    from plaudit import Judge
    engine, store, how = sys.argv[1:]
    row = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}

    def use(number):
        judge = Judge("feedback", engine=engine, readout="json", cache=store)
        asked = row | {"query": f"{number}"}
        if how == "sync":
            verdict = judge.judge(asked)
        elif how == "run":
            verdict = asyncio.run(judge.ajudge(asked))
        else:
            loop = asyncio.new_event_loop()
            verdict = loop.run_until_complete(judge.ajudge(asked))
            if how == "closed":
                loop.close()
        assert verdict.status == "ok"

    for number in range(6):
        use(number)
    gc.collect()
    for _ in range(1000):  # until the writers of the stores and the background loop have done it
        if "plaudit-store" not in {thread.name for thread in threading.enumerate()}:
            break
        time.sleep(0.01)
    else:
        sys.exit("a store is still open")
    print(Judge("feedback", engine=engine, readout="json", cache=store).judge(row).status)
"""


@pytest.mark.parametrize("how", ["sync", "run", "closed", "open"])
def test_defect_14_dropped_judges_close_quietly(
    uris: dict[str, str], tmp_path: Path, how: str
) -> None:
    done = run_script(_DROPPED, uris["http"], tmp_path / "store.sqlite", how)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
