"""What users need, under one name; `plaudit` imports it when one of these names is first used."""

from plaudit.engines.base import Capabilities, Completion, Engine, Request, Sampling, TokenLogprob
from plaudit.engines.callable import CallableEngine
from plaudit.engines.load import load_engine
from plaudit.engines.pool import SendPolicy
from plaudit.errors import (
    CallError,
    Cause,
    EngineUnusableError,
    InputError,
    MissingDependencyError,
    PlauditError,
    ReplyError,
    StoreError,
    TemplateError,
    UsageError,
)
from plaudit.judges.base import JudgeConfig
from plaudit.runs.api import Judge
from plaudit.runs.calibrating import fit_calibration
from plaudit.runs.pools import sample_shots
from plaudit.scoring.calibration import Calibration, load_calibration
from plaudit.types import (
    AnswerSample,
    Failure,
    FeedbackSample,
    Message,
    PairSample,
    ResponseSample,
    Sample,
    Usage,
    Verdict,
    reward_and_update,
)

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
