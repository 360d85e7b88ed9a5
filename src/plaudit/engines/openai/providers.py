"""Providers that speak OpenAI's protocol, and what is known of their models by name."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from plaudit.engines.base import OPENAI_PARAMETERS, SERVED_PARAMETERS, Capabilities, Mode
from plaudit.engines.openai.requests import Form
from plaudit.engines.uri import EngineURI, place_of
from plaudit.errors import UsageError

_GENEROUS = 256


class Provider(NamedTuple):
    """What is known of a scheme."""

    base_url: str
    key_variable: str
    logprobs: int
    """Most log-probabilities that are asked for; 0: it has none."""
    completion: bool = True
    needs_key: bool = True
    seed: str = "seed"
    """Its name for the seed."""
    thinking: bool = False
    """Whether requests turn thinking off."""
    continuations: Form | None = None
    """How it is asked for the log-probability of a given text; None: it has none."""
    token_ids: bool = False
    """Whether it is asked for token ids."""
    lengths: bool = True
    """Whether its schemas may have `maxLength`."""
    counts_only: bool = False
    """Whether chat mode takes the number of log-probabilities as `logprobs`, as Together does."""
    llama: bool = False
    """Whether the server may be llama.cpp's, which is asked for some things in its own way."""
    generation: tuple[str, ...] = SERVED_PARAMETERS
    """Generation parameters that it takes."""


_HOSTED = (*OPENAI_PARAMETERS, "top_k", "min_p", "repetition_penalty")
_OPENAI_HOST = "api.openai.com"
_CUSTOM = Provider("", "OPENAI_API_KEY", _GENEROUS, needs_key=False, token_ids=True, llama=True)
_PROVIDERS = {
    "openai": Provider(
        f"https://{_OPENAI_HOST}/v1", "OPENAI_API_KEY", 20, completion=False, lengths=False,
        generation=OPENAI_PARAMETERS,
    ),
    "vllm": Provider(
        "http://127.0.0.1:8000/v1", "VLLM_API_KEY", _GENEROUS, needs_key=False, thinking=True,
        continuations="prompt_logprobs", token_ids=True,
    ),
    "sglang": Provider(
        "http://127.0.0.1:30000/v1", "SGLANG_API_KEY", _GENEROUS, needs_key=False, thinking=True,
        continuations="echo", token_ids=True,
    ),
    # The limit of 20 is in Together's published OpenAPI description since June 2025.
    "together": Provider(
        "https://api.together.xyz/v1", "TOGETHER_API_KEY", 20, continuations="echo",
        counts_only=True, generation=_HOSTED,
    ),
    "mistral": Provider(
        "https://api.mistral.ai/v1", "MISTRAL_API_KEY", 0, completion=False, seed="random_seed",
        generation=OPENAI_PARAMETERS,
    ),
    "gemini": Provider(
        "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", 0,
        completion=False, generation=OPENAI_PARAMETERS,
    ),
    "grok": Provider(
        "https://api.x.ai/v1", "XAI_API_KEY", 8, completion=False, generation=OPENAI_PARAMETERS
    ),
    "fireworks": Provider(
        "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", 5, generation=_HOSTED
    ),
}  # fmt: skip
SCHEMES = tuple(_PROVIDERS)
"""The schemes of engine URIs that `OpenAIEngine` takes."""

_COMPLETION_ONLY = re.compile(r"(davinci|babbage)-002|gpt-3\.5-turbo-instruct")
_REASONING = re.compile(
    r"^(o[1-9](-|$)|gpt-5(?!.*chat)|gpt-oss|grok-3-mini|grok-4(?!.*non-reasoning)|minimax-m[12])"
    r"|deepseek-r1|deepseek-reasoner|qwq|magistral|skywork-or1|openthinker|marco-o1|exaone-deep"
    r"|-thinking|-reasoner|(?<!non)-reasoning"
)
_HYBRID = re.compile(
    r"^(qwen3(?!.*(instruct|coder|base|embedding|reranker|-vl-.*instruct))|glm-4\.[5-9]|glm-5"
    r"|smollm3|hunyuan-a13b)"
)


def is_reasoning_model(name: str, *, thinking_off: bool = False) -> bool:
    """Return whether a model of this name writes thoughts before its answer.

    Known families only; a name that says nothing counts as not reasoning.

    Args:
        name: the model's name, with or without the owner.
        thinking_off: whether requests turn thinking off, which hybrid models heed.
    """
    base = name.rsplit("/", 1)[-1].lower()
    return bool(_REASONING.search(base) or (not thinking_off and _HYBRID.search(base)))


def provider_of(uri: EngineURI) -> tuple[str, Provider]:
    """Return base URL and provider of an engine URI."""
    provider = _PROVIDERS.get(uri.scheme)
    if provider is None:
        raise UsageError(f"engine {uri.scheme}: is not one of {', '.join(SCHEMES)}")
    variable = "OPENAI_BASE_URL" if uri.scheme == "openai" else None
    base_url, given = place_of(uri, provider.base_url, variable)
    if uri.scheme == "openai" and urlsplit(base_url).hostname != _OPENAI_HOST:
        return base_url, _CUSTOM
    return base_url, provider._replace(needs_key=False) if given else provider


_CONTINUED: dict[Form | None, tuple[Mode, ...]] = {
    None: (),
    "echo": ("completion",),
    "prompt_logprobs": ("completion", "chat"),
}


def capabilities_of(provider: Provider, model: str, logprobs: int) -> Capabilities:
    """Return what a provider can do with a model, for so many log-probabilities of a token."""
    old = not provider.completion and bool(_COMPLETION_ONLY.search(model))
    return Capabilities(
        logprobs=logprobs,
        logprobs_promised=False,
        json_schema=True,
        chat=not old,
        completion=provider.completion or old,
        default_mode="completion" if old else "chat",
        seed=True,
        generation=provider.generation,
        continuations=_CONTINUED[provider.continuations],
        tools=not old,
        token_ids=provider.token_ids,
        token_prompts=provider.token_ids,
    )
