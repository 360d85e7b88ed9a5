"""Rewards for language models that can be trusted."""

from plaudit.types import AnswerSample as AnswerSample
from plaudit.scoring.calibration import Calibration as Calibration
from plaudit.errors import CallError as CallError
from plaudit.engines.callable import CallableEngine as CallableEngine
from plaudit.engines.base import Capabilities as Capabilities
from plaudit.errors import Cause as Cause
from plaudit.engines.base import Completion as Completion
from plaudit.engines.base import Engine as Engine
from plaudit.engines.base import EngineInfo as EngineInfo
from plaudit.errors import EngineUnusableError as EngineUnusableError
from plaudit.types import Failure as Failure
from plaudit.types import FeedbackSample as FeedbackSample
from plaudit.errors import InputError as InputError
from plaudit.judge import Judge as Judge
from plaudit.judges.config import JudgeConfig as JudgeConfig
from plaudit.types import Message as Message
from plaudit.errors import MissingDependencyError as MissingDependencyError
from plaudit.runs.online import OnlineOptions as OnlineOptions
from plaudit.runs.online import OnlineUpdate as OnlineUpdate
from plaudit.types import PairSample as PairSample
from plaudit.errors import PlauditError as PlauditError
from plaudit.runs.online import PolicyUpdate as PolicyUpdate
from plaudit.errors import ReplyError as ReplyError
from plaudit.engines.base import Request as Request
from plaudit.types import ResponseSample as ResponseSample
from plaudit.types import Sample as Sample
from plaudit.engines.base import Sampling as Sampling
from plaudit.sending.pool import SendPolicy as SendPolicy
from plaudit.errors import StoreError as StoreError
from plaudit.errors import TemplateError as TemplateError
from plaudit.engines.base import TokenLogprob as TokenLogprob
from plaudit.engines.base import ToolCall as ToolCall
from plaudit.engines.base import ToolSpec as ToolSpec
from plaudit.types import Usage as Usage
from plaudit.errors import UsageError as UsageError
from plaudit.types import Verdict as Verdict
from plaudit.types import Verdicts as Verdicts
from plaudit.scoring.votes import VoteRule as VoteRule
from plaudit.runs.learning import fit_calibration as fit_calibration
from plaudit.engines.load import launch_engine as launch_engine
from plaudit.scoring.calibration import load_calibration as load_calibration
from plaudit.engines.load import load_engine as load_engine
from plaudit.types import reward_and_update as reward_and_update
from plaudit._util.loops import run_sync as run_sync
from plaudit.runs.pools import sample_shots as sample_shots

__version__: str

__all__ = [
    "AnswerSample",
    "Calibration",
    "CallError",
    "CallableEngine",
    "Capabilities",
    "Cause",
    "Completion",
    "Engine",
    "EngineInfo",
    "EngineUnusableError",
    "Failure",
    "FeedbackSample",
    "InputError",
    "Judge",
    "JudgeConfig",
    "Message",
    "MissingDependencyError",
    "OnlineOptions",
    "OnlineUpdate",
    "PairSample",
    "PlauditError",
    "PolicyUpdate",
    "ReplyError",
    "Request",
    "ResponseSample",
    "Sample",
    "Sampling",
    "SendPolicy",
    "StoreError",
    "TemplateError",
    "TokenLogprob",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "UsageError",
    "Verdict",
    "Verdicts",
    "VoteRule",
    "fit_calibration",
    "launch_engine",
    "load_calibration",
    "load_engine",
    "reward_and_update",
    "run_sync",
    "sample_shots",
]
