"""`plaudit view` as a process: where it listens, what it opens, and how it ends."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.command import Here, Plaudit, write_rows

ROW = {"index": 0, "id": "one", "status": "ok", "value": "a", "reward": 1.0, "confidence": 0.9,
       "judge": "feedback/0123456789ab"}  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", [ROW])


class Viewed:
    """`plaudit view` in a process of its own."""

    def __init__(self, home: Path, *args: str | Path, **env: str) -> None:
        plaudit = Plaudit(home / "store", env={"PLAUDIT_CACHE": str(home / "cache")} | env)
        self.process = plaudit.start("view", *args)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.line)
        assert found, self.line + self.process.stderr.read()
        self.url = found[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=100)
        return self.process.returncode


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Callable[..., Viewed]]:
    started: list[Viewed] = []

    def start(*args: str | Path, **env: str) -> Viewed:
        started.append(Viewed(tmp_path, *args, **env))
        return started[-1]

    yield start
    for one in started:
        if one.process.returncode is None:
            one.end(signal.SIGKILL)


async def get(url: str) -> tuple[int, str]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session, session.get(url) as reply:
        return reply.status, await reply.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_file_opens_at_once_and_a_signal_ends_it(
    view: Callable[..., Viewed], rows: Path, number: int
) -> None:
    viewed = view(rows, "--no-browser")
    assert "/d/rows.jsonl-" in viewed.url
    status, page = asyncio.run(get(viewed.url))
    assert (status, "1 of 1 verdicts" in page) == (200, True)
    assert asyncio.run(get(viewed.url.partition("?")[0]))[0] == 401
    assert viewed.end(number) == 0


def test_without_a_browser_the_url_is_printed(
    view: Callable[..., Viewed], rows: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!{sys.executable}\nopen({str(seen)!r}, "w").write(__import__("sys").argv[1])\n'
    )
    browser.chmod(0o755)
    other = write_rows(tmp_path / "other.jsonl", [ROW])
    viewed = view(rows, other, BROWSER=f"{browser} %s")
    assert "/?token=" in viewed.url  # Of two files the page that lists them opens.
    assert asyncio.run(get(viewed.url))[0] == 200
    assert viewed.end() == 0
    assert seen.read_text() == viewed.url
    viewed = view(rows, BROWSER="/nothing/here", PATH="/nothing")
    assert asyncio.run(get(viewed.url))[0] == 200


def test_a_port_in_use_and_what_is_not_there_are_refused(tmp_path: Path, rows: Path) -> None:
    here = Here(tmp_path / "store", folder=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = here("view", rows, "--port", port, "--no-browser")
    assert done.status == 2
    assert f"port {port} is in use at 127.0.0.1" in " ".join(done.stderr.split())
    (tmp_path / "empty").mkdir()
    for name, said in [("none.jsonl", "there is no such file"), ("empty", "no file of rows"),
                       ("feedback-0007", "no run")]:  # fmt: skip
        done = here("view", name, "--no-browser")
        assert (done.status, said in " ".join(done.stderr.split())) == (2, True), done.stderr
