"""Rewards for language models that can be trusted."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plaudit.public import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "AnswerSample",
    "Calibration",
    "CallError",
    "CallableEngine",
    "Capabilities",
    "Cause",
    "Completion",
    "Engine",
    "EngineUnusableError",
    "Failure",
    "FeedbackSample",
    "InputError",
    "Judge",
    "JudgeConfig",
    "Message",
    "MissingDependencyError",
    "PairSample",
    "PlauditError",
    "ReplyError",
    "Request",
    "ResponseSample",
    "Sample",
    "Sampling",
    "SendPolicy",
    "StoreError",
    "TemplateError",
    "TokenLogprob",
    "Usage",
    "UsageError",
    "Verdict",
    "fit_calibration",
    "load_calibration",
    "load_engine",
    "reward_and_update",
    "sample_shots",
]


def __getattr__(name: str) -> Any:
    """Import the public names when one is first used: no command waits for what it needs not."""
    if name not in __all__:
        raise AttributeError(f"module 'plaudit' has no attribute {name!r}")
    public = import_module("plaudit.public")
    globals().update({known: getattr(public, known) for known in __all__})
    return globals()[name]


def __dir__() -> list[str]:
    return [*globals(), *__all__]
