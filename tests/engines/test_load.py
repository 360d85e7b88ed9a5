import json
from importlib import import_module, util

import pytest

from plaudit.engines.load import SCHEMES, load_engine
from plaudit.engines.scripted import ScriptedEngine
from plaudit.errors import UsageError


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
