"""A planted key is in nothing that plaudit writes, even where the server sends it back."""

import subprocess
from pathlib import Path

import pytest

from tests.faults.serving import row, wait_until
from tests.support.command import Done, Plaudit, write_rows

KEY = "sk-planted-0123456789abcdefghijklmnopqrstuvwxyz"
PIECE = "planted-0123456789"
"""Not even a part of the key may be written."""


class Everything:
    """All that plaudit printed, and all that it wrote below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []

    def take(self, done: Done) -> Done:
        self.printed += [done.stdout, done.stderr]
        return done

    def check(self, *expected: str) -> None:
        """Look for the key in everything; the files named must be among what was written."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert {path.name for path in files} >= set(expected)
        for text in self.printed:
            assert PIECE not in text, text[:3000]
        for path in files:
            assert PIECE.encode() not in path.read_bytes(), path


@pytest.fixture
def written(tmp_path: Path, plaudit: Plaudit) -> Everything:
    plaudit.env["OPENAI_API_KEY"] = KEY
    folder = tmp_path / "work"
    folder.mkdir()
    plaudit.home = folder / "home"
    plaudit.env["PLAUDIT_HOME"] = str(plaudit.home)
    return Everything(folder)


def test_a_key_that_every_reply_echoes_is_written_nowhere(
    plaudit: Plaudit, written: Everything, server_of, tmp_path: Path
) -> None:
    server = server_of("--faults", "all,hang=1,drip=1", "--key", KEY, "--echo-key")
    rows = [row(n) for n in range(150)] + [{"id": "no sample"}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    folder = written.folder
    judged = ("judge", "feedback", source, "-e", server.engine, "-o", folder / "out.jsonl")
    flags = ("--readout", "json", "--timeout", "0.7", "--attempts", "2", "--raw", "-v")
    for more in ((), ("--retry-invalid",)):
        done = written.take(plaudit("--log-file", folder / "log.txt", *judged, *flags, *more))
        assert done.status == 1, done.stderr[-2000:]
    answers = {entry.answer for entry in server.answered()}
    assert answers >= {"good", "wrong", "429", "500", "503", "html", "truncated"}
    written.take(plaudit("show", "last", "--json"))
    written.take(plaudit("show", "last"))
    written.take(plaudit("runs", "--json"))
    written.check("out.jsonl", "out.rejected.jsonl", "log.txt", "store.sqlite")


def test_a_store_that_a_kill_left_holds_no_key(
    plaudit: Plaudit, written: Everything, server_of, source_of
) -> None:
    server = server_of("--faults", "all", "--echo-key", "--delay", 0.05)
    out = written.folder / "out.jsonl"
    command = ("judge", "feedback", source_of(5_000), "-e", server.engine, "-o", out)
    flags = ("--readout", "json", "--concurrency", "20", "-v")
    with (written.folder / "printed.txt").open("wb") as printed:
        process = subprocess.Popen(
            plaudit.command(*command, *flags), env=plaudit.env, stdout=printed, stderr=printed
        )
    wait_until(lambda: len(server.answered()) >= 300)
    process.kill()
    process.wait()
    assert (written.folder / "printed.txt").stat().st_size > 10_000
    written.check("store.sqlite", "store.sqlite-wal")


@pytest.mark.parametrize(
    "refusal", [("--key", "another"), ("--key", "another", "--open-models"), ("--model", "another")]
)
def test_a_refusal_that_echoes_the_key_does_not_print_it(
    plaudit: Plaudit, written: Everything, server_of, source_of, refusal: tuple[str, ...]
) -> None:
    server = server_of(*refusal, "--echo-key")
    log = written.folder / "log.txt"
    out = written.folder / "out.jsonl"
    command = ("judge", "feedback", source_of(50), "-e", server.engine, "-o", out, "-v")
    done = written.take(plaudit("--log-file", log, *command))
    assert done.status == 3
    written.take(plaudit("runs", "--json"))
    written.check("log.txt")
