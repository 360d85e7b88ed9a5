"""What the fault tests share."""

from pathlib import Path

import pytest

from tests.faults.serving import Server, row
from tests.support.command import Forked, Plaudit, write_rows


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Forked(tmp_path / "home")


@pytest.fixture
def server_of(tmp_path: Path):
    """Make servers, each with a log of its own; they are killed at the end."""
    made: list[Server] = []

    def make(*options: str | float) -> Server:
        server = Server(tmp_path / f"server-{len(made)}.jsonl", *options)
        server.start()
        made.append(server)
        return server

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def source_of(tmp_path: Path):
    """Write inputs of so many samples."""

    def make(count: int) -> Path:
        return write_rows(tmp_path / f"in-{count}.jsonl", [row(n) for n in range(count)])

    return make
