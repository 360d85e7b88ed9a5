"""`--batch`, killed between every two steps: no row is paid twice, and none is lost."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.batch_provider import KEYS, SCHEMES, BatchProvider, arguments, feedback
from tests.support.command import REPOSITORY, Here, Plaudit

ROWS = 6
KILLER = REPOSITORY / "tests" / "support" / "killed_at.py"
REQUESTS = {
    "openai": ("live", "upload", "create", "look", "results"),
    "together": ("live", "upload", "create", "look", "results"),
    "mistral": ("live", "upload", "create", "look", "results"),
    "anthropic": ("live", "create", "look", "results"),
    "gemini": ("live", "start", "upload", "create", "look", "results"),
}
"""Requests of a run. A kill `before` one: it never came; `after`: it was done, not answered."""
CALLS = (
    "Ledger.intend", "Ledger.creating", "Ledger.created", "Store.put_reply@3", "Store.flush",
    "Store.flush@2", "Ledger.collect",
)  # fmt: skip
"""What a run commits. A kill at the `call`: nothing is written; at the `return`: all of it is.

The first reply is that of the trial, and the first flush has it on the disk before the intent."""


def places(scheme: str) -> list[tuple[str, str]]:
    """Where a run can be killed."""
    requests = [(step, when) for step in REQUESTS[scheme] for when in ("before", "after")]
    return requests + [(name, event) for name in CALLS for event in ("call", "return")]


class Killed:
    """A run with a provider of its own, killed as often as one likes."""

    def __init__(self, folder: Path, provider: BatchProvider) -> None:
        self.provider = provider
        self._run = Plaudit(folder / "home", env=KEYS)
        self._here = Here(folder / "home", env=KEYS)

    def kill(self, step: str, when: str) -> None:
        """Give the command, and kill it there."""
        at_call = when in ("call", "return")
        self.provider.plan(**({} if at_call else {"kill": (step, when)}))
        (self.provider.folder / "killed").unlink(missing_ok=True)
        given = map(str, arguments(self.provider, rows=ROWS))
        how = [str(KILLER), step, when] if at_call else ["-m", "plaudit"]
        child = subprocess.Popen(
            [sys.executable, *how, *given], env=self._run.env, cwd=self._run.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        new = self.provider.folder / "pid.new"
        new.write_text(str(child.pid))
        new.rename(self.provider.folder / "pid")
        _, said = child.communicate(timeout=200)
        assert child.returncode == -signal.SIGKILL, (step, when, said.decode())

    def finish(self, where: object, *, live: int = 1) -> None:
        """Give the command again, and count what was paid.

        Args:
            where: where the runs before were killed.
            live: how often one may be asked live: twice where a kill came before it was stored.
        """
        self.provider.plan()
        done = feedback(self._here, self.provider, rows=ROWS)
        assert (done.status, done.summary["ok"]) == (0, ROWS), (where, done.stderr)
        asked, in_batches = self.provider.paid("live"), self.provider.paid()
        assert set(in_batches.values()) == {1}, (where, in_batches)
        assert not asked.keys() & in_batches.keys(), where
        assert len(asked) + len(in_batches) == ROWS, where
        assert max(asked.values()) <= live, where
        assert sum(self.provider.created) == sum(in_batches.values()), where
        listed = self._here("batches", "--json").stdout.splitlines()
        billed = [msgspec.json.decode(line)["input_tokens"] for line in listed]
        assert sum(billed) == 100 * sum(in_batches.values()), where


def check(folder: Path, provider: BatchProvider, *where: tuple[str, str]) -> None:
    provider.reset()
    run = Killed(folder, provider)
    for place in where:
        run.kill(*place)
    unstored = where[0] in (("live", "after"), ("Store.flush", "call"))
    run.finish((provider.scheme, where), live=1 + unstored)


@pytest.mark.parametrize("scheme", ["openai", "anthropic"])
def test_a_kill_while_the_batch_is_created_pays_nothing_twice(tmp_path: Path, scheme: str) -> None:
    with BatchProvider(scheme, tmp_path / "provider") as provider:
        check(tmp_path, provider, ("create", "after"))


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_kill_between_any_two_steps_pays_nothing_twice(tmp_path: Path, scheme: str) -> None:
    with BatchProvider(scheme, tmp_path / "provider") as provider:
        for number, place in enumerate(places(scheme)):
            check(tmp_path / str(number), provider, place)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "then", [("list", "before"), ("list", "after"), ("Ledger.created", "call")], ids=" ".join
)
def test_a_kill_while_a_batch_is_found_again_pays_nothing_twice(
    tmp_path: Path, scheme: str, then: tuple[str, str]
) -> None:
    with BatchProvider(scheme, tmp_path / "provider") as provider:
        check(tmp_path, provider, ("create", "after"), then, ("results", "after"))
