"""The store against real files, threads, processes, kills, forks and full disks."""

import contextlib
import multiprocessing
import os
import pickle
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import namedtuple
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit._util import disk
from plaudit.engines.base import Completion, TokenLogprob, ToolCall
from plaudit.errors import StoreError, UsageError
from plaudit.store import queue
from plaudit.store import schema as migrations
from plaudit.store.base import Limits
from plaudit.store.schema import MIGRATIONS, migrate
from plaudit.store.session import Session
from plaudit.store.store import Store, default_store_path
from plaudit.types import Usage
from tests.support.examples import drawn
from tests.support.waiting import wait_for_replies, wait_until

Mount = namedtuple("Mount", "mountpoint fstype")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def completion(number: int) -> Completion:
    return Completion(
        text=f"reply {number}",
        logprobs=(TokenLogprob(" yes", -0.25), TokenLogprob(" no", -float(number))),
        usage=Usage(number, 1),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path):
    with Store(path) as store:
        yield store


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


# Replies


def test_nothing_happens_before_first_use(path: Path):
    Store(path).close()
    Store(path).flush()
    assert not path.exists()


def test_reply_is_seen_at_once_after_commit_and_after_reopening(path: Path):
    with Store(path) as store:
        assert store.get_reply(key(1)) is None
        store.put_reply(key(1), completion(1))
        assert store.get_reply(key(1)) == completion(1)
        store.flush()
        assert store.get_reply(key(1)) == completion(1)
        store.put_reply(key(1), completion(2))
        assert store.get_reply(key(1)) == completion(2)
    assert Store(path).get_reply(key(1)) == completion(2)


def test_a_finished_trace_is_seen_at_once_and_after_reopening(path: Path):
    with Store(path) as store:
        assert store.get_result(key(1)) is None
        store.put_result(key(1), b"trace")
        assert store.get_result(key(1)) == b"trace"
        assert store.get_reply(key(1)) is None
    with Store(path) as store:
        assert store.get_result(key(1)) == b"trace"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE trace SET body = substr(body, 1, 4) || x'00'")
        assert store.get_result(key(1)) is None


def test_store_opens_again_after_close(store: Store):
    store.put_reply(key(1), completion(1))
    store.close()
    assert store.get_reply(key(1)) == completion(1)


def test_a_reply_of_a_rollout_comes_back_whole(store: Store) -> None:
    reply = Completion(
        text="",
        finish_reason="tool_calls",
        token_ids=(5, 2**31),
        token_logprobs=(-0.5, -1.25e-7),
        prompt_token_ids=(1, 2, 3),
        tool_calls=(ToolCall("call-0-0", "search", '{"q": "日本"}'),),
        usage=Usage(3, 2),
    )
    store.put_reply(key(1), reply)
    assert store.get_reply(key(1)) == reply


def test_replies_stored_before_rollouts_are_still_read() -> None:
    old = {
        "text": "a",
        "finish_reason": "length",
        "logprobs": [["a", -0.5]],
        "logprob_floor": None,
        "token_ids": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Completion)
    assert read == Completion(
        text="a",
        finish_reason="length",
        logprobs=(TokenLogprob("a", -0.5),),
        usage=Usage(3, 1),
    )


@settings(
    deadline=None,
    max_examples=drawn(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    text=st.text(),
    tokens=st.lists(st.tuples(st.text(), st.floats(max_value=0, allow_nan=False)), max_size=5),
    ids=st.none() | st.lists(st.integers(0, 2**31), max_size=5).map(tuple),
)
def test_any_completion_survives(path: Path, text, tokens, ids):
    given = Completion(
        text=text, logprobs=tuple(TokenLogprob(*token) for token in tokens), token_ids=ids
    )
    with Store(path) as store:
        store.put_reply(key(7), given)
        store.flush()
    with Store(path) as store:
        assert store.get_reply(key(7)) == given


def test_commits_within_a_tenth_of_a_second_without_being_asked(store: Store, path: Path):
    store.put_reply(key(1), completion(1))
    wait_for_replies(path, 1)


def test_a_full_batch_is_committed_before_its_time(path: Path):
    with Store(path, limits=Limits(commit_after_s=600.0)) as store:
        for number in range(200):
            store.put_reply(key(number), completion(number))
        wait_for_replies(path, 200)


def test_verdicts_wait_for_company_but_no_reply_waits_with_them(path: Path):
    with (
        Store(path, limits=Limits(commit_unpaid_after_s=600.0)) as store,
        contextlib.closing(sqlite3.connect(path)) as other,
    ):
        number = store.begin_run(b"a", "feedback", b"{}").number
        store.put_verdicts(number, [(0, "ok", b"x")])
        time.sleep(0.3)
        assert other.execute("SELECT count(*) FROM verdict").fetchone()[0] == 0
        store.put_reply(key(1), completion(1))
        wait_for_replies(path, 1)
        assert other.execute("SELECT count(*) FROM verdict").fetchone()[0] == 1


def test_verdicts_alone_are_committed_within_seconds(store: Store, path: Path):
    number = store.begin_run(b"a", "feedback", b"{}").number
    store.put_verdicts(number, [(0, "ok", b"x")])
    with contextlib.closing(sqlite3.connect(path)) as other:
        wait_until(lambda: other.execute("SELECT count(*) FROM verdict").fetchone()[0])


def test_many_threads(store: Store):
    def work(first: int) -> None:
        for number in range(first, first + 500):
            store.put_reply(key(number), completion(number))
            assert store.get_reply(key(number)) == completion(number)

    threads = [threading.Thread(target=work, args=(n * 500,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    assert all(store.get_reply(key(n)) == completion(n) for n in range(4000))


def test_queue_is_bounded(path: Path):
    with Store(path, limits=Limits(queue_entries=50)) as store:
        for number in range(300):
            store.put_reply(key(number), completion(number))
            assert store.session is not None
            assert len(store.session.queue.queued.replies) <= 50
        store.flush()
        assert store.get_reply(key(299)) == completion(299)


def test_damaged_reply_counts_as_none(store: Store, path: Path):
    store.put_reply(key(1), completion(1))
    store.flush()
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE reply SET completion = x'00ff'")
    assert store.get_reply(key(1)) is None


def test_a_flipped_bit_is_never_read(store: Store, path: Path, caplog):
    stored = completion(1_000)
    store.put_reply(key(1), stored)
    store.put_reply(key(2), completion(2))
    store.put_verdicts(1, [(0, "ok", b"verdict")])
    store.hold(1, 0, b"line")
    store.flush()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        find = "SELECT completion FROM reply WHERE key = ?"
        (sealed,) = other.execute(find, (key(1),)).fetchone()
        for bit in range(0, len(sealed) * 8, 5):
            damaged = bytearray(sealed)
            damaged[bit // 8] ^= 1 << bit % 8
            other.execute("UPDATE reply SET completion = ? WHERE key = ?", (damaged, key(1)))
            assert store.get_reply(key(1)) is None
        for wrong in ("text", 7, 2.5):
            other.execute("UPDATE reply SET completion = ? WHERE key = ?", (wrong, key(1)))
            assert store.get_reply(key(1)) is None
            assert store.get_replies([key(1), key(2)]).keys() == {key(2)}
        other.execute("UPDATE reply SET completion = ? WHERE key = ?", (sealed, key(2)))
        other.execute("UPDATE verdict SET payload = substr(payload, 1, 4) || x'00'")
        other.execute("UPDATE held SET line = substr(line, 1, 4) || x'00'")
    assert store.get_reply(key(2)) is None  # whole, but another's
    assert len(caplog.records) == 1
    assert "is damaged and is asked again" in caplog.text
    with pytest.raises(StoreError, match=r"damaged: verdict 0 of run 1.*judge command again"):
        list(store.verdicts(1))
    with pytest.raises(StoreError, match="damaged: output line 0 of run 1"):
        list(store.take_held(1, 0))
    store.put_reply(key(1), stored)
    store.flush()
    assert store.get_reply(key(1)) == stored


def test_store_from_before_the_seals_keeps_its_replies(path: Path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        migrate(old, path, MIGRATIONS[:1])
        packed = msgspec.msgpack.encode(completion(1))
        old.execute("INSERT INTO reply VALUES (?, ?)", (key(1), packed))
        old.execute("INSERT INTO verdict VALUES (?, 'ok', x'01')", (migrations.row_id(1, 5),))
    with Store(path) as store:
        assert store.get_reply(key(1)) == completion(1)
        assert list(store.verdicts(1)) == [(5, "ok", b"\x01")]


def test_pickled_store_is_its_path(store: Store):
    store.put_reply(key(1), completion(1))
    store.flush()
    with pickle.loads(pickle.dumps(store)) as copy:
        assert copy.path == store.path
        assert copy.get_reply(key(1)) == completion(1)


def test_forgotten_store_is_committed_at_exit(path: Path):
    done = python(
        """
        import sys
        from plaudit.store.store import Store
        from plaudit.engines.base import Completion
        Store(sys.argv[1]).put_reply(bytes(15) + b"1", Completion(text="a"))  # collected at once
        store = Store(sys.argv[1])
        store.put_reply(bytes(15) + b"2", Completion(text="b"))  # alive at exit
        """,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Store(path) as store:
        assert store.get_reply(bytes(15) + b"1") == Completion(text="a")
        assert store.get_reply(bytes(15) + b"2") == Completion(text="b")


# Several processes


def test_killed_writer_loses_nothing_that_was_committed(path: Path):
    code = """
        import sys
        from plaudit.store.store import Store
        from plaudit.engines.base import Completion
        store = Store(sys.argv[1])
        for number in range(10**9):
            store.put_reply(number.to_bytes(16, "big"), Completion(text=str(number)))
            store.put_verdicts(1, [(number, "ok", b"x")])
            if number % 100 == 0:
                store.flush()
                print(number, flush=True)
        """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), path], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    committed = 0
    for line in writer.stdout:
        committed = int(line)
        if committed >= 2_000:
            break
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    for line in writer.stdout:
        if line.endswith("\n"):
            committed = int(line)
    writer.stdout.close()
    with Store(path) as store:
        for number in range(committed + 1):
            assert store.get_reply(key(number)) == Completion(text=str(number))
        assert len(list(store.verdicts(1))) > committed
        store.put_reply(key(0), completion(0))
    with contextlib.closing(sqlite3.connect(path)) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _fill(path: Path, first: int, start: "multiprocessing.synchronize.Barrier") -> None:
    start.wait()
    with Store(path) as store:
        for number in range(first, first + 500):
            store.put_reply(key(number), completion(number))
            if number % 50 == 0:
                store.flush()


def test_processes_share_a_store_from_the_first_moment(path: Path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_fill, args=(path, n * 500, barrier)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with Store(path) as store:
        assert all(store.get_reply(key(n)) == completion(n) for n in range(1500))


def test_reads_see_what_another_process_committed(store: Store, path: Path):
    assert store.get_reply(key(1)) is None
    with Store(path) as other:
        other.put_reply(key(1), completion(1))
        other.flush()
        assert store.get_reply(key(1)) == completion(1)


def in_fork(work) -> int:
    """Return the exit status of a forked child that does `work`."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_a_thread_writes(store: Store, path: Path):
    stop = threading.Event()
    written = [0]

    def work() -> None:
        while not stop.is_set():
            store.put_reply(key(written[0]), completion(written[0]))
            written[0] += 1
            time.sleep(0.0002)

    def in_child(mark: int) -> None:
        assert store.get_reply(key(0)) == completion(0)
        store.put_reply(key(10**9 + mark), completion(mark))
        store.close()

    store.put_reply(key(0), completion(0))
    store.flush()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        for mark in range(8):
            assert in_fork(lambda mark=mark: in_child(mark)) == 0
    finally:
        stop.set()
        thread.join()
    store.flush()
    assert all(store.get_reply(key(n)) == completion(n) for n in range(written[0]))
    assert all(store.get_reply(key(10**9 + n)) == completion(n) for n in range(8))
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_child_that_exits_normally_leaves_the_parents_queue_to_the_parent(path: Path):
    done = python(
        """
        import os, sys, warnings
        from plaudit.store.store import Store
        from plaudit.engines.base import Completion
        warnings.simplefilter("ignore", DeprecationWarning)
        store = Store(sys.argv[1])
        run = store.begin_run(b"i", "feedback", b"{}")
        store.put_reply(bytes(16), Completion(text="parent"))
        if os.fork() == 0:
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        assert store.runs()[0].state == "running"
        store.end_run(run.number, "finished", b"{}")
        store.close()
        """,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Store(path) as store:
        assert store.get_reply(bytes(16)) == Completion(text="parent")
        assert store.runs()[0].state == "finished"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_defect_47_a_fork_that_collects_a_store_goes_on(path: Path):
    done = python(
        """
        import faulthandler, gc, os, sys, warnings
        from plaudit._util.forks import around_forks
        from plaudit.engines.base import Completion
        from plaudit.store.store import Store
        warnings.simplefilter("ignore", DeprecationWarning)
        faulthandler.dump_traceback_later(60, exit=True)
        around_forks(gc.collect, lambda: None, lambda: None)  # while the stores are held
        gc.disable()
        store = Store(sys.argv[1])
        store.itself = store
        store.put_reply(bytes(16), Completion(text="kept"))
        del store
        if os.fork() == 0:
            with Store(sys.argv[1]) as store:
                store.put_reply(bytes(15) + b"1", Completion(text="child"))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        """,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Store(path) as store:
        assert store.get_reply(bytes(16)) == Completion(text="kept")
        assert store.get_reply(bytes(15) + b"1") == Completion(text="child")


def test_a_fork_waits_for_a_store_that_was_collected_and_still_writes(path: Path):
    done = python(
        """
        import faulthandler, os, sys, warnings
        from plaudit.engines.base import Completion
        from plaudit.store.store import Store
        warnings.simplefilter("ignore", DeprecationWarning)
        faulthandler.dump_traceback_later(60, exit=True)
        for number in range(20):
            Store(sys.argv[1]).put_reply(bytes([number]) * 16, Completion(text="kept"))
            if os.fork() == 0:
                with Store(sys.argv[1]) as store:
                    store.put_reply(bytes(16), Completion(text="child"))
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        """,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Store(path) as store:
        keys = [bytes([number]) * 16 for number in range(1, 20)]
        assert len(store.get_replies(keys)) == 19


# Verdicts and held lines


def test_verdicts_come_in_order_and_filtered(store: Store):
    for index in reversed(range(2_500)):
        store.put_verdicts(3, [(index, "failed" if index % 7 == 0 else "ok", str(index).encode())])
    store.put_verdicts(2, [(0, "ok", b"other run")])
    store.put_verdicts(4, [(0, "ok", b"other run")])
    assert [index for index, _, _ in store.verdicts(3)] == list(range(2_500))
    failed = list(store.verdicts(3, {"failed"}, start=8, limit=3))
    assert failed == [(n, "failed", str(n).encode()) for n in (14, 21, 28)]
    assert list(store.verdicts(3, [])) == []
    assert list(store.verdicts(5)) == []
    assert len(list(store.verdicts(3, limit=1_500))) == 1_500
    store.put_verdicts(3, [(0, "ok", b"again")])
    assert next(store.verdicts(3)) == (0, "ok", b"again")


def test_held_lines_come_back_up_to_the_first_gap(store: Store):
    for index in (5, 4, 3, 7):
        store.hold(1, index, b"line %d" % index)
    store.hold(2, 6, b"of another run")
    assert list(store.take_held(1, 2)) == []
    taking = store.take_held(1, 3)
    assert next(taking) == b"line 3"
    taking.close()
    assert list(store.take_held(1, 4)) == [b"line 4", b"line 5"]
    assert list(store.take_held(1, 7)) == [b"line 7"]
    store.put_reply(key(1), completion(1))
    store.flush()
    assert list(store.take_held(1, 3)) == []
    assert list(store.take_held(2, 6)) == [b"of another run"]


def test_line_is_held_again_after_it_was_taken(store: Store):
    for attempt in range(3):
        store.hold(1, 0, b"%d" % attempt)
        assert list(store.take_held(1, 0)) == [b"%d" % attempt]


def test_many_held_lines(store: Store):
    for index in range(3_500):
        store.hold(1, index, b"%d" % index)
    assert list(store.take_held(1, 0)) == [b"%d" % index for index in range(3_500)]


# Runs


def test_run_is_begun_ended_and_found(store: Store):
    run = store.begin_run(b"one", "feedback", b'{"a": 1}')
    assert (run.number, run.name, run.state) == (1, "feedback-0001", "running")
    assert (run.config, run.finished, run.summary) == (b'{"a": 1}', None, None)
    assert run.started.endswith("+00:00")
    store.put_verdicts(run.number, [(0, "ok", b"v")])
    store.end_run(run.number, "finished", b'{"n": 1}')
    ended = store.find_run("feedback-0001")
    assert (ended.state, ended.summary) == ("finished", b'{"n": 1}')
    assert ended.finished is not None
    again = store.begin_run(b"one", "feedback", b"{}")
    assert again.name == "feedback-0002"
    other = store.begin_run(b"two", "pairwise", b"{}")
    assert [r.name for r in store.runs()] == ["pairwise-0003", "feedback-0002", "feedback-0001"]
    assert [r.number for r in store.runs(limit=1)] == [3]
    assert store.find_run("last") == other
    assert store.find_run("2").name == "feedback-0002"
    assert list(store.verdicts(1)) == [(0, "ok", b"v")]


def test_unknown_run_lists_close_ones(store: Store):
    with pytest.raises(UsageError, match="no runs yet"):
        store.find_run("last")
    store.begin_run(b"one", "feedback", b"{}")
    with pytest.raises(UsageError, match="there is no run 'feedbak-1'; there are feedback-0001"):
        store.find_run("feedbak-1")


def test_interrupted_run_is_continued_with_nothing_of_the_earlier_attempt(store: Store):
    run = store.begin_run(b"one", "feedback", b"first")
    store.put_verdicts(run.number, [(5, "ok", b"v")])
    store.hold(run.number, 6, b"line")
    store.end_run(run.number, "interrupted", b"{}")
    assert store.find_run("last").state == "interrupted"
    assert list(store.verdicts(run.number)) == [(5, "ok", b"v")]
    again = store.begin_run(b"one", "feedback", b"second")
    assert (again.number, again.config, again.state) == (run.number, b"second", "running")
    assert (again.started, again.summary) == (run.started, None)
    assert list(store.verdicts(run.number)) == []
    assert list(store.take_held(run.number, 6)) == []


def test_run_left_open_is_interrupted_by_close(path: Path):
    with Store(path) as store:
        store.begin_run(b"one", "feedback", b"{}")
    with Store(path) as store:
        assert store.find_run("last").state == "interrupted"
        assert store.begin_run(b"one", "feedback", b"{}").number == 1
    assert not list(path.parent.glob("*.run-*.lock"))


def test_run_that_is_being_run_is_left_alone(store: Store, path: Path):
    first = store.begin_run(b"one", "feedback", b"{}")
    store.put_verdicts(first.number, [(0, "ok", b"first")])
    with Store(path) as second:
        other = second.begin_run(b"one", "feedback", b"{}")
        assert other.number != first.number
        assert second.find_run("1").state == "running"
        assert store.begin_run(b"one", "feedback", b"{}").number == 3
        second.put_verdicts(other.number, [(0, "ok", b"second")])
    assert list(store.verdicts(first.number)) == [(0, "ok", b"first")]
    assert store.find_run("2").state == "interrupted"


def test_run_of_a_killed_process_is_continued(path: Path):
    code = """
        import sys, time
        from plaudit.store.store import Store
        store = Store(sys.argv[1])
        print(store.begin_run(b"one", "feedback", b"{}").number, flush=True)
        time.sleep(60)
        """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), path], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    with other.stdout as lines, Store(path) as store:
        assert lines.readline() == "1\n"
        assert store.find_run("1").state == "running"
        assert store.begin_run(b"one", "feedback", b"{}").number == 2
        store.end_run(2, "finished", b"{}")
        other.kill()
        other.wait()
        assert store.find_run("1").state == "interrupted"
        assert store.begin_run(b"one", "feedback", b"{}").number == 1


def test_two_processes_begin_at_once(path: Path):
    context = multiprocessing.get_context("spawn")
    queue, barrier = context.Queue(), context.Barrier(2)
    processes = [context.Process(target=_begin, args=(path, queue, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    numbers = sorted(queue.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert numbers == [1, 2]


def _begin(path: Path, queue, barrier) -> None:
    with Store(path) as store:
        barrier.wait()
        queue.put(store.begin_run(b"one", "feedback", b"{}").number)
        barrier.wait()


# Places and migrations


def test_default_path(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path))
    assert default_store_path() == tmp_path / "store.sqlite"
    monkeypatch.delenv("PLAUDIT_HOME")
    assert default_store_path().name == "store.sqlite"
    assert "plaudit" in str(default_store_path())


def test_parent_folders_are_made(tmp_path: Path):
    with Store(tmp_path / "a" / "b" / "store.sqlite") as store:
        store.put_reply(key(1), completion(1))
    assert (tmp_path / "a" / "b" / "store.sqlite").is_file()


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        *(
            (kind, True)
            for kind in ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre")
        ),
        *((kind, True) for kind in ("gpfs", "beegfs", "afs", "9p", "ceph", "fuse.rclone")),
        *((kind, False) for kind in ("ext4", "xfs", "overlay", "tmpfs", "apfs", "fuse.ntfs")),
    ],
)
def test_network_file_systems(kind: str, refused: bool, tmp_path: Path):
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), kind), Mount("/proc", "proc")]
    found = disk.network_file_system(tmp_path / "no" / "store.sqlite", mounts)
    assert found == (kind if refused else None)


def test_longest_mount_point_counts_and_the_later_of_two(tmp_path: Path):
    inner = tmp_path / "inner"
    mounts = [Mount("/", "nfs"), Mount(str(tmp_path), "ext4"), Mount(str(tmp_path) + "x", "nfs")]
    assert disk.network_file_system(inner, mounts) is None
    assert disk.network_file_system(inner, [*mounts, Mount(str(inner), "nfs4")]) == "nfs4"
    assert disk.network_file_system(inner, [*mounts, Mount(str(tmp_path), "cifs")]) == "cifs"
    assert disk.network_file_system(tmp_path, [Mount("/", "9p")]) is None
    link = tmp_path / "link"
    link.symlink_to("/elsewhere")
    assert disk.network_file_system(link / "s", [*mounts, Mount("/elsewhere", "nfs")]) == "nfs"


def test_store_on_a_network_file_system_is_refused(path: Path, monkeypatch):
    monkeypatch.setattr("psutil.disk_partitions", lambda all: [Mount("/", "nfs4")])
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*cache=PATH"):
        Store(path).get_reply(key(1))
    assert not path.exists()


def test_file_of_another_program(path: Path):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (a)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store(path).get_reply(key(1))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_store_of_a_newer_plaudit(path: Path):
    Store(path).get_reply(key(1))
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"made by a newer plaudit \(store version 99.*upgrade"):
        Store(path).get_reply(key(1))


def test_migrations_only_append(path: Path):
    def later(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE run ADD COLUMN note TEXT")

    with Store(path) as store:
        store.put_reply(key(1), completion(1))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, [*MIGRATIONS, later])
        migrate(connection, path, [*MIGRATIONS, later])
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        assert connection.execute("SELECT count(*) FROM reply").fetchone() == (1,)


def test_failed_migration_leaves_the_store_as_it_was(path: Path):
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE run ADD COLUMN note TEXT")
        connection.execute("nonsense")

    Store(path).get_reply(key(1))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.Error):
            migrate(connection, path, [*MIGRATIONS, broken])
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(run)")]
    assert "note" not in columns


def test_row_id_keeps_runs_apart():
    assert migrations.row_id(2, 0) > migrations.row_id(1, 2**40 - 1)


def test_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Store(tmp_path / "file" / "store.sqlite").get_reply(key(1))


def test_path_that_is_a_folder(tmp_path: Path):
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Store(tmp_path).get_reply(key(1))


@pytest.fixture
def open_folder():
    """A folder that every user can reach, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("made_before", [False, True])
def test_folder_that_is_read_only(open_folder: Path, made_before: bool):
    path = open_folder / "store.sqlite"
    if made_before:
        with Store(path) as store:
            store.put_reply(key(1), completion(1))
        path.chmod(0o444)
    open_folder.chmod(0o555)
    done = python(
        """
        import os, sys
        from plaudit.errors import StoreError, UsageError
        from plaudit.io.places import check_output
        from plaudit.store.store import Store
        if os.getuid() == 0:
            os.setuid(65534)  # root may write anywhere
        for path in sys.argv[1:]:
            try:
                Store(path).get_reply(bytes(16))
            except StoreError as error:
                print(error)
        try:
            check_output(sys.argv[1])
        except UsageError as error:
            print(error)
        """,
        path,
        open_folder / "a" / "store.sqlite",
    )
    assert done.stderr == ""
    first, second, third = done.stdout.splitlines()
    assert f"the store {path} cannot be opened for writing" in first
    assert "a/store.sqlite cannot be opened for writing (Permission denied)" in second
    assert third == f"the folder {open_folder} is not writable: give another output"


def test_store_that_stays_locked(path: Path):
    store = Store(path, limits=Limits(busy_s=0.1))
    store.get_reply(key(1))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.put_reply(key(1), completion(1))
        with pytest.raises(StoreError, match="stayed locked by another process"):
            store.flush()
    store.close()


# Full disks and failing threads


_FILL = """
    import sys
    from plaudit.store.store import Store
    from plaudit.engines.base import Completion
    from plaudit.errors import StoreError
    store = Store(sys.argv[1])
    committed = -1
    try:
        for number in range(100_000):
            store.put_reply(number.to_bytes(16, "big"), Completion(text="x" * 2_000))
            if number % 20 == 0:
                store.flush()
                committed = number
    except StoreError as error:
        print(committed)
        print(error)
    try:
        store.put_reply(bytes(16), Completion(text=""))
    except StoreError:
        print("still failing")
    store.close()
    """


def _limited_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))


def test_full_disk_by_file_size_limit(path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(_FILL), path],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=_limited_file_size,
    )
    _check_full_disk(done, path)


def test_full_disk_on_a_small_file_system(tmp_path: Path):
    """A real one, where this user may mount one; its files are copied out to be looked at."""
    mount, copy = tmp_path / "small", tmp_path / "copy"
    mount.mkdir()
    script = tmp_path / "fill.py"
    script.write_text(textwrap.dedent(_FILL))
    command = (
        f"mount -t tmpfs -o size=2m tmpfs {mount} || exit 77; "
        f"{sys.executable} {script} {mount}/store.sqlite; cp -r {mount} {copy}"
    )
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command]
    try:
        done = subprocess.run(unshare, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if not copy.exists():
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    _check_full_disk(done, copy / "store.sqlite")


def _check_full_disk(done: subprocess.CompletedProcess[str], path: Path) -> None:
    assert done.stderr == ""
    committed, message, *rest = done.stdout.splitlines()
    assert "could not be written" in message
    assert "Nothing that was already committed is lost" in message
    assert "give the same command again" in message
    assert rest == ["still failing"]
    assert int(committed) > 100
    with Store(path) as store:
        for number in range(int(committed) + 1):
            assert store.get_reply(key(number)) == Completion(text="x" * 2_000)


@pytest.mark.parametrize("how", ["put", "flush", "close", "begin"])
def test_failure_of_the_thread_is_raised(path: Path, monkeypatch, how: str):
    def fail(self, connection) -> None:
        raise MemoryError("no memory")

    store = Store(path)
    store.get_reply(key(1))
    monkeypatch.setattr(queue.PutBatch, "write", fail)
    store.put_reply(key(1), completion(1))
    with pytest.raises(StoreError, match="no memory"):
        if how == "put":
            for number in range(10_000):
                time.sleep(0.01)
                store.put_reply(key(number), completion(number))
        elif how == "flush":
            store.flush()
        elif how == "begin":
            store.begin_run(b"one", "feedback", b"{}")
        else:
            store.close()
    store.close()  # said once is enough


def test_full_queue_hears_of_the_failure(path: Path, monkeypatch):
    def fail(self, connection) -> None:
        time.sleep(0.3)
        raise MemoryError("no memory")

    monkeypatch.setattr(queue.PutBatch, "write", fail)
    store = Store(path, limits=Limits(queue_entries=10))
    with pytest.raises(StoreError, match="no memory"):
        for number in range(1_000):
            store.put_reply(key(number), completion(number))
    store.close()


def test_use_while_another_thread_closes_never_hangs(path: Path):
    store = Store(path)
    failures: list[Exception] = []

    def work() -> None:
        for number in range(3_000):
            try:
                store.put_reply(key(number), completion(number))
                store.flush() if number % 100 == 0 else None
            except StoreError as error:
                assert "was closed while it was in use" in str(error)
            except Exception as error:
                failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(10):
        time.sleep(0.01)
        store.close()
    thread.join(timeout=100)
    assert not thread.is_alive()
    store.close()
    assert failures == []


def test_reading_while_another_thread_closes_never_crashes(path: Path):
    """A connection closed under a reader is a crash of the process, as at an interpreter's end."""
    keys = [key(number) for number in range(500)]
    store = Store(path)
    for each in keys:
        store.put_reply(each, completion(1))
    store.flush()
    errors: list[StoreError] = []

    def read(session: Session) -> None:
        try:
            while True:
                session.rows("SELECT * FROM reply WHERE completion != ?", [0])
        except StoreError as error:
            errors.append(error)

    for _ in range(30):
        reader = threading.Thread(target=read, args=[store.open()])
        reader.start()
        time.sleep(0.005)
        store.close()
        reader.join(timeout=100)
        assert not reader.is_alive()
    assert len(errors) == 30
    assert all("was closed while it was in use" in str(error) for error in errors)
