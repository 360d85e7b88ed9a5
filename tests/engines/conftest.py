import pytest

from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from tests.support.server import FakeOpenAI


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No keys, no base URL and no proxy of whoever runs the tests."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def engines():
    made = []

    def make(server: FakeOpenAI, scheme="vllm", model="m", options="") -> OpenAIEngine:
        made.append(OpenAIEngine(EngineURI.parse(f"{scheme}:{model}@{server.url}{options}")))
        return made[-1]

    yield make
    for engine in made:
        await engine.close()
