"""What tokens cost: unknown is never nothing."""

import math
import sys
from pathlib import Path

import pytest

from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.sending.prices import Price, Prices, cost
from plaudit.types import Usage

MILLION = Usage(1_000_000, 1_000_000)
HERE = "http://127.0.0.1:8000/v1"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def price_of(uri: str, identity: str, prices: Prices | None = None) -> Price | None:
    return (prices or Prices()).of(load_engine(uri), identity)


def test_engines_in_this_process_cost_nothing() -> None:
    for uri in ("local", "local?slots=2", "gguf:model.gguf", "hf:owner/repo/model.gguf"):
        assert price_of(uri, "gguf-sha256:abc") == Price(0.0, 0.0), uri


def test_providers_are_in_the_list() -> None:
    pytest.importorskip("genai_prices")
    found = price_of("openai:gpt-4o-mini", "openai:gpt-4o-mini")
    assert found is not None
    assert 0 < found.input < found.output
    assert price_of("openai:gpt-4o-mini?revision=x", "openai:gpt-4o-mini@x") == found
    assert price_of("anthropic:claude-sonnet-4-5", "anthropic:claude-sonnet-4-5") is not None
    assert price_of("mistral:mistral-small-latest", "mistral:mistral-small-latest") is not None


@pytest.mark.parametrize(
    ("uri", "identity"),
    [
        ("openai:no-such-model", "openai:no-such-model"),
        (f"openai:gpt-4o@{HERE}", "openai:gpt-4o"),  # its name alone says nothing
        (f"vllm:my/model@{HERE}", "vllm:my/model"),
        ("openai:gpt-4o@https://judge.example/v1", "openai:gpt-4o"),
    ],
)
def test_what_the_list_does_not_have_is_unknown(uri: str, identity: str) -> None:
    found = price_of(uri, identity)
    assert found is None
    assert cost(found, MILLION) is None
    assert cost(found, Usage()) == 0.0


def test_without_the_list_a_price_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert price_of("openai:gpt-4o-mini", "openai:gpt-4o-mini") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.toml", '["my/model"]\ninput = 0.5\noutput = 2\n'),
        ("own.json", '{"my/model": {"input": 0.5, "output": 2}}'),
    ],
)
def test_own_prices_come_first(tmp_path: Path, name: str, text: str) -> None:
    prices = Prices.read(write(tmp_path / name, text))
    found = price_of(f"vllm:my/model@{HERE}", "vllm:my/model@v2", prices)
    assert found == Price(0.5, 2)
    assert cost(found, Usage(1_000, 500)) == 0.0015
    assert price_of(f"vllm:other@{HERE}", "vllm:other", prices) is None


def test_own_prices_by_scheme_and_model_and_before_the_list(tmp_path: Path) -> None:
    path = write(
        tmp_path / "own.toml", '["vllm:m"]\ninput=1\noutput=1\n[gpt-4o]\ninput=7\noutput=7'
    )
    prices = Prices.read(path)
    assert price_of(f"vllm:m@{HERE}", "vllm:m", prices) == Price(1, 1)
    assert price_of(f"sglang:m@{HERE}", "sglang:m", prices) is None
    assert price_of("openai:gpt-4o", "openai:gpt-4o", prices) == Price(7, 7)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "x = ", "not TOML"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[1]", "not a table"),
        ("a.toml", "[m]\ninput = 1", "output"),
        ("a.toml", "[m]\ninput = 1\noutput = 2\ncached = 3", "cached"),
        ("a.toml", "[m]\ninput = -1\noutput = 2", "no number from 0 on"),
        ("a.toml", "[m]\ninput = nan\noutput = 2", "no number from 0 on"),
        ("a.toml", "[m]\ninput = 'free'\noutput = 2", "US dollars for a million"),
    ],
)
def test_a_file_without_prices_is_refused(tmp_path, name, text, message) -> None:
    with pytest.raises(UsageError, match=message):
        Prices.read(write(tmp_path / name, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        Prices.read(str(tmp_path / "none.toml"))
    assert math.isclose(Price(3, 15).cost(MILLION), 18)
