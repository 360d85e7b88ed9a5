import json
from importlib import import_module, util
from typing import Any

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.load import SCHEMES, load_engine
from plaudit.engines.scripted import ScriptedEngine
from plaudit.errors import EngineUnusableError, UsageError
from plaudit.types import Message
from tests.support.server import FakeOpenAI


def test_a_script_is_loaded_by_its_scheme(tmp_path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({"match": {}, "replies": [{"text": "x"}]}))
    engine = load_engine(f"scripted:{path}")
    assert isinstance(engine, ScriptedEngine)
    assert load_engine(engine) is engine
    assert isinstance(load_engine(engine.uri), ScriptedEngine)


@pytest.mark.parametrize("text", ["nowhere:m", "gpt-4:m", "file"])
def test_an_unknown_scheme_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"there is no engine.*local.*openai.*scripted"):
        load_engine(text)


def test_what_is_no_uri_is_refused() -> None:
    with pytest.raises(UsageError, match="engine URI"):
        load_engine("/path/to/model.gguf")


@pytest.mark.parametrize("place", sorted(set(SCHEMES.values())))
def test_every_scheme_names_a_class_that_exists(place) -> None:
    module, name = place
    assert util.find_spec(module) is not None
    assert isinstance(getattr(import_module(module), name), type)


@pytest.mark.parametrize(
    ("scheme", "url", "variable"),
    [
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
        ("grok", "https://api.x.ai/v1", "XAI_API_KEY"),
        ("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    ],
)
async def test_defect_19_hosted_models_have_schemes_of_their_own(
    scheme: str, url: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    engine: Any = load_engine(f"{scheme}:m")
    assert engine.info.base_url == url
    with pytest.raises(EngineUnusableError, match=f"needs a key; set {variable}"):
        await engine.open()
    monkeypatch.setenv(variable, "sk-mine-0123")
    with FakeOpenAI("hello", key="sk-mine-0123") as server:
        served: Any = load_engine(f"{scheme}:m@{server.url}")
        await served.open()
        reply = await served.complete(
            Request(prompt=(Message("user", "hi"),), sampling=Sampling(max_tokens=3))
        )
        await served.close()
    assert reply.text == "hello"
