"""The process that compares formulas can be killed, and is never left behind."""

import contextlib
import multiprocessing
import os
import signal
import time

import pytest

from plaudit.judges.answers.types.symbolic.outcome import Budget, Outcome, Pair, WorkerError
from plaudit.judges.answers.types.symbolic.process import MathsProcess
from tests.support.scripts import run_script

ENDLESS = Pair(r"\prod_{k=1}^{9999} (x+k)", "1")
EQUAL = Pair("2x", "x+x")


def killed_and_next(_: int = 0) -> tuple[str, str]:
    process = MathsProcess(Budget(cpu_seconds=0.3))
    found = process.compare(ENDLESS).relation, process.compare(EQUAL).relation
    process.close()
    return found


def test_the_wall_clock_kills_too() -> None:
    process = MathsProcess(Budget(wall_seconds=0.2, cpu_seconds=60))
    assert process.compare(ENDLESS) == Outcome("open", "not compared within 0.2 s", slow=True)
    process.close()


def test_too_little_memory_leaves_it_open() -> None:
    process = MathsProcess(Budget(memory_bytes=1 << 20))
    with pytest.raises(WorkerError):
        process.compare(EQUAL)
    process.close()


def test_starts_that_fail_are_not_tried_for_ever() -> None:
    process = MathsProcess(Budget(memory_bytes=1 << 20))
    for _ in range(3):
        with pytest.raises(WorkerError, match=r"did not start$"):
            process.compare(EQUAL)
    with pytest.raises(WorkerError, match="several times"):
        process.compare(EQUAL)


def test_a_process_that_somebody_ended_is_replaced() -> None:
    process = MathsProcess()
    process.compare(EQUAL)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with contextlib.suppress(WorkerError):
        process.compare(EQUAL)
    assert process.compare(EQUAL).relation == "equal"
    process.close()


def test_no_secret_reaches_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    process = MathsProcess()
    process.compare(EQUAL)
    assert process.pid is not None
    with open(f"/proc/{process.pid}/environ", "rb") as environment:
        assert b"secret" not in environment.read()
    process.close()


def test_a_worker_of_a_pool_kills_its_own() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(killed_and_next) == ("open", "equal")


def test_a_forked_child_starts_its_own_and_leaves_the_parents_alone() -> None:
    done = run_script("""
        import os
        from plaudit.judges.answers.types.symbolic.outcome import Pair
        from plaudit.judges.answers.types.symbolic.process import shared
        pair = Pair("2x", "x+x")
        shared.compare(pair)
        mine = shared.pid
        child = os.fork()
        if child == 0:
            good = shared.compare(pair).relation == "equal"
            other = shared.pid
            shared.close()
            os._exit(0 if good and other != mine else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(shared.compare(pair).relation, shared.pid == mine)
        """)
    assert (done.stdout.split(), done.stderr) == (["0", "equal", "True"], "")


def test_the_process_ends_with_its_parent_however_that_ends() -> None:
    done = run_script("""
        import os
        from plaudit.judges.answers.types.symbolic.outcome import Pair
        from plaudit.judges.answers.types.symbolic.process import shared
        shared.compare(Pair("2x", "x+x"))
        print(shared.pid, flush=True)
        os.fork() or os._exit(0)  # a child that lives on for a moment does not keep it
        os.kill(os.getpid(), 9)
        """)
    pid = int(done.stdout)
    deadline = time.monotonic() + 60
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


@pytest.mark.full
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_every_worker_of_a_pool_kills_its_own(method: str) -> None:
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert pool.map(killed_and_next, range(6)) == [("open", "equal")] * 6


@pytest.mark.full
def test_a_forked_pool_kills_its_own() -> None:
    done = run_script("""
        import multiprocessing
        from tests.judges.answers.types.symbolic.test_process import killed_and_next
        from plaudit.judges.answers.types.symbolic.process import shared
        from plaudit.judges.answers.types.symbolic.outcome import Pair
        shared.compare(Pair("2x", "x+x"))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(killed_and_next, range(4)) == [("open", "equal")] * 4)
        """)
    assert done.stdout.split() == ["True"], done.stderr
