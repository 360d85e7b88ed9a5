"""Who judged, from a judge that is bound to its engine."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plaudit.bench.card import card_of
from plaudit.bench.results import JudgeCard
from plaudit.engines.load import load_engine
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind
from plaudit.judges.panel import bind_panel, read_jury
from tests.support.command import write_rows


@pytest.fixture
def uri(tmp_path: Path) -> str:
    script = write_rows(tmp_path / "script.jsonl", [{"match": {}, "replies": [{"text": "{}"}]}])
    return f"scripted:{script}"


def card(uri: str, name: str = "", **fields: Any) -> JudgeCard:
    engine = load_engine(uri)
    config = JudgeConfig(**{"kind": "pairwise"} | fields)
    return card_of(asyncio.run(bind(config, engine)), engine, name)


def test_a_judge_is_described(uri: str) -> None:
    found = card(uri)
    assert (found.name, found.engine, found.kind) == (uri, uri, "pairwise")
    assert len(found.fingerprint) == 64
    assert found.model.startswith("scripted:")
    assert (found.readout, found.options, found.shots) == ("json", {}, "4 built in")
    name, digest = found.template.split()
    assert (name, len(digest)) == ("pairwise.chat", 12)


def test_what_differs_from_the_defaults_is_an_option(uri: str) -> None:
    found = card(uri, "mine", votes=12, swap=False, shots=5, select="random")
    assert (found.name, found.shots) == ("mine", "5 from the shipped pool, random")
    assert found.options == {"votes": 12, "swap": False}


@pytest.mark.parametrize(
    ("shots", "said"),
    [(0, ""), (3, "3 from the shipped pool, fixed"), ("Judge like this.", "ready texts")],
)
def test_shots_are_counted_and_their_pool_named(uri: str, shots: Any, said: str) -> None:
    assert card(uri, shots=shots).shots.startswith(said)
    assert bool(card(uri, shots=shots).shots) == bool(said)


def test_a_judge_without_a_model_has_no_template() -> None:
    found = card("none:", kind="verify")
    assert (found.engine, found.readout, found.template, found.shots) == ("none:", "none", "", "")


def test_a_panel_names_its_members(uri: str) -> None:
    spec = {"members": [{"name": "one"}, {"name": "two", "votes": 12}]}
    config, engines = read_jury(spec, JudgeConfig(kind="pairwise"), uri, load_engine)
    found = card_of(asyncio.run(bind_panel(config, engines)), engines)
    assert (found.name, found.engine) == ("jury", uri)
    assert found.options["combine"] == "majority"
    assert [one["name"] for one in found.options["members"]] == ["one", "two"]
    assert found.options["members"][1]["votes"] == 12
