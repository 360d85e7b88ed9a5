"""Servers of reward models: vLLM's `/classify` and `/pooling`, SGLang's `/classify`."""

from typing import Any

from tests.support.server import FakeOpenAI


class FakeReward(FakeOpenAI):
    """Scores conversations; `reply` is a body, a `Reply`, or a function of the request's body."""

    posts = ("/classify", "/pooling")

    @property
    def url(self) -> str:
        return self.root

    def wrap(self, path: str, text: str, body: Any) -> dict[str, Any]:
        raise NotImplementedError


USAGE = {"prompt_tokens": 21, "total_tokens": 21, "completion_tokens": 0}


def classified(*scores: Any, label: str | None = "LABEL_0", **item: Any) -> dict[str, Any]:
    """What vLLM answers at /classify."""
    found = {"index": 0, "label": label, "probs": list(scores), "num_classes": len(scores)}
    return {
        "id": "classify-1",
        "object": "list",
        "model": "m",
        "data": [found | item],
        "usage": USAGE,
    }


def pooled(data: Any) -> dict[str, Any]:
    """What vLLM answers at /pooling."""
    item = {"index": 0, "object": "pooling", "data": data}
    return {"id": "pool-1", "object": "list", "model": "m", "data": [item], "usage": USAGE}


def embedded(*scores: Any) -> dict[str, Any]:
    """What SGLang answers at /classify."""
    return {"embedding": list(scores), "meta_info": {"id": "1", "prompt_tokens": 21}}


def by_length(body: dict[str, Any]) -> dict[str, Any]:
    """A model that likes long answers: the score is their number of characters, less 10."""
    return classified(len(body["messages"][-1]["content"]) - 10.0)
