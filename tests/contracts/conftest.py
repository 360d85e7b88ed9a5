"""Tests against installed peers say which versions they saw."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest

from tests.support.equality.runs import Run, score_all
from tests.support.nemo_services import NemoServices

PEERS = (
    "trl",
    "ray",
    "transformers",
    "torch",
    "datasets",
    "nvidia-nat-nemo-customizer",
    "nemo-microservices",
    "llamafactory",
    "axolotl",
    "openrlhf",
    "schemathesis",
    "verl",
    "ray",
    "areal",
    "nemo-gym",
    "verifiers",
    "skyrl-gym",
    "openpipe-art",
    "tinker-cookbook",
    "tinker",
)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    seen = [f"{peer} {found}" for peer in PEERS if (found := installed(peer))]
    if seen:
        terminalreporter.write_line(f"contracts: {', '.join(seen)}")


def installed(peer: str) -> str | None:
    try:
        return version(peer)
    except PackageNotFoundError:
        return None


@pytest.fixture
def nemo() -> Iterator[NemoServices]:
    with NemoServices() as server:
        yield server


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The rows of the equality table, with the values of `plaudit score`."""
    return score_all(tmp_path_factory.mktemp("equality"))
