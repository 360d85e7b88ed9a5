"""A planted key is in nothing that plaudit writes, even where the server sends it back."""

import json
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.serving import row, wait_until
from tests.support.command import Done, Plaudit, rows_of, write_rows
from tests.support.server import FakeOpenAI, Reply

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


PASSWORD = "hunter2-planted-0123456789"


class Listener:
    """A port that accepts connections and counts them: stands for the rest of the world."""

    def __enter__(self) -> "Listener":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def connections(self) -> int:
        self._socket.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
                count += 1
        return count


def without_proxies(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}


@pytest.mark.parametrize(
    ("engine", "base_url"),
    [
        ("openai:m@127.0.0.1:PORT/v1", None),
        ("openai:m@htp://127.0.0.1:PORT/v1", None),
        ("openai:127.0.0.1:PORT/v1", None),
        (f"openai:m@ftp://user:{PASSWORD}@127.0.0.1:PORT", None),
        (f"openai:m@http://user:{PASSWORD}@[::1/v1", None),
        ("openai:m", f"htp://user:{PASSWORD}@127.0.0.1:PORT/v1"),
        ("openai:m", "127.0.0.1:PORT/v1"),
    ],
)
def test_defect_46_a_mistyped_address_is_refused_and_nothing_is_sent_anywhere(
    plaudit: Plaudit, written: Everything, source_of, engine: str, base_url: str | None
) -> None:
    with FakeOpenAI(reply="{}") as server, Listener() as elsewhere:
        # What would go to the provider goes through this proxy, and is counted there.
        proxies = {"HTTPS_PROXY": f"http://127.0.0.1:{elsewhere.port}", "NO_PROXY": "127.0.0.1"}
        plaudit.env = without_proxies(plaudit.env) | proxies
        if base_url is not None:
            plaudit.env["OPENAI_BASE_URL"] = base_url.replace("PORT", str(server.port))
        uri = engine.replace("PORT", str(server.port))
        out, log = written.folder / "out.jsonl", written.folder / "log.txt"
        command = ("judge", "feedback", source_of(3), "-e", uri, "-o", out, "-v")
        done = written.take(plaudit("--log-file", log, *command))
        assert done.status == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert ("OPENAI_BASE_URL" if base_url else "engine openai:") in done.stderr
        assert (server.requests, elsewhere.connections) == ([], 0)
    assert not out.exists()
    assert "hunter2" not in "".join(written.printed)
    assert all(b"hunter2" not in f.read_bytes() for f in written.folder.rglob("*") if f.is_file())
    written.check("log.txt")


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


@pytest.mark.parametrize("write", [str, escaped], ids=["plain", "escaped"])
def test_defect_46_a_key_in_the_text_of_a_reply_is_kept_nowhere(
    plaudit: Plaudit, written: Everything, source_of, write: Callable[[str], str]
) -> None:
    label = json.dumps({"label": "neutral", "rationale": "KEY", "confidence": 0.9})
    whole = {"choices": [{"message": {"content": label}, "finish_reason": "stop"}]}
    body = json.dumps(whole).replace("KEY", write(KEY)).encode()
    plaudit.env = without_proxies(plaudit.env)
    out, log = written.folder / "out.jsonl", written.folder / "log.txt"
    with FakeOpenAI(reply=lambda _: Reply(200, body)) as server:
        engine = f"openai:m@{server.url.replace('http:', 'HTTP:')}"
        command = ("judge", "feedback", source_of(2), "-e", engine, "-o", out)
        flags = ("--readout", "json", "--raw", "-v")
        done = written.take(plaudit("--log-file", log, *command, *flags))
        assert done.status == 0, done.stderr
        assert len(server.completions) == 2
    for more in ((), ("--json",)):
        written.take(plaudit("show", "last", *more))
    assert [row["fields"]["rationale"] for row in rows_of(out)] == ["[key]"] * 2
    written.check("out.jsonl", "log.txt", "store.sqlite")
