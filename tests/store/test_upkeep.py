"""Size limit, pruning and info, on real files and beside real writers."""

import contextlib
import itertools
import multiprocessing
import random
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from plaudit.engines.base import Completion
from plaudit.errors import UsageError
from plaudit.store import upkeep
from plaudit.store.base import Limits
from plaudit.store.limit import format_size, parse_age, parse_size
from plaudit.store.pruning import Pruning
from plaudit.store.store import Store
from tests.support.waiting import wait_until

DAY = timedelta(days=1)


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def fill(store: Store, numbers: range, size: int = 300) -> None:
    for number in numbers:
        store.put_reply(key(number), Completion(text=f"{number} ".ljust(size, "x")))
    store.flush()


def have(store: Store, numbers: range) -> list[int]:
    return [number for number in numbers if store.get_reply(key(number)) is not None]


def verdict(*numbers: int) -> bytes:
    return msgspec.msgpack.encode([{"value": 1.0}, [key(number) for number in numbers]])


def run(store: Store, name: bytes, numbers: range, state: str | None = "finished") -> int:
    """Make a run that writes these replies and names them."""
    number = store.begin_run(name, "feedback", b"{}").number
    fill(store, numbers)
    for index, reply in enumerate(numbers):
        store.put_verdicts(number, [(index, "ok", verdict(reply))])
    store.flush()
    if state is not None:
        store.end_run(number, state, b"{}")  # type: ignore[arg-type]
    return number


def at_once(seconds: float) -> None:
    """Pause for nobody."""


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "store.sqlite") as store:
        yield store


def sql(store: Store, statement: str, *values) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        return other.execute(statement, values).fetchall()


# Pruning


def test_prune_to_a_size_removes_the_oldest_and_shrinks_the_file(store: Store):
    fill(store, range(5_000))
    done = upkeep.prune(store, size=1_000_000, pause=at_once)
    left = have(store, range(5_000))
    assert left == list(range(left[0], 5_000))
    assert done.replies == left[0] > 2_000
    assert done.size_before > 1_900_000
    assert 900_000 < store.path.stat().st_size <= 1_000_000
    assert done.size_after == upkeep.store_info(store).size
    assert not done.kept_over_size
    assert sql(store, "PRAGMA integrity_check") == [("ok",)]
    fill(store, range(5_000, 5_100))
    assert have(store, range(5_000, 5_100)) == list(range(5_000, 5_100))


def test_finished_runs_go_with_the_replies_of_their_time(store: Store):
    for number, first in enumerate(range(0, 4_000, 1_000)):
        run(store, bytes([number]), range(first, first + 1_000))
    done = upkeep.prune(store, size=1_000_000, pause=at_once)
    names = [info.number for info in store.runs()]
    assert done.runs in (1, 2, 3)
    assert names == list(range(4, done.runs, -1))
    assert done.verdicts == 1_000 * done.runs
    for gone in range(1, done.runs + 1):
        assert list(store.verdicts(gone)) == []
    assert len(list(store.verdicts(4))) == 1_000


def test_a_size_that_is_kept_already_removes_nothing(store: Store):
    run(store, b"none", range(0))
    run(store, b"one", range(100))
    done = upkeep.prune(store, size=10_000_000, pause=at_once)
    assert (done.replies, done.runs) == (0, 0)
    assert len(store.runs()) == 2


@pytest.mark.parametrize("state", ["interrupted", None])
def test_what_an_unfinished_run_needs_is_spared(store: Store, state: str | None):
    fill(store, range(1_000))
    number = store.begin_run(b"one", "feedback", b"{}").number
    fill(store, range(1_000, 2_000))
    for index in range(500):
        old = index * 2
        store.put_verdicts(number, [(index, "ok", verdict(old, 1_000 + index))])
    store.flush()
    if state is not None:
        store.end_run(number, "interrupted", b"{}")
    fill(store, range(2_000, 3_000))
    done = upkeep.prune(store, size=0, older_than=-DAY, runs_older_than=-DAY, pause=at_once)
    assert have(store, range(1_000)) == list(range(0, 1_000, 2))
    assert have(store, range(1_000, 2_000)) == list(range(1_000, 2_000))
    # Written since it began; after its end, nothing more is its own.
    assert len(have(store, range(2_000, 3_000))) == (0 if state else 1_000)
    assert len(list(store.verdicts(number))) == 500
    assert done.spared_for == ["feedback-0001"]
    assert done.kept_over_size
    assert done.runs == 0


def test_a_run_that_ended_without_a_word_is_spared_until_then(store: Store):
    run(store, b"one", range(500), state=None)
    store.close()
    with Store(store.path) as again:
        run(again, b"two", range(500, 1_000))  # Beginning it notices the end of the other.
        fill(again, range(1_000, 1_500))
        upkeep.prune(again, size=0, pause=at_once)
        assert have(again, range(1_500)) == list(range(500))


def test_a_run_given_up_spares_nothing(store: Store):
    run(store, b"one", range(500), "interrupted")
    planned = upkeep.prune(store, size=0, forget=("feedback-0001",), dry_run=True, pause=at_once)
    assert len(have(store, range(500))) == 500
    assert store.find_run("1").state == "interrupted"
    done = upkeep.prune(store, size=0, forget=("feedback-0001",), pause=at_once)
    assert (planned.runs, planned.verdicts, planned.replies) == (1, 500, 500)
    assert (done.runs, done.verdicts, done.replies) == (1, 500, 500)
    assert have(store, range(500)) == []
    assert store.runs() == []


def test_a_run_given_up_later_spares_nothing_any_more(store: Store):
    fill(store, range(500))
    number = store.begin_run(b"one", "feedback", b"{}").number
    store.put_verdicts(number, [(0, "ok", verdict(*range(100)))])
    store.end_run(number, "interrupted", b"{}")
    upkeep.prune(store, size=0, pause=at_once)
    assert have(store, range(500)) == list(range(100))
    upkeep.prune(store, size=0, forget=("1",), pause=at_once)
    assert have(store, range(500)) == []


def test_a_run_under_way_cannot_be_given_up(store: Store):
    run(store, b"one", range(5), state=None)
    with pytest.raises(UsageError, match="feedback-0001 is being run"):
        upkeep.prune(store, forget=("feedback-0001",))
    with Store(store.path) as other, pytest.raises(UsageError, match="is being run"):
        upkeep.prune(other, forget=("1",))
    with pytest.raises(UsageError, match="no run 'feedback-0009'"):
        upkeep.prune(store, forget=("feedback-0009",))
    assert len(list(store.verdicts(1))) == 5


def test_replies_by_age(store: Store):
    for days, numbers in ((90, range(100)), (40, range(100, 200)), (20, range(200, 300))):
        fill(store, numbers)
        sql(
            store,
            "INSERT OR REPLACE INTO reply_time SELECT max(rowid), ? FROM reply",
            int(time.time()) - days * 86_400,
        )
    fill(store, range(300, 400))
    assert upkeep.prune(store, older_than=100 * DAY, pause=at_once).replies == 0
    done = upkeep.prune(store, older_than=30 * DAY, pause=at_once)
    assert done.replies == 200
    assert have(store, range(400)) == list(range(200, 400))
    info = upkeep.store_info(store)
    assert info.oldest is not None
    assert info.newest is not None
    assert info.oldest < info.newest


def test_times_are_noted_while_replies_are_written(tmp_path: Path):
    with Store(tmp_path / "store.sqlite", limits=Limits(note_every_s=0.0)) as store:
        fill(store, range(100))
        fill(store, range(100, 200))
        assert sql(store, "SELECT reply FROM reply_time") == [(100,)]
        assert upkeep.prune(store, older_than=timedelta(), pause=at_once).replies == 100
        assert have(store, range(200)) == list(range(100, 200))


def test_finished_traces_go_with_the_replies_of_their_time(store: Store):
    for first in range(0, 4_000, 1_000):
        fill(store, range(first, first + 1_000))
        store.put_result(key(first), b"t" * 300)
        store.flush()
    number = store.begin_run(b"one", "rollout", b"{}").number
    fill(store, range(4_000, 4_010))
    store.put_result(key(4_000), b"t")
    store.end_run(number, "interrupted", b"{}")
    planned = upkeep.prune(store, size=1_000_000, dry_run=True, pause=at_once)
    done = upkeep.prune(store, size=1_000_000, pause=at_once)
    kept = [first for first in range(0, 5_000, 1_000) if store.get_result(key(first))]
    assert 0 < done.traces == 5 - len(kept) < 4
    assert planned.traces in (done.traces - 1, done.traces, done.traces + 1)
    assert kept == list(range(done.traces * 1_000, 5_000, 1_000))
    done = upkeep.prune(store, size=0, pause=at_once)
    assert [f for f in range(0, 5_000, 1_000) if store.get_result(key(f))] == [4_000]
    assert upkeep.store_info(store).traces == 1


def test_finished_runs_by_age(store: Store):
    for name in (b"a", b"b", b"c"):
        run(store, name, range(10))
    sql(store, "UPDATE run SET finished = '2020-01-01T00:00:00+00:00' WHERE number = 1")
    run(store, b"d", range(10), "interrupted")
    sql(store, "UPDATE run SET started = '2020-01-01T00:00:00+00:00' WHERE number = 4")
    done = upkeep.prune(store, runs_older_than=365 * DAY, pause=at_once)
    assert (done.runs, done.verdicts, done.replies) == (1, 10, 0)
    assert [info.number for info in store.runs()] == [4, 3, 2]


def test_dry_run_tells_what_would_go_and_removes_nothing(store: Store):
    run(store, b"one", range(3_000))
    fill(store, range(3_000, 4_000))
    planned = upkeep.prune(store, size=700_000, dry_run=True, pause=at_once)
    assert len(have(store, range(4_000))) == 4_000
    assert len(store.runs()) == 1
    done = upkeep.prune(store, size=700_000, pause=at_once)
    assert planned.dry_run and not done.dry_run
    assert planned.replies == pytest.approx(done.replies, rel=0.25)
    assert planned.size_after == pytest.approx(700_000, rel=0.05)


def test_rowids_given_again_are_still_the_newest(store: Store):
    """After the newest replies go, their rowids come again: a run must know them as its own."""
    fill(store, range(1_000))
    number = store.begin_run(b"one", "feedback", b"{}").number
    upkeep.prune(store, size=0, pause=at_once)
    assert have(store, range(1_000)) == []
    fill(store, range(1_000, 1_500))
    upkeep.prune(store, size=0, pause=at_once)
    assert have(store, range(1_000, 1_500)) == list(range(1_000, 1_500))
    store.end_run(number, "interrupted", b"{}")
    fill(store, range(1_500, 1_600))
    upkeep.prune(store, size=0, pause=at_once)
    assert have(store, range(1_000, 1_600)) == list(range(1_000, 1_500))


def test_vacuum_keeps_the_order_of_replies(store: Store):
    fill(store, range(100))
    upkeep.prune(store, older_than=-DAY, pause=at_once)
    fill(store, range(100, 1_000))
    sql(store, "DELETE FROM reply WHERE rowid % 3 = 0")
    before = sql(store, "SELECT rowid, key FROM reply ORDER BY rowid")
    store.close()
    sql(store, "VACUUM")
    assert sql(store, "SELECT rowid, key FROM reply ORDER BY rowid") == before


def test_a_prune_that_was_killed_is_finished_by_the_next(store: Store):
    number = run(store, b"one", range(3_000))
    work = Pruning(store.open().transaction).work(runs_by="3000")
    for _ in itertools.islice(work, 2):
        pass
    del work
    assert 0 < len(list(store.verdicts(number))) < 3_000
    assert store.runs() == []  # Never half-shown.
    upkeep.prune(store, runs_older_than=DAY, pause=at_once)
    assert sql(store, "SELECT count(*) FROM verdict") == [(0,)]


def _write(path: Path, ready, stop, waits) -> None:
    number = 10_000
    with Store(path) as store:
        begun = store.begin_run(b"writer", "feedback", b"{}").number
        ready.set()
        while not stop.is_set():
            fill(store, range(number, number + 50))
            store.put_verdicts(begun, [(number, "ok", verdict(number))])
            number += 50
        waits.put((number, len(have(store, range(10_000, number)))))


def test_prune_beside_a_writer_locks_it_out_for_a_moment_only(store: Store):
    fill(store, range(8_000), size=600)
    context = multiprocessing.get_context("spawn")
    ready, stop, waits = context.Event(), context.Event(), context.Queue()
    writer = context.Process(target=_write, args=(store.path, ready, stop, waits))
    writer.start()
    assert ready.wait(100)
    pauses = 0

    def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses > 20:  # Else the writer, which is waited for, may always be ahead.
            stop.set()
            return
        before = sql(store, "SELECT max(rowid) FROM reply")
        wait_until(lambda: sql(store, "SELECT max(rowid) FROM reply") > before, "the next write")

    done = upkeep.prune(store, size=0, pause=pause)
    stop.set()
    last, held = waits.get(timeout=100)
    writer.join()
    assert done.replies == 8_000
    assert held == last - 10_000 > 0
    assert pauses > 5


# The limit


@pytest.mark.parametrize("how", ["stored", "environment"])
def test_limit_is_kept_while_replies_are_written(tmp_path: Path, monkeypatch, how: str, caplog):
    limits = Limits(prune_s=60.0)  # However little the machine does in one.
    if how == "environment":
        monkeypatch.setenv("PLAUDIT_STORE_LIMIT", "1MB")
    with Store(tmp_path / "store.sqlite", limits=limits) as store:
        if how == "stored":
            upkeep.write_limit(store, 1_000_000)
        for first in range(0, 12_000, 200):
            fill(store, range(first, first + 200))
            assert store.path.stat().st_size < 1_100_000
        left = have(store, range(12_000))
        assert left == list(range(left[0], 12_000))
        assert len(left) > 1_500
        assert upkeep.store_info(store).limit == 1_000_000
    assert caplog.records == []


def test_limit_that_cannot_be_kept_is_said_once_and_costs_nothing(tmp_path: Path, caplog):
    with Store(tmp_path / "store.sqlite", limits=Limits(prune_again_s=0.0)) as store:
        fill(store, range(500))
        upkeep.write_limit(store, 500_000)
        store.begin_run(b"one", "feedback", b"{}")
        for first in range(1_000, 4_000, 200):
            fill(store, range(first, first + 200))
        assert have(store, range(1_000, 4_000)) == list(range(1_000, 4_000))
        assert have(store, range(500)) == []
        (record,) = caplog.records
        assert "over its limit of 500 kB" in record.getMessage()
        assert "spared for unfinished runs (feedback-0001)" in record.getMessage()
        store.end_run(1, "finished", b"{}")
        for first in range(4_000, 6_000, 100):
            fill(store, range(first, first + 100))
        assert upkeep.store_info(store).size - upkeep.store_info(store).log < 600_000


def test_a_lower_limit_shrinks_the_file_as_the_run_goes_on(store: Store):
    fill(store, range(5_000))
    upkeep.write_limit(store, 1_000_000)
    for first in range(5_000, 8_000, 50):
        fill(store, range(first, first + 50))
    store.open().fold_log()
    assert store.path.stat().st_size < 1_100_000


def test_limit_can_be_read_changed_and_removed(store: Store):
    assert upkeep.read_limit(store) is None
    upkeep.write_limit(store, 5_000_000)
    upkeep.write_limit(store, 7_000_000)
    assert upkeep.read_limit(store) == 7_000_000
    upkeep.write_limit(store, None)
    assert upkeep.read_limit(store) is None


def test_limit_in_the_environment_that_is_no_size(store: Store, monkeypatch):
    monkeypatch.setenv("PLAUDIT_STORE_LIMIT", "plenty")
    with pytest.raises(UsageError, match=r"PLAUDIT_STORE_LIMIT: 'plenty' is not a size"):
        store.get_reply(key(1))


# Info


def test_info(store: Store):
    run(store, b"one", range(100))
    run(store, b"two", range(100, 150), "interrupted")
    info = upkeep.store_info(store)
    assert (info.path, info.replies, info.estimated) == (str(store.path), 150, False)
    assert 150 * 300 < info.reply_bytes < 150 * 450
    assert info.runs == {"finished": 1, "interrupted": 1}
    assert info.verdicts == 150
    assert info.in_use
    assert info.limit is None
    store.close()
    with Store(store.path) as other:
        assert not upkeep.store_info(other).in_use


def test_info_of_a_large_store_is_estimated_from_a_sample(tmp_path: Path):
    with Store(tmp_path / "store.sqlite", limits=Limits(count_rows=1_000)) as store:
        fill(store, range(10_000))
        sql(store, "DELETE FROM reply WHERE rowid BETWEEN 3000 AND 5000 OR rowid % 5 = 0")
        exact = sql(store, "SELECT count(*), sum(length(completion)) FROM reply")[0]
        info = upkeep.store_info(store)
    assert info.estimated
    assert info.replies == pytest.approx(exact[0], rel=0.1)
    assert info.reply_bytes == pytest.approx(exact[1], rel=0.1)


def test_there_is_no_store(tmp_path: Path):
    store = Store(tmp_path / "none.sqlite")
    for ask in (upkeep.store_info, upkeep.prune):
        with pytest.raises(UsageError, match="there is no store at"):
            ask(store)
    assert list(tmp_path.iterdir()) == []


# Words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5", 5),
        ("20GB", 20e9),
        ("1.5 TiB", 1.5 * 2**40),
        ("3k", 3000),
        ("7 mb", 7e6),
        ("1GiB", 2**30),
    ],
)
def test_sizes(text: str, size: float):
    assert parse_size(text) == int(size)


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1 000", "1e9", "inf"])
def test_what_is_no_size(text: str):
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_500, "1.5 kB"),
        (999_999, "1 MB"),
        (5e10, "50 GB"),
        (2e15, "2e+03 TB"),
    ],
)
def test_sizes_for_a_person(size: float, text: str):
    assert format_size(size) == text


def test_ages():
    assert parse_age("12h") == timedelta(hours=12)
    assert parse_age("1.5d") == timedelta(hours=36)
    assert parse_age("2 w") == timedelta(weeks=2)
    for text in ("", "5", "3m", "-1d"):
        with pytest.raises(UsageError, match="is not an age"):
            parse_age(text)
