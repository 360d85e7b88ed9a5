"""Damaged stores: real files, really damaged, and several processes that find it at once."""

import contextlib
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest

from plaudit.engines.base import Completion
from plaudit.errors import StoreError
from plaudit.store import damage
from plaudit.store.base import Limits
from plaudit.store.store import Store

REPLIES = 3_000
PAGE = 4096


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        for number in range(REPLIES):
            store.put_reply(key(number), Completion(text=f"reply {number} " * 10))
        store.end_run(store.begin_run(b"one", "feedback", b"{}").number, "finished", b"{}")
    return path


def overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def leaf_page(path: Path) -> int:
    """Return the offset of a page full of replies that no probe on opening looks at."""
    looked_at = {(REPLIES - 1) * n // 15 for n in range(16)}
    for page in range(path.stat().st_size // PAGE):
        data = path.read_bytes()[page * PAGE : (page + 1) * PAGE]
        found = [n for n in range(REPLIES) if f"reply {n} ".encode() in data]
        if len(found) > 5 and not looked_at & set(range(found[0] - 2, found[-1] + 2)):
            return page * PAGE
    raise AssertionError


DAMAGES = {
    "header overwritten": lambda path: overwrite(path, 0, b"x" * 100),
    "first page zeroed": lambda path: overwrite(path, 0, bytes(PAGE)),
    "schema overwritten": lambda path: overwrite(path, 100, os.urandom(PAGE - 100)),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE),
    "cut in a page": lambda path: os.truncate(path, path.stat().st_size // 2 + 1),
    "emptied": lambda path: os.truncate(path, 0),
    "second half zeroed": lambda path: overwrite(path, n := path.stat().st_size // 2, bytes(n)),
    "all but the first pages random": lambda path: overwrite(
        path, 8 * PAGE, os.urandom(path.stat().st_size - 8 * PAGE)
    ),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_store_is_set_aside_whole_and_said_to_be(path: Path, how: str, caplog):
    DAMAGES[how](path)
    before = path.read_bytes()
    with Store(path) as store:
        assert store.get_reply(key(1)) is None
        store.put_reply(key(1), Completion(text="new"))
        assert store.runs() == []
        assert store.begin_run(b"two", "feedback", b"{}").number == 1
    (aside,) = damage.set_aside_files(path)
    assert aside.name.startswith("store.sqlite.damaged-20")
    assert aside.read_bytes() == before
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith(f"the store {path} is damaged (")
    assert "paid for is asked again" in message
    assert f"plaudit store recover {aside} --store {path}" in message
    caplog.clear()
    with Store(path) as store:
        assert store.get_reply(key(1)) == Completion(text="new")
    assert caplog.records == []


def test_log_goes_with_the_file(path: Path):
    wal = path.with_name("store.sqlite-wal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("DELETE FROM reply WHERE rowid < 10")
        kept = path.read_bytes(), wal.read_bytes()
    path.write_bytes(kept[0])
    wal.write_bytes(kept[1])
    path.with_name("store.sqlite.damaged").write_text("malformed")  # and then the process died
    with Store(path) as store:
        assert store.get_reply(key(1)) is None
        (aside,) = damage.set_aside_files(path)
        assert (aside.read_bytes(), Path(f"{aside}-wal").read_bytes()) == kept


def test_two_damages_within_a_second_get_two_names(path: Path):
    for _ in range(2):
        overwrite(path, 0, b"x" * 100)
        with Store(path) as store:
            store.put_reply(key(1), Completion(text="new"))
    assert len(damage.set_aside_files(path)) == 2


def test_damage_met_in_the_middle_ends_the_run_and_the_next_command_sets_it_aside(
    path: Path, caplog
):
    overwrite(path, leaf_page(path), bytes(PAGE))
    with Store(path) as store:
        with pytest.raises(StoreError, match=r"damaged \(.*malformed\): the next command sets it"):
            for number in range(REPLIES):
                store.get_reply(key(number))
        assert path.exists()
    assert damage.set_aside_files(path) == []
    with Store(path) as store:
        assert store.get_reply(key(0)) is None
    assert len(damage.set_aside_files(path)) == 1
    assert not path.with_name("store.sqlite.damaged").exists()
    assert "malformed" in caplog.text


def test_damaged_store_that_is_in_use_stays(path: Path):
    with Store(path) as user:
        user.get_reply(key(0))
        path.with_name("store.sqlite.damaged").write_text("malformed")
        with pytest.raises(StoreError, match=r"damaged \(malformed\).*Another process has it open"):
            Store(path, limits=Limits(let_go_s=0.1)).get_reply(key(0))
        assert user.get_reply(key(0)) is not None
        assert damage.set_aside_files(path) == []
    assert Store(path).get_reply(key(0)) is None
    assert len(damage.set_aside_files(path)) == 1


def _find_damage(path: Path, number: int, barrier, queue) -> None:
    barrier.wait()
    with Store(path) as store:
        store.put_reply(key(number), Completion(text=str(number)))
        store.flush()
        barrier.wait()
        queue.put([number for number in range(4) if store.get_reply(key(number)) is not None])


def test_processes_that_find_it_at_once_share_one_new_store(path: Path):
    overwrite(path, 0, b"x" * PAGE)
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=_find_damage, args=(path, n, barrier, queue)) for n in range(4)
    ]
    for process in processes:
        process.start()
    found = [queue.get(timeout=100) for _ in processes]
    for process in processes:
        process.join()
    assert found == [[0, 1, 2, 3]] * 4
    assert len(damage.set_aside_files(path)) == 1


# What is not a damaged store


def test_a_file_that_never_was_a_store_is_left_alone(tmp_path: Path):
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"notes.txt is not a plaudit store \(file is not a data"):
        Store(notes).get_reply(key(1))
    assert notes.read_text() == "not a database " * 100
    assert list(tmp_path.iterdir()) == [notes]


def test_a_locked_store_is_not_damaged(path: Path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            Store(path, limits=Limits(busy_s=0.1)).get_reply(key(1))
    assert damage.set_aside_files(path) == []
    assert Store(path).get_reply(key(1)) is not None


def test_a_removed_store_is_begun_anew_without_a_word(path: Path, caplog):
    path.unlink()
    assert Store(path).get_reply(key(1)) is None
    assert damage.set_aside_files(path) == []
    assert caplog.records == []


def test_in_use(path: Path):
    assert not damage.in_use(path)
    with Store(path) as store:
        store.get_reply(key(1))
        assert damage.in_use(path)
    assert not damage.in_use(path)
    assert not damage.in_use(path.with_name("other.sqlite"))
