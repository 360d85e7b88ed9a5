"""Replies brought back from stores that are really damaged."""

import contextlib
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from plaudit.engines.base import Completion, TokenLogprob
from plaudit.errors import UsageError
from plaudit.store import damage
from plaudit.store.recovery import recover
from plaudit.store.store import Store

REPLIES = 2_000


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def completion(number: int) -> Completion:
    long = 20_000 if number % 100 == 0 else 4_050 if number % 100 == 1 else 100
    return Completion(text=f"{number} ".ljust(long, "y"), logprobs=(TokenLogprob("a", -0.5),))


def fill(path: Path) -> None:
    with Store(path) as store:
        for number in range(REPLIES):
            store.put_reply(key(number), completion(number))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    fill(tmp_path / "store.sqlite")
    return (tmp_path / "store.sqlite").rename(tmp_path / "damaged")


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "new.sqlite") as store:
        yield store


def check(store: Store, found: int) -> None:
    """All that came back is what was put, to the byte."""
    back = {n: reply for n in range(REPLIES) if (reply := store.get_reply(key(n))) is not None}
    assert len(back) == found
    assert back == {n: completion(n) for n in back}


def test_all_of_a_whole_store(damaged: Path, store: Store):
    done = recover(damaged, store)
    assert (done.found, done.new, done.lost_ranges, done.lost_rows) == (REPLIES, REPLIES, 0, 0)
    check(store, REPLIES)
    assert recover(damaged, store).new == 0


def test_what_lies_between_damaged_pages_comes_back_and_the_loss_is_counted(
    damaged: Path, store: Store
):
    with damaged.open("r+b") as file:
        for page in (60, 61, 62, 90, 120, 121):
            file.seek(4096 * page)
            file.write(os.urandom(4096))
    done = recover(damaged, store)
    assert REPLIES * 0.85 < done.new < REPLIES
    check(store, done.new)
    assert 1 <= done.lost_ranges <= 6
    assert done.new + done.damaged + done.lost_rows >= REPLIES
    assert done.lost_rows < 0.15 * REPLIES


def test_an_end_of_the_table_is_damaged(damaged: Path, store: Store):
    with contextlib.closing(sqlite3.connect(damaged)) as reader:
        last = reader.execute("SELECT completion FROM reply ORDER BY rowid DESC LIMIT 1")
        place = damaged.read_bytes().find(last.fetchone()[0])
    with damaged.open("r+b") as file:
        file.seek(place // 4096 * 4096)
        file.write(os.urandom(4096))
    done = recover(damaged, store)
    assert REPLIES - 100 < done.new < REPLIES
    check(store, done.new)
    assert done.new + done.damaged + done.lost_rows >= REPLIES


def test_nothing_comes_back_without_the_first_page(damaged: Path, store: Store):
    with damaged.open("r+b") as file:
        file.write(bytes(4096))
    done = recover(damaged, store)
    assert (done.found, done.lost_ranges) == (0, 1)
    assert done.lost_rows >= REPLIES


def test_finished_traces_come_back(tmp_path: Path, store: Store):
    with Store(tmp_path / "damaged") as damaged:
        damaged.put_result(key(1), b"one")
        damaged.put_result(key(2), b"two")
    store.put_result(key(2), b"newer")
    done = recover(tmp_path / "damaged", store)
    assert (done.found, done.new) == (2, 1)
    assert (store.get_result(key(1)), store.get_result(key(2))) == (b"one", b"newer")


def test_flipped_bits_bring_nothing_wrong_back(damaged: Path, store: Store):
    data = bytearray(damaged.read_bytes())
    chance = random.Random(1)
    for _ in range(300):
        data[chance.randrange(4096 * 10, len(data))] ^= 1 << chance.randrange(8)
    damaged.write_bytes(data)
    done = recover(damaged, store)
    assert REPLIES * 0.3 < done.new < REPLIES
    check(store, done.new)


def test_cut_off_and_random_files(damaged: Path, store: Store, tmp_path: Path):
    os.truncate(damaged, damaged.stat().st_size // 2 + 100)
    assert REPLIES * 0.2 < recover(damaged, store).new < REPLIES
    (tmp_path / "noise").write_bytes(b"\x0d" + os.urandom(100_000))
    (tmp_path / "empty").touch()
    assert recover(tmp_path / "noise", store).found == 0
    assert recover(tmp_path / "empty", store).found == 0


def test_what_is_in_the_log_only(tmp_path: Path, store: Store):
    path, copy = tmp_path / "store.sqlite", tmp_path / "damaged"
    with Store(path) as writer:
        for number in range(300):
            writer.put_reply(key(number), completion(number))
        writer.flush()
        with contextlib.closing(sqlite3.connect(path)) as reader:  # A reader keeps the log.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reply").fetchone()
            for number in range(300, 400):
                writer.put_reply(key(number), completion(number))
            writer.flush()
            shutil.copy(path, copy)
            shutil.copy(f"{path}-wal", f"{copy}-wal")
    assert recover(copy, store).new == 400
    check(store, 400)


def test_a_store_set_aside_comes_back(tmp_path: Path):
    path = tmp_path / "store.sqlite"
    fill(path)
    path.with_name("store.sqlite.damaged").write_text("malformed")
    with Store(path) as store:
        assert store.get_reply(key(0)) is None
        (aside,) = damage.set_aside_files(path)
        store.put_reply(key(1), Completion(text="newer"))
        store.flush()
        assert recover(aside, store).new == REPLIES - 1
        assert store.get_reply(key(1)) == Completion(text="newer")
        assert store.get_reply(key(0)) == completion(0)


def test_wrong_files(store: Store, tmp_path: Path):
    store.put_reply(key(1), completion(1))
    store.flush()
    with pytest.raises(UsageError, match="there is no file"):
        recover(tmp_path / "none", store)
    with pytest.raises(UsageError, match="is the store in use"):
        recover(store.path, store)
